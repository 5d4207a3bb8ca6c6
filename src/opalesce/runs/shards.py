"""Shard indexes: which files hold one state. Their names are hostile until they are bare."""

from __future__ import annotations

from pathlib import Path

from opalesce.errors import FormatError, InputError
from opalesce.runs.bounded import parse_json, read_bytes, real

INDEX = "model.safetensors.index.json"
MAX_INDEX = 100_000_000


def shards_of(index: Path) -> tuple[Path, ...]:
    """Shard files named by an index `model.safetensors.index.json`, sorted.

    Raises
    ------
    FormatError
        When the index is malformed, names a path (not a bare file name) or a file that leads out
        of its folder through a symbolic link.
    """
    try:
        raw = read_bytes(index, MAX_INDEX)
    except InputError as error:
        raise FormatError(error.what, expected=error.expected, got=error.got) from error
    names = shard_names(raw, str(index))
    home = real(index.parent)
    for name in names:
        if real(home / name).parent != home:
            raise _outside(str(index), name)
    return tuple(index.parent / name for name in names)


def shard_names(raw: bytes, place: str) -> list[str]:
    """Bare file names in the text of a shard index, sorted.

    Raises
    ------
    FormatError
        See `shards_of`.
    """
    try:
        names = sorted(set(parse_json(raw, place, unique=True)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{place}: not a shard index", expected='{"weight_map": {tensor: file}}', got=str(error)[:120]
        ) from error
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:\0"):
            raise _outside(place, name)
    if not names:
        raise FormatError(f"{place}: the index names no shard")
    return names


def _outside(place: str, name: object) -> FormatError:
    return FormatError(
        f"{place}: a shard lies outside the folder of its index",
        expected="bare file names",
        got=ascii(name)[:120],
        fix="do not trust this checkpoint; fetch it again from its source",
    )
