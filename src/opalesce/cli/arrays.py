"""Matrices from files: .npy, CSV or TSV, and one tensor of a safetensors file. No pickle is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import FormatError, InputError

EXPECTED = "FILE.npy, FILE.csv, FILE.tsv, or FILE.safetensors::TENSOR"


def load_matrix(source: str) -> NDArray[Any]:
    """A two-dimensional array of numbers.

    Parameters
    ----------
    source : str
        `rows.npy`, `rows.csv` or `.tsv` (numbers only, a header is skipped), `model.safetensors::name`.

    Raises
    ------
    InputError
        No such file, an unknown ending, a tensor that is not in the file, or not two dimensions.
    FormatError
        The file cannot be read as what its name says.
    """
    name, _, tensor = source.partition("::")
    path = Path(name)
    if not path.is_file():
        raise InputError("no such file", expected=EXPECTED, got=name)
    readers = {".npy": _npy, ".csv": _text, ".tsv": _text}
    if path.suffix == ".safetensors":
        out = _tensor(path, tensor)
    elif path.suffix in readers:
        try:
            out = readers[path.suffix](path)
        except (OSError, ValueError) as error:
            raise FormatError(
                f"{path.name} is not a matrix of numbers", expected=EXPECTED, got=str(error)
            ) from error
    else:
        raise InputError("unknown kind of file", expected=EXPECTED, got=path.name)
    if out.ndim != 2:
        raise InputError(f"{path.name} is not a matrix", expected="two dimensions", got=f"shape {out.shape}")
    return out


def _npy(path: Path) -> NDArray[Any]:
    return np.asarray(np.load(path, allow_pickle=False))


def _text(path: Path) -> NDArray[Any]:
    import pandas as pd

    sep = "\t" if path.suffix == ".tsv" else ","
    with path.open(encoding="utf-8") as file:
        first = file.readline().strip().split(sep)
    header = 0 if any(not _number(v) for v in first) else None
    return np.asarray(pd.read_csv(path, sep=sep, header=header).to_numpy(float))


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _tensor(path: Path, name: str) -> NDArray[Any]:
    from opalesce.runs.safetensors import checkpoint

    held = checkpoint(path, 0.0)
    names = sorted(held.tensors())
    if name not in names:
        raise InputError(
            "which tensor?",
            expected=f"{path.name}::NAME with NAME one of {', '.join(names[:8])}",
            got=name or "none",
        )
    return held.read(name)
