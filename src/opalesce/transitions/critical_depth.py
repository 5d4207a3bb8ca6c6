r"""Is there a critical depth, where is it, and how wide: one curve along layers, many prompts.

A change is called a discontinuity only if a sharp change is needed beside every smooth curve (the calibrated
scan of `transitions.scan`: its false-alarm rate is the same for every curve of that class), if this holds in
resamples of the prompts too, and if its width is below the distance of two layers, 1/L. A reconstruction: the
source (Alpay and Kilictas 2026, abstract) does not say what its statistic was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.transitions.calibrate import table
from opalesce.transitions.depth_models import bic, cross_validation, fit_logistic
from opalesce.transitions.scan import MIN_POINTS, Design
from opalesce.transitions.smooth import LINEAR_SHARE, LOGISTIC_1090
from opalesce.transitions.verdict import Verdict

Array = NDArray[np.float64]
ALPHA = 0.05
SHARP = 0.5  # of a layer: a logistic narrower than this has at most one layer on its slope
SUPPORT = 0.9  # share of resamples in which the sharp change must win


@dataclass(frozen=True)
class CriticalDepth:
    r"""What was found in one curve y(gamma).

    Attributes
    ----------
    verdict : Verdict
        TRANSITION: a discontinuity as defined above. CROSSOVER: the curve changes, smoothly as far as can be
        told. NOT SUPPORTED: no change beyond noise. CANNOT TELL: too few layers or prompts.
    reason : str
        Why, in one sentence.
    place, width : Estimate
        gamma_c and w of :math:`y_0 + A/(1 + e^{-(\gamma - \gamma_c)/w})`, 90 % over resampled prompts. Of the
        curve alone; where a sharp change is found and BIC wants more than a logistic, beside a spline. A step
        sharper than the layers are apart has the interval between the two.
    height : Estimate
        A, in the units of y.
    jump : float
        Largest \|y_{l+1} - y_l\| over its standard error (over prompts), after layer `jump_at`.
    p_sharp, p_change : float
        p-values of a sharp change beside every smooth curve, and of any change (largest deviation over
        resampled prompts).
    support : float
        Share of resampled prompt sets in which the sharp change wins by BIC.
    bic, cross_validation : dict
        model -> BIC (smaller is better), and mean squared standardised error on prompts left out.
    layers, prompts : int
    """

    verdict: Verdict
    reason: str
    place: Estimate
    width: Estimate
    height: Estimate
    jump: float
    jump_at: int
    p_sharp: float
    p_change: float
    support: float
    bic: dict[str, float]
    cross_validation: dict[str, float]
    layers: int
    prompts: int


def critical_depth(
    values: ArrayLike,
    gamma: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    draws: int = 200,
    alpha: float = ALPHA,
) -> CriticalDepth:
    r"""Test one curve along depth for a discontinuity, and place it.

    Parameters
    ----------
    values : array, shape (prompts, layers)
        One curve a prompt (or the pseudo-values of groups of prompts).
    gamma : array, shape (layers,), optional
        Ascending depths; l / L by default.
    rng : numpy.random.Generator
    draws : int
        Resampled prompt sets.
    alpha : float
        Level of the test.

    Raises
    ------
    InputError
        Wrong shapes, NaN, depths not ascending, fewer than two prompts.

    Notes
    -----
    The resolution is 1/L. Changes at the two outermost layers of either end are not looked for: there every
    model changes.
    """
    y, at = _curves(values, gamma)
    n, layers = y.shape
    own = y - y.mean(axis=1, keepdims=True)  # the level of a prompt is in every model, so it is no noise
    mean, level = y.mean(axis=0), float(y.mean())
    error = own.std(axis=0, ddof=1) / np.sqrt(n)
    tiny = 1e-12 * max(float(np.abs(mean).max()), 1e-300)
    error = np.maximum(error, max(1e-3 * float(error.mean()), tiny))
    means = _resampled(own, rng, draws) + level
    jumps = np.abs(np.diff(mean)) / np.maximum(np.diff(own, axis=1).std(axis=0, ddof=1) / np.sqrt(n), tiny)
    fit = fit_logistic(at, mean, error)
    alone = np.array([fit_logistic(at, m, error, fit) for m in means])
    place, width, height = (_estimate(fit[k], alone[:, k], n, "logistic") for k in (2, 3, 1))
    spread = np.abs(means - mean) / error  # what the prompts alone do to the curve
    real = float((np.abs(mean - level) / error).max())
    p_change = float((1 + (spread.max(axis=1) >= real).sum()) / (1 + draws))
    p_sharp = support = float("nan")
    scores = bic(at, mean, error, fit)
    if layers < MIN_POINTS:
        verdict = Verdict.CANNOT_TELL
        why = f"{layers} layers, and {MIN_POINTS} are needed to tell a sharp change from a smooth one"
    else:
        null = table(at, LINEAR_SHARE * float(at[-1] - at[0]), error)
        p_sharp = null.p_value(float(null.design.statistics(mean[:, None])[0][0]), resolve=alpha)
        support = _support(null.design, means)
        if p_sharp <= alpha and min(scores, key=lambda k: scores[k]) not in ("logistic", "step"):
            place, width, height = _beside(null.design, mean, means, n)
        limit = float(at[-1] - at[0]) / (layers - 1)
        verdict, why = _judge(p_sharp, p_change, support, width, limit, alpha)
    return CriticalDepth(
        verdict,
        why,
        _between_layers(place, width, at),
        width,
        height,
        float(jumps.max()),
        int(jumps.argmax()),
        p_sharp,
        p_change,
        support,
        scores,
        cross_validation(at, own, level, error, rng),
        layers,
        n,
    )


def _between_layers(place: Estimate, width: Estimate, at: Array) -> Estimate:
    """A step sharper than the layers are apart may lie anywhere between the two: its interval says so."""
    if width.low > SHARP * float(np.diff(at).mean()):
        return place
    below, above = at[at <= place.value], at[at >= place.value]
    low = float(below[-1]) if below.size else place.low
    high = float(above[0]) if above.size else place.high
    return replace(place, low=min(place.low, low), high=max(place.high, high))


def _judge(
    p_sharp: float, p_change: float, support: float, width: Estimate, limit: float, alpha: float
) -> tuple[Verdict, str]:
    if p_sharp > alpha:
        if p_change > alpha:
            return Verdict.NOT_SUPPORTED, "no change beyond the noise of the prompts"
        return Verdict.CROSSOVER, f"the curve changes, and smooth curves are enough (p = {p_sharp:.2g})"
    if width.high >= limit:
        why = f"a change of width {width.value:.3g} (up to {width.high:.3g}), not below 1/L = {limit:.3g}"
        return Verdict.CROSSOVER, why
    if support < SUPPORT:
        why = f"a sharp change wins in {support:.0%} of the resampled prompt sets only"
        return Verdict.CROSSOVER, why
    why = f"width {width.value:.3g} below 1/L = {limit:.3g}, p = {p_sharp:.2g} against smooth curves"
    return Verdict.TRANSITION, why


def _curves(values: ArrayLike, gamma: ArrayLike | None) -> tuple[Array, Array]:
    y = np.asarray(values, np.float64)
    if y.ndim != 2 or y.shape[0] < 2 or y.shape[1] < 3:
        raise InputError(
            "curves have the wrong shape", expected="(prompts >= 2, layers >= 3)", got=str(y.shape)
        )
    if not np.isfinite(y).all():
        raise InputError("a curve holds NaN", expected="finite numbers", fix="leave those prompts out")
    at = np.linspace(0, 1, y.shape[1]) if gamma is None else np.asarray(gamma, np.float64)
    if at.shape != y.shape[1:] or not (np.diff(at) > 0).all():
        raise InputError("depths must ascend, one a layer", expected=str(y.shape[1:]), got=str(at.shape))
    return y, at


def _resampled(own: Array, rng: np.random.Generator, draws: int) -> Array:
    """Means over resampled prompts, (draws, layers)."""
    n = len(own)
    count = rng.multinomial(n, np.full(n, 1 / n), size=draws)
    return np.asarray(count @ own / n)


def _estimate(value: float, drawn: Array, n: int, how: str, lowest: float = -np.inf) -> Estimate:
    low, high = (float(q) for q in np.quantile(drawn, [0.05, 0.95]))
    return Estimate(
        float(value), max(min(low, value), lowest), max(high, value), n, "", f"{how}, prompt bootstrap"
    )


# ---- a sharp change beside every smooth curve -----------------------------------------------------------


def _beside(design: Design, mean: Array, means: Array, n: int) -> tuple[Estimate, Estimate, Estimate]:
    """Place, width w and height of the sharp change, refined; bootstrap under the noise fitted once."""
    fit = design.fit(mean)
    gap = design.spacing
    u = design.u
    places = np.clip(fit.place + np.arange(-3, 3.0001, 0.05) * gap, u[1], u[-2])
    top = max(design.wstar, 3 * LOGISTIC_1090 * gap)  # well above 1/L, so that the grid decides nothing
    widths = np.geomspace(0.05 * gap, top, 40)
    fine = design.recandidate(places, widths, keep=[fit.noise])
    column = fine.fit(mean)
    _, where = fine.best(means.T)
    place, width = fine.candidates
    model = fine.models[0]
    z = model.contrast @ means.T
    height = (model.unit[where] * z.T).sum(axis=1) / model.norm[where]
    how = "logistic beside a spline"
    return (
        _estimate(column.place, place[where], n, how),
        _estimate(column.width / LOGISTIC_1090, width[where] / LOGISTIC_1090, n, how, 0.0),
        _estimate(column.height, height, n, how),
    )


def _support(design: Design, means: Array) -> float:
    """Share of resampled curves in which three more parameters are worth their price (BIC)."""
    sharp, _ = design.statistics(means.T)
    return float((sharp > 3 * np.log(len(design.u))).mean())
