"""What is printed: text that a terminal can take, JSON that any locale can take, progress."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer


def print_json(document: dict[str, Any]) -> None:
    """One document in ASCII: it survives any locale, and any name that came from a file."""
    from opalesce.report.clean import clean

    typer.echo(json.dumps(clean(document), indent=1, allow_nan=False))


def printable(text: str) -> str:
    """Text with what a terminal would act on, or cannot show, written as an escape."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def say(text: str, err: bool = False) -> None:
    """Print text that is made `printable`."""
    shown = printable(text)
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    typer.echo(shown.encode(encoding, "backslashreplace").decode(encoding), err=err)


class Progress:
    """One status line with an ETA on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._status: Any = None
        self._since: dict[str, float] = {}

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("starting")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, line: str) -> None:
        """Show one line of progress."""
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(line + self._eta(line)))

    def _eta(self, line: str) -> str:
        """Time left, from "what: i of n" lines with the same beginning."""
        import re
        import time

        found = re.fullmatch(r"(.+): (\d+) of (\d+)", line)
        if not found:
            return ""
        start = self._since.setdefault(found[1], time.monotonic())
        done, total = int(found[2]), int(found[3])
        if not done:
            return ""
        left = (time.monotonic() - start) / done * (total - done)
        return f" (about {left:.0f} s left)" if total > done else ""
