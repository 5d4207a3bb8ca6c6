"""The bulk of a spectrum against the Marchenko-Pastur law: noise level, edge, outliers, spacings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable
from opalesce.observables.spectra import Spectrum
from opalesce.theory.random_matrix import (
    TRACY_WIDOM_99,
    marchenko_pastur_cdf,
    marchenko_pastur_edges,
    marchenko_pastur_median,
    tracy_widom_edge,
)

SPECTRAL = frozenset({"scale", "rotation", "permutation", "sign", "transpose"})
LEAST = 8  # shortest side with a bulk to speak of, as in mp_outliers


@dataclass(frozen=True)
class Bulk:
    """A Marchenko-Pastur law fitted to eigenvalues of W^T W, in their own units.

    Attributes
    ----------
    level : float
        N sigma^2: the mean eigenvalue of the noise.
    low, high : float
        Edges of the law.
    cut : float
        99 % Tracy-Widom point at the fitted level: noise has an eigenvalue above it in 1 % of large matrices,
        3 % at M = 150 (measured, 300 draws), where the level itself is uncertain.
    outliers : int
        Eigenvalues above the cut.
    distance : float
        Kolmogorov-Smirnov distance between what is below the cut and the law.
    status : str
        Empty, or why there is no fit.
    """

    level: float
    low: float
    high: float
    cut: float
    outliers: int
    distance: float
    status: str = ""


def _nothing(status: str) -> Bulk:
    nan = float("nan")
    return Bulk(nan, nan, nan, nan, 0, nan, status)


def fit_bulk(
    eigenvalues: ArrayLike, shape: tuple[int, int], quantile: float = TRACY_WIDOM_99, rounds: int = 20
) -> Bulk:
    r"""Marchenko-Pastur law through the median of the bulk.

    .. math:: N\hat\sigma^2 = \mathrm{median}(\lambda)/\mu_c

    with mu_c the median of the law (Gavish and Donoho 2014). Outliers shift the median a little, so those
    above the Tracy-Widom cut are left out and the rest, k fewer, is taken for the bulk of an
    (N - k) x (M - k) matrix: what is left of noise across the k planted directions. This repeats until
    their number stands. One sort and no density estimate.

    Parameters
    ----------
    eigenvalues : array
        All eigenvalues of W^T W on the smaller side, zeros included; those of several matrices of one shape
        may be pooled.
    shape : (rows, columns)
        Of the matrix, or of each.

    Raises
    ------
    InputError
        Empty, non-finite or negative eigenvalues.
    """
    x = np.sort(np.asarray(finite(eigenvalues, "the eigenvalues").ravel(), np.float64))
    if x[0] < 0:
        raise InputError("negative eigenvalues", expected="eigenvalues of W^T W", got=f"{x[0]:g}")
    long, short = max(shape), min(shape)
    if short < LEAST or x.size < LEAST:
        return _nothing(f"short side {short}: expected {LEAST} or more for a bulk")
    mu, scale = tracy_widom_edge(long, short)
    outliers, level = 0, 0.0
    for _ in range(rounds):
        body = x[: x.size - outliers]
        out = short * outliers / x.size  # per matrix, where several are pooled
        c = (short - out) / (long - out)
        level = float(np.median(body)) / marchenko_pastur_median(c) * long / (long - out)
        above = int((x > level * (mu + quantile * scale)).sum())
        if above == outliers or above >= x.size // 2:
            break
        outliers = above
    if level == 0.0:
        return _nothing("more than half of the eigenvalues are zero: there is no bulk")
    c = short / long
    low, high = marchenko_pastur_edges(c, level)
    body = x[: x.size - outliers]
    law = marchenko_pastur_cdf(body / level, c)
    steps = np.arange(body.size + 1) / body.size
    distance = float(max(np.abs(law - steps[1:]).max(), np.abs(law - steps[:-1]).max()))
    return Bulk(level, low, high, level * (mu + quantile * scale), outliers, distance)


def _bulk(s: Spectrum) -> tuple[Bulk, NDArray[np.float64]]:
    """The fit at unit largest eigenvalue, so that tiny and huge weights stay in range."""
    if s.values[0] == 0.0:
        return _nothing("a zero matrix has no bulk"), np.zeros(1)
    x = (s.values / s.values[0]) ** 2
    return fit_bulk(x, s.shape), x


@observable(
    on="singular_values",
    unit="1",
    symmetries=SPECTRAL,
    null="shuffle",
    source="marchenko1967distribution",
)
def mp_distance(s: Spectrum) -> float:
    r"""Kolmogorov-Smirnov distance between the bulk of the spectrum and the Marchenko-Pastur law.

    .. math:: \sup_x |F_{bulk}(x) - F_{MP}(x; c, \hat\sigma^2)|

    over the eigenvalues below the Tracy-Widom cut, with the noise level of `fit_bulk`. Noise gives much less
    than the usual Kolmogorov scale, because eigenvalues repel: about 3/M. A trained bulk that has become
    heavy-tailed gives 0.1 and more. NaN without a bulk (short side below 8, mostly zeros).

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    return _bulk(s)[0].distance


@observable(
    on="singular_values",
    unit="1",
    symmetries=SPECTRAL,
    null="marchenko_pastur",
    source="martin2021implicit",
)
def mp_soft_rank(s: Spectrum) -> float:
    r"""Marchenko-Pastur soft rank: edge of the noise over the largest eigenvalue.

    .. math:: \lambda_+ / \lambda_{max}, \quad \lambda_+ = N\hat\sigma^2 (1 + \sqrt c)^2

    Null: 1, for independent entries; towards 0 when one direction rules. The noise level is that of
    `fit_bulk`, where WeightWatcher takes a kernel density's. NaN without a bulk.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    bulk, x = _bulk(s)
    return float(bulk.high / x[0])


def spacing_ratios(levels: ArrayLike) -> tuple[float, float]:
    r"""Mean ratio of neighbouring level spacings, and its standard error from blocks.

    .. math:: \langle \min(\delta_k, \delta_{k+1}) / \max(\delta_k, \delta_{k+1}) \rangle

    No unfolding is needed: the local density cancels. Equal levels (both spacings zero) are left out.
    (NaN, NaN) below 3 distinct spacings.

    Raises
    ------
    InputError
        Empty or non-finite levels.
    """
    x = np.sort(np.asarray(finite(levels, "the levels").ravel(), np.float64))
    gaps = np.diff(x)
    small, large = np.minimum(gaps[1:], gaps[:-1]), np.maximum(gaps[1:], gaps[:-1])
    ratios = small[large > 0] / large[large > 0]
    if ratios.size < 2:
        return float("nan"), float("nan")
    # neighbours share a spacing; blocks of four absorb that
    blocks = np.array([b.mean() for b in np.array_split(ratios, max(2, ratios.size // 4))])
    return float(ratios.mean()), float(blocks.std(ddof=1) / np.sqrt(blocks.size))


@observable(
    on="singular_values",
    unit="1",
    symmetries=SPECTRAL,
    null="marchenko_pastur",
    source="atas2013distribution, table I",
)
def spacing_ratio(s: Spectrum) -> float:
    r"""Mean ratio of neighbouring spacings of the eigenvalues of W^T W: a test of randomness.

    .. math:: \langle \min(\delta_k, \delta_{k+1}) / \max(\delta_k, \delta_{k+1}) \rangle

    Null 0.5307 (orthogonal ensemble: the levels of a random matrix repel); 0.3863 for independent levels,
    as in block-diagonal or low-dimensional structure. Standard error about :math:`0.27/\sqrt M`. Values
    below `s.floor` are left out. NaN below 4 levels.

    Raises
    ------
    InputError
        From `Spectrum`.
    """
    kept = s.values[(s.values > s.floor) & (s.values > 0)]
    if kept.size < 4:
        return float("nan")
    return spacing_ratios((kept / kept[0]) ** 2)[0]
