"""The spectrum of the shuffled matrix beside that of the matrix: correlation traps and distances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.bulk import LEAST, fit_bulk
from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable
from opalesce.observables.spectra import mp_outliers, spectrum
from opalesce.observables.weightwatcher import Layer, layer, weightwatcher_cut

Array = NDArray[np.float64]
FEW = 100  # WeightWatcher draws five replicas below this many eigenvalues, one above


def shuffled(weight: ArrayLike, rng: np.random.Generator) -> NDArray[np.floating]:
    """The same entries in random places; of a kernel, slice by slice.

    Raises
    ------
    InputError
        Empty or non-finite weights.
    """
    w = finite(weight, "the weight")
    if w.ndim != 4:
        return rng.permutation(w.ravel()).reshape(w.shape)
    flat = w.reshape(w.shape[0] * w.shape[1], -1)
    return rng.permuted(flat, axis=0).reshape(w.shape)


def shannon_distance(p: ArrayLike, q: ArrayLike) -> float:
    r"""Jensen-Shannon distance of two vectors of shares, square root of the divergence in nats.

    .. math:: \sqrt{\tfrac12 \sum p\ln\tfrac pm + \tfrac12 \sum q\ln\tfrac qm}, \quad m = (p + q)/2

    p and q are divided by their sums, m of the undivided vectors by its own, as `rand_distance` is coded
    (Lin 1991). WeightWatcher applies it to two *sorted lists of eigenvalues*, which compares the i-th
    largest of both, not their densities.

    Raises
    ------
    InputError
        Unless both are non-negative, of one length and not zero.
    """
    a, b = (np.asarray(finite(v, "the shares", ndim=1), np.float64) for v in (p, q))
    if a.shape != b.shape or a.min() < 0 or b.min() < 0 or a.sum() == 0 or b.sum() == 0:
        raise InputError(
            "no two vectors of shares", expected="one length, non-negative", got=f"{a.shape}, {b.shape}"
        )
    m = a + b
    a, b, m = a / a.sum(), b / b.sum(), m / m.sum()

    def divergence(x: Array) -> float:
        some = x > 0
        return float(x[some] @ np.log(x[some] / m[some]))

    return float(np.sqrt(max(0.0, (divergence(a) + divergence(b)) / 2)))


def spectral_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Kolmogorov-Smirnov distance between two sets of eigenvalues, each in units of its mean.

    The distance between the densities, which `rand_distance` is not.

    Raises
    ------
    InputError
        Empty or non-finite eigenvalues.
    """
    a, b = (np.sort(np.asarray(finite(v, "the eigenvalues").ravel(), np.float64)) for v in (x, y))
    a, b = a / a.mean(), b / b.mean()
    at = np.concatenate([a, b])
    gaps = np.searchsorted(a, at, "right") / a.size - np.searchsorted(b, at, "right") / b.size
    return float(np.abs(gaps).max())


@dataclass(frozen=True)
class Randomised:
    """What WeightWatcher's `randomize=True` adds, under its names; the last three are ours.

    Attributes
    ----------
    max_rand_eval : float
        Largest eigenvalue over all replicas.
    rand_num_spikes : int
        Eigenvalues of the replicas above the 99 % Tracy-Widom cut: correlation traps ("num_traps").
    rand_num_spikes_ww : int
        Those above WeightWatcher's cut.
    rand_sigma_mp, rand_bulk_min, rand_bulk_max, rand_mp_softrank : float
        Marchenko-Pastur fit of the replicas.
    ww_softrank, ww_maxdist : float
        Largest shuffled over largest eigenvalue; their difference.
    rand_distance : float
        See `shannon_distance`.
    rand_ks : float
        See `spectral_distance`.
    replicas : int
        Shuffles drawn.
    """

    max_rand_eval: float
    rand_num_spikes: int
    rand_num_spikes_ww: int
    rand_sigma_mp: float
    rand_bulk_min: float
    rand_bulk_max: float
    rand_mp_softrank: float
    ww_softrank: float
    ww_maxdist: float
    rand_distance: float
    rand_ks: float
    replicas: int


def randomised(
    weight: ArrayLike, rng: np.random.Generator, real: Layer | None = None, replicas: int | None = None
) -> Randomised:
    """Shuffle the entries, take the spectrum again, compare.

    Parameters
    ----------
    weight : array, 2 or 4 dimensions
        The weights.
    real : Layer, optional
        Its eigenvalues, when they are at hand: one decomposition less.
    replicas : int, optional
        Shuffles; 1, or 5 below 100 eigenvalues, as in WeightWatcher.

    Raises
    ------
    InputError
        From `layer`; fewer than one replica; zero weights.
    """
    true = real or layer(weight)
    if replicas is None:
        replicas = 5 if true.eigenvalues.size < FEW else 1
    if replicas < 1:
        raise InputError("no replica", expected="1 or more", got=str(replicas))
    if true.eigenvalues[-1] <= 0:
        raise InputError("a zero matrix cannot be shuffled", expected="some non-zero weight", got="zeros")
    draws = [layer(shuffled(weight, rng)).eigenvalues for _ in range(replicas)]
    pooled = np.sort(np.concatenate(draws))
    bulk = fit_bulk(pooled, true.shape)
    mean, top, rand_top = float(pooled.mean()), float(true.eigenvalues[-1]), float(draws[0][-1])
    cut = weightwatcher_cut(bulk, true.shape, mean)
    return Randomised(
        max_rand_eval=float(pooled[-1]),
        rand_num_spikes=bulk.outliers,
        rand_num_spikes_ww=int((pooled > cut).sum()),
        rand_sigma_mp=float(np.sqrt(bulk.level / mean)),
        rand_bulk_min=bulk.low,
        rand_bulk_max=bulk.high,
        rand_mp_softrank=bulk.high / float(pooled[-1]),
        ww_softrank=rand_top / top,
        ww_maxdist=top - rand_top,
        rand_distance=shannon_distance(true.eigenvalues, draws[0]),
        rand_ks=spectral_distance(true.eigenvalues, draws[0]),
        replicas=replicas,
    )


@observable(
    on="weight",
    unit="count",
    symmetries={"scale", "sign"},
    null="marchenko_pastur",
    source="martin2025setol",
)
def correlation_traps(w: ArrayLike, rng: np.random.Generator | None = None) -> float:
    r"""Outliers of the shuffled matrix: directions made by a few huge entries, not by order among many.

    .. math:: \#\{i : s_i^2(\pi W) > N\hat\sigma^2 (\mu + 2.0234\, s_{TW})\}

    with pi a random permutation of the entries and the cut of `mp_outliers`. A count; null 0, exceeded in
    1 % of matrices with light-tailed entries. The order is drawn from `rng`; without one, always the same.
    NaN when the short side is below 8 or the matrix is zero.

    Raises
    ------
    InputError
        Empty, non-finite or not a matrix.
    """
    a = finite(w, "the weight", ndim=2)
    if min(a.shape) < LEAST or not np.any(a):
        return float("nan")
    return mp_outliers(spectrum(shuffled(a, rng if rng is not None else np.random.default_rng(0))))
