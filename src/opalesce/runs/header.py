"""The safetensors header, parsed as if the file were hostile.

Layout (safetensors format, version 0.x): 8 bytes little-endian N, N bytes of JSON, then the data.
The JSON maps a tensor's name to {"dtype", "shape", "data_offsets": [begin, end]}, offsets counted
from the end of the header; `__metadata__` maps strings to strings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from opalesce.errors import FormatError, InputError
from opalesce.runs.bounded import parse_json

MAX_HEADER = 100_000_000
MAX_TENSORS = 1_000_000
MAX_SIDES = 32  # of one tensor: what numpy takes

# bytes of one element; those of READABLE and EIGHT are decoded, the others are refused when read
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "BOOL": 1}
SIZES |= {f"{sign}{8 * size}": size for sign in "IU" for size in (1, 2, 4, 8)}
READABLE = frozenset(SIZES)
EIGHT = frozenset({"F8_E4M3", "F8_E5M2", "F8_E8M0"})  # decoded with their scales
SIZES |= {"F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1, "C64": 8}


@dataclass(frozen=True)
class Entry:
    """One tensor in a file: `begin` and `end` are absolute byte positions."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file promises: its tensors in order of position, its raw header and its size."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    raw: bytes
    size: int


def _refuse(path: Path, what: str, expected: str = "", got: str = "", fix: str = "") -> NoReturn:
    raise FormatError(
        f"{path}: {what}", expected=expected, got=got, fix=fix or f"fetch {path.name} again, or leave it out"
    )


def read_header(path: Path) -> Header:
    """Parse and verify the header of the file at `path`; no tensor is read.

    Raises
    ------
    FormatError
        When the file is shorter or longer than its header promises, or the header is malformed.
        The message names the file, the promised size and the size seen.
    InputError
        When the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = header_length(file.read(8), size, path)
            raw = file.read(length)
    except OSError as error:
        raise InputError(f"{path}: cannot be read", got=error.strerror or type(error).__name__) from error
    return parse_header(raw, size, path)


def header_length(head: bytes, size: int, path: Path = Path("header")) -> int:
    """Bytes of JSON that follow the first 8 bytes, `head`, of a file of `size` bytes.

    Raises
    ------
    FormatError
        See `read_header`.
    """
    if len(head) < 8:
        _refuse(path, "too short for a safetensors file", "at least 8 bytes", f"{size} bytes")
    length = int.from_bytes(head[:8], "little")
    if length > MAX_HEADER:
        _refuse(path, "not a safetensors file", f"a header of at most {MAX_HEADER} bytes", f"{length}")
    if 8 + length > size:
        _refuse(
            path,
            "the file ends inside its header (partial download?)",
            f"at least {8 + length} bytes",
            f"{size} bytes",
        )
    return length


def parse_header(raw: bytes, size: int, path: Path = Path("header")) -> Header:
    """Verify the header `raw` against a file of `size` bytes.

    Raises
    ------
    FormatError
        See `read_header`.
    """
    content = _json(raw, path)
    if len(content) > MAX_TENSORS:
        _refuse(path, "too many tensors", f"at most {MAX_TENSORS}", str(len(content)))
    meta = content.pop("__metadata__", {})
    if not isinstance(meta, dict) or not all(isinstance(v, str) for v in meta.values()):
        _refuse(path, "bad __metadata__ in the header", "a map of strings to strings")
    start = 8 + len(raw)
    entries = sorted((_entry(k, v, start, path) for k, v in content.items()), key=lambda e: (e.begin, e.end))
    _check_cover(entries, start, size, path)
    return Header({e.name: e for e in entries}, meta, raw, size)


def _json(raw: bytes, path: Path) -> dict[str, Any]:
    if not raw.startswith(b"{"):
        _refuse(path, "the header is not JSON", "a first byte '{'", repr(raw[:1]))
    try:
        content = parse_json(raw, "the header", unique=True)
    except FormatError as error:
        _refuse(path, error.what.replace("header: ", "header is "), error.expected, error.got)
    if not isinstance(content, dict):
        _refuse(path, "the header is not a JSON object")
    return content


def _entry(name: str, value: Any, start: int, path: Path) -> Entry:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        _refuse(path, "a tensor's name is not valid Unicode", got=ascii(name)[:80])
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        _refuse(path, f"bad entry of tensor {name!r}", "dtype, shape and data_offsets", repr(value)[:80])
    dtype, shape, span = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        _refuse(
            path,
            f"tensor {name!r} has a dtype unknown here",
            f"one of {', '.join(sorted(SIZES))}",
            repr(dtype)[:80],
            "convert the file to BF16 or F32",
        )
    if isinstance(shape, list) and len(shape) > MAX_SIDES:
        _refuse(path, f"tensor {name!r} has too many sides", f"at most {MAX_SIDES}", str(len(shape)))
    if not _naturals(shape) or not _naturals(span) or len(span) != 2 or span[0] > span[1]:
        _refuse(path, f"bad shape or offsets of tensor {name!r}", "natural numbers", repr((shape, span))[:80])
    need = math.prod(shape) * SIZES[dtype]
    if not need and math.prod(n or 1 for n in shape) * SIZES[dtype] >= 2**63:  # numpy takes no such shape
        _refuse(path, f"tensor {name!r} is empty and has sides beyond any file", got=repr(shape)[:80])
    if span[1] - span[0] != need:
        _refuse(
            path,
            f"shape and offsets of tensor {name!r} disagree",
            f"{need} bytes for {dtype} {tuple(shape)}"[:120],
            f"{span[1] - span[0]} bytes"[:80],
        )
    return Entry(name, dtype, tuple(shape), start + span[0], start + span[1])


def _naturals(value: Any) -> bool:
    # bool is an int in Python; lengths beyond 2**63 cannot be in a file
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**63 for v in value)


def _check_cover(entries: list[Entry], start: int, size: int, path: Path) -> None:
    at = start
    for entry in entries:
        if entry.begin != at:
            what = "overlaps the one before it" if entry.begin < at else "leaves a hole before it"
            _refuse(path, f"tensor {entry.name!r} {what}", f"begin at byte {at}", f"byte {entry.begin}")
        at = entry.end
    if at > size:
        _refuse(
            path,
            "the file is shorter than its header promises (partial download?)",
            f"{at} bytes",
            f"{size} bytes",
        )
    if at < size:
        _refuse(path, "the file is longer than its header promises", f"{at} bytes", f"{size} bytes")
