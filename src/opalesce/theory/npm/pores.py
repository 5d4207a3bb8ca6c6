r"""Pore statistics of weights as published, and what they cannot show.

The paper calls :math:`|w|` of all matrices, pooled, throat diameters. No sphere is inscribed anywhere; the
name
"MIS" is kept for `opalesce.theory.percolation.thickness`. Half-normal anchors (weights at initialisation): CV
:math:`\sqrt{\pi/2 - 1}` = 0.7555, Gini :math:`\sqrt 2 - 1` = 0.4142, share above t
:math:`\mathrm{erfc}(t/(s\sqrt 2))`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.optimize import brentq
from scipy.stats import rankdata

from opalesce.errors import InputError

Floats = NDArray[np.float64]
HALF_NORMAL_CV = sqrt(pi / 2 - 1)
HALF_NORMAL_GINI = sqrt(2) - 1
BLOCKED, LARGE, TINY = 1e-6, 0.1, 1e-10


@dataclass(frozen=True)
class PoreStats:
    """The published statistics of pooled magnitudes; `weibull` by maximum likelihood, location 0."""

    mean: float
    median: float
    cv: float
    gini: float
    blocked: float
    large: float
    log_skew: float
    weibull: float
    tail: float
    n: int


def _magnitudes(w: ArrayLike) -> Floats:
    a = np.abs(np.asarray(w, float)).ravel()
    if a.size < 10 or not np.isfinite(a).all():
        raise InputError("no sample of weights", expected="10 finite numbers or more", got=f"{a.size} values")
    if not a.any():
        raise InputError("all weights are zero", expected="weights that vary", got="zeros")
    return np.asarray(a)


def npm_pore_stats(weights: ArrayLike | list[ArrayLike], large: float = LARGE) -> PoreStats:
    """Statistics of all weights pooled, as published (ding2026percolation, section 7).

    Pooling mixes the scales of layers: the coefficient of variation of the pool also measures how far
    embeddings are from the rest. Look at single tensors beside it.

    Parameters
    ----------
    weights : array, or list of arrays
    large : float
        Magnitude above which a pore is large; 0.1 as published, which depends on the scale of the model.

    Raises
    ------
    InputError
        Fewer than ten weights, values that are not finite, or zeros only.
    """
    parts = weights if isinstance(weights, list) else [weights]
    x = np.sort(_magnitudes(np.concatenate([np.ravel(np.asarray(p, float)) for p in parts])))
    n, mean = len(x), float(x.mean())
    logs = np.log(x[x > TINY])
    centred = logs - logs.mean()
    spread = float((centred**2).mean())
    return PoreStats(
        mean=mean,
        median=float(np.median(x)),
        cv=float(x.std() / mean),
        gini=float(2 * (np.arange(1, n + 1) @ x) / (n * x.sum()) - (n + 1) / n),
        blocked=float((x < BLOCKED).mean()),
        large=float((x > large).mean()),
        log_skew=float((centred**3).mean() / spread**1.5) if spread > 0 else float("nan"),
        weibull=weibull_shape(x),
        tail=_tail(x),
        n=n,
    )


def weibull_shape(x: ArrayLike) -> float:
    r"""Maximum-likelihood shape k with location 0: the root of :math:`\sum x^k\ln x/\sum x^k - 1/k =
    \overline{\ln x}`.

    1.2616 for half-normal magnitudes. Zeros are left out; NaN for a constant sample.

    Raises
    ------
    InputError
        As `npm_pore_stats`.
    """
    a = _magnitudes(x)
    a = a[a > 0]
    u = np.log(a / a.max())
    if np.ptp(u) == 0:
        return float("nan")

    def equation(k: float) -> float:
        p = np.exp(k * u)
        return float(p @ u / p.sum() - 1 / k - u.mean())

    return float(brentq(equation, 1e-3, 1e3))


def _tail(x: Floats) -> float:
    """Minus the slope of ln CCDF on ln x over the largest tenth of a sorted sample."""
    m = max(3, len(x) // 10)
    top = x[-m:]
    ccdf = np.arange(m, 0, -1) / len(x)
    u = np.log(np.maximum(top, TINY))
    return float(-np.polyfit(u, np.log(ccdf), 1)[0]) if np.ptp(u) > 0 else float("nan")


def share_above(t: float, scale: float) -> float:
    r"""Share of half-normal magnitudes of scale s above t: :math:`\mathrm{erfc}(t/(s\sqrt 2))`."""
    if not (t >= 0 and scale > 0):
        raise InputError("no such share", expected="t >= 0, scale > 0", got=f"{t}, {scale}")
    return erfc(t / (scale * sqrt(2)))


def blobs(side: int, porosity: float, blobiness: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random porous cube: filtered noise (width side/(40 blobiness)), cut at the porosity's quantile."""
    if side < 4 or not 0 < porosity < 1 or not blobiness > 0:
        raise InputError("no such medium", expected="side >= 4, 0 < porosity < 1", got=f"{side}, {porosity}")
    smooth = gaussian_filter(rng.random((side,) * 3), side / (40 * blobiness))
    return np.asarray(smooth < np.quantile(smooth, porosity))


def pore_distances(medium: NDArray[np.bool_]) -> Floats:
    """Distance of every pore voxel from the solid: what the paper compares weights with."""
    return np.asarray(distance_transform_edt(medium)[medium], float)


def rank_comparison(a: ArrayLike, b: ArrayLike, points: int = 50) -> float:
    """The published "rank correlation": 50 quantiles of the ranks of one sample against those of the other.

    Ranks of any continuous sample are uniform, so this is 1 whatever the samples are. It falls below 1 only
    because distances on a grid take few values and `rankdata` averages ties: an artefact that carries no
    information on the weights. Use `scale_free` instead.
    """
    q = np.linspace(0, 1, points)
    u, v = (np.quantile(rankdata(x) / len(x), q) for x in (_magnitudes(a), _magnitudes(b)))
    return float(np.corrcoef(u, v)[0, 1])


def scale_free(a: ArrayLike, b: ArrayLike, points: int = 99) -> tuple[float, float, float]:
    """Comparisons that can fail, of magnitudes in units of their medians.

    Returns
    -------
    qq : float
        Correlation of the quantiles themselves.
    distance : float
        Wasserstein-1 distance.
    shape : float
        Difference of Weibull shapes.
    """
    x, y = (_magnitudes(v) for v in (a, b))
    x, y = x / np.median(x), y / np.median(y)
    q = (np.arange(points) + 0.5) / points
    u, v = np.quantile(x, q), np.quantile(y, q)
    return float(np.corrcoef(u, v)[0, 1]), float(np.abs(u - v).mean()), weibull_shape(x) - weibull_shape(y)
