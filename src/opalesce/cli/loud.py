"""`--verbose` and `--log-file FILE`, wherever they stand in what was typed: what is done, as it is done."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

from opalesce.cli.terminal import printable
from opalesce.errors import InputError

LOGGER = logging.getLogger("opalesce")


class _Plain(logging.Formatter):
    """UTC time, level, message; what a terminal would act on is written as an escape."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return printable(super().format(record))


def loud(words: Sequence[str]) -> list[str]:
    """What was typed without these two options; a verbose run also prints its log to standard error.

    The log says which files were taken and left, when each checkpoint was checked or measured and how long it
    took, which worker died, and the whole traceback of an error. It holds no token and no value of a weight.

    Raises
    ------
    InputError
        No file is named, or it cannot be written.
    """
    rest, place, verbose = [], "", False
    pending = iter(words)
    for word in pending:
        if word == "--verbose":
            verbose = True
        elif word == "--log-file" or word.startswith("--log-file="):
            place = word.partition("=")[2] or next(pending, "")
            if not place or place.startswith("-"):
                raise InputError(
                    "--log-file names no file", expected="--log-file FILE", got=place or "nothing"
                )
        else:
            rest.append(word)
    for old in LOGGER.handlers[:]:
        LOGGER.removeHandler(old)
        old.close()
    if verbose:
        _listen(logging.StreamHandler(sys.stderr), logging.INFO)
    if place:
        try:
            _listen(logging.FileHandler(place, encoding="utf-8", errors="backslashreplace"), logging.DEBUG)
        except OSError as error:
            raise InputError(
                f"the log file {place} cannot be written", expected="a file in a folder that exists",
                got=error.strerror or str(error),
            ) from error  # fmt: skip
    LOGGER.setLevel(logging.DEBUG if verbose or place else logging.WARNING)
    return rest


def _listen(handler: logging.Handler, level: int) -> None:
    handler.setLevel(level)
    handler.setFormatter(_Plain("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    LOGGER.addHandler(handler)
