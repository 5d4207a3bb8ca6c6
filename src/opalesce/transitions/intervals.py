"""Intervals for place and width by inverting the bootstrap test.

For a place c0 the statistic is LR(c0) = 2 [max l2 - max_{w, h, noise} l2(c0)]. Its distribution
is simulated from M2 fitted under c = c0, with everything refitted in each replicate; c0 is kept
when LR(c0) does not exceed the simulated quantile. Chi-square quantiles cover 0.65-0.89 at small
steps (COURT 11), because the place is unidentified when the height is near zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from opalesce.transitions.scan import ChangeFit, Design
from opalesce.transitions.smooth import logistic

Array = NDArray[np.float64]
DROP = 3.0  # log-likelihood units below the best at which a noise model is left out
CAP = 25.0  # LR beyond which no c0 is worth simulating
NEAR = 3.0  # spacings around the best place that get a fine grid
FINE = 16  # fine places per spacing
ANCHORS = 5  # values of c0 (or w0) that are simulated; quantiles are interpolated between


@dataclass(frozen=True)
class Bounds:
    """Intervals in u at one level, for place and width, and the fit on the finer grid."""

    place: tuple[float, float]
    width: tuple[float, float]
    fit: ChangeFit


def refine(
    design: Design, y: Array, fit: ChangeFit, per_octave: int = 1, fine: int = FINE
) -> tuple[Design, list[int]]:
    """Places fine around the fit, widths free up to the whole axis, implausible noise left out.

    A noise model is implausible when its likelihood is more than `DROP` units below the best.
    Returns the new design and the indices of the noise models that it keeps.
    """
    d = design.spacing
    near = fit.place + np.arange(-NEAR * fine, NEAR * fine + 1) * d / fine
    inside = near[(near > design.u[1]) & (near < design.u[-2])]
    span = float(design.u[-1] - design.u[0])
    octaves = 0.5 * d * 2.0 ** (np.arange(0, 60) / per_octave)
    widths = np.concatenate([[0.05 * d], octaves[octaves < 0.9 * span], [span]])
    best = np.array([design.loglik(m, y[:, None]).max() for m in design.models])
    keep = [int(j) for j in np.flatnonzero(best >= best.max() - DROP)]
    return design.recandidate(np.concatenate([design.places, inside]), widths, keep), keep


def bounds(
    design: Design,
    y: Array,
    fit: ChangeFit,
    rng: np.random.Generator,
    level: float = 0.9,
    replicates: int = 200,
) -> Bounds:
    """Place and width intervals of the change in y, at `level`; in units of u."""
    y = np.asarray(y, float)
    place = place_interval(design, y, fit, rng, level, replicates)
    in_width, keep = refine(design, y, fit, per_octave=2, fine=2)
    width = _invert(in_width, y, 1, rng, level, replicates)
    best, _ = refine(design, y, fit, per_octave=4)
    fitted = best.fit(y)
    return Bounds(place, width, replace(fitted, noise=keep[fitted.noise], sharp=fit.sharp, smooth=fit.smooth))


def place_interval(
    design: Design,
    y: Array,
    fit: ChangeFit,
    rng: np.random.Generator,
    level: float = 0.9,
    replicates: int = 200,
) -> tuple[float, float]:
    """The place interval alone, before it is widened to the least interval of one spacing."""
    fine, _ = refine(design, y, fit)
    return _invert(fine, y, 0, rng, level, replicates)


def _invert(
    design: Design, y: Array, axis: int, rng: np.random.Generator, level: float, replicates: int
) -> tuple[float, float]:
    values = design.places if axis == 0 else design.widths
    profile = design.profile(y)
    along = profile.max(1 - axis)
    ratio = 2.0 * (along.max() - along)
    best = int(np.argmin(ratio))
    plausible = np.flatnonzero(ratio <= CAP)
    anchors = np.unique(
        np.concatenate([[best], plausible[np.linspace(0, len(plausible) - 1, ANCHORS).astype(int)]])
    )
    critical = [_critical(design, y, profile, axis, int(k), rng, level, replicates) for k in anchors]
    accepted = plausible[ratio[plausible] <= np.interp(plausible, anchors, critical)]
    return (_hull if axis == 0 else _log_hull)(values, np.union1d(accepted, [best]))


def _hull(values: Array, accepted: Array) -> tuple[float, float]:
    """Hull of the accepted places, extended to the rejected neighbours.

    A step inside a gap between two points has the same likelihood anywhere in the gap: an interval
    that stopped half-way to the neighbour would cut off its ends.
    """
    first, last = max(int(accepted[0]) - 1, 0), min(int(accepted[-1]) + 1, len(values) - 1)
    return float(values[first]), float(values[last])


def _log_hull(values: Array, accepted: Array) -> tuple[float, float]:
    """Hull of the accepted widths, extended to the geometric mean with the rejected neighbours."""
    low, high = _hull(values, accepted)
    return float(np.sqrt(low * values[accepted[0]])), float(np.sqrt(high * values[accepted[-1]]))


def _critical(
    design: Design,
    y: Array,
    profile: Array,
    axis: int,
    at: int,
    rng: np.random.Generator,
    level: float,
    replicates: int,
) -> float:
    """Simulated `level` quantile of LR at one fixed place (axis 0) or width (axis 1)."""
    n_widths = len(design.widths)
    other = int(np.argmax(profile[at] if axis == 0 else profile[:, at]))
    k = at * n_widths + other if axis == 0 else other * n_widths + at
    logliks = [float(design.loglik(m, y[:, None])[k, 0]) for m in design.models]
    noise = int(np.argmax(logliks))
    height, _, sigma = design.height(y, noise, k)
    m = design.models[noise]
    place, width = design.candidates
    signal = height * logistic(design.u, place[k], width[k])
    sample = signal[:, None] + sigma * (m.root @ rng.standard_normal((len(y), replicates)))
    rows = np.arange(len(place)).reshape(-1, n_widths)
    fixed, _ = design.best(sample, rows[at] if axis == 0 else rows[:, at])
    free, _ = design.best(sample)
    return float(np.quantile(2.0 * (free - fixed), level))
