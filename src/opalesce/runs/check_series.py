"""Check of curves: holes and uneven steps, broken values, repeated or misplaced evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from opalesce.runs.check import Finding
from opalesce.runs.check_order import order_findings
from opalesce.runs.continuity import distances
from opalesce.runs.run import Curve, Run
from opalesce.runs.spacing import spacing

ENOUGH = 8  # curves that make one step of evaluations recognisable
# evaluations are noisy, and late ones differ by little else: wider limits than for weights
EVAL_EXCURSION, EVAL_SWAP = 1.6, 0.72
# the detour of three independent rows of m noisy numbers exceeds exp(4.2 / sqrt(m)) once in 1e5 (m >= 12)
NOISE = 4.2


def check_series(run: Run) -> list[Finding]:
    """Findings about the curves and the schedule of one run."""
    return _from_readers(run) + _schedules(run) + _values(run) + _evaluations(run)


def _from_readers(run: Run) -> list[Finding]:
    jumps = {
        "repeated step": "a jump where two branches of a log meet",
        "malformed line": "a hole at this line: two steps merged into one jump",
        "bad file": "a hole at this step: two steps merged into one jump",
    }
    return [
        Finding(f.kind, f.severity, run.name, f.file, "", f.x[0] if f.x else None, f.x, f.expected, f.seen,
                f.fix, jumps.get(f.kind, ""))
        for f in run.scan.faults
    ]  # fmt: skip


def _schedules(run: Run) -> list[Finding]:
    """Missing and uneven steps, once for each distinct list of steps."""
    grids: dict[bytes, tuple[str, NDArray[np.float64], str]] = {}
    steps = np.array([c.step for c in run.checkpoints], float)
    if steps.size:
        grids[steps.tobytes()] = ("checkpoints", steps, str(run.path or ""))
    for c in run.curves.values():
        grids.setdefault(c.x.tobytes(), (f"curve {c.name}", c.x, c.source))
    found: list[Finding] = []
    for what, x, file in grids.values():
        found += _schedule(run.name, what, x, file)
    return found


def _schedule(run: str, what: str, x: NDArray[np.float64], file: str) -> list[Finding]:
    s = spacing(x)
    found = []
    if s.missing:
        inside = tuple(v for _, gap in s.missing for v in gap)
        (a, b), _ = s.missing[0]
        found.append(
            Finding("missing steps", "warning", run, file, "", inside[0], inside,
                    "the regular spacing of the steps around", f"{what}: {_few(inside)} missing "
                    f"(first hole between {a:g} and {b:g})",
                    "fetch them; a change inside a hole is dated to the whole hole",
                    f"several small changes merged into one jump from {a:g} to {b:g}")
        )  # fmt: skip
    if s.uneven:
        odd = tuple(v for block in s.uneven for v in block)
        found.append(
            Finding("uneven steps", "warning", run, file, "", odd[0], odd,
                    "the regular spacing of the steps around", f"{what}: {_few(odd)} off the grid",
                    "make sure that the names state the right steps",
                    "a bend where only the spacing changes")
        )  # fmt: skip
    if s.irregular:
        found.append(
            Finding("uneven steps", "note", run, file, "", None, (), "a regular schedule",
                    f"{what}: {x.size} steps without a regular spacing",
                    "none needed if this is the whole log",
                    "a bend where only the spacing changes")
        )  # fmt: skip
    return found


def _values(run: Run) -> list[Finding]:
    """NaN and infinite values, subsampled curves, evaluations that lack steps the others have."""
    found: list[Finding] = []
    groups: dict[tuple[float, ...], list[Curve]] = {}
    for c in run.curves.values():
        bad = tuple(c.x[~np.isfinite(c.y)].tolist())
        if bad:
            groups.setdefault(bad, []).append(c)
    for bad, curves in groups.items():
        found.append(
            Finding("non-finite", "fault", run.name, curves[0].source, "", bad[0], bad, "finite values",
                    f"{_few(bad)}: NaN or infinite in {_listed(c.name for c in curves)}",
                    "leave these steps out, or find what the run did there",
                    "a jump to or from a value that was never measured")
        )  # fmt: skip
    sampled = [c for c in run.curves.values() if c.complete == "sampled"]
    if sampled:
        found.append(
            Finding("sampled curve", "warning", run.name, sampled[0].source, "", None, (),
                    "every point that was logged",
                    f"{sampled[0].x.size} irregular points, the default of a subsampling export, in "
                    f"{_listed(c.name for c in sampled)}",
                    "export again: wandb run.scan_history(), TensorBoard size_guidance={'scalars': 0}",
                    "noise and spikes are hidden or made by the sampling")
        )  # fmt: skip
    return found + _lacking(run)


def _lacking(run: Run) -> list[Finding]:
    evals = [c for c in run.curves.values() if c.lineage == "evals"]
    if len(evals) < 2:
        return []
    every = np.unique(np.concatenate([c.x for c in evals]))
    groups: dict[tuple[float, ...], list[Curve]] = {}
    for c in evals:
        gone = tuple(np.setdiff1d(every, c.x).tolist())
        if gone and len(gone) < every.size / 2:  # evaluated at all steps but some
            groups.setdefault(gone, []).append(c)
    return [
        Finding("missing steps", "warning", run.name, curves[0].source, "", gone[0], gone,
                "every metric at every evaluated step", f"{_few(gone)} missing in "
                f"{_listed(c.name for c in curves)}", "evaluate these steps again",
                "several small changes merged into one jump")
        for gone, curves in groups.items()
    ]  # fmt: skip


def _evaluations(run: Run) -> list[Finding]:
    """Steps of equal evaluations, and steps whose evaluations are out of order."""
    x, y, scale = eval_matrix(run)
    if y.shape[1] < ENOUGH or x.size < 3:
        return []
    found: list[Finding] = []
    drop: set[int] = set()
    groups: dict[bytes, list[int]] = {}
    for i, row in enumerate(y):
        groups.setdefault(row.tobytes(), []).append(i)
    source = next(c.source for c in run.curves.values() if c.lineage == "evals")
    d = distances(y / scale)
    for members in groups.values():
        if len(members) == 1:
            continue
        steps = tuple(x[members].tolist())
        if steps == (0.0, 1.0):
            drop.add(members[1])
            found.append(
                Finding("step 0 equals step 1", "note", run.name, source, "", 1.0, steps, "a first update",
                        f"all {y.shape[1]} evaluations are equal to the last digit",
                        "none needed: the learning rate was 0 (warm-up)",
                        "a change between steps 1 and 2 that is only the start of training")
            )  # fmt: skip
            continue
        odd = max(members, key=lambda i: _misfit(d, i, members))
        drop.update(i for i in members if i == odd or len(members) > 2)
        final = x.size - 1 in members and odd != x.size - 1
        hint = "the final checkpoint stands in the middle" if final else "one state was evaluated twice"
        found.append(
            Finding("duplicate evaluations", "fault", run.name, source, "", float(x[odd]), steps,
                    "different evaluations at different steps",
                    f"all {y.shape[1]} are equal to the last digit at steps "
                    f"{', '.join(f'{s:g}' for s in steps)}: {hint}",
                    f"evaluate step {x[odd]:g} again, or leave it out",
                    f"two jumps around step {x[odd]:g}, there and back")
        )  # fmt: skip
    keep = [i for i in range(x.size) if i not in drop]
    files = [source] * len(keep)
    outside = max(EVAL_EXCURSION, float(np.exp(NOISE / np.sqrt(y.shape[1]))))
    return found + order_findings(
        run.name, d[np.ix_(keep, keep)], x[keep].tolist(), files, "evaluations", outside, EVAL_SWAP
    )


def _misfit(d: NDArray[np.float64], i: int, members: Sequence[int]) -> float:
    beside = [j for j in (i - 1, i + 1) if 0 <= j < len(d) and j not in members]
    return float(np.mean([d[i, j] for j in beside])) if beside else 0.0


def eval_matrix(
    run: Run,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Steps (n,), evaluations (n, m) and their scales (m,), over the metrics known at every step.

    The scale is the mean stated standard error, or the median change between steps where none is
    stated. A perplexity stands in its logarithm only.
    """
    evals = [c for n, c in run.curves.items() if c.lineage == "evals" and not _doubled(n, run)]
    grids: dict[bytes, list[Curve]] = {}
    for c in evals:
        grids.setdefault(c.x.tobytes(), []).append(c)
    best = max(grids.values(), key=len, default=[])
    best = [c for c in best if np.isfinite(c.y).all()]
    if not best:
        return np.empty(0), np.empty((0, 0)), np.empty(0)
    scale = []
    for c in best:
        se = float(np.nanmean(c.stderr)) if c.stderr is not None and np.isfinite(c.stderr).any() else 0.0
        move = np.abs(np.diff(c.y))
        scale.append(se or (float(np.median(move[move > 0])) if (move > 0).any() else 1.0))
    return best[0].x, np.array([c.y for c in best]).T, np.array(scale)


def _doubled(name: str, run: Run) -> bool:
    task, _, metric = name.rpartition("/")
    log = metric.replace("perplexity", "ppl").replace("ppl", "log_ppl")
    return log != metric and f"{task}/{log}" in run.curves


def _few(x: Sequence[float]) -> str:
    shown = ", ".join(f"{v:g}" for v in x[:4])
    word = "step" if len(x) == 1 else f"{len(x)} steps:"
    return f"{word} {shown}" + (", ..." if len(x) > 4 else "")


def _listed(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
