"""Where a camera is: `rtsp://...`, `usb:0`, `/dev/video0`, a video file, or `genicam:SERIAL`. Never with a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

Kind = Literal["rtsp", "usb", "file", "genicam"]

_ADVICE: dict[Kind, str] = {
    "rtsp": "Check the camera's power and network cable, its address, and user and password_file.",
    "usb": "Check the USB cable and plug, and that no other program uses the camera.",
    "file": "Check that the file is there, can be read, and is a video.",
    "genicam": "Check the camera's power and cable, its serial number, and that no other program uses it.",
}


@dataclass(frozen=True)
class Address:
    """`target` is what the library opens; `shown` may be logged: of a URL only scheme, host and port, because cameras
    have been seen to want their password in path or query."""

    kind: Kind
    target: str
    shown: str

    @property
    def advice(self) -> str:
        """What to check when it does not answer."""
        return _ADVICE[self.kind]


def parse_address(text: str) -> Address:
    """Read an address. Raises ValueError, which does not repeat what may be a password.

    >>> parse_address("rtsp://10.0.0.7:554/stream1?profile=2").shown
    'rtsp://10.0.0.7:554'
    >>> parse_address("usb:2").target, parse_address("/srv/run.avi").kind, parse_address("genicam:").kind
    ('2', 'file', 'genicam')
    """
    scheme = text.partition(":")[0].lower()
    if scheme in ("rtsp", "rtsps"):
        return _stream(text)
    if scheme == "usb":
        if not re.fullmatch(r"[0-9]{1,3}", text[4:]):
            raise ValueError("a USB camera is usb:NUMBER (usb:0 is the first) or /dev/videoNUMBER")
        return Address("usb", text[4:], text)
    if scheme == "genicam":
        return Address("genicam", text[8:], text)
    if "://" in text:
        raise ValueError(f"{scheme}:// cannot be opened; use rtsp://, rtsps://, usb:0, /dev/video0 or a video file")
    return Address("usb" if re.fullmatch(r"/dev/video[0-9]{1,3}", text) else "file", text, text)


def with_credentials(url: str, user: str, password: str) -> str:
    """The URL that the library opens; to be kept out of every message.

    >>> with_credentials("rtsp://10.0.0.7:554/live", "viewer", "a@b/c")
    'rtsp://viewer:a%40b%2Fc@10.0.0.7:554/live'
    """
    parts = urlsplit(url)
    place = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"
    return urlunsplit((parts.scheme, place, parts.path, parts.query, parts.fragment))


def _stream(url: str) -> Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("the address is no URL of the form rtsp://HOST:PORT/PATH") from error
    if "@" in parts.netloc:
        raise ValueError("an address holds no user or password: set user and password_file instead")
    if not host:
        raise ValueError("the address names no host: rtsp://HOST:PORT/PATH")
    host = f"[{host}]" if ":" in host else host
    return Address("rtsp", url, f"{parts.scheme}://{host}" + (f":{port}" if port else ""))
