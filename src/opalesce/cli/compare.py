"""`opalesce compare`: which of two runs changed first, and by how much."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from opalesce.cli.opening import open_said
from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import names, need


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN_A RUN_B [RUN_A2 RUN_B2 ...]", help="Pairs of runs.")
    ],
    observables: Annotated[
        str | None, typer.Option("--observables", help="Witnesses to call; the first five are compared.")
    ] = None,
    level: Annotated[float, typer.Option("--level", help="Of all intervals together.")] = 0.9,
    scale: Annotated[str | None, typer.Option("--scale", help="Axis: log or linear.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all simulations.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", help="Worker processes for measuring.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Which changed first, A or B, by how much, with an interval; several pairs are paired seeds."""
    from opalesce.report.phrases import span
    from opalesce.transitions.compare import compare as put

    need(
        len(runs) >= 2 and len(runs) % 2 == 0, "runs are compared in pairs", "an even number", str(len(runs))
    )
    opened = [open_said(r) for r in runs]
    with Progress() as progress:
        found = put(
            opened[::2], opened[1::2], level, names(observables), scale, seed, n_jobs=jobs, say=progress
        )
    if as_json:
        return print_json(
            {
                "schema": "opalesce.compare/1",
                "runs": [[a.name, b.name] for a, b in zip(opened[::2], opened[1::2], strict=True)],
                "level": level,
                "witnesses": [asdict(c) for c in found],
            }
        )
    log = opened[0].axis.scale == "log" if scale is None else scale == "log"
    for c in found:
        if c.first == "cannot tell":
            say(f"{c.witness}: cannot tell which changed first: {c.why}")
        else:
            say(f"{c.witness}: {c.first} changed first ({c.kind})")
        if c.shift.status != "nothing to date":
            later = f"B / A = {span(c.factor)}" if log else f"B - A = {span(c.factor)} {opened[0].axis.unit}"
            say(f"  A at {span(c.a)}, B at {span(c.b)}; {later} ({c.shift.method})")
    say(f"{len(found)} witnesses share the level {level:g}")
    return None
