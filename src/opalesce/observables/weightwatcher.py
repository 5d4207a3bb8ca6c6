"""All of WeightWatcher's numbers for one layer under their own names, from one eigendecomposition.

Formulas as coded in WeightWatcher 0.7.7, thresholds and scale included (Martin, Peng and Mahoney 2021;
Martin and Hinrichs 2025), with the errors and the corrected cut that it lacks beside them. What agrees to how
many digits, and what differs on purpose: docs/explanation/weightwatcher.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.bulk import Bulk, fit_bulk
from opalesce.observables.inputs import finite
from opalesce.observables.spectra import spectrum
from opalesce.observables.tail_spectra import determinant_tail, log10_power_sum
from opalesce.observables.tails import fit_power_law

Array = NDArray[np.float64]
Method = Literal["gram", "svd"]
THRESHOLD = 1e-5  # eigenvalues at or below it are left out of the fit, whatever the scale of the weights
SMALL = 20  # below this many eigenvalues WeightWatcher 0.7.7 uses another rule
SMALL_TAIL = 8
EPSILON = 1e-10  # added to every share in its entropy


@dataclass(frozen=True)
class Layer:
    """Eigenvalues of one layer, those of its slices pooled.

    Attributes
    ----------
    eigenvalues : array
        Squared singular values, ascending.
    shape : (N, M)
        Of each slice, N >= M.
    slices : int
        1 for a matrix, the size of the receptive field for a convolution.
    """

    eigenvalues: Array
    shape: tuple[int, int]
    slices: int = 1


@dataclass(frozen=True)
class Details:
    """One row of WeightWatcher's table. `*_stderr` and `num_spikes` (Tracy-Widom) are ours.

    alpha_stderr is their sigma; mp_softrank, bulk_min and bulk_max come from the fit of
    `opalesce.observables.bulk`; num_spikes_ww counts above their cut with that same fit.
    """

    alpha: float
    alpha_stderr: float
    D: float
    xmin: float
    num_pl_spikes: int
    alpha_weighted: float
    alpha_weighted_stderr: float
    log_alpha_norm: float
    log_norm: float
    log_spectral_norm: float
    stable_rank: float
    matrix_rank: int
    rank_loss: int
    entropy: float
    detX_num: int
    detX_val: float
    sigma_mp: float
    bulk_min: float
    bulk_max: float
    mp_softrank: float
    num_spikes: int
    num_spikes_ww: int
    warning: str
    status: str


def convolution_slices(kernel: ArrayLike) -> list[NDArray[np.floating]]:
    """The i * j matrices (out, in) of a kernel of shape (out, in, i, j), longer side first.

    Raises
    ------
    InputError
        Empty, non-finite, or not four dimensions.
    """
    k = finite(kernel, "the kernel", ndim=4)
    flip = k.shape[0] < k.shape[1]
    return [k[:, :, i, j].T if flip else k[:, :, i, j] for i in range(k.shape[2]) for j in range(k.shape[3])]


def _slices(weight: ArrayLike) -> list[NDArray[np.floating]]:
    return convolution_slices(weight) if np.ndim(weight) == 4 else [finite(weight, "the weight", ndim=2)]


def _pooled(slices: Sequence[ArrayLike], norm: float, method: Method) -> Layer:
    """Eigenvalues of all slices, each multiplied by `norm`."""
    parts = [spectrum(w, method) for w in slices]
    values = np.sort(np.concatenate([(norm * p.values) ** 2 for p in parts]))
    shape = parts[0].shape
    return Layer(values, (max(shape), min(shape)), len(parts))


def conv2d_norm(slices: int, pool: bool = True) -> float:
    r"""What WeightWatcher multiplies the slices of a convolution by: :math:`\sqrt{rf/2}`.

    With `pool` (its default) its count of slices is still 1 at that point, so the factor is
    :math:`\sqrt{1/2}`; slice by slice it is :math:`\sqrt{rf/2}` as documented.
    """
    return float(np.sqrt((1 if pool else slices) / 2))


def layer(weight: ArrayLike, norm: float | None = None, method: Method = "gram") -> Layer:
    """Eigenvalues of a matrix, or of a kernel (out, in, i, j) as WeightWatcher pools them.

    Parameters
    ----------
    weight : array, 2 or 4 dimensions
        The weights.
    norm : float, optional
        Factor on a kernel's weights; `conv2d_norm` when not given. A matrix is left as it is.
    method : {"gram", "svd"}
        See `spectrum`. "gram" is several times faster and calls singular values below 1e-7 of the largest
        zero, which counts in the rank and entropy of matrices that lack rank; "svd" resolves what
        WeightWatcher resolves.

    Raises
    ------
    InputError
        Empty, non-finite, or neither 2 nor 4 dimensions.
    """
    slices = _slices(weight)
    if norm is None:
        norm = conv2d_norm(len(slices)) if np.ndim(weight) == 4 else 1.0
    return _pooled(slices, norm, method)


def _fit(x: Array) -> tuple[float, float, float, float, str]:
    """alpha, sigma, D, xmin, status by the rule that WeightWatcher uses at this number of eigenvalues."""
    kept = x[x > THRESHOLD]
    if kept.size < 2:
        nan = float("nan")
        return nan, nan, nan, nan, f"{kept.size} eigenvalues above {THRESHOLD:g}: expected at least 2"
    if kept.size >= SMALL:
        fit = fit_power_law(kept)
        return fit.alpha, fit.stderr, fit.distance, fit.xmin, fit.status
    return _fit_small(kept)


def _fit_small(x: Array) -> tuple[float, float, float, float, str]:
    r"""Fewer than 20 eigenvalues: :math:`\alpha = 1 + (n-1)/\sum\ln`, tails of 8 or more, least D.

    Its code also scores :math:`D - 0.868/\sqrt n`, and then takes the least D all the same.
    """
    found, least = (np.nan, np.nan, np.nan, np.nan), np.inf
    for i in range(max(1, x.size - SMALL_TAIL + 1)):
        tail = x[i:]
        total = float(np.log(tail / tail[0]).sum())
        if total <= 1e-12:
            continue
        alpha = 1 + (tail.size - 1) / total
        steps = np.arange(tail.size) / tail.size
        distance = float(np.abs(1 - (tail / tail[0]) ** (1 - alpha) - steps).max())
        if distance < least:
            least = distance
            found = (alpha, (alpha - 1) / np.sqrt(tail.size), distance, float(tail[0]))
    return (*found, f"only {x.size} eigenvalues, fitted by WeightWatcher's rule for fewer than {SMALL}")


def weightwatcher_cut(bulk: Bulk, shape: tuple[int, int], mean: float) -> float:
    r"""Their cut for spikes: :math:`\lambda_+ + \sqrt{TW}`, eigenvalues in units of their mean.

    .. math:: TW = Q^{-1/2} \lambda_+^{2/3} M^{-2/3}, \quad Q = N/M

    Some eight Tracy-Widom scales above the edge at 2048 x 1024, where noise ends within three.
    """
    long, short = max(shape), min(shape)
    edge = bulk.high / mean
    width = (short / long) ** 0.5 * edge ** (2 / 3) * short ** (-2 / 3)
    return float(mean * (edge + np.sqrt(width)))


def details(x: Layer) -> Details:
    """Every quantity of one layer; NaN and a status where there is none.

    Raises
    ------
    InputError
        For a zero layer.
    """
    values = x.eigenvalues
    top = float(values[-1])
    if top <= 0:
        raise InputError(
            "a zero matrix has no spectrum to watch", expected="some non-zero weight", got="zeros"
        )
    alpha, sigma, distance, xmin, status = _fit(values)
    total = float(values.sum())
    log_top = float(np.log10(top))
    roots = np.sqrt(values)
    rank = int((roots > roots[-1] * x.shape[0] * np.finfo(np.float64).eps).sum())
    shares = values / total + EPSILON
    entropy = float(-(shares @ np.log(shares)) / np.log(rank + EPSILON)) if rank > 1 else float("nan")
    tail = determinant_tail(values)
    positive = values[values > 0]
    bulk = fit_bulk(values, x.shape)
    mean = float(values.mean())
    no_bulk = bool(bulk.status)
    return Details(
        alpha=alpha,
        alpha_stderr=sigma,
        D=distance,
        xmin=xmin,
        num_pl_spikes=int((values >= xmin).sum()),
        alpha_weighted=alpha * log_top,
        alpha_weighted_stderr=sigma * abs(log_top),
        log_alpha_norm=log10_power_sum(np.log(positive), alpha),
        log_norm=float(np.log10(total)),
        log_spectral_norm=log_top,
        stable_rank=total / top,
        matrix_rank=rank,
        rank_loss=values.size - rank,
        entropy=entropy,
        detX_num=tail,
        detX_val=float(values[-tail]),
        sigma_mp=float(np.sqrt(bulk.level / mean)),
        bulk_min=bulk.low,
        bulk_max=bulk.high,
        mp_softrank=bulk.high / top,
        num_spikes=bulk.outliers,
        num_spikes_ww=0 if no_bulk else int((values > weightwatcher_cut(bulk, x.shape, mean)).sum()),
        warning="over-trained" if alpha < 2 else "under-trained" if alpha > 6 else "",
        status="; ".join(s for s in (status, bulk.status) if s),
    )
