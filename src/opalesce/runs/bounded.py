"""Text and JSON from strangers, within limits: size, unpacked size, length of a line, depth, values."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from opalesce.errors import FormatError, InputError

MAX_JSON = 200_000_000  # bytes of a document
MAX_VALUES = 10_000_000  # commas and opening brackets of a document: what takes memory beyond its bytes
MAX_DEPTH = 64  # of brackets within brackets
MAX_TEXT = 2_000_000_000  # bytes of a log, unpacked
MAX_LINE = 16_000_000  # bytes of one of its lines
MAX_RATIO = 200  # unpacked by packed bytes: text gives 3 to 20, a bomb 1000
FLOOR = 4_000_000  # unpacked bytes up to which any ratio is allowed
MAX_COLUMNS = 50_000  # quantities of one log
MAX_CELLS = 20_000_000  # cells of one table
_DIGITS = 19  # an integer of more is read as a float, so that no later sum or format can overflow


def real(path: Path) -> Path:
    """Where a path leads once all its links are followed; a link to itself leads nowhere, and is no error."""
    return Path(os.path.realpath(path))


def read_json(path: Path, most: int = MAX_JSON) -> Any:
    """The JSON document in a file of at most `most` bytes.

    Raises
    ------
    InputError
        The file cannot be read.
    FormatError
        See `parse_json`; or the file is too large.
    """
    return parse_json(read_bytes(path, most), str(path))


def read_bytes(path: Path, most: int = MAX_JSON) -> bytes:
    """All bytes of a file of at most `most` bytes; of a pipe or a device no more are taken.

    Raises
    ------
    InputError, FormatError
        See `read_json`.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read", got=error.strerror or type(error).__name__) from error
    if len(raw) > most:
        raise FormatError(f"{path}: too large", expected=f"at most {most} bytes", got="more")
    return raw


def parse_json(raw: bytes | str, place: str, unique: bool = False) -> Any:
    """A JSON document in UTF-8. Integers of more than 19 digits become floats, infinite where too large.

    Parameters
    ----------
    raw : bytes or str
    place : str
        Of the document, for messages.
    unique : bool
        Refuse an object that has a key twice.

    Raises
    ------
    FormatError
        It is not JSON, holds more than `MAX_VALUES` values, or is nested deeper than `MAX_DEPTH`.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    many = data.count(b",") + data.count(b"[") + data.count(b"{")
    if many > MAX_VALUES:
        raise FormatError(f"{place}: too many values", expected=f"at most {MAX_VALUES}", got=f"about {many}")
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8-sig")
        content = json.loads(text, parse_int=_integer, object_pairs_hook=_unique if unique else None)
    except FormatError as error:
        raise FormatError(f"{place}: {error.what}", expected=error.expected, got=error.got) from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{place}: not JSON", expected="a JSON document", got=str(error)[:80]) from error
    flat_enough(content, place)
    return content


def flat_enough(content: Any, place: str, most: int = MAX_VALUES) -> None:
    """Refuse what is nested deeper than `MAX_DEPTH`, or holds more than `most` objects and lists.

    An alias in YAML may stand for its own parent, or for ten aliases that stand for ten more: both end here.

    Raises
    ------
    FormatError
        It is.
    """
    level, total = [content], 0
    for _ in range(MAX_DEPTH + 1):
        below = []
        for holder in level:
            if isinstance(holder, (dict, list)):
                inner = holder.values() if isinstance(holder, dict) else holder
                below += [v for v in inner if isinstance(v, (dict, list))]
                if total + len(below) > most:
                    many = f"at most {most} objects and lists"
                    raise FormatError(f"{place}: too many values", expected=many)
        if not below:
            return
        level, total = below, total + len(below)
    raise FormatError(f"{place}: nested too deeply", expected=f"at most {MAX_DEPTH} brackets")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        keys = [k for k, _ in pairs]
        twice = ascii(next(k for k, n in Counter(keys).items() if n > 1))[:80]
        raise FormatError("an object names a key twice", expected="unique keys", got=twice)
    return out


def lines(path: Path, errors: str = "strict", kind: str = "text") -> Iterator[str]:
    """The lines of a text file in UTF-8, plain or gzipped (by its name), with their ends.

    Raises
    ------
    FormatError
        A line is longer than `MAX_LINE`, the file unpacks to more than `MAX_TEXT` bytes or to more than
        `MAX_RATIO` times its size, is not UTF-8 (with `errors` "strict") or is no gzip; `kind` says what
        it should be.
    OSError
        The file cannot be read.
    """
    packed = path.name.endswith(".gz")
    limit = MAX_TEXT
    if packed:
        limit = min(limit, max(FLOOR, MAX_RATIO * path.stat().st_size))
    spent = 0
    try:
        with cast(BinaryIO, gzip.open(path, "rb") if packed else path.open("rb")) as file:
            while line := file.readline(min(MAX_LINE, limit - spent) + 1):
                if len(line) > MAX_LINE:
                    raise FormatError(f"{path}: a line is too long", expected=f"at most {MAX_LINE} bytes")
                spent += len(line)
                if spent > limit:
                    what = f"{path}: too large" + (" once unpacked" if packed else "")
                    raise FormatError(what, expected=f"at most {limit} bytes", got="more")
                yield line.decode("utf-8-sig" if spent == len(line) else "utf-8", errors)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"{path}: not {kind}", expected="UTF-8 text", got=str(error)[:100]) from error


class Room:
    """Counts the cells of a table while it is read.

    Raises
    ------
    FormatError
        From `take`, when there are more than `MAX_CELLS`, or a row has more than `MAX_COLUMNS`.
    """

    def __init__(self, place: str) -> None:
        self.place, self.cells = place, 0

    def take(self, row: int) -> None:
        """One row of so many cells."""
        self.cells += row
        if row > MAX_COLUMNS or self.cells > MAX_CELLS:
            raise FormatError(
                f"{self.place}: too large a table",
                expected=f"at most {MAX_COLUMNS} columns and {MAX_CELLS} cells",
                fix="log less often, or cut the file into several",
            )
