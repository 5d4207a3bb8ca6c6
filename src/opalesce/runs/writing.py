"""Safetensors files, written atomically and one tensor in memory at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError

_NAMES = {np.dtype(f"<f{n}"): f"F{8 * n}" for n in (2, 4, 8)} | {np.dtype("|b1"): "BOOL"}
_NAMES |= {np.dtype(f"<{k.lower()}{n}"): f"{k}{8 * n}" for k in "IU" for n in (1, 2, 4, 8)}


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, NDArray[np.generic]],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write arrays as one safetensors file, atomically (temporary name, fsync, rename).

    Raises
    ------
    InputError
        When an array has a dtype that the format lacks.
    """
    parts = []
    # widest elements first keeps every tensor aligned
    for name in sorted(tensors, key=lambda k: (-np.asarray(tensors[k]).dtype.itemsize, k)):
        array = np.asarray(tensors[name], order="C")
        kind = _NAMES.get(array.dtype.newbyteorder("<"))
        if kind is None:
            raise InputError(
                f"tensor {name!r} cannot be written",
                expected=f"one of {', '.join(sorted(_NAMES.values()))}",
                got=str(array.dtype),
                fix="convert it with .astype(numpy.float32)",
            )
        data = array.astype(array.dtype.newbyteorder("<"), copy=False)
        parts.append(Part(name, kind, array.shape, array.nbytes, data.tobytes))
    return write_parts(Path(path), parts, metadata)


@dataclass(frozen=True)
class Part:
    """One tensor to be written: its bytes are asked for when their turn comes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    data: Callable[[], bytes | memoryview]


def write_parts(path: Path, parts: Sequence[Part], metadata: Mapping[str, str] | None = None) -> Path:
    """Write tensors given as bytes, one in memory at a time; atomically, as `write`."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for p in parts:
        header[p.name] = {"dtype": p.dtype, "shape": list(p.shape), "data_offsets": [at, at + p.nbytes]}
        at += p.nbytes
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(len(raw).to_bytes(8, "little") + raw)
            for p in parts:
                file.write(p.data())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
