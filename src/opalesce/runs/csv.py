"""CSV logs, plain or gzipped: a header line, one row a step."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from opalesce.errors import FormatError
from opalesce.runs.bounded import Room, lines
from opalesce.runs.jsonl import from_rows
from opalesce.runs.run import Fault
from opalesce.runs.series import Parsed

_MISSING = {"", "na", "n/a", "null", "none", "-"}
_TENSORBOARD = ["Wall time", "Step", "Value"]  # its download of one scalar, named after the tag
_EXTREME = ("__MIN", "__MAX")  # of a download of a W&B chart: of the points behind one point
_MAX_NAMED = 5  # malformed lines named one by one


def read_csv(path: Path) -> Parsed:
    """Curves of a CSV file: every numeric column against the control-axis column.

    Empty cells are missing for that curve only. A row with the wrong number of cells, or a word in
    a numeric column, is reported and skipped.

    Raises
    ------
    FormatError
        When there is no header with a control-axis column, the file is not text, or beyond the limits of
        `runs.bounded`.
    """
    room, table = Room(str(path)), []
    try:
        rows_of = csv.reader(lines(path, kind="a CSV file"))
        names = next(rows_of, [])
        room.take(len(names))
        for cells in rows_of:
            room.take(len(cells) + 1)
            if cells:
                table.append((rows_of.line_num, cells))
    except (csv.Error, OSError) as error:
        raise FormatError(f"{path}: not a CSV file", expected="UTF-8 text", got=str(error)[:100]) from error
    if names == _TENSORBOARD:
        names[2] = path.name.removesuffix(".gz").removesuffix(".csv").rpartition("tag-")[2]
    if len(set(names)) < len(names):
        raise FormatError(f"{path}: two columns have the same name", got=", ".join(names)[:200])
    bad = [(n, f"{len(row)} cells, header has {len(names)}") for n, row in table if len(row) != len(names)]
    table = [(n, row) for n, row in table if len(row) == len(names)]
    numeric = _numeric(names, [row for _, row in table])
    rows: list[dict[str, float]] = []
    for number, cells in table:
        row: dict[str, float] = {}
        for name, cell in zip(names, cells, strict=True):
            if name in numeric and cell.strip().lower() not in _MISSING:
                value = _float(cell)
                if value is None:
                    bad.append((number, f"{name} is {cell[:20]!r}, not a number"))
                else:
                    row[name] = value
        rows.append(row)
    faults = [
        Fault("malformed line", f"{path}:{n}", why, "one number a column", "repair or remove this line")
        for n, why in sorted(bad)[:_MAX_NAMED]
    ]
    if len(bad) > _MAX_NAMED:
        faults.append(Fault("malformed line", str(path), f"{len(bad) - _MAX_NAMED} more malformed lines"))
    return from_rows(rows, str(path), faults)


def _numeric(names: list[str], rows: list[list[str]]) -> set[str]:
    """Columns of which at least half of the filled cells are numbers."""
    out = set()
    for i, name in enumerate(names):
        filled = [r[i] for r in rows if r[i].strip().lower() not in _MISSING]
        if (
            filled
            and not name.endswith(_EXTREME)
            and 2 * sum(_float(c) is not None for c in filled) >= len(filled)
        ):
            out.add(name)
    return out


def _float(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return math.nan if cell.strip().lower() == "nan" else None
