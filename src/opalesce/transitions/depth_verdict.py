"""Verdicts on a measured depth: the critical depth of each curve, and whether the controls show it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.transitions.critical_depth import ALPHA, CriticalDepth, critical_depth
from opalesce.transitions.verdict import Verdict

Array = NDArray[np.float64]
JUDGED = (
    "object_integrity",
    "integrity_susceptibility",
    "residual_effective_rank",
    "residual_participation_ratio",
    "tail_fraction",
    "gride_dimension",
)
EXPLAINS = {
    "dropped": "it goes with the first token",
    "masked": "it goes with the massive coordinates",
}


@dataclass(frozen=True)
class DepthVerdict:
    """One curve judged.

    Attributes
    ----------
    curve : str
    verdict : Verdict
    reason : str
    found : CriticalDepth or None
        Of the raw stream; None where the curve could not be read.
    controls : dict
        stream or control -> CriticalDepth, looked at only where the raw curve shows a discontinuity.
    """

    curve: str
    verdict: Verdict
    reason: str
    found: CriticalDepth | None
    controls: dict[str, CriticalDepth]


def judge_depth(
    ds: Any,
    *,
    rng: np.random.Generator,
    curves: Sequence[str] = JUDGED,
    alpha: float = ALPHA,
    draws: int = 200,
) -> list[DepthVerdict]:
    """Judge curves of a Dataset made by `measure.depth`; `alpha` is shared by all of them (Bonferroni).

    A discontinuity of the raw stream is a METRIC ARTEFACT where it is gone without the first token or without
    massive coordinates, and where random weights, or (for Omega) a rotated basis, show it at the same place.
    On shuffled tokens it may show: then it is of the words and not of their order, and the reason says so.

    Raises
    ------
    InputError
        The Dataset holds none of the curves.
    """
    there = [c for c in curves if c in ds]
    if not there:
        raise InputError("nothing to judge", expected=", ".join(curves), got=", ".join(map(str, ds)))
    return [_one(ds, c, rng, alpha / len(there), draws) for c in there]


def _one(ds: Any, curve: str, rng: np.random.Generator, alpha: float, draws: int) -> DepthVerdict:
    unit = "prompt" if f"{curve}_by_prompt" in ds else "group"
    gamma = ds["gamma"].values

    def look(values: Array) -> CriticalDepth | None:
        good = np.isfinite(values).all(axis=0)
        if not good.any():
            return None
        rows = np.isfinite(values[:, good]).all(axis=1)
        if rows.sum() < 2 or good.sum() < 3:
            return None
        return critical_depth(values[rows][:, good], gamma[good], rng=rng, alpha=alpha, draws=draws)

    def kept(values: Array) -> Array:  # a prompt that was left out is NaN in all layers
        return values[~np.isnan(values).all(axis=1)]

    by = ds[f"{curve}_by_{unit}"]
    raw = look(kept(by.sel(stream="raw").values))
    if raw is None:
        why = "too few prompts for this curve (an intrinsic dimension takes 64)"
        return DepthVerdict(curve, Verdict.CANNOT_TELL, why, None, {})
    if raw.verdict is not Verdict.TRANSITION:
        return DepthVerdict(curve, raw.verdict, raw.reason, raw, {})
    seen: dict[str, CriticalDepth] = {}
    for stream in ds["stream"].values.tolist():
        if stream != "raw":
            found = look(kept(by.sel(stream=stream).values))
            seen |= {} if found is None else {stream: found}
    if f"{curve}_control_by_{unit}" in ds:
        for name in ds["control"].values.tolist():
            found = look(kept(ds[f"{curve}_control_by_{unit}"].sel(control=name).values))
            seen |= {} if found is None else {name: found}
    verdict, reason = _against(raw, seen)
    return DepthVerdict(curve, verdict, reason, replace(raw), seen)


def same(a: CriticalDepth, b: CriticalDepth) -> bool:
    """Both discontinuous, of one sign, less than a layer apart."""
    close = abs(a.place.value - b.place.value) <= 1 / (a.layers - 1)
    both = a.verdict is Verdict.TRANSITION and b.verdict is Verdict.TRANSITION
    return both and close and a.height.value * b.height.value > 0


def _against(raw: CriticalDepth, seen: dict[str, CriticalDepth]) -> tuple[Verdict, str]:
    for name, why in EXPLAINS.items():
        if name in seen and not same(raw, seen[name]):
            return Verdict.METRIC_ARTEFACT, f"{why}: without them, {seen[name].verdict}"
    if "random_weights" in seen and same(raw, seen["random_weights"]):
        return Verdict.METRIC_ARTEFACT, "random weights show it at the same depth"
    if "rotated" in seen and same(raw, seen["rotated"]):
        return Verdict.METRIC_ARTEFACT, "a random basis shows it too, so it is not sparsity"
    reason = raw.reason
    if "shuffled_tokens" in seen and same(raw, seen["shuffled_tokens"]):
        reason += "; shuffled tokens show it too, so it is of the words and not of their order"
    return Verdict.TRANSITION, reason
