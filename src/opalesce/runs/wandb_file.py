"""W&B offline runs: the history and configuration in `run-*.wandb`."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from opalesce.errors import FormatError
from opalesce.runs import wire
from opalesce.runs.bounded import parse_json
from opalesce.runs.jsonl import from_rows, numbers
from opalesce.runs.run import Fault
from opalesce.runs.series import Parsed

MAX_RECORD = 64_000_000
_BLOCK, _HEAD = 32768, 7
_MAGIC = b":W&B"
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# numbers of the fields in wandb_internal.proto
_HISTORY, _CONFIG, _RUN, _RUN_CONFIG, _UPDATE = 2, 5, 17, 4, 1
_KEY, _NESTED, _JSON = 1, 2, 16


def read_wandb(path: Path) -> Parsed:
    """Curves of an offline run against `_step`: every row that was logged, with the run's configuration.

    The file is a LevelDB log of protobuf records. Where it breaks off, as a killed run leaves it, what came
    before is used and the break is reported.

    Raises
    ------
    FormatError
        When the file is no such log, or holds no history.
    """
    rows: list[dict[str, float]] = []
    config: dict[str, object] = {}
    faults: list[Fault] = []
    try:
        for record in records(path):
            for number, value in wire.fields(record):
                if number == _HISTORY:
                    rows.append(_row(value))
                elif number == _CONFIG:
                    config.update(_config(value))
                elif number == _RUN:
                    config.update(_config(wire.inner(value).get(_RUN_CONFIG, b"")))
    except FormatError as error:
        if not rows:
            raise FormatError(f"{path}: {error.what}", expected=error.expected, got=error.got) from error
        faults.append(
            Fault("truncated log", str(path), f"{error.what}: {error.got}", error.expected,
                  "what came before is used; copy the file again if the run has ended")
        )  # fmt: skip
    rows = [r for r in rows if r]
    if not rows:
        raise FormatError(f"{path}: no history in this file", expected="rows of run.log(...)")
    config.pop("_wandb", None)
    return from_rows(rows, str(path), faults, config)


def records(path: Path) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of 32 KiB, each piece with checksum, length and kind.

    Raises
    ------
    FormatError
        At the first piece that is cut short, out of turn, or has a wrong checksum.
    """
    with path.open("rb") as file:
        if file.read(7)[:4] != _MAGIC:
            raise FormatError("not a W&B file", expected="the bytes :W&B first")
        parts: list[bytes] = []
        at, size = 7, 0
        while True:
            room = _BLOCK - at % _BLOCK
            if room < _HEAD:  # the end of a block holds zeros
                file.read(room)
                at += room
            head = file.read(_HEAD)
            if not head:
                if parts:
                    raise _bad(at, "the last record has no end")
                return
            if len(head) < _HEAD:
                raise _bad(at, f"{len(head)} of {_HEAD} bytes")
            check, length, kind = struct.unpack("<IHB", head)
            data = file.read(length)
            at += _HEAD + len(data)
            size += length
            if len(data) < length:
                raise _bad(at, f"{len(data)} of {length} bytes")
            if zlib.crc32(bytes([kind]) + data) != check:
                raise _bad(at, "its checksum is wrong")
            if (kind in (_FULL, _FIRST)) == bool(parts) or not _FULL <= kind <= _LAST or size > MAX_RECORD:
                raise _bad(at, f"a piece of kind {kind} out of turn, or a record over {MAX_RECORD} bytes")
            parts.append(data)
            if kind in (_FULL, _LAST):
                yield b"".join(parts)
                parts, size = [], 0


def _row(message: wire.Field) -> dict[str, float]:
    row: dict[str, object] = {}
    for number, value in wire.fields(message if isinstance(message, bytes) else b""):
        if number == 1:
            row.update(_item(value))
        elif number == 2:  # the step, where no item states it
            row.setdefault("_step", wire.signed(wire.inner(value).get(1, 0)))
    return numbers(row)


def _config(message: wire.Field) -> dict[str, object]:
    out: dict[str, object] = {}
    for number, value in wire.fields(message if isinstance(message, bytes) else b""):
        if number == _UPDATE:
            out.update(_item(value))
    return out


def _item(message: wire.Field) -> dict[str, object]:
    """Name and value of one item; a value that is no JSON is left out."""
    names: list[str] = []
    key, value = "", None
    for number, found in wire.fields(message if isinstance(message, bytes) else b""):
        if number == _KEY:
            key = wire.text(found)
        elif number == _NESTED:
            names.append(wire.text(found))
        elif number == _JSON:
            try:
                value = parse_json(wire.text(found), "")
            except FormatError:
                value = None
    name = key or "/".join(names)
    return {name: value} if name else {}


def _bad(at: int, got: str) -> FormatError:
    return FormatError(f"the log breaks off at byte {at}", expected="a whole record", got=got)
