"""What was typed: spread, taken apart and refused early, each refusal with what was expected."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from opalesce.errors import InputError


def spread(argv: Sequence[str]) -> list[str]:
    """`--null a b c` becomes `--null a --null b --null c`, so that shell globs work.

    Raises
    ------
    InputError
        When nothing follows: an empty glob must not turn into a trial without twins.
    """
    out: list[str] = []
    option, taken = "", 0
    for word in (*argv, None):
        if word is None or word.startswith("-"):
            need(not option or taken > 0, f"{option} names no run", "one or more folders or files", "none")
            option, taken = (word if word in ("--null", "--seeds") else ""), 0
            if word is not None and not option:
                out.append(word)
        elif option:
            out += [option, word]
            taken += 1
        else:
            out.append(word)
    return out


def need(ok: bool, what: str, expected: str, got: str) -> None:
    """Refuse what was typed unless it is `ok`."""
    if not ok:
        raise InputError(what, expected=expected, got=got)


def shard_of(text: str | None) -> tuple[int, int] | None:
    """(i, n) of "i/n"."""
    if text is None:
        return None
    i, slash, n = text.partition("/")
    need(bool(slash) and i.isdigit() and n.isdigit(), "no such shard", "i/n, such as 0/4", text)
    return int(i), int(n)


def seconds(text: str | None) -> float | None:
    """Seconds of "90", "90s", "5m", "5min", "2h"; None where nothing was typed."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h)?\s*", text)
    units = {"m": 60, "min": 60, "h": 3600}
    size = float(found[1]) * units.get(found[2] or "", 1) if found else 0.0
    need(size > 0, "no such budget", "seconds, such as 60s, 5min, 2h", text)
    return size


def names(text: str | None) -> list[str] | None:
    """Names separated by commas; None (the default) where there are none."""
    return [n.strip() for n in (text or "").split(",") if n.strip()] or None


def folder(path: Path) -> None:
    """Make the folder of the results before hours are spent on them."""
    import tempfile

    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write into {path}",
            expected="a folder that exists or can be made, with room in it",
            got=error.strerror or str(error),
            fix="name another folder with --out",
        ) from error


def usage(error: Any, words: Sequence[str]) -> str:
    """What the command line's parser complains about, in the words of this house."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "opalesce"
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    lines = [f"opalesce: {error.format_message()}"]
    names = getattr(getattr(error, "param", None), "opts", [])
    given = [b for a, b in pairwise(words) if a in names]
    lines += [f"  got: {given[-1]}"] if given else []
    return "\n".join([*lines, f"  try: {command} --help"])
