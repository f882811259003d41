"""Manifests, and files beside the model, that somebody damaged or made to do harm: each function changes a folder.

The hashes are made right afterwards, as an insider would; a function that returns bytes wants them as they are.
"""

from __future__ import annotations

import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.bundle import MANIFEST_NAME

Manifest = dict[str, Any]
Mutate = Callable[[random.Random, Path, Manifest], bytes | None]

_WRONG: tuple[Any, ...] = (None, [], {}, "text", -1, [[]], {"a": {}}, "\u202e", True, [None] * 50)
_REQUIRED = (
    "site", "created_at", "labels", "good_labels", "preprocessing", "variants", "default_variant", "thresholds",
    "drift_reference", "golden_samples", "certificates", "test_metrics", "licence", "lineage", "files",
)  # fmt: skip


def types(rng: random.Random, folder: Path, manifest: Manifest) -> None:
    """A field that holds something of another kind."""
    place = rng.choice([name for name in _REQUIRED if name not in ("certificates", "licence")])
    wrong = [value for value in _WRONG if not (place == "site" and value == "text")]
    manifest[place] = rng.choice([value for value in wrong if not (place == "site" and value == "text")])


def missing(rng: random.Random, folder: Path, manifest: Manifest) -> None:
    del manifest[rng.choice([name for name in _REQUIRED if name != "files"])]


def paths(rng: random.Random, folder: Path, manifest: Manifest) -> bytes:
    """Names that lead out of the bundle."""
    bad = [
        "../x",
        "/etc/passwd",
        "a//b",
        "a\0b",
        "a\\b",
        ".hidden",
        "x" * 5000,
        "",
        "a/../b",
        "./a",
        "é",
        "CON:",
        "a/",
        "\u2024\u2024/x",
    ]
    path = rng.choice(bad)
    kind = rng.randrange(4)
    if kind == 0:
        manifest["variants"][0]["file"] = path
    elif kind == 1:
        manifest["golden_samples"][0]["file"] = path
    elif kind == 2:
        manifest["drift_reference"]["file"] = path
    else:
        manifest["files"][path] = next(iter(manifest["files"].values()))
    return json.dumps(manifest).encode()


def numbers(rng: random.Random, folder: Path, manifest: Manifest) -> bytes:
    """Numbers beyond every reason, also such that JSON does not have."""
    text = json.dumps(manifest)
    name, shown = rng.choice(
        [("width", manifest["preprocessing"]["width"]), ("height", manifest["preprocessing"]["height"]),
         ("embedding_width", manifest["drift_reference"]["embedding_width"]),
         ("components", manifest["drift_reference"]["components"])]
    )  # fmt: skip
    huge = rng.choice(
        ["1" + "0" * 400, "-1", "1e999", "NaN", "Infinity", "0", "4097", "99999", "1e3000", "0x10", "-0.5"]
    )
    return text.replace(f'"{name}": {shown}', f'"{name}": {huge}', 1).encode()


def unicode(rng: random.Random, folder: Path, manifest: Manifest) -> bytes:
    """Text that is none: half a surrogate, bytes that are not UTF-8, a NUL, a label that turns the line round."""
    text = json.dumps(manifest).encode()
    site = json.dumps(manifest["site"]).encode()
    bad = rng.choice([b'"\\ud800"', b'"\xff\xfe"', b'"a\\u0000"', b'"\\u202ea"', b'"\xc3("', b'"\xed\xa0\x80"', b'"A"'])
    return rng.choice([text.replace(site, bad, 1), b"\xff\xfe" + text, text.decode().encode("utf-16")])


def syntax(rng: random.Random, folder: Path, manifest: Manifest) -> bytes:
    """JSON that is cut, nested a hundred thousand deep, too long, or none."""
    text = json.dumps(manifest).encode()
    deep = b"[" * 100_000
    return rng.choice(
        [text[: rng.randrange(len(text))], deep, b'{"a":' * 50_000, text + b"x", b"", text[:-1] + b',"x":' + deep,
         b"null", b"[]", b'"' + b"a" * 5_000_000 + b'"', text.replace(b":", b"=", 3), b"\x00" * 1000]
    )  # fmt: skip


def lies(rng: random.Random, folder: Path, manifest: Manifest) -> None:
    """Sound on its own, but the model is another one."""
    spec = manifest["preprocessing"]
    kind = rng.randrange(10)
    if kind == 0:
        manifest["labels"] = [*manifest["labels"], "ghost"]
    elif kind == 1:
        spec["width"] = rng.choice([16, 100, 4096])
    elif kind == 2:
        manifest["drift_reference"]["embedding_width"] += rng.choice([1, 10**6])
    elif kind == 3:
        manifest["default_variant"] = "tensorrt/int8"
    elif kind == 4:
        manifest["golden_samples"][0]["expected"] = {"other/one": [0.5, 0.5]}
    elif kind == 5:
        manifest["golden_samples"][0]["expected"] = {
            name: list(reversed(values)) for name, values in manifest["golden_samples"][0]["expected"].items()
        }
    elif kind == 6:
        spec["std"] = [rng.choice([0.0, 1e-300, 1e300])] * 3
    elif kind == 7:
        spec |= {"schema_version": 2, "tiles": {"columns": 16, "rows": 16}, "width": 4096, "height": 4096}
    elif kind == 8:
        spec["max_pixels"] = 1
    else:
        manifest["drift_reference"]["names"] = manifest["drift_reference"]["names"][::-1]


def settings(rng: random.Random, folder: Path, manifest: Manifest) -> None:
    """Settings out of their range."""
    manifest[rng.choice(["temperature"])] = rng.choice([0.0, -1.0, "hot", None])
    if rng.random() < 0.5:
        manifest["temperature"] = 1.0
        manifest["thresholds"] = rng.choice(
            [
                {"ng": 0.1, "review_from": 0.9},
                {"ng": 2.0, "review_from": 0.0},
                {"ng": "x"},
                {"ng": -1, "review_from": -2},
            ]
        )


def golden(rng: random.Random, folder: Path, manifest: Manifest) -> None:
    """A golden picture that is damaged, or small as a file and gigabytes when decoded."""
    file = folder / manifest["golden_samples"][0]["file"]
    data = file.read_bytes()
    side = rng.choice([20_000, 60_000])
    _replace(
        file, rng.choice([data[: rng.randrange(8, len(data) // 2)], b"", rng.randbytes(500), _bomb(side), b"GIF89a"])
    )


def reference(rng: random.Random, folder: Path, manifest: Manifest) -> None:
    """A drift reference that is cut, or whose header promises another file."""
    file = folder / manifest["drift_reference"]["file"]
    data = file.read_bytes()
    header = json.dumps({"projection": {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 2**62]}}).encode()
    bad = [data[: rng.randrange(len(data))], b"", rng.randbytes(900), struct.pack("<Q", 2**63) + data[8:],
           struct.pack("<Q", len(header)) + header, struct.pack("<Q", 90_000) + b"[" * 90_000]  # fmt: skip
    _replace(file, rng.choice(bad))


def files(rng: random.Random, folder: Path, manifest: Manifest) -> bytes:
    """Another file, one too few, a link, a pipe; right hashes of the wrong thing."""
    name = rng.choice(sorted(manifest["files"]))
    kind = rng.randrange(6)
    if kind == 0:
        (folder / "more.bin").write_bytes(b"more")
    elif kind == 1:
        (folder / name).unlink()
    elif kind == 2:
        (folder / name).unlink()
        (folder / name).symlink_to("/etc/passwd")
    elif kind == 3:
        (folder / name).unlink()
        os.mkfifo(folder / name)
    elif kind == 4:
        manifest["files"][name]["bytes"] = rng.choice([0, 2**62, 10**30])
    else:
        manifest["files"][name]["sha256"] = rng.choice(["0" * 64, "", "g" * 64, "A" * 64])
    return json.dumps(manifest).encode()


MUTATIONS: dict[str, Mutate] = {
    f"manifest_{each.__name__}": each
    for each in (types, missing, paths, numbers, unicode, syntax, lies, settings, golden, reference, files)
}


def write(folder: Path, manifest: Manifest, text: bytes | None, hashes: dict[str, dict[str, Any]]) -> None:
    """The manifest, with the hashes of what lies there unless `text` is what was wanted."""
    if text is None:
        if isinstance(manifest.get("files"), dict) and manifest["files"]:
            manifest["files"] = hashes
        text = json.dumps(manifest).encode()
    _replace(folder / MANIFEST_NAME, text)


def _replace(file: Path, data: bytes) -> None:
    """Never through a hard link: the original stays."""
    file.unlink()
    file.write_bytes(data)


def _bomb(side: int) -> bytes:
    """A grey PNG of `side` x `side` pixels, all black."""
    packer, packed = zlib.compressobj(9), b""
    for _ in range(side):
        packed += packer.compress(bytes(side + 1))
    packed += packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(*each) for each in ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
