"""Scale factor of a cluster: how many training sites make one degree of freedom (brill2024neural, eq. 13)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from opalesce.errors import InputError
from opalesce.theory.checks import Array, numbers, positive


def cluster_loss(training: ArrayLike, scale: ArrayLike, ratio: float) -> Array:
    r"""Loss of one standardised cluster, :math:`L_k = \max(n/f_k, 1)^{-c/D}` (eq. 13).

    Raises
    ------
    InputError
        Negative number of training sites, scale factor not positive.
    """
    n, f = numbers(training, "training", 0.0), numbers(scale, "scale", np.nextafter(0, 1))
    return np.asarray(np.maximum(n / f, 1.0) ** -positive(ratio, "ratio (c/D)"))


def fit_scale(training: ArrayLike, loss: ArrayLike, ratio: float) -> tuple[float, float]:
    r"""Scale factor f >= 1 by a robust fit of eq. 13 to a learning curve, and its standard error.

    Minimises the sum of Huber's function (bend at 1) of :math:`\ln L_i - \ln \max(n_i/f, 1)^{-c/D}`, as
    the published notebook does with SciPy's `curve_fit`. Here the one parameter ln f is searched over a
    grid and then refined, so no start value is needed. Points with loss 0 have no logarithm
    and are left out.

    Parameters
    ----------
    training, loss : array_like, shape (n,)
    ratio : float
        c/D.

    Returns
    -------
    scale, stderr : float
        The error is from the curvature and the residual variance; NaN where no point lies on the slope.

    Raises
    ------
    InputError
        Fewer than 3 usable points, or shapes that differ.
    """
    n, y = numbers(training, "training", 0.0).ravel(), numbers(loss, "loss", 0.0).ravel()
    ratio = positive(ratio, "ratio (c/D)")
    if n.size != y.size:
        raise InputError("a learning curve has two lengths", expected="equal", got=f"{n.size} and {y.size}")
    keep = (y > 0) & (n > 0)
    if keep.sum() < 3:
        raise InputError(
            "too few points to fit a scale factor", expected="3 or more", got=str(int(keep.sum()))
        )
    log_n, log_y = np.log(n[keep]), np.log(y[keep])

    def residuals(log_f: Array) -> Array:
        return np.asarray(log_y + ratio * np.maximum(log_n - log_f[:, None], 0.0))

    def cost(log_f: ArrayLike) -> Array:
        r = np.abs(residuals(np.atleast_1d(np.asarray(log_f, float))))
        return np.asarray(np.where(r <= 1, 0.5 * r**2, r - 0.5).sum(axis=1))

    grid = np.linspace(0.0, max(log_n.max(), 1e-6), 257)
    at = int(np.argmin(cost(grid)))
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, grid.size - 1)]
    best = minimize_scalar(
        lambda v: float(cost(v)[0]), bounds=(low, high), method="bounded", options={"xatol": 1e-8}
    )
    log_f = float(best.x) if best.fun <= cost(grid[at])[0] else float(grid[at])
    sloped = int((log_n > log_f).sum())
    if sloped == 0:
        return float(np.exp(log_f)), float("nan")
    spread = float(np.mean(np.minimum(np.abs(residuals(np.array([log_f]))), 1.0) ** 2))
    return float(np.exp(log_f)), float(np.exp(log_f) * np.sqrt(spread / sloped) / ratio)
