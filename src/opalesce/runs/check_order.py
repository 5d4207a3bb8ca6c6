"""Findings about the order of states, from their distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opalesce.runs.check import Finding
from opalesce.runs.continuity import EXCURSION, MOST, SWAP, copies, misplaced, rotated, swaps


def order_findings(
    run: str,
    d: NDArray[np.float64],
    steps: Sequence[float],
    files: Sequence[str],
    what: str,
    excursion: float = EXCURSION,
    swap: float = SWAP,
) -> list[Finding]:
    """Copies, swaps and states outside the path, each explained; `d` has shape (n, n).

    What one test finds is taken out or put right before the next one looks.
    """
    found: list[Finding] = []
    alive = list(range(len(d)))
    place = rotated(d)
    if place is not None:
        cut = steps[place]
        return [
            Finding("head and tail exchanged", "fault", run, files[0], "", cut, tuple(steps),
                    f"{what} whose first and last states are the farthest apart",
                    f"the {what} from step {cut:g} on go before those that stand first: the last and the "
                    "first state are neighbours",
                    "the steps in the names are wrong: a run was cut and its parts exchanged",
                    f"one jump at step {cut:g}")
        ]  # fmt: skip
    for odd, original in copies(d):
        if odd not in alive:
            continue
        alive.remove(odd)
        final = (
            "the final checkpoint stands in the middle"
            if original == len(d) - 1
            else "one state at two steps"
        )
        found.append(
            Finding("misplaced checkpoint", "fault", run, files[odd], "", steps[odd], (steps[odd],),
                    f"{what} near those of steps {_beside(steps, odd)}",
                    f"{what} of step {steps[odd]:g} are those of step {steps[original]:g}: {final}",
                    f"fetch step {steps[odd]:g} again, or leave it out",
                    f"two jumps around step {steps[odd]:g}, there and back")
        )  # fmt: skip
    exchanged = swaps(d[np.ix_(alive, alive)], swap)
    if len(exchanged) > MOST:
        found.append(
            Finding("no continuous order", "warning", run, "", "", None, tuple(steps),
                    f"{what} that move along a path", f"more than {MOST} exchanges would shorten the path",
                    "make sure that the steps in the names are right; an oscillating run looks like this too",
                    "jumps anywhere")
        )  # fmt: skip
        return found
    for i, j, ratio in exchanged:
        a, b = alive[i], alive[j]
        found.append(
            Finding("swapped checkpoints", "fault", run, files[a], "", steps[a], (steps[a], steps[b]),
                    f"the path to be shortest in the stated order (limit {swap:g} of its length)",
                    f"with steps {steps[a]:g} and {steps[b]:g} exchanged the path of the {what} there is "
                    f"{ratio:.2f} of its length",
                    f"exchange them, or fetch both again ({files[a]}; {files[b]})",
                    f"jumps at steps {steps[a]:g} and {steps[b]:g}")
        )  # fmt: skip
        alive[i], alive[j] = b, a
    for m in misplaced(d[np.ix_(alive, alive)], excursion):
        a, like = alive[m.i], alive[m.like]
        found.append(
            Finding("misplaced checkpoint", "fault", run, files[a], "", steps[a], (steps[a],),
                    f"{what} between those of its neighbours (ratio about 0.5 to 1, limit {excursion:g})",
                    f"{m.ratio:.2g} times as far from both neighbours as they are from each other; "
                    f"nearest is step {steps[like]:g}",
                    f"fetch step {steps[a]:g} again, or leave it out",
                    f"two jumps around step {steps[a]:g}, there and back")
        )  # fmt: skip
    return found


def _beside(steps: Sequence[float], i: int) -> str:
    return " and ".join(f"{steps[j]:g}" for j in (i - 1, i + 1) if 0 <= j < len(steps))
