"""Opening what was typed: the kinds of arguments, and a run with a word about what the scan took and left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opalesce.cli.loud import LOGGER
from opalesce.cli.terminal import say

if TYPE_CHECKING:
    from opalesce.runs.run import Run

Many = Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders, files or hf://org/model@rev*.")]
One = Annotated[str, typer.Argument(metavar="RUN", help="Folder, file or hf://org/model@rev*.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output.")]
Pickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Open .pt, .pth, .bin, .ckpt of people you trust, confined.")
]


def open_said(source: str, allow_pickle: bool = False) -> Run:
    """Open a run and say what the scan took and left."""
    from collections import Counter
    from dataclasses import replace

    from opalesce.report.clean import clean
    from opalesce.runs.open import open as open_run

    run = open_run(source, allow_pickle=allow_pickle)
    run = replace(run, name=clean(run.name))  # a name that is not text cannot be written anywhere
    took = Counter(kind for _, kind in run.scan.took)
    kinds = ", ".join(f"{n} {kind}" for kind, n in took.items())
    say(f"{run.name}: took {kinds or 'nothing'}; left {len(run.scan.left)}", err=True)
    for path, reader in run.scan.took:
        LOGGER.debug("took %s: %s", path, reader)
    for left in run.scan.left:
        LOGGER.debug("left %s: %s", left.path, left.why)
    for left in run.scan.left[:10]:
        say(f"  left {left.path}: {left.why}", err=True)
    if len(run.scan.left) > 10:
        say(f"  and {len(run.scan.left) - 10} more (all with --json)", err=True)
    return run
