"""`opalesce plan`: what a sweep would read and take, before it is begun."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from opalesce.cli.opening import open_said
from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import names


def plan(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder, file or hf://org/model@step*.")],
    observables: Annotated[
        str | None, typer.Option("--observables", help="As for measure: names or families, by commas.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", help="Worker processes.")] = 1,
    pilot: Annotated[float, typer.Option("--pilot", help="Seconds that the pilot may take.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Files, bytes, time, memory and reachability of a sweep, before anything heavy."""
    from opalesce.measure.cost import cost

    opened = open_said(run)
    with Progress() as progress:
        progress(f"measuring one module of each shape of {opened.name}")
        found = cost(opened, names(observables), n_jobs=jobs, budget=pilot)
    if as_json:
        print_json({"schema": "opalesce.plan/1", **asdict(found)})
    else:
        say(
            f"{found.run}: {found.checkpoints} checkpoints, {len(found.unreachable)} of them unreachable; "
            f"{found.files} files, {_bytes(found.bytes)} to read"
        )
        for step, why in found.unreachable[:10]:
            say(f"  step {step:g}: {why}")
        say(f"{found.cells} cells of {len(found.observables)} observables")
        for k in sorted(found.kinds, key=lambda k: -k.seconds * k.cells)[:12]:
            how = "" if k.measured else ", scaled up"
            say(f"  {k.kind} {k.shape}: {k.cells} cells of {_time(k.seconds)} each{how}")
        for note in found.notes:
            say(f"  {note}")
        say(f"about {_time(found.seconds)} with {found.n_jobs} workers, {_bytes(found.memory)} of memory")
    raise typer.Exit(1 if found.unreachable else 0)


def _time(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _bytes(n: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} bytes"
