"""`opalesce verify`: a random share of a report's numbers, computed again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from opalesce.cli.terminal import print_json, say


def verify(
    report: Annotated[Path, typer.Argument(metavar="REPORT.JSON", help="The JSON twin of a report.")],
    run: Annotated[str | None, typer.Option("--run", help="Where the run is now, if it moved.")] = None,
    share: Annotated[float, typer.Option("--share", help="Share of the numbers, in (0, 1].")] = 0.05,
    seed: Annotated[int, typer.Option("--seed", help="Which numbers.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Recompute a random share of a report's numbers from the run and compare. Exit 1 where they differ."""
    from opalesce.report.verify import verify as recompute

    found = recompute(report, run, share, seed)
    wrong = [f for f in found if f.why]
    if as_json:
        print_json({"schema": "opalesce.verify/1", "share": share, "numbers": [asdict(f) for f in found]})
    else:
        for f in wrong[:20]:
            say(f"{f.run}: {f.witness} at {f.x:g}: reported {f.reported!r}, found {f.found!r}: {f.why}")
        curves = len({(f.run, f.witness) for f in found})
        say(f"{len(found)} numbers of {curves} curves recomputed, {len(wrong)} of them differ")
    raise typer.Exit(1 if wrong else 0)
