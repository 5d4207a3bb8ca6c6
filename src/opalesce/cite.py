"""BibTeX of what was really used, from one file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.resources import files

from opalesce._callable import make_callable
from opalesce.errors import FormatError, InputError

_START = re.compile(r"@(\w+)\s*\{\s*([^,\s]+)\s*,")


def parse(text: str) -> dict[str, str]:
    """Entries of a BibTeX file by key, each as written.

    Raises
    ------
    FormatError
        Unbalanced braces or a key that appears twice.
    """
    entries: dict[str, str] = {}
    for m in _START.finditer(text):
        depth, end = 0, m.start()
        for end in range(m.start(), len(text)):
            depth += (text[end] == "{") - (text[end] == "}")
            if depth == 0 and text[end] == "}":
                break
        if depth:
            raise FormatError(f"BibTeX entry {m[2]!r} does not close", fix="balance its braces")
        if m[2] in entries:
            raise FormatError(f"BibTeX key {m[2]!r} appears twice", fix="remove one of the entries")
        entries[m[2]] = text[m.start() : end + 1]
    return entries


@cache
def references() -> dict[str, str]:
    """All entries of the package's own `references.bib`, by key."""
    return parse(files("opalesce").joinpath("references.bib").read_text("utf-8"))


def key_of(source: str) -> str:
    """Key in a source line such as "roy2007effective, eq. 2"."""
    return source.split(",")[0].strip()


def bibtex(keys: Iterable[str]) -> str:
    """BibTeX of several keys or source lines, each once, in order of first use.

    Raises
    ------
    InputError
        Unknown key.
    """
    known = references()
    wanted = dict.fromkeys(key_of(k) for k in keys)
    for k in wanted:
        if k not in known:
            near = get_close_matches(k, known, 3)
            raise InputError(
                f"no reference has the key {k!r}",
                expected=f"one of {len(known)} keys in references.bib",
                got=k,
                fix=f"did you mean {' or '.join(near)}?"
                if near
                else "list them with opalesce.cite.references()",
            )
    return "\n\n".join(known[k] for k in wanted)


def cite(name: str) -> str:
    """BibTeX for an observable, by its name, or for a key of `references.bib`.

    Raises
    ------
    InputError
        The name is neither.
    """
    if key_of(name) in references():
        return bibtex([name])
    # looked up by name: this module lies below the registry and must not import it
    registry = import_module("opalesce.observables.registry")
    return bibtex([registry.get(name).source])


make_callable(__name__, "opalesce.cite", "cite")
