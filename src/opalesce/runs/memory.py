"""States in memory: a torch module, a state dict, or several of them by step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.runs.run import TensorInfo

_NAMES = {"bfloat16": "BF16", "float64": "F64", "float32": "F32", "float16": "F16", "bool": "BOOL"}


@dataclass(frozen=True)
class MemoryCheckpoint:
    """One state in memory, copied when the run was opened. Satisfies `opalesce.runs.run.Checkpoint`."""

    step: float
    state: Mapping[str, NDArray[Any]] = field(repr=False)
    tokens: float | None = field(default=None, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """No file: a name for people."""
        return (Path(f"memory@step{self.step:g}"),)

    def tensors(self) -> Mapping[str, TensorInfo]:
        """Names, types and shapes, sorted by name."""
        return {
            name: TensorInfo(name, dtype_name(w.dtype), w.shape, w.nbytes, self.paths[0])
            for name, w in sorted(self.state.items())
        }

    def read(self, name: str, index: int | None = None) -> NDArray[np.generic]:
        """One tensor; F16 as float32.

        Raises
        ------
        InputError
            There is no such tensor, or no such entry.
        """
        if name not in self.state or (index is not None and not 0 <= index < len(self.state[name])):
            raise InputError(f"no tensor {name!r} [{index}]", expected=f"one of {len(self.state)} tensors")
        w = self.state[name] if index is None else self.state[name][index]
        return np.array(w, np.float32 if w.dtype == np.float16 else w.dtype)

    @cached_property
    def _print(self) -> str:
        h = hashlib.blake2b(digest_size=16)
        for name, w in sorted(self.state.items()):
            h.update(f"{name}|{w.dtype}{w.shape}".encode())
            h.update(np.ascontiguousarray(w).reshape(-1).view(np.uint8).data)
        return h.hexdigest()

    def fingerprint(self) -> str:
        """blake2b of every name, shape and byte (hex)."""
        return self._print


def dtype_name(dtype: np.dtype[Any]) -> str:
    """A numpy type as safetensors calls it."""
    return _NAMES.get(dtype.name, f"{dtype.kind.upper()}{8 * dtype.itemsize}")


def states(source: Any) -> list[MemoryCheckpoint]:
    """Checkpoints of a module, of a state dict or of a mapping of steps to those; none of anything else.

    Raises
    ------
    InputError
        A mapping that mixes states with other things.
    """
    if _is_state(source):
        return [MemoryCheckpoint(0.0, _arrays(source))]
    if not isinstance(source, Mapping) or not source or not all(_is_state(v) for v in source.values()):
        return []
    odd = [k for k in source if not isinstance(k, Real) or isinstance(k, bool) or not np.isfinite(float(k))]
    if odd:
        raise InputError(
            "states by step need numbers as keys",
            expected="{0: state_dict, 100: state_dict}",
            got=repr(odd[0])[:60],
        )
    placed = {float(k): MemoryCheckpoint(float(k), _arrays(v)) for k, v in source.items()}
    return [placed[k] for k in sorted(placed)]


def config_of(source: Any) -> dict[str, object]:
    """The configuration that a module of transformers carries; empty for all else."""
    to_dict = getattr(getattr(source, "config", None), "to_dict", None)
    found = to_dict() if callable(to_dict) and callable(getattr(source, "state_dict", None)) else {}
    return dict(found) if isinstance(found, Mapping) else {}


def _is_state(source: Any) -> bool:
    """A module (it has `state_dict`), or a mapping of words to tensors, of which one has two sides."""
    if callable(getattr(source, "state_dict", None)):
        return True
    if not isinstance(source, Mapping) or not all(isinstance(k, str) for k in source):
        return False
    tensors = [v for v in source.values() if hasattr(v, "shape") and hasattr(v, "dtype")]
    return len(tensors) == len(source) and any(len(t.shape) >= 2 for t in tensors)


def _arrays(source: Any) -> dict[str, NDArray[Any]]:
    """Copies: training may go on."""
    state = source if isinstance(source, Mapping) else source.state_dict()
    out = {}
    for name, value in state.items():
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
        if not hasattr(value, "shape"):  # what a module keeps beside its tensors
            continue
        w = np.array(value)
        if w.dtype.kind not in "fiub":
            raise InputError(
                f"tensor {name!r} is not of numbers", expected="floats or integers", got=str(w.dtype)
            )
        out[str(name)] = w
    return out
