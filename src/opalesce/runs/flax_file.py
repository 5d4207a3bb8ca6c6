"""Checkpoints in Flax msgpack files, read strictly and written out once as safetensors.

An array is an extension of type 1 that holds (shape, name of the type, bytes); large arrays are cut into
chunks. Maps, numbers, text and arrays are read, nothing is executed. The whole file is in memory while it is
converted: at most `MAX_FILE` bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError, MissingExtra
from opalesce.runs.converted import target
from opalesce.runs.header import SIZES
from opalesce.runs.lent import Lent
from opalesce.runs.safetensors import SafetensorsCheckpoint, glance
from opalesce.runs.tree import weights
from opalesce.runs.writing import Part, write_parts

MAX_FILE = 8 << 30
DEPTH = 64
ARRAY, SCALAR = 1, 3
_CHUNKED = "__msgpack_chunked_array__"
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "bool": "BOOL"}
_DTYPES |= {f"{u}int{8 * n}": f"{'U' if u else 'I'}{8 * n}" for u in ("", "u") for n in (1, 2, 4, 8)}
_DTYPES |= {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}


@dataclass(frozen=True)
class FlaxCheckpoint(Lent):
    """One saved state in a Flax msgpack file. Satisfies `opalesce.runs.run.Checkpoint`."""

    step: float
    paths: tuple[Path, ...]
    tokens: float | None = field(default=None, compare=False)

    @cached_property
    def whole(self) -> SafetensorsCheckpoint:
        """Its weights, converted.

        Raises
        ------
        FormatError
            The file breaks its format, is too large, or holds no array.
        MissingExtra
            msgpack is not installed.
        """
        path = self.paths[0]
        out = target(path)
        if not out.exists():
            if path.stat().st_size > MAX_FILE:
                raise FormatError(f"{path}: too large", expected=f"at most {MAX_FILE} bytes")
            write_parts(out, parse(path.read_bytes(), str(path)))
        return SafetensorsCheckpoint(self.step, (out,), self.tokens)

    def fingerprint(self) -> str:
        """blake2b of size, modification time and sampled blocks of the file (hex)."""
        return hashlib.blake2b(b"flax" + glance(self.paths[0]), digest_size=16).hexdigest()


@dataclass(frozen=True)
class _Array:
    shape: tuple[int, ...]
    dtype: str
    data: bytes


def parse(raw: bytes, place: str = "file") -> list[Part]:
    """The weights in the bytes of a Flax msgpack file.

    Raises
    ------
    FormatError
        The bytes are no msgpack, break Flax's layout, or hold no array.
    MissingExtra
        msgpack is not installed.
    """
    try:
        import msgpack
    except ImportError as error:
        raise MissingExtra("msgpack", "orbax") from error

    def unpack(data: bytes, hook: Any = None) -> Any:
        return msgpack.unpackb(data, ext_hook=hook or _none, raw=False, object_pairs_hook=_unique)

    def array(code: int, data: bytes) -> Any:
        return _array(unpack(data)) if code in (ARRAY, SCALAR) else None

    try:
        leaves = dict(_leaves(unpack(raw, array)))
        names = weights(leaves)
    except (ValueError, TypeError, KeyError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise FormatError(
            f"{place}: not a Flax checkpoint",
            expected="msgpack of maps, numbers, text and arrays",
            got=f"{type(error).__name__}: {ascii(str(error))[1:90]}",
            fix="fetch it again, or leave it out",
        ) from None
    parts = [_part(name, leaves[keys]) for keys, name in names.items()]
    if not parts:
        raise FormatError(f"{place}: it holds no array", expected="a tree of parameters")
    return sorted(parts, key=lambda p: (-SIZES[p.dtype], p.name))


def _none(code: int, data: bytes) -> None:
    return None


def _unique(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs) or not all(isinstance(k, str) for k in out):
        raise ValueError("keys that are no text, or twice the same")
    return out


def _array(value: Any) -> _Array:
    shape, name, data = value
    dtype = _DTYPES[name.decode() if isinstance(name, bytes) else name]
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**63 for n in shape)
    if not whole or not isinstance(data, bytes) or math.prod(shape) * SIZES[dtype] != len(data):
        raise ValueError("shape, type and length of an array disagree")
    return _Array(tuple(shape), dtype, data)


def _leaves(tree: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], _Array]]:
    """Arrays of a tree by their keys; other values are passed over."""
    if isinstance(tree, _Array) and before:
        yield before, tree
    elif isinstance(tree, dict) and _CHUNKED in tree:
        yield before, _joined(tree)
    elif isinstance(tree, dict):
        if len(before) >= DEPTH:
            raise ValueError("maps within maps without end")
        for key, value in tree.items():
            yield from _leaves(value, (*before, key))


def _joined(tree: dict[str, Any]) -> _Array:
    chunks = [tree["chunks"][str(i)] for i in range(len(tree["chunks"]))]
    if not chunks or not all(isinstance(c, _Array) and c.dtype == chunks[0].dtype for c in chunks):
        raise ValueError("chunks of an array that are none, or of two types")
    shape = [tree["shape"][str(i)] for i in range(len(tree["shape"]))]
    return _array(
        [shape, next(k for k, v in _DTYPES.items() if v == chunks[0].dtype), b"".join(c.data for c in chunks)]
    )


def _part(name: str, a: _Array) -> Part:
    return Part(name, a.dtype, a.shape, len(a.data), lambda: a.data)
