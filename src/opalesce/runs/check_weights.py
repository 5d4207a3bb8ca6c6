"""Check of checkpoints: content, shapes, sanity and order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from opalesce.runs.check import Finding, Severity
from opalesce.runs.check_order import order_findings
from opalesce.runs.continuity import distances
from opalesce.runs.look import Look, look
from opalesce.runs.run import Run

__all__ = ["check_weights", "look"]

# constant by construction, the same in every layer
_BUFFER = re.compile(
    r"inv_freq|rotary|masked_bias|position_ids|(?:attn|attention)\.bias$|causal_mask|rel_pos"
)
# weight tying: embedding and unembedding under two names
_EMBED = re.compile(r"emb|wte|lm_head|(?:^|\.)head\b|output\.weight|decoder\.weight|shared\.weight")
SMALL = 16  # tensors with fewer elements agree by chance


def check_weights(run: Run, looks: Sequence[Look]) -> list[Finding]:
    """Findings about the checkpoints of one run, from one look at each."""
    if not looks:
        return []
    found = _inventory(run, looks) + _sanity(run, looks) + _inner_duplicates(run, looks)
    twins, distinct = _duplicates(run, looks)
    return found + twins + _order(run, distinct)


def _inventory(run: Run, looks: Sequence[Look]) -> list[Finding]:
    """Shapes, dtypes and names against the commonest in the run."""
    found = []
    shapes: dict[str, Counter[tuple[int, ...]]] = {}
    dtypes: dict[str, Counter[str]] = {}
    for k in looks:
        for name, t in k.tensors.items():
            shapes.setdefault(name, Counter())[t.info.shape] += 1
            dtypes.setdefault(name, Counter())[t.info.dtype] += 1
    usual = {name for name in shapes if 2 * shapes[name].total() > len(looks)}
    for k in looks:
        for what, odd in (("lacks", usual - set(k.tensors)), ("has besides", set(k.tensors) - usual)):
            if odd and len(looks) > 1:
                seen = f"{what} {_names(odd)}"
                found.append(
                    Finding("changed tensors", "fault", run.name, k.file, min(odd), k.step, (k.step,),
                            f"the {len(usual)} tensors of the other steps", seen,
                            "make sure that this file belongs to this run",
                            "a jump at this step in every sum over modules")
                )  # fmt: skip
        moved = {n: t for n, t in k.tensors.items() if t.info.shape != shapes[n].most_common(1)[0][0]}
        for name, t in moved.items():
            want = shapes[name].most_common(1)[0][0]
            found.append(
                Finding("changed shape", "fault", run.name, k.file, name, k.step, (k.step,), f"{want}",
                        f"{t.info.shape}", "make sure that this file belongs to this run",
                        "a jump at this step in every norm and spectrum of this tensor")
            )  # fmt: skip
        typed = {n: t for n, t in k.tensors.items() if t.info.dtype != dtypes[n].most_common(1)[0][0]}
        if typed:
            name, t = min(typed.items())
            want_type = dtypes[name].most_common(1)[0][0]
            found.append(
                Finding("changed dtype", "warning", run.name, k.file, name, k.step, (k.step,), want_type,
                        f"{t.info.dtype} in {_names(typed)}",
                        "use the steps stored in one precision, or convert all to the coarsest",
                        "a step in small singular values, and in distances, from rounding")
            )  # fmt: skip
    return found


def _sanity(run: Run, looks: Sequence[Look]) -> list[Finding]:
    """Non-finite, all-zero and constant tensors; one finding for each kind and step."""
    found = []
    first = min(k.step for k in looks)
    still = _never_changing(looks)
    for k in looks:
        bad = {n: t for n, t in k.tensors.items() if t.bad}
        if bad:
            name, t = min(bad.items())
            found.append(
                Finding("non-finite", "fault", run.name, k.file, name, k.step, (k.step,), "finite weights",
                        f"{t.bad} of {t.seen} values looked at are NaN or infinite; in {_names(bad)}",
                        "fetch the file again; if it stays, the run diverged: leave this step out",
                        "every observable of this module jumps or is missing at this step")
            )  # fmt: skip
        groups: dict[tuple[str, Severity], list[str]] = {}
        for name, t in k.tensors.items():
            if t.constant is None or t.bad or t.values.size == 0 or int(np.prod(t.info.shape)) <= 1:
                continue
            kind = "all zero" if t.constant == 0 else "constant"
            groups.setdefault((kind, _gravity(name, k.step == first, name in still, len(looks))), []).append(
                name
            )
        for (kind, severity), names in groups.items():
            word = {"note": "as at initialisation", "warning": "trained values", "fault": "trained values"}
            found.append(
                Finding(kind, severity, run.name, k.file, min(names), k.step, (k.step,), word[severity],
                        f"every value is the same in {_names(names)}",
                        "none needed" if severity == "note" else "fetch the file again, or leave it out",
                        "" if severity == "note" else "rank, norm and spectrum of this tensor collapse here")
            )  # fmt: skip
    return found


def _gravity(name: str, first: bool, still: bool, n: int) -> Severity:
    """A constant tensor at the first step, or one that never changes, is as it was made."""
    if first or _BUFFER.search(name):
        return "note"
    if still:
        return "note" if name.endswith("bias") or "norm" in name.lower() else "warning"
    return "warning" if name.endswith("bias") or n == 1 else "fault"


def _never_changing(looks: Sequence[Look]) -> set[str]:
    """Names of tensors with one content in all checkpoints: buffers, or never trained."""
    kinds: dict[str, set[str]] = {}
    for k in looks:
        for name, t in k.tensors.items():
            kinds.setdefault(name, set()).add(t.digest)
    return {name for name, d in kinds.items() if len(d) == 1 and len(looks) > 1}


def _inner_duplicates(run: Run, looks: Sequence[Look]) -> list[Finding]:
    """Two names with one content inside a checkpoint; tied and buffer tensors only as a note, once."""
    found = []
    still = _never_changing(looks)
    pairs: dict[tuple[str, ...], list[Look]] = {}
    for k in looks:
        by_digest: dict[str, list[str]] = {}
        for name, t in k.tensors.items():
            plain = t.constant is None and t.values.size and int(np.prod(t.info.shape)) >= SMALL
            if plain and name not in still and not _BUFFER.search(name):
                by_digest.setdefault(t.digest, []).append(name)
        for same in by_digest.values():
            if len(same) > 1:
                pairs.setdefault(tuple(sorted(same)), []).append(k)
    for names, where in pairs.items():
        everywhere = len(where) == len(looks)
        tied = everywhere and all(_EMBED.search(n) for n in names)
        severity: Severity = "note" if tied else "warning" if everywhere else "fault"
        x = tuple(k.step for k in where)
        found.append(
            Finding("duplicate tensor", severity, run.name, where[0].file, names[0], x[0], x,
                    "different content under different names", f"equal content: {_names(names)}",
                    "count it once" if everywhere else "fetch this checkpoint again",
                    "" if tied else "two modules that seem to change together")
        )  # fmt: skip
    return found


def _duplicates(run: Run, looks: Sequence[Look]) -> tuple[list[Finding], list[Look]]:
    """Checkpoints of equal content, and one of each for the test of order."""
    found: list[Finding] = []
    groups: dict[str, list[int]] = {}
    for i, k in enumerate(looks):
        groups.setdefault(k.identity, []).append(i)
    drop: set[int] = set()
    matrix = _matrix(looks)
    for members in groups.values():
        if len(members) == 1:
            continue
        steps = tuple(looks[i].step for i in members)
        if steps == (0.0, 1.0):
            drop.add(members[1])
            found.append(
                Finding("step 0 equals step 1", "note", run.name, looks[members[1]].file, "", 1.0, steps,
                        "a first update", "no weight changed",
                        "none needed: the learning rate was 0 (warm-up)",
                        "a change between steps 1 and 2 that is only the start of training")
            )  # fmt: skip
            continue
        odd = _out_of_place(members, matrix)
        drop.add(odd) if len(members) == 2 else drop.update(members[1:])
        adjacent = all(b == a + 1 for a, b in pairwise(members))
        final = len(looks) - 1 in members and odd != len(looks) - 1
        hint = (
            "the final checkpoint stands in the middle"
            if final and not adjacent
            else "one state was saved twice"
        )
        found.append(
            Finding("duplicate checkpoint", "fault", run.name, looks[odd].file, "", looks[odd].step, steps,
                    "different weights at different steps",
                    f"equal content at steps {', '.join(f'{s:g}' for s in steps)}: {hint}",
                    f"fetch step {looks[odd].step:g} again, or leave it out",
                    f"two jumps around step {looks[odd].step:g}, there and back" if not adjacent
                    else "a plateau, then a jump of double height")
        )  # fmt: skip
    return found, [k for i, k in enumerate(looks) if i not in drop]


def _out_of_place(members: list[int], matrix: NDArray[np.float64]) -> int:
    """Of equal states the one that is farthest from its neighbours in time."""
    if matrix.shape[1] == 0:
        return members[0]
    n = len(matrix)

    def misfit(i: int) -> float:
        beside = [j for j in (i - 1, i + 1) if 0 <= j < n and j not in members]
        return float(np.mean([np.linalg.norm(matrix[i] - matrix[j]) for j in beside])) if beside else 0.0

    return max(members, key=misfit)


def _matrix(looks: Sequence[Look]) -> NDArray[np.float64]:
    """Sampled weights, one row a checkpoint; each tensor in units of its own change, buffers out."""
    common = [
        name
        for name, t in looks[0].tensors.items()
        if t.values.size
        and all(name in k.tensors and k.tensors[name].info.shape == t.info.shape for k in looks)
    ]
    columns = []
    for name in common:
        v = np.array([k.tensors[name].values for k in looks], float)
        v = v[:, np.isfinite(v).all(0)]
        scale = float(np.sqrt(np.mean((v - v.mean(0)) ** 2))) if v.size else 0.0
        if scale > 0:
            columns.append(v / scale)
    return np.concatenate(columns, 1) if columns else np.empty((len(looks), 0))


def _order(run: Run, looks: Sequence[Look]) -> list[Finding]:
    if len(looks) < 5:
        return []
    matrix = _matrix(looks)
    if matrix.shape[1] < 64:  # too few numbers for distances to concentrate
        return []
    steps = [k.step for k in looks]
    return order_findings(run.name, distances(matrix), steps, [k.file for k in looks], "weights")


def _names(names: Iterable[str]) -> str:
    listed = sorted(names)
    shown = ", ".join(listed[:3])
    return f"{len(listed)} tensors: {shown}, ..." if len(listed) > 3 else shown
