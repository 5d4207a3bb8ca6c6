"""Orbax checkpoints (folders with `_METADATA`), read through tensorstore: JAX is not needed.

The metadata is JSON, the arrays are zarr (version 2 or 3) in OCDBT or in folders. Only weights are offered
(see `runs.tree`), one array in memory at a time. A folder with links in it is refused; so is an array that
would be more than `INFLATE` times larger than all files together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import FormatError, InputError, MissingExtra
from opalesce.runs.bounded import read_json
from opalesce.runs.memory import dtype_name
from opalesce.runs.run import TensorInfo
from opalesce.runs.safetensors import glance
from opalesce.runs.tree import plain, weights

METADATA = "_METADATA"
MAX_METADATA = 100_000_000
INFLATE, FLOOR = 1000, 1 << 26  # arrays of zeros are packed this much; below the floor all is allowed


@dataclass(frozen=True)
class OrbaxCheckpoint:
    """One saved state in an Orbax folder. Satisfies `opalesce.runs.run.Checkpoint`."""

    step: float
    paths: tuple[Path, ...]
    tokens: float | None = field(default=None, compare=False)

    @property
    def folder(self) -> Path:
        """The folder that holds `_METADATA`."""
        return self.paths[0]

    @cached_property
    def _files(self) -> tuple[Path, ...]:
        found = sorted(self.folder.rglob("*"))
        link = next((p for p in found if p.is_symlink()), None)
        if link is not None:
            raise self._broken("there are links in it", link.name)
        return tuple(p for p in found if p.is_file())

    @cached_property
    def _content(self) -> dict[str, Any]:
        path = self.folder / METADATA
        try:
            content = read_json(path, MAX_METADATA)
        except InputError as error:
            raise self._broken("its metadata cannot be read", error.what) from None
        if not isinstance(content, dict) or not isinstance(content.get("tree_metadata"), dict):
            raise self._broken("its metadata has no tree", type(content).__name__)
        return content

    @cached_property
    def names(self) -> dict[str, str]:
        """Name of the array in the store, by name of the tensor."""
        keys = []
        for entry in self._content["tree_metadata"].values():
            try:
                words = tuple(str(k["key"]) for k in entry["key_metadata"])
                kind = entry["value_metadata"]["value_type"]
            except (KeyError, TypeError):
                raise self._broken("an entry of its metadata is malformed", repr(entry)[:80]) from None
            if not words or not all(plain(w) for w in words):
                raise self._broken("a name in its metadata is a path", ascii(words)[:80])
            if kind in ("jax.Array", "np.ndarray"):
                keys.append(words)
        names = {name: ".".join(words) for words, name in weights(keys).items()}
        if not names:
            raise self._broken("it holds no array of weights", f"{len(keys)} arrays")
        return names

    def _broken(self, what: str, got: str) -> FormatError:
        return FormatError(
            f"{self.folder}: {what}",
            expected="an Orbax checkpoint",
            got=got,
            fix="save it again, or leave this step out",
        )

    def _open(self, name: str) -> Any:
        if name not in self.names:
            raise InputError(
                f"checkpoint {self.step:g} has no tensor {name!r}",
                expected=f"one of {len(self.names)} tensors",
            )
        try:
            import tensorstore
        except ImportError as error:
            raise MissingExtra("tensorstore", "orbax") from error
        stored, content = self.names[name], self._content
        here = {"driver": "file", "path": f"{self.folder.resolve()}/"}
        store = (
            {"driver": "ocdbt", "base": here, "path": f"{stored}/"}
            if content.get("use_ocdbt", True)
            else {"driver": "file", "path": f"{here['path']}{stored}/"}
        )
        size = sum(p.stat().st_size for p in self._files)
        driver = "zarr3" if content.get("use_zarr3") else "zarr"
        try:
            array = tensorstore.open({"driver": driver, "kvstore": store}, read=True, open=True).result()
        except (ValueError, OSError, TypeError, NotImplementedError) as error:
            raise self._broken(f"tensor {name!r} cannot be opened", ascii(str(error))[1:100]) from None
        nbytes = math.prod(array.shape) * array.dtype.numpy_dtype.itemsize
        if nbytes > max(FLOOR, INFLATE * size):
            raise self._broken(f"tensor {name!r} is larger than its files can be", f"{nbytes} bytes")
        return array

    def tensors(self) -> Mapping[str, TensorInfo]:
        """Names, types and shapes, sorted by name; no array is read.

        Raises
        ------
        FormatError
            The folder is no sound Orbax checkpoint.
        MissingExtra
            tensorstore is not installed.
        """
        out = {}
        for name in sorted(self.names):
            a = self._open(name)
            dtype, shape = a.dtype.numpy_dtype, tuple(int(n) for n in a.shape)
            out[name] = TensorInfo(
                name, dtype_name(dtype), shape, math.prod(shape) * dtype.itemsize, self.folder
            )
        return out

    def read(self, name: str, index: int | None = None) -> NDArray[np.generic]:
        """One array, or its entry `index` along the first side; F16 and BF16 as float32, exactly.

        Raises
        ------
        InputError
            No such tensor or entry.
        FormatError
            Its files are broken.
        """
        array = self._open(name)
        if index is not None:
            if not array.shape or not 0 <= index < array.shape[0]:
                raise InputError(f"tensor {name!r} has no entry {index}", got=str(index))
            array = array[index]
        try:
            w = np.asarray(array.read().result())
        except (ValueError, OSError) as error:
            raise self._broken(f"tensor {name!r} cannot be read", ascii(str(error))[1:100]) from None
        return w.astype(np.float32) if dtype_name(w.dtype) in ("F16", "BF16") else np.array(w)

    def fingerprint(self) -> str:
        """blake2b of name, size, time and sampled blocks of every file (hex)."""
        h = hashlib.blake2b(b"orbax", digest_size=16)
        for path in self._files:
            h.update(f"{path.relative_to(self.folder)}|".encode() + glance(path))
        return h.hexdigest()
