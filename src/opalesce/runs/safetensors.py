"""Checkpoints in safetensors files: numpy only, memory-mapped, one tensor in memory at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import FormatError, InputError
from opalesce.runs.float8 import SUFFIXES, TABLES, Scale, scale_of
from opalesce.runs.header import EIGHT, READABLE, Entry, Header, read_header
from opalesce.runs.run import TensorInfo
from opalesce.runs.shards import INDEX as INDEX
from opalesce.runs.shards import shard_names as shard_names
from opalesce.runs.shards import shards_of as shards_of
from opalesce.runs.survey import survey
from opalesce.runs.writing import write as write

BLOCKS, BLOCK = 8, 512  # a sample of a tensor: so many blocks of so many elements
CHUNK = 1 << 22

_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "|b1"} | dict.fromkeys(
    EIGHT, "|u1"
)
_NUMPY |= {f"{k}{8 * n}": f"<{k.lower()}{n}" for k in "IU" for n in (1, 2, 4, 8)}


@dataclass(frozen=True)
class SafetensorsCheckpoint:
    """One saved state, in one safetensors file or several shards.

    Satisfies `opalesce.runs.run.Checkpoint`. Making one reads nothing: a broken file raises
    FormatError from the method that first needs it, so that a run survives one bad file.

    Attributes
    ----------
    step : float
        Place on the control axis.
    paths : tuple of Path
        The file, or all shards.
    tokens : float or None
        Tokens seen, where the name states them.
    """

    step: float
    paths: tuple[Path, ...]
    tokens: float | None = field(default=None, compare=False)

    @cached_property
    def _headers(self) -> tuple[tuple[Path, Header], ...]:
        return tuple((path, read_header(path)) for path in self.paths)

    @cached_property
    def _entries(self) -> dict[str, tuple[Path, Entry]]:
        found: dict[str, tuple[Path, Entry]] = {}
        for path, header in self._headers:
            for name, entry in header.entries.items():
                if name in found:
                    raise FormatError(
                        f"{path}: tensor {name!r} is also in {found[name][0].name}",
                        expected="each tensor in one shard",
                        fix="remove the shards of another checkpoint from this folder",
                    )
                found[name] = (path, entry)
        return found

    def tensors(self) -> Mapping[str, TensorInfo]:
        """Headers only, sorted by name.

        Raises
        ------
        FormatError
            When a file breaks its own format.
        """
        return {
            name: TensorInfo(name, e.dtype, e.shape, e.end - e.begin, path)
            for name, (path, e) in sorted(self._entries.items())
        }

    def _flat(self, name: str) -> tuple[NDArray[np.generic], Entry]:
        """The mapped file region of one tensor, not yet read or decoded."""
        if name not in self._entries:
            raise InputError(
                f"checkpoint {self.step:g} has no tensor {name!r}",
                expected=f"one of {len(self._entries)} tensors",
                fix="list them with checkpoint.tensors()",
            )
        path, entry = self._entries[name]
        if entry.dtype not in READABLE | EIGHT:
            raise FormatError(
                f"{path}: tensor {name!r} is stored as {entry.dtype}, which is not read here",
                expected="F64, F32, F16, BF16, F8_E4M3, F8_E5M2, an integer type or BOOL",
                got=entry.dtype,
                fix="convert the file to BF16 or F32, or leave this tensor out",
            )
        dtype = np.dtype(_NUMPY[entry.dtype])
        if entry.begin == entry.end:
            return np.empty(0, dtype), entry
        if path.stat().st_size < entry.end:  # a mapping past the end would kill the process
            raise FormatError(f"{path}: the file has shrunk while it was read", expected=f"{entry.end} bytes")
        count = (entry.end - entry.begin) // dtype.itemsize
        return np.memmap(path, dtype, "r", entry.begin, (count,)), entry

    def read(self, name: str, index: int | None = None) -> NDArray[np.generic]:
        """One tensor as an owned array; F16 and BF16 as float32, exactly, F8 times its scales.

        `index` reads only that entry along the first dimension (one expert of a stack of them).

        Raises
        ------
        InputError
            When there is no such tensor, or no such entry.
        FormatError
            When its dtype is refused (F8 and the like) or its file is broken.
        """
        flat, entry = self._flat(name)
        scale = self._scale(entry)
        if index is None:
            w = decode(flat, entry.dtype).reshape(entry.shape)
            if scale is not None:
                scale.onto(np.asarray(w, np.float32))  # a view: eight bits decode to float32
            return w
        if not entry.shape or not 0 <= index < entry.shape[0]:
            raise InputError(
                f"tensor {name!r} has no entry {index}", expected=f"shape {entry.shape}", got=str(index)
            )
        size = flat.size // entry.shape[0]
        w = decode(flat[index * size : (index + 1) * size], entry.dtype)
        if scale is not None:
            w = _times(w, scale.at(np.arange(index * size, (index + 1) * size)))
        return w.reshape(entry.shape[1:])

    def _scale(self, entry: Entry) -> Scale | None:
        """Scales of an eight-bit tensor; None for all others."""
        if entry.dtype not in EIGHT or entry.dtype == "F8_E8M0":
            return None
        path = self._entries[entry.name][0]
        near = [entry.name + s for s in SUFFIXES if entry.name + s in self._entries]
        for other in near:
            values = np.asarray(self.read(other))
            found = scale_of(entry.shape, values.astype(np.float32)) if values.dtype.kind == "f" else None
            if found is not None:
                return found
        raise FormatError(
            f"{path}: tensor {entry.name!r} is stored as {entry.dtype}, and its scales are not there",
            expected=f"{' or '.join(entry.name.rpartition('.')[2] + s for s in SUFFIXES)}, for the tensor, "
            "its rows or its blocks",
            got=f"{near[0]} of another shape" if near else "no such tensor: the values mean nothing alone",
            fix="convert the file to BF16 or F32, or leave this tensor out",
        )

    def rows(self, name: str, index: NDArray[np.integer]) -> NDArray[np.generic]:
        """Some rows of a tensor seen as (all other sides, last side), shape (len(index), last side).

        Only they are read from disk.

        Raises
        ------
        InputError
            No such tensor, fewer than two sides, or rows out of range.
        FormatError
            As `read`.
        """
        flat, entry = self._flat(name)
        if len(entry.shape) < 2 or not flat.size:
            raise InputError(f"tensor {name!r} has no rows", expected="two sides", got=str(entry.shape))
        table = flat.reshape(-1, entry.shape[-1])
        if index.size and not 0 <= index.min() <= index.max() < len(table):
            raise InputError(f"tensor {name!r} has {len(table)} rows", got=f"{index.min()} to {index.max()}")
        w, scale = decode(table[index], entry.dtype), self._scale(entry)
        if scale is None:
            return w
        return _times(w, scale.at(index[:, None] * entry.shape[-1] + np.arange(entry.shape[-1])))

    def sample(self, name: str) -> NDArray[np.generic]:
        """Flat sample of a tensor: all of it, or 8 evenly spread blocks of 512 elements."""
        flat, entry = self._flat(name)
        return _decoded(flat, sample_index(flat.size), entry, self._scale(entry))

    def stream(self, name: str, chunk: int = CHUNK) -> Iterator[NDArray[np.generic]]:
        """The tensor, flat, in pieces of at most `chunk` elements."""
        flat, entry = self._flat(name)
        scale = self._scale(entry)
        for start in range(0, flat.size, chunk):
            if scale is None:
                yield decode(flat[start : start + chunk], entry.dtype)
            else:
                yield _decoded(flat, np.arange(start, min(start + chunk, flat.size)), entry, scale)

    def digest(self, name: str, full: bool = False) -> str:
        """Identity of one tensor's dtype, shape and content, sampled or (`full`) of every byte."""
        if full:
            return self.survey(name)[1]
        flat, entry = self._flat(name)
        return _identity(entry, flat[sample_index(flat.size)].tobytes())

    def survey(self, name: str) -> tuple[int, str]:
        """Values that are not finite, and the identity of every byte, in one reading."""
        flat, entry = self._flat(name)
        bad, content = survey(self._entries[name][0], entry.begin, entry.end, entry.dtype)
        if flat.size and entry.dtype.startswith("F8"):
            pieces = self.stream(name)
            bad = sum(int(np.count_nonzero(~np.isfinite(p))) for p in pieces)
        return bad, _identity(entry, content)

    def fingerprint(self) -> str:
        """blake2b of size, modification time, header and 16 sampled blocks of each file (hex)."""
        h = hashlib.blake2b(digest_size=16)
        for path, header in self._headers:
            h.update(glance(path, header.raw))
        return h.hexdigest()

    def sha256(self) -> str:
        """SHA-256 of every byte of the file, or of all shards one after the other (hex)."""
        h = hashlib.sha256()
        for path in self.paths:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    h.update(block)
        return h.hexdigest()


def glance(path: Path, head: bytes = b"") -> bytes:
    """Name, size, time, `head` and 16 sampled blocks of a file: what a fingerprint is made of."""
    stat = path.stat()
    parts = [f"{path.name}|{stat.st_size}|{stat.st_mtime_ns}|".encode() + head]
    with path.open("rb") as file:
        for at in np.linspace(0, max(0, stat.st_size - 4096), 16).astype(int):
            file.seek(int(at))
            parts.append(file.read(4096))
    return b"".join(parts)


def _identity(entry: Entry, content: bytes) -> str:
    words = f"{entry.dtype}{entry.shape}".encode()
    return hashlib.blake2b(words + content, digest_size=16).hexdigest()


def decode(raw: NDArray[np.generic], dtype: str) -> NDArray[np.generic]:
    """Owned values of mapped data: F16, BF16 and F8 (unscaled) to float32 without loss, others as they are.

    A bfloat16 number is the upper half of the float32 with the same value, so the decoding is a
    shift by 16 bits.
    """
    if dtype == "BF16":
        wide = raw.astype(np.uint32)
        wide <<= np.uint32(16)
        return wide.view(np.float32)
    if dtype == "F16":
        return raw.astype(np.float32)
    if dtype in EIGHT:
        return np.asarray(TABLES[dtype][raw])
    return np.array(raw, dtype=raw.dtype.newbyteorder("="))


def _decoded(
    flat: NDArray[np.generic], index: NDArray[np.integer], entry: Entry, scale: Scale | None
) -> NDArray[np.generic]:
    """Values at some places of a flat tensor."""
    w = decode(flat[index], entry.dtype)
    return w if scale is None else _times(w, scale.at(index))


def _times(w: NDArray[np.generic], scale: NDArray[np.float32]) -> NDArray[np.generic]:
    return np.asarray(w, np.float32) * scale


def sample_index(n: int) -> NDArray[np.intp]:
    """Positions of the sample in a flat tensor of n elements: first and last block included."""
    if n <= BLOCKS * BLOCK:
        return np.arange(n)
    starts = np.linspace(0, n - BLOCK, BLOCKS).astype(np.intp)
    return np.asarray((starts[:, None] + np.arange(BLOCK)).ravel(), np.intp)


def checkpoint(path: Path, step: float, tokens: float | None = None) -> SafetensorsCheckpoint:
    """The checkpoint in a safetensors file or behind a shard index."""
    paths: Sequence[Path] = shards_of(path) if path.name.endswith(".index.json") else (path,)
    return SafetensorsCheckpoint(step, tuple(paths), tokens)
