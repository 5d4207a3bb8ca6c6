"""Noise of a witness: an Ornstein-Uhlenbeck process whose size may drift, mixed with stated errors.

The covariance of the n observations is s^2 C, with the scale s^2 always estimated and C from a
grid (docs/decisions/0002-court-noise.md):

    without stated errors   C = S R S,                    S = diag(drift ** ((i - mean) / n))
    with stated errors      C = (1 - lam) D + lam R   or  C = D^(1/2) R D^(1/2),
                            D = diag(se^2) / mean(se^2)

    R[i, j] = phi ** (|t_i - t_j| / delta),  delta the median spacing of t,

so phi is the correlation of neighbours. The clock t is u, or the raw axis x where that is another
thing: noise of a trainer is as long as so many steps, not as so many decades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# From white noise to nearly a random walk. The scan statistic hardly depends on phi
# (docs/decisions/0002-court-noise.md), so a coarse grid is enough.
PHIS = (0.0, 0.4, 0.75, 0.94, 0.995)
CLOCK_PHIS = (0.5, 0.85)
DRIFTS = (0.2, 1.0, 5.0)  # noise sd at the end over that at the start
LAMS = (0.0, 0.5, 1.0)
PHIS_WITH_ERRORS = (0.0, 0.5, 0.85, 0.98)
CLOCK_PHIS_WITH_ERRORS = (0.5, 0.9)


@dataclass(frozen=True)
class Noise:
    """One point of the noise grid.

    `phi`: correlation of neighbours; `drift`: sd at the end over sd at the start; `lam`: share of
    the OU part beside the stated errors, None when the errors scale it; `raw`: correlated along
    the raw axis instead of u.
    """

    phi: float
    drift: float = 1.0
    lam: float | None = 1.0
    raw: bool = False


def spacing(u: Array) -> float:
    """Median distance of neighbours, the unit in which correlation and widths are counted."""
    return float(np.median(np.diff(u)))


def grid(stated: bool, clock: bool) -> tuple[Noise, ...]:
    """The noise models over which every p-value is maximised.

    Parameters
    ----------
    stated : bool
        Standard errors are stated.
    clock : bool
        The raw axis is not u.
    """
    if not stated:
        out = [Noise(phi, drift) for phi in PHIS for drift in DRIFTS]
        return tuple(out + [Noise(phi, raw=True) for phi in CLOCK_PHIS if clock])
    pairs = sorted({(phi if lam > 0 else 0.0, lam) for phi in PHIS_WITH_ERRORS for lam in LAMS})
    out = [Noise(phi, lam=lam) for phi, lam in pairs]
    out += [Noise(phi, lam=None) for phi in PHIS_WITH_ERRORS[1:]]
    return tuple(out + [Noise(phi, lam=None, raw=True) for phi in CLOCK_PHIS_WITH_ERRORS if clock])


def covariance(u: Array, noise: Noise, stderr: Array | None = None, clock: Array | None = None) -> Array:
    """C of the module docstring, shape (n, n), with mean diagonal 1.

    Parameters
    ----------
    u : array, shape (n,)
        Increasing axis coordinates.
    noise : Noise
    stderr : array, shape (n,), optional
        Stated standard errors; only their ratios matter.
    clock : array, shape (n,), optional
        Raw axis, for noise correlated along it.
    """
    n = len(u)
    t = clock if noise.raw and clock is not None else u
    ou = noise.phi ** (np.abs(t[:, None] - t[None, :]) / spacing(t)) if noise.phi > 0 else np.eye(n)
    if stderr is None:
        sd = noise.drift ** (np.arange(n) / (n - 1.0))
    elif noise.lam is None:
        sd = stderr
    else:
        share = np.diag(stderr**2 / np.mean(stderr**2))
        return (1.0 - noise.lam) * share + noise.lam * ou
    sd = sd / np.sqrt(np.mean(sd**2))
    return np.asarray(sd[:, None] * ou * sd[None, :])
