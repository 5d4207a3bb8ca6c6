"""TensorBoard event files: every scalar in them, not a sample."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from opalesce.errors import FormatError
from opalesce.runs import wire
from opalesce.runs.run import Event, Fault
from opalesce.runs.series import Parsed, build, is_quantity

MAX_RECORD = 64_000_000  # graphs and pictures are larger than scalars, and are skipped all the same
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
# numbers of the fields in TensorFlow's event.proto, summary.proto and tensor.proto
_STEP, _SUMMARY, _SESSION, _VALUE = 2, 5, 7, 1
_TAG, _SIMPLE, _TENSOR = 1, 2, 8
_START = 1
_PLAIN = {1: ("<f4", 5), 2: ("<f8", 6)}  # dtype: its form, and the field with packed values


def read_events(paths: Sequence[Path], source: Path | None = None) -> Parsed:
    """Curves of the event files of one folder, in the order of their names (which start with a time).

    Scalars of both forms are read; histograms, pictures, graphs are skipped. A record whose checksum is
    wrong, or a file cut short, is reported and the rest of that file is left. A start of session at step n
    (`purge_step`) drops what was logged at n and later before it, as TensorBoard does.

    Raises
    ------
    FormatError
        When none of the files holds a scalar.
    """
    columns: dict[str, tuple[list[float], list[float]]] = {}
    faults: list[Fault] = []
    events: list[Event] = []
    for path in paths:
        before = max((max(x) for x, _ in columns.values()), default=-math.inf)
        first = True
        try:
            for record in records(path):
                step, points, started = _event(record)
                if started and columns:
                    _purge(columns, step)
                if first and points:
                    if step <= before:
                        seen = f"{path.name} starts at {step:g}, after {before:g}"
                        events.append(Event(step, "restart", seen))
                    first = False
                for tag, value in points:
                    if is_quantity(tag):
                        xs, ys = columns.setdefault(tag, ([], []))
                        xs.append(step)
                        ys.append(value)
        except FormatError as error:
            faults.append(
                Fault("truncated log", str(path), f"{error.what}: {error.got}", error.expected,
                      "what came before is used; copy the file again if the run has ended")
            )  # fmt: skip
    if not any(x for x, _ in columns.values()):
        why = f": {faults[0].seen}" if faults else ""
        raise FormatError(
            f"{source or paths[0]}: no scalar in these event files", expected="TensorBoard scalars",
            got=(f"{len(paths)} files" + why)[:200],
        )  # fmt: skip
    curves, more = build(columns, str(source or paths[0]), None)
    return Parsed(curves, "step", faults + more, {}, events)


def records(path: Path) -> Iterator[bytes]:
    """The TFRecords of a file: length, its checksum, data, its checksum.

    Raises
    ------
    FormatError
        At the first record that is cut short, too long, or has a wrong checksum.
    """
    with path.open("rb") as file:
        n = 0
        while head := file.read(12):
            if len(head) < 12:
                raise _bad(path, n, f"{len(head)} of 12 bytes")
            size, check = struct.unpack("<QI", head)
            if masked(head[:8]) != check:
                raise _bad(path, n, "the checksum of its length is wrong")
            if size > MAX_RECORD:
                raise _bad(path, n, f"{size} bytes, more than {MAX_RECORD}")
            data = file.read(size + 4)
            if len(data) < size + 4:
                raise _bad(path, n, f"{len(data)} of {size + 4} bytes")
            if masked(data[:size]) != struct.unpack("<I", data[size:])[0]:
                raise _bad(path, n, "its checksum is wrong")
            yield data[:size]
            n += 1


def masked(data: bytes) -> int:
    """CRC-32C, rotated and offset as TFRecords have it."""
    crc = int(_crc32c(np.frombuffer(data, np.uint8), _TABLE))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _table() -> NDArray[np.uint32]:
    out = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        out = np.where(out & 1, (out >> 1) ^ np.uint32(_POLYNOMIAL), out >> 1).astype(np.uint32)
    return out


_TABLE = _table()


@njit(cache=True)
def _crc32c(data: NDArray[np.uint8], table: NDArray[np.uint32]) -> int:
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = table[np.uint8(crc) ^ byte] ^ (crc >> np.uint32(8))
    return int(crc ^ np.uint32(0xFFFFFFFF))


def _event(record: bytes) -> tuple[float, list[tuple[str, float]], bool]:
    """Step, scalars, and whether a session starts here."""
    step, started = 0.0, False
    points: list[tuple[str, float]] = []
    for number, value in wire.fields(record):
        if number == _STEP:
            step = float(wire.signed(value))
        elif number == _SUMMARY and isinstance(value, bytes):
            points += [p for n, v in wire.fields(value) if n == _VALUE and (p := _scalar(v))]
        elif number == _SESSION:
            started = wire.inner(value).get(1) == _START
    return step, points, started


def _scalar(value: wire.Field) -> tuple[str, float] | None:
    if not isinstance(value, bytes):
        return None
    found = wire.inner(value)
    if _TAG not in found:
        return None
    if _SIMPLE in found:
        return wire.text(found[_TAG]), wire.number(found[_SIMPLE], "f")
    if _TENSOR in found:
        one = _tensor(wire.inner(found[_TENSOR]))
        return None if one is None else (wire.text(found[_TAG]), one)
    return None


def _tensor(found: dict[int, wire.Field]) -> float | None:
    """The value of a tensor of one real number; None for any other."""
    kind = found.get(1)
    if not isinstance(kind, int) or kind not in _PLAIN:
        return None
    form, packed = _PLAIN[kind]
    data = found.get(4) or found.get(packed)
    if not isinstance(data, bytes) or len(data) != np.dtype(form).itemsize:
        return None
    return float(np.frombuffer(data, form)[0])


def _purge(columns: dict[str, tuple[list[float], list[float]]], step: float) -> None:
    for tag, (xs, ys) in columns.items():
        keep = [i for i, x in enumerate(xs) if x < step]
        columns[tag] = ([xs[i] for i in keep], [ys[i] for i in keep])


def _bad(path: Path, n: int, got: str) -> FormatError:
    return FormatError(f"record {n} of {path.name} is broken", expected="a whole TFRecord", got=got)
