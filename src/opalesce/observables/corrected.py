"""Corrections for the shape of the sample: participation ratio for few points, tails for the aspect ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite
from opalesce.observables.spectra import spectrum
from opalesce.observables.tails import PowerLawFit, fit_power_law

Array = NDArray[np.float64]


def participation_ratio_corrected(t1: float, t2: float, n: int) -> float:
    r"""Participation ratio of the true covariance, from a sample of n points.

    .. math::

        u_2 = \frac{\nu^2}{(\nu-1)(\nu+2)} \Big(t_2 - \frac{t_1^2}{\nu}\Big), \quad
        u_1 = t_1^2 - \frac{2 u_2}{\nu}, \quad \mathrm{PR} = u_1 / u_2, \quad \nu = n - 1

    t1 = tr S and t2 = tr S^2 of the sample covariance S (divisor n - 1, mean taken out). u2 and u1 are
    unbiased for tr Sigma^2 and (tr Sigma)^2 when the points are Gaussian (Srivastava 2005). The plain t1^2/t2
    is at most n - 1, and too low unless n is several times the answer. NaN where u2 is not positive: too few
    points to tell.

    Parameters
    ----------
    t1, t2 : float
        Traces; t2 is the squared Frobenius norm, so no eigendecomposition is needed.
    n : int
        Points; 4 or more.

    Raises
    ------
    InputError
        Fewer than 4 points, or traces that no covariance has.
    """
    if n < 4:
        raise InputError("too few points to correct", expected="4 or more", got=str(n))
    if not (np.isfinite(t1) and np.isfinite(t2) and t1 > 0 and 0 < t2 <= t1**2 * (1 + 1e-9)):
        raise InputError(
            "not the traces of a covariance", expected="t1 > 0, 0 < t2 <= t1^2", got=f"{t1:g}, {t2:g}"
        )
    nu = n - 1
    u2 = nu**2 / ((nu - 1) * (nu + 2)) * (t2 - t1**2 / nu)
    u1 = t1**2 - 2 * u2 / nu
    return float(u1 / u2) if u2 > 0 else float("nan")


@dataclass(frozen=True)
class Farms:
    """Eigenvalues of submatrices of one aspect ratio, and the power law of all of them.

    Attributes
    ----------
    eigenvalues : array
        Of every window, pooled, ascending.
    shape : (rows, columns)
        Of each window.
    windows : int
        How many.
    fit : PowerLawFit
        Its stderr takes the eigenvalues of overlapping windows for independent: it is too small by up to
        the square root of their overlap.
    """

    eigenvalues: Array
    shape: tuple[int, int]
    windows: int
    fit: PowerLawFit


def _places(length: int, window: int, most: int) -> NDArray[np.int64]:
    """Starts of windows from one end to the other, evenly spaced, overlapping where they must."""
    needed = min(-(-length // window), most)
    return np.unique(np.linspace(0, length - window, needed).round().astype(np.int64))


def farms(w: ArrayLike, ratio: float = 1.0, side: int | None = None, most: int = 8) -> Farms:
    r"""Tail of the spectrum at a fixed aspect ratio, so that matrices of different shape can be compared.

    .. math:: \rho_{FARMS} = \frac1K \sum_{k=1}^{K} \rho(W_k^T W_k)

    over windows W_k of `side` rows and ratio * side columns (the matrix turned so that rows are the longer
    side) that cover W evenly. The exponent of a whole matrix depends on N/M even when nothing else differs;
    that of windows does not (Hu et al. 2025, the idea; how windows are placed is ours [R]). Eigenvalues
    within a window's numerical floor are left out of the fit.

    Parameters
    ----------
    ratio : float
        Columns over rows of a window, 0 < ratio <= 1.
    side : int, optional
        Rows of a window; the largest that fits when not given.
    most : int
        At most this many windows along either side.

    Raises
    ------
    InputError
        Empty, non-finite or not a matrix; a window that does not fit; no two distinct eigenvalues.
    """
    a = finite(w, "the weight", ndim=2)
    tall = a if a.shape[0] >= a.shape[1] else a.T
    if not 0 < ratio <= 1 or most < 1:
        raise InputError("no such window", expected="0 < ratio <= 1, most >= 1", got=f"{ratio:g}, {most}")
    rows = side if side is not None else min(tall.shape[0], int(tall.shape[1] / ratio))
    columns = max(1, round(ratio * rows))
    if not (1 <= rows <= tall.shape[0] and columns <= tall.shape[1]):
        raise InputError(
            "the window does not fit", expected=f"within {tall.shape}", got=f"({rows}, {columns})",
            fix="a smaller side",
        )  # fmt: skip
    parts: list[Array] = []
    resolved: list[Array] = []
    for i in _places(tall.shape[0], rows, most):
        for j in _places(tall.shape[1], columns, most):
            s = spectrum(tall[i : i + rows, j : j + columns])
            parts.append(s.values**2)
            resolved.append(s.values[s.values > s.floor] ** 2)
    kept = np.concatenate(resolved)
    if np.unique(kept).size < 2:
        raise InputError("no spectrum to fit", expected="two distinct eigenvalues", got=str(kept.size))
    top = float(kept.max())
    fit = fit_power_law(kept / top)
    scaled = PowerLawFit(
        fit.alpha, fit.stderr, fit.xmin * top, fit.distance, fit.n_tail, fit.n, fit.discrete, fit.status
    )
    return Farms(np.sort(np.concatenate(parts)), (rows, columns), len(parts), scaled)
