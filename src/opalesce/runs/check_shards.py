"""Check of files on the hub: one shard of a state that is another step's, told by its SHA-256 alone."""

from __future__ import annotations

from collections.abc import Sequence

from opalesce.runs.check import Finding
from opalesce.runs.hub import HubCheckpoint
from opalesce.runs.look import Look
from opalesce.runs.run import Run


def check_shards(run: Run, looks: Sequence[Look]) -> list[Finding]:
    """Findings about weight files that several, but not all, differing checkpoints of a run share.

    A file that all of them share is taken for weights that were frozen.
    """
    held: dict[tuple[str, str], list[Look]] = {}
    hub = [k for k in looks if isinstance(k.checkpoint, HubCheckpoint)]
    for k in hub:
        for file in k.checkpoint.files if isinstance(k.checkpoint, HubCheckpoint) else ():
            held.setdefault((file.name, file.digest), []).append(k)
    found = []
    for (name, digest), at in held.items():
        states = {k.identity: k for k in at}  # equal checkpoints have their own finding
        if len(states) < 2 or len(at) == len(hub):
            continue
        steps = tuple(k.step for k in states.values())
        found.append(
            Finding(
                "duplicate shard", "fault", run.name, f"{at[-1].file}/{name}", "", steps[-1], steps,
                "different weights at different steps",
                f"{name} is the same file at steps {', '.join(f'{s:g}' for s in steps)} ({digest[:19]}...), "
                "while the rest differs",
                "ask its publisher which of them is right, and leave the others out",
                f"a jump in the modules of {name} alone, there and back",
            )
        )  # fmt: skip
    return found
