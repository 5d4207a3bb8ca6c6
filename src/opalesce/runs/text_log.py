"""Text logs with a step and quantities on a line, as nanoGPT and its descendants print them."""

from __future__ import annotations

import re
from pathlib import Path

from opalesce.errors import FormatError
from opalesce.runs.jsonl import from_rows
from opalesce.runs.series import Parsed

MAX_LINE = 2000
MIN_LINES = 3  # fewer may be an example in the source code that such logs start with
# a time or a tag in brackets may stand before; `s:` is that of llm.c
_LINE = re.compile(
    r"\s{0,20}(?:\[[^\]]{0,60}\]\s{0,4}|\d{4}-\d\d-\d\d[T ][\d:.,]{5,20}\S{0,8}\s{1,4}(?:[-|]\s{0,4})?)?"
    r"(?:step|iter(?:ation)?|s)\s{0,10}[:=]?\s{0,10}(\d{1,12})(?:\s?/\s?\d{1,12})?(?![\w.])[:,|]?\s{1,10}",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"([A-Za-z][\w/.-]{0,39}(?: [A-Za-z][\w/.-]{0,39})?)\s{0,4}[:= ]\s{0,4}"
    r"([-+]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][-+]?\d{1,3})?|[-+]?(?:nan|inf))(?![\w.])([a-z%/]*)",
    re.IGNORECASE,
)
_TIMED = re.compile(r"([\d.]+)(?:ms|s|us|%)(?=[\s,|)]|$)")
_CLOCK = re.compile(r"time|step_avg|^dt$|elapsed|^eta$|mfu|tok/s|tok/sec", re.IGNORECASE)
_SHORT = {"tel": "val_loss", "trl": "train_loss", "eval": "hellaswag_acc"}  # of llm.c


def read_text(path: Path) -> Parsed:
    """Curves of lines like `step:250/1000 val_loss:3.28 train_time:9ms` or `iter 100: loss 3.2, time 9ms`.

    Any other line (source code, banners, tables) is passed over; so are times and rates.

    Raises
    ------
    FormatError
        When fewer than three lines are of that kind.
    """
    rows: list[dict[str, float]] = []
    with path.open("r", encoding="utf-8", errors="replace", newline="\n") as file:
        while line := file.readline(MAX_LINE):
            hit = _LINE.match(line)
            row = _quantities(line[hit.end() :], hit[0]) if hit else {}
            if hit and row:
                rows.append({"step": float(hit[1]), **row})
    if len(rows) < MIN_LINES:
        raise FormatError(
            f"{path}: no training log",
            expected=f"{MIN_LINES} lines such as step:10 loss:3.2",
            got=f"{len(rows)} lines",
        )  # fmt: skip
    return from_rows(rows, str(path), [])


def _quantities(rest: str, head: str) -> dict[str, float]:
    out: dict[str, float] = {}
    short = head.strip().lower().startswith("s:")
    for name, value, _ in _PAIR.findall(_TIMED.sub("", rest)):
        key = name.replace(" ", "_")
        if not _CLOCK.search(key):
            out[_SHORT.get(key, key) if short else key] = float(value)
    return out
