"""Check of scores and of all streams together: impossible values, lost errors, jumps that return."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from opalesce.runs.check import Finding
from opalesce.runs.run import Curve, Run

TOGETHER, SHARE, FAR = 5, 0.8, 8.0  # curves at least, share of them, robust sd that they jump
_RATE = re.compile(r"(?:^|/)(?:acc|acc_norm|accuracy|exact_match|em|pass@\d+)(?:@|$)")
_PERPLEXITY = re.compile(r"(?:^|[/_])(?:ppl|perplexity)$")
_LOSS = re.compile(r"(?:^|[/_])(?:loss|nll|cross_entropy)$")


def check_evals(run: Run) -> list[Finding]:
    """Findings about values that no model can have, and about states that stand out in every stream."""
    return _impossible(run) + _errors(run) + _together(run)


def _impossible(run: Run) -> list[Finding]:
    groups: dict[tuple[str, tuple[float, ...]], list[Curve]] = {}
    for c in run.curves.values():
        y = c.y[np.isfinite(c.y)]
        if _RATE.search(c.name):
            bad, limits = (c.y < 0) | (c.y > 1), "a share between 0 and 1"
            if y.size and y.min() >= 0 and y.max() <= 100:
                limits += " (percent are no shares)"
        elif _PERPLEXITY.search(c.name):
            bad, limits = c.y < 1, "a perplexity of at least 1"
        elif _LOSS.search(c.name):
            bad, limits = c.y < 0, "a loss of at least 0"
        else:
            continue
        if bad.any():
            groups.setdefault((limits, tuple(c.x[bad].tolist())), []).append(c)
    return [
        Finding("impossible value", "fault", run.name, curves[0].source, "", x[0], x, limits,
                f"{curves[0].name} is {float(curves[0].y[curves[0].x == x[0]][0]):.4g} at {x[0]:g}"
                f"{_more(curves, x)}",
                "find out what was logged under this name; leave these steps out",
                "a jump to a value that was never measured")
        for (limits, x), curves in groups.items()
    ]  # fmt: skip


def _more(curves: list[Curve], x: tuple[float, ...]) -> str:
    return f" (in {len(curves)} curves, at {len(x)} steps)" if len(curves) > 1 or len(x) > 1 else ""


def _errors(run: Run) -> list[Finding]:
    """Standard errors of 0 beside scores inside (0, 1): how many items stand behind them is lost."""
    groups: dict[tuple[float, ...], list[Curve]] = {}
    for c in run.curves.values():
        if c.stderr is not None and _RATE.search(c.name):
            lost = (c.stderr == 0) & (c.y > 0) & (c.y < 1)
            if lost.any():
                groups.setdefault(tuple(c.x[lost].tolist()), []).append(c)
    return [
        Finding("lost standard error", "warning", run.name, curves[0].source, "", x[0], x,
                "an error above 0 of a score between 0 and 1", f"0 for {curves[0].name}{_more(curves, x)}",
                "evaluate again with errors, or leave them out: they are taken for certainty",
                "noise that counts as a change")
        for x, curves in groups.items()
    ]  # fmt: skip


def _together(run: Run) -> list[Finding]:
    """Steps at which nearly all curves leave their neighbours and come back at the next one."""
    grids: dict[bytes, list[Curve]] = {}
    for c in run.curves.values():
        if c.x.size >= 9 and np.isfinite(c.y).all():
            grids.setdefault(c.x.tobytes(), []).append(c)
    found = []
    for curves in grids.values():
        if len(curves) < TOGETHER:
            continue
        x = curves[0].x
        out = np.array([_departures(x, c.y) for c in curves])
        share = (out > FAR).mean(axis=0)
        for i in np.flatnonzero(share >= SHARE):
            beside = [share[j] for j in (i - 1, i + 1) if 0 <= j < share.size]
            if max(beside, default=0.0) > share[i]:
                continue
            at = float(x[1:-1][i])
            found.append(
                Finding("all curves jump and return", "fault", run.name, curves[0].source, "", at, (at,),
                        f"a state near those of its neighbours (limit {FAR:g} robust sd in "
                        f"{100 * SHARE:.0f} % of {len(curves)} curves)",
                        f"{round(100 * share[i])} % of {len(curves)} curves jump at {at:g} and return",
                        f"evaluate {at:g} again: another state may stand there",
                        f"two jumps around {at:g}, there and back, in every witness")
            )  # fmt: skip
    return found


def _departures(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """|departure| of inner points from the line between their neighbours, over its robust sd; shape (n - 2,).

    A point counts only if its neighbours are nearer to each other than to it: a step is no excursion.
    """
    span = x[2:] - x[:-2]
    between = y[:-2] + (y[2:] - y[:-2]) * (x[1:-1] - x[:-2]) / span
    r = np.abs(y[1:-1] - between)
    spread = 1.4826 * float(np.median(r))
    returns = np.minimum(np.abs(y[1:-1] - y[:-2]), np.abs(y[1:-1] - y[2:])) > np.abs(y[2:] - y[:-2])
    return np.where(returns & (r > 0), r / max(spread, 1e-300), 0.0)
