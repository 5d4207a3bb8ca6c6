r"""From partition functions to spectra: mass exponents tau(q), Legendre transform, emergence.

Two conventions meet here. *Box* exponents belong to a sum over boxes, :math:`\sum_B \mu_B^q \sim
\epsilon^{\tau(q)}`; *node* exponents to a sum over centres, :math:`\sum_i \mu(B_r(i))^q \sim r^{\tau(q)}`, so
that :math:`\tau_{node}(q) = \tau_{box}(q + 1)`. The node spectrum peaks at f = 0, and its alpha there is the
information dimension :math:`D_1` of the boxes, not :math:`D_0`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from opalesce.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

Q = np.round(np.arange(-30, 31) / 10, 1)  # -3.0 ... 3.0 in steps of 0.1, as published


@dataclass(frozen=True)
class MassExponents:
    """tau(q) with the fit behind it.

    Attributes
    ----------
    q, tau : arrays, shape (K,)
        Moments, ascending, and mass exponents.
    r2 : array, shape (K,)
        R^2 of each straight line; NaN where ln Z does not vary (q = 0 of node sums).
    window : (float, float)
        Smallest and largest radius of the fit.
    nodes : int
        Terms of the partition function.
    """

    q: Array
    tau: Array
    r2: Array
    window: tuple[float, float]
    nodes: int = 0

    def at(self, q: float) -> float:
        """tau at one of the moments (linear between neighbours).

        Raises
        ------
        InputError
            When q lies outside the grid.
        """
        if not self.q[0] <= q <= self.q[-1]:
            raise InputError("no such moment", expected=f"{self.q[0]:g} to {self.q[-1]:g}", got=f"{q:g}")
        return float(np.interp(q, self.q, self.tau))


@dataclass(frozen=True)
class SingularitySpectrum:
    """f(alpha), point by point along q.

    Attributes
    ----------
    q, alpha, f : arrays
    alpha0 : float
        "Regularity": alpha at the top of f (backward difference) or the slope of tau at q = 0 (central).
    width : float
        "Heterogeneity": max alpha - min alpha.
    """

    q: Array
    alpha: Array
    f: Array
    alpha0: float
    width: float


def slopes(log_z: ArrayLike, log_r: ArrayLike) -> tuple[Array, Array]:
    """Least-squares slopes of ln Z_q against ln r and their R^2.

    Parameters
    ----------
    log_z : array, shape (radii, K)
    log_r : array, shape (radii,)

    Raises
    ------
    InputError
        Fewer than two distinct radii, or shapes that do not agree.
    """
    z, x = np.asarray(log_z, float), np.asarray(log_r, float)
    if x.ndim != 1 or z.ndim != 2 or len(z) != len(x) or x.size < 2 or np.ptp(x) == 0.0:
        raise InputError(
            "no line can be fitted",
            expected="2 or more radii, one row of ln Z each",
            got=f"{x.shape}, {z.shape}",
        )
    dx = x - x.mean()
    dz = z - z.mean(axis=0)
    slope = dx @ dz / (dx @ dx)
    total = (dz**2).sum(axis=0)
    left = ((dz - dx[:, None] * slope) ** 2).sum(axis=0)
    flat = total <= 1e-24 * len(x)
    r2 = np.where(flat, np.nan, 1 - left / np.where(flat, 1.0, total))
    return np.asarray(slope), r2


def legendre(m: MassExponents, difference: Literal["backward", "central"] = "central") -> SingularitySpectrum:
    r"""Legendre transform of tau.

    .. math:: \alpha = d\tau/dq, \quad f = q \alpha - \tau

    `backward` is the published rule: :math:`\alpha_k = (\tau(q_k) - \tau(q_{k-1}))/(q_k - q_{k-1})`, f taken
    at the left end :math:`q_{k-1}`, :math:`\alpha_0` at the largest f. In node sums f is exactly 0 on both
    sides of q = 0, so there rounding decides between two neighbours. `central` takes numpy's second-order
    gradient and defines :math:`\alpha_0` as the slope of tau at the top of f: at q = 0.

    Raises
    ------
    InputError
        Fewer than three moments, moments not ascending, an unknown difference; central without q = 0.
    """
    q, tau = m.q, m.tau
    if q.size < 3 or (np.diff(q) <= 0).any():
        raise InputError("moments must ascend", expected="3 or more, ascending", got=str(q.size))
    if difference == "backward":
        alpha = np.diff(tau) / np.diff(q)
        f = q[:-1] * alpha - tau[:-1]
        return SingularitySpectrum(q[:-1], alpha, f, float(alpha[np.argmax(f)]), float(np.ptp(alpha)))
    if difference != "central":
        raise InputError("unknown difference", expected="backward or central", got=repr(difference))
    zero = np.flatnonzero(np.isclose(q, 0.0))
    if not zero.size:
        raise InputError("alpha_0 is the slope of tau at q = 0", expected="q = 0 among the moments")
    alpha = np.gradient(tau, q, edge_order=2)
    return SingularitySpectrum(q, alpha, q * alpha - tau, float(alpha[zero[0]]), float(np.ptp(alpha)))


def emergence(width: float, alpha0: float, width0: float, alpha00: float) -> float:
    r"""Degree of emergence.

    .. math:: E = \frac{w}{w_0} \ln \frac{\alpha_{0}(0)}{\alpha_0}

    w, alpha_0 now; w_0, alpha_0(0) at initialisation. 0 at initialisation; above 0 needs alpha_0 to fall
    (Xiao et al. 2025, degree of emergence). NaN where w_0 or an alpha is not positive. **In the published
    (paper) mode a plain rescaling of all weights gives the published size of E; see the footguns.**
    """
    if not (width0 > 0 and alpha0 > 0 and alpha00 > 0):
        return float("nan")
    return float(width / width0 * np.log(alpha00 / alpha0))
