"""The protobuf wire format, read without the `protobuf` package and without trusting a length in it.

Stricter than protobuf itself: groups, reserved field numbers and endless messages are refused, so that nothing is read
here in one way and by a runtime in another.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_FIELDS = 200_000
"""Of one message. A network has a few thousand; more would only cost time."""

_LARGEST_FIELD_NUMBER = 2**29 - 1
_SIGN = 1 << 63


class MalformedError(Exception):
    """Not the protobuf it should be."""


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of one message; numbers unsigned, everything else as bytes. Raises MalformedError."""
    position, end, count = 0, len(data), 0
    while position < end:
        key, position = varint(data, position)
        number, wire = key >> 3, key & 7
        count += 1
        if not 0 < number <= _LARGEST_FIELD_NUMBER or count > MOST_FIELDS:
            raise MalformedError("it has a field that cannot be" if count <= MOST_FIELDS else "it has too many fields")
        if wire == VARINT:
            value, position = varint(data, position)
            yield number, value
            continue
        size, position = _size(data, position, wire)
        if position + size > end:
            raise MalformedError("it ends early")
        yield number, data[position : position + size]
        position += size


def varint(data: memoryview, position: int) -> tuple[int, int]:
    """(unsigned number, position after it). Raises MalformedError."""
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise MalformedError("a number ends early")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def message(value: int | memoryview) -> memoryview:
    """The bytes of a field. Raises MalformedError where it holds a number."""
    if isinstance(value, int):
        raise MalformedError("a number where a message belongs")
    return value


def text(value: int | memoryview) -> str:
    """A name. Raises MalformedError where it holds a number or is not UTF-8."""
    try:
        return str(message(value), "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("a name is not UTF-8") from error


def signed(value: int | memoryview) -> int:
    """An int64. Raises MalformedError where the field holds bytes."""
    if not isinstance(value, int):
        raise MalformedError("bytes where a number belongs")
    value &= 2 * _SIGN - 1
    return value - 2 * _SIGN if value & _SIGN else value


def numbers(value: int | memoryview, *, most: int) -> list[int]:
    """Repeated int64, packed or one at a time. Raises MalformedError where there are more than `most`."""
    if isinstance(value, int):
        return [signed(value)]
    found, position = [], 0
    while position < len(value):
        number, position = varint(value, position)
        found.append(signed(number))
        if len(found) > most:
            raise MalformedError(f"a list of more than {most} numbers")
    return found


def _size(data: memoryview, position: int, wire: int) -> tuple[int, int]:
    if wire == BYTES:
        return varint(data, position)
    if wire in (FIXED64, FIXED32):
        return (8 if wire == FIXED64 else 4), position
    raise MalformedError(f"unknown protobuf wire type {wire}")
