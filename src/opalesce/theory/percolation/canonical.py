r"""From counts to probabilities: the binomial convolution of Newman and Ziff.

.. math::

    Q(p) = \sum_n B(M, n, p)\, Q_n, \quad B(M, n, p) = \binom{M}{n} p^n (1-p)^{M-n}, \quad
    \frac{dQ}{dp} = \sum_n B(M, n, p)\, \frac{n - Mp}{p(1-p)}\, Q_n

(Newman and Ziff 2001, eq. 2). Mandatory before any threshold: at L = 64 the microcanonical wrapping
probability is off by 0.02.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from opalesce.theory.percolation.sweep import Sweeps

    Array = NDArray[np.float64]

CUT = 8.0  # standard deviations; what lies beyond is below 1e-14
EVENTS = ("either", "all", "axis", "one")


def binomial(m: int, p: float) -> tuple[int, Array]:
    """Binomial probabilities within 8 standard deviations (at least 40 counts) of the mean.

    Ratios of neighbours are added up in logs outward from the mode, then normalised: no gamma function,
    no cancellation. Returns the first count and the probabilities from there on.

    Raises
    ------
    InputError
        p outside [0, 1].
    """
    if not 0 <= p <= 1:
        raise InputError("occupation probability out of range", expected="0 <= p <= 1", got=f"{p:g}")
    if p in (0.0, 1.0):
        return int(m * p), np.ones(1)
    mode = min(int((m + 1) * p), m)
    half = int(CUT * np.sqrt(m * p * (1 - p))) + 40
    low, high = max(mode - half, 0), min(mode + half, m)
    n = np.arange(low, high)  # ratio B(n + 1) / B(n)
    steps = np.log((m - n) / (n + 1.0)) + np.log(p / (1 - p))
    up = np.cumsum(steps[mode - low :])
    down = -np.cumsum(steps[: mode - low][::-1])[::-1]
    b = np.exp(np.concatenate([down, [0.0], up]))
    return low, b / b.sum()


def _weights(m: int, counts: NDArray[np.int64], p: float, derivative: bool) -> Array:
    """Weight of each recorded count; between recorded counts the quantity is taken as linear."""
    low, b = binomial(m, p)
    n = np.arange(low, low + len(b))
    if derivative:
        if p in (0.0, 1.0):
            raise InputError("no derivative at the ends of the range", expected="0 < p < 1", got=f"{p:g}")
        b = b * (n - m * p) / (p * (1 - p))
    inside = (n >= counts[0]) & (n <= counts[-1])
    # the window of a sweep is rounded outward by two counts, the cut of `binomial` by 40: they may differ
    if (outside := float(np.abs(b[~inside]).sum())) > 1e-9 * float(np.abs(b).sum()):
        raise InputError(
            "p lies outside the window of the sweeps",
            expected=f"occupied counts from {counts[0]} to {counts[-1]}",
            got=f"p = {p:g} with a share {outside:.1e} beyond",
            fix="sweep with a wider window",
        )
    n, b = n[inside], b[inside]
    right = np.clip(np.searchsorted(counts, n), 1, max(len(counts) - 1, 1))
    out = np.zeros(len(counts))
    if len(counts) == 1:
        out[0] = b.sum()
        return out
    share = (n - counts[right - 1]) / (counts[right] - counts[right - 1])
    np.add.at(out, right, b * share)
    np.add.at(out, right - 1, b * (1 - share))
    return out


def batch_means(sweeps: Sweeps, name: str, p: ArrayLike, derivative: bool = False) -> Array:
    """Canonical average of a quantity in each batch, shape (batches, len(p)).

    For nonlinear functions of averages and for bootstraps; parameters as in `canonical`.
    """
    ps = np.atleast_1d(np.asarray(p, float))
    sums = sweeps.batch_sums(name)
    weights = np.array([_weights(sweeps.m, sweeps.counts, float(x), derivative) for x in ps])
    return np.asarray((sums @ weights.T) / sweeps.per_batch[:, None])


def over_batches(means: Array, per_batch: NDArray[np.int64]) -> tuple[Array, Array]:
    """Mean over batches, weighted by their sweeps, and its standard error (NaN for one batch)."""
    share = per_batch / per_batch.sum()
    mean = share @ means
    if len(share) < 2:
        return mean, np.full_like(mean, np.nan)
    spread = (per_batch @ (means - mean) ** 2) / (len(share) - 1)
    return mean, np.sqrt(spread / per_batch.sum())


def canonical(sweeps: Sweeps, name: str, p: ArrayLike, derivative: bool = False) -> tuple[Array, Array]:
    """Average of a size quantity at occupation probability p, or its derivative by p.

    Parameters
    ----------
    sweeps : Sweeps
    name : {"S1", "S1^2", "S1^4", "S2", "M2", "clusters"}
        In nodes (powers of nodes), not shares.
    p : float or array, shape (P,)
    derivative : bool

    Returns
    -------
    mean, stderr : arrays, shape (P,)
        Standard error over batches of sweeps.

    Raises
    ------
    InputError
        Unknown quantity, p outside [0, 1] or outside the window that was swept.
    """
    return over_batches(batch_means(sweeps, name, p, derivative), sweeps.per_batch)


def susceptibility(sweeps: Sweeps, p: ArrayLike) -> tuple[Array, Array]:
    r"""Mean cluster size without the largest cluster, per node, and its standard error.

    .. math:: \chi'(p) = \langle M_2 - S_1^2 \rangle / n

    Raises InputError as `canonical`.
    """
    per_batch = batch_means(sweeps, "M2", p) - batch_means(sweeps, "S1^2", p)
    return over_batches(per_batch / sweeps.n, sweeps.per_batch)


def has_happened(sweeps: Sweeps, p: float, event: str = "either", derivative: bool = False) -> Array:
    """Probability of an event at p for each sweep, given its order; shape (sweeps,). See `probability`.

    Raises
    ------
    InputError
        Unknown event, nothing watched, p beyond the last swept count, no derivative at 0 and 1.
    """
    if event not in EVENTS:
        raise InputError("unknown event", expected=", ".join(EVENTS), got=repr(event))
    if not sweeps.wrapped.shape[1]:
        raise InputError(
            "nothing that wraps or spans was watched", fix="sweep a lattice, or a graph with ends"
        )
    low, b = binomial(sweeps.m, p)
    if sweeps.stop < min(low + len(b) - 1 - 40, sweeps.m):
        raise InputError(
            "p lies beyond the last element swept",
            expected=f"p below about {sweeps.stop / sweeps.m:.4g}",
            got=f"{p:g}",
            fix="sweep with a wider window",
        )
    if derivative:
        if p in (0.0, 1.0):
            raise InputError("no derivative at the ends of the range", expected="0 < p < 1", got=f"{p:g}")
        b = b * (np.arange(low, low + len(b)) - sweeps.m * p) / (p * (1 - p))
    tail = np.append(np.cumsum(b[::-1])[::-1], 0.0)  # tail[k] = sum of b from count low + k on
    at = np.clip(sweeps.wrapped - low, 0, len(b))
    if event == "either":
        return np.asarray(tail[at.min(axis=1)])
    if event == "all":
        return np.asarray(tail[at.max(axis=1)])
    if event == "axis":
        return np.asarray(tail[at].mean(axis=1))
    return np.asarray((tail[at.min(axis=1)] - tail[at.max(axis=1)]) / 2)


def probability(
    sweeps: Sweeps, p: ArrayLike, event: str = "either", derivative: bool = False
) -> tuple[Array, Array]:
    """Probability that a cluster wraps (or spans) at p, or its derivative; exact for each sweep.

    Parameters
    ----------
    sweeps : Sweeps
    p : float or array, shape (P,)
    event : {"either", "all", "axis", "one"}
        Around any axis; around every axis; around one given axis (averaged over the axes); in 2-D,
        around one given axis and not the other.
    derivative : bool

    Returns
    -------
    mean, stderr : arrays, shape (P,)

    Raises
    ------
    InputError
        As `has_happened`.
    """
    ps = np.atleast_1d(np.asarray(p, float))
    if event == "one" and sweeps.wrapped.shape[1] != 2:
        raise InputError("one axis and not the other: only in 2-D", got=f"{sweeps.wrapped.shape[1]} axes")
    each = [has_happened(sweeps, float(x), event, derivative) for x in ps]
    few = len(each[0]) < 2
    stderr = [np.nan if few else r.std(ddof=1) / np.sqrt(len(r)) for r in each]
    return np.array([r.mean() for r in each]), np.array(stderr)
