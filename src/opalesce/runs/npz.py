"""Arrays of numpy (`.npz`, structured `.npy`) as curves; never a pickle."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import FormatError
from opalesce.runs.archive import Archive
from opalesce.runs.run import Fault
from opalesce.runs.series import Parsed, axis_column, axis_name, build, is_quantity

MAX_BYTES = 500_000_000
MAX_HEADER = 10_000
MAX_COLUMNS = 64  # of an array (n, k): k curves


def read_npz(path: Path) -> Parsed:
    """Curves of an `.npz` with an array called step (or tokens, iteration ...) of shape (n,), or of a
    structured `.npy` with such a field.

    Arrays of shape (n,) are curves, those of shape (n, k) with k up to 64 are k curves `name[i]`; any other
    is reported and left. Object arrays are refused: they are pickles.

    Raises
    ------
    FormatError
        When a file is broken, too large, or has no control axis.
    """
    arrays: dict[str, NDArray[Any]] = {}
    faults: list[Fault] = []
    if path.suffix == ".npz":
        with Archive(path) as archive:
            for name in archive.infos:
                try:
                    arrays[name.removesuffix(".npy")] = _array(archive.read(name), f"{path}: {name}")
                except FormatError as error:
                    faults.append(Fault("unreadable array", str(path), error.what, error.expected))
            if not arrays and faults:
                raise FormatError(faults[0].seen, expected=faults[0].expected)
    else:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(f"{path}: too large", expected=f"at most {MAX_BYTES} bytes", got=str(size))
        whole = _array(path.read_bytes(), str(path))
        arrays = {n: whole[n] for n in whole.dtype.names or ()}
    column = axis_column(list(arrays))
    x = arrays[column] if column else np.empty(0)
    if column is None or x.ndim != 1 or x.dtype.kind not in "iuf":
        raise FormatError(
            f"{path}: no array is a control axis",
            expected="an array called step, iteration, tokens, epoch or x, of shape (n,)",
            got=", ".join(f"{n} {a.shape}" for n, a in list(arrays.items())[:6]) or "no named array",
            fix="np.savez(path, step=steps, loss=losses)",
        )
    x = x.astype(float)
    keep = np.isfinite(x)
    columns: dict[str, tuple[list[float], list[float]]] = {}
    for name, a in arrays.items():
        if name == column or not is_quantity(name):
            continue
        fits = a.dtype.kind in "iuf" and a.ndim in (1, 2) and len(a) == len(x)
        if not fits or (a.ndim == 2 and a.shape[1] > MAX_COLUMNS):
            seen = f"{name} is {a.dtype} of shape {a.shape}"
            faults.append(
                Fault("array left", str(path), seen, f"numbers of shape ({len(x)},)", severity="note")
            )
        elif a.ndim == 1:
            columns[name] = (x[keep].tolist(), a.astype(float)[keep].tolist())
        else:
            for i in range(a.shape[1]):
                columns[f"{name}[{i}]"] = (x[keep].tolist(), a[:, i].astype(float)[keep].tolist())
    curves, more = build(columns, str(path), len(x))
    return Parsed(curves, axis_name(column), faults + more)


def _array(data: bytes, what: str) -> NDArray[Any]:
    file = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header of Python 2 is no fault of the numbers
            version = np.lib.format.read_magic(file)
            head = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
            shape, _, dtype = (head or np.lib.format.read_array_header_2_0)(file, max_header_size=MAX_HEADER)
    except Exception as error:  # the header is a Python literal: many ways to be wrong
        raise FormatError(f"{what}: not an array of numpy", got=str(error)[:100]) from error
    if dtype.hasobject:
        raise FormatError(f"{what}: an array of objects is a pickle, and is not opened", expected="numbers")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size > len(data) - file.tell():
        raise FormatError(f"{what}: cut short", expected=f"{size} bytes", got=f"{len(data) - file.tell()}")
    file.seek(0)
    try:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER))
    except (ValueError, OverflowError, MemoryError) as error:
        raise FormatError(f"{what}: not an array of numpy", got=str(error)[:100]) from error
