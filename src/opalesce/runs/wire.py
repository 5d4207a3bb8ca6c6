"""Protobuf on the wire: the fields of one message, without a schema or a library."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from opalesce.errors import FormatError

Field = int | bytes


def fields(message: bytes) -> Iterator[tuple[int, Field]]:
    """(number, value) of each field: an int for a varint, bytes for the rest (8, 4 or a stated number).

    Messages inside are bytes; the caller goes into those it knows, so that nothing here recurses.

    Raises
    ------
    FormatError
        Where the bytes are no message.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(kind, -1)
        if size < 0 or number == 0 or at + size > end:
            raise _broken(f"a field of {size} bytes of kind {kind} at byte {at} of {end}")
        yield number, message[at : at + size]
        at += size


def number(value: Field, code: str) -> float:
    """A fixed-width number, `code` "d" or "f"."""
    if not isinstance(value, bytes) or len(value) != struct.calcsize(f"<{code}"):
        raise _broken("a number of another width")
    return float(struct.unpack(f"<{code}", value)[0])


def signed(value: Field) -> int:
    """An int64 in its varint."""
    if not isinstance(value, int):
        raise _broken("bytes in place of a whole number")
    return value - (1 << 64) if value >> 63 else value


def text(value: Field) -> str:
    """A string; bytes that are not UTF-8 are replaced."""
    if not isinstance(value, bytes):
        raise _broken("a number in place of a text")
    return value.decode("utf-8", "replace")


def inner(value: Field) -> dict[int, Field]:
    """The fields of a message inside, the last of each number."""
    if not isinstance(value, bytes):
        raise _broken("a number in place of a message")
    return dict(fields(value))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if at + i >= len(data):
            break
        byte = data[at + i]
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return value & ((1 << 64) - 1), at + i + 1
    raise _broken(f"no whole number at byte {at} of {len(data)}")


def _broken(got: str) -> FormatError:
    return FormatError("not a protobuf message", expected="fields that end with the message", got=got)
