"""A small network camera: RTSP with Motion JPEG (RFC 2435) over one TCP connection, with a password if asked for.

It can freeze (stay connected and send nothing), hang up, and be switched off and on under the same port.
"""

from __future__ import annotations

import base64
import io
import socket
import struct
import threading
import time
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRAME_SECONDS = 0.05
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 26\r\na=control:track\r\n"
)
_CHUNK = 1400


class RtspCamera:
    """Sends `image` [48, 64, 3] again and again, a little different each time."""

    def __init__(self, image: NDArray[np.uint8], *, user: str | None = None, password: str = "") -> None:
        self.image = image
        self.frozen = False
        self._wanted = None if user is None else base64.b64encode(f"{user}:{password}".encode()).decode()
        self._socket: socket.socket | None = None
        self._taken: list[socket.socket] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        """Switch it on, on the same port as before."""
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, args=(self._socket,), daemon=True).start()

    def stop(self) -> None:
        """Switch it off."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections."""
        taken, self._taken = self._taken, []
        for one in taken:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                taken, _ = listening.accept()
            except OSError:
                return
            self._taken.append(taken)
            threading.Thread(target=self._answer_all, args=(taken,), daemon=True).start()

    def _answer_all(self, taken: socket.socket) -> None:
        waiting = b""
        with suppress(OSError):
            while data := taken.recv(10_000):
                waiting += data
                while b"\r\n\r\n" in waiting:
                    request, _, waiting = waiting.partition(b"\r\n\r\n")
                    self._answer(taken, request.decode(errors="replace"))

    def _answer(self, taken: socket.socket, request: str) -> None:
        method = request.split(" ", 1)[0].lstrip("$\0\1")
        number = request.partition("CSeq: ")[2].split("\r\n", 1)[0]
        if self._wanted is not None and f"Basic {self._wanted}" not in request:
            self._say(taken, number, status="401 Unauthorized", more='WWW-Authenticate: Basic realm="camera"\r\n')
        elif method == "DESCRIBE":
            self._say(taken, number, more="Content-Type: application/sdp\r\n", body=_SDP)
        elif method == "SETUP":
            self._say(taken, number, more="Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n")
        elif method == "OPTIONS":
            self._say(taken, number, more="Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")
        else:
            self._say(taken, number, more="Session: 1\r\n")
        if method == "PLAY":
            threading.Thread(target=self._play, args=(taken,), daemon=True).start()

    def _say(
        self, taken: socket.socket, number: str, *, status: str = "200 OK", more: str = "", body: str = ""
    ) -> None:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        taken.sendall(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{more}{length}\r\n{body}".encode())

    def _play(self, taken: socket.socket) -> None:
        sequence = frame = 0
        with suppress(OSError):
            while True:
                time.sleep(FRAME_SECONDS)
                if self.frozen:
                    continue
                noise = np.random.default_rng(frame).integers(-6, 7, self.image.shape)
                noisy = np.clip(self.image + noise, 0, 255).astype(np.uint8)
                for packet in _packets(noisy, sequence, frame * 4500):
                    taken.sendall(b"$\0" + struct.pack("!H", len(packet)) + packet)
                    sequence += 1
                frame += 1


def _packets(image: NDArray[np.uint8], sequence: int, stamp: int) -> list[bytes]:
    """One frame as RTP packets."""
    tables, scan = _parts_of_jpeg(image)
    height, width = image.shape[:2]
    packets = []
    for offset in range(0, len(scan), _CHUNK):
        last = offset + _CHUNK >= len(scan)
        rtp = struct.pack("!BBHII", 0x80, 26 | (0x80 if last else 0), (sequence + len(packets)) & 0xFFFF, stamp, 7)
        jpeg = struct.pack("!IBBBB", offset, 1, 255, width // 8, height // 8)  # 4:2:0, tables in the first packet
        quantisation = struct.pack("!BBH", 0, 0, len(tables)) + tables if offset == 0 else b""
        packets.append(rtp + jpeg + quantisation + scan[offset : offset + _CHUNK])
    return packets


def _parts_of_jpeg(image: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """Quantisation tables and scan of a baseline JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=90, subsampling="4:2:0")
    data, place, tables = file.getvalue(), 2, b""
    while True:
        marker, length = data[place + 1], struct.unpack("!H", data[place + 2 : place + 4])[0]
        segment = data[place + 4 : place + 2 + length]
        place += 2 + length
        if marker == 0xDB:
            while segment:
                tables, segment = tables + segment[1:65], segment[65:]
        if marker == 0xDA:
            return tables, data[place:-2]
