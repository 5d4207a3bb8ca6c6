"""Noise of a witness: an Ornstein-Uhlenbeck process in u, mixed with the stated errors.

The covariance of the n observations is

    Sigma = s^2 [ (1 - lam) D + lam R_phi ],
    D = diag(se^2) / mean(se^2),   R_phi[i, j] = phi ** (|u_i - u_j| / delta),

with delta the median spacing, so phi is the correlation of neighbours on a regular axis.
Without stated errors lam = 1. The scale s^2 is always estimated: an evaluation repeated on the
same items scatters less along the axis than its standard error says, a noisy trainer more
(docs/decisions/0002-court-noise.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# From white noise to nearly a random walk. The scan statistic hardly depends on phi
# (docs/decisions/0002-court-noise.md), so a coarse grid is enough.
PHIS = (0.0, 0.2, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.98, 0.995)
LAMS = (0.0, 0.3, 0.7, 1.0)
PHIS_WITH_ERRORS = (0.0, 0.4, 0.7, 0.88, 0.98)


@dataclass(frozen=True)
class Noise:
    """One point of the noise grid: neighbour correlation `phi`, share `lam` of the OU part."""

    phi: float
    lam: float = 1.0


def spacing(u: Array) -> float:
    """Median distance of neighbours, the unit in which correlation and widths are counted."""
    return float(np.median(np.diff(u)))


def grid(stderr: Array | None) -> tuple[Noise, ...]:
    """The noise models over which every p-value is maximised."""
    if stderr is None:
        return tuple(Noise(p) for p in PHIS)
    pairs = {(p if lam > 0 else 0.0, lam) for p in PHIS_WITH_ERRORS for lam in LAMS}
    return tuple(Noise(p, lam) for p, lam in sorted(pairs))


def correlation(u: Array, noise: Noise, stderr: Array | None = None) -> Array:
    """Sigma / s^2 of the module docstring, shape (n, n).

    Parameters
    ----------
    u : array, shape (n,)
        Increasing axis coordinates.
    noise : Noise
    stderr : array, shape (n,), optional
        Stated standard errors; only their ratios matter.
    """
    n = len(u)
    gaps = np.abs(u[:, None] - u[None, :]) / spacing(u)
    ou = noise.phi**gaps if noise.phi > 0 else np.eye(n)
    if stderr is None:
        return ou
    shape = np.diag(stderr**2 / np.mean(stderr**2))
    return (1.0 - noise.lam) * shape + noise.lam * ou
