"""From exponents of percolation to exponents of scaling (brill2024neural, eqs 2-5, figure 4, table 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.checks import Array, positive

DIMENSIONS = (2, 3, 4, 5, 6, 7, 8)
# As in the paper's published notebook: exact in d = 2 and d >= 6, numerical between.
FISHER = (187 / 91, 2.1892, 2.3142, 2.419, 2.487, 2.5, 2.5)
FRACTAL = (91 / 48, 2.53, 3.06, 3.54, 4.0, 4.0, 4.0)


def quanta_exponent(fisher: float) -> float:
    r"""alpha of the rank law :math:`s_k \propto k^{-(\alpha+1)}` (eq. 4).

    .. math:: \alpha = \frac{3 - \tau}{\tau - 2}, \qquad \alpha + 1 = \frac{1}{\tau - 2}

    It holds for clusters drawn by their sites, :math:`P(S \ge s) \propto s^{2-\tau}` (eqs 2, 3).

    Parameters
    ----------
    fisher : float
        tau, between 2 and 3.

    Raises
    ------
    InputError
        tau outside (2, 3).
    """
    tau = positive(fisher, "Fisher exponent tau", 2, 3)
    return (3 - tau) / (tau - 2)


def rank_exponent(fisher: float, weighting: Literal["site", "cluster"]) -> float:
    r"""Exponent r of :math:`s_k \propto k^{-r}` for clusters of rank k.

    .. math:: r = 1/(\tau - 2) \;(\text{site}), \qquad r = 1/(\tau - 1) \;(\text{cluster})

    "site": each cluster is that of a random site and counted once, which is how the paper's data sets
    are grown, :math:`P(s) \propto s^{1-\tau}`. "cluster": all clusters of a lattice or a Yule-Simon
    process are listed, :math:`n_s \propto s^{-\tau}`. At tau = 5/2: 2 and 2/3. The paper's scaling laws need
    the first; the second has r < 1, so the largest clusters do not carry the loss.

    Raises
    ------
    InputError
        tau outside (2, 3), unknown weighting.
    """
    tau = positive(fisher, "Fisher exponent tau", 2, 3)
    if weighting not in ("site", "cluster"):
        raise InputError("unknown weighting", expected="'site' or 'cluster'", got=repr(weighting))
    return 1 / (tau - 2) if weighting == "site" else 1 / (tau - 1)


@dataclass(frozen=True)
class Map:
    """Figure 4: one entry a dimension.

    `model` is (c/D)/alpha and `data` is (c/D)/(alpha/(1+alpha)): above 1 the quanta limit the scaling,
    below 1 the manifold does.
    """

    dimension: Array
    fisher: Array
    fractal: Array
    alpha: Array
    model: Array
    data: Array


def exponent_map(manifold: float) -> Map:
    """Figure 4 for the manifold constant c: 2 piecewise constant, 4 piecewise linear.

    Raises
    ------
    InputError
        c not positive.
    """
    c = positive(manifold, "manifold constant c")
    tau, fractal = np.array(FISHER), np.array(FRACTAL)
    alpha = np.array([quanta_exponent(t) for t in FISHER])
    ratio = c / fractal
    return Map(np.array(DIMENSIONS, float), tau, fractal, alpha, ratio / alpha, ratio * (1 + alpha) / alpha)


def limit_exponent(
    kind: Literal["model", "data"], alpha: float, ratio: float, supercritical: bool = False
) -> float:
    r"""Exponent of the loss at large N or n (table 1).

    .. math:: \min(c/D, \alpha) \;(\text{model}), \qquad \min(c/D, \alpha/(1+\alpha)) \;(\text{data})

    Above the threshold one cluster of dimension d holds nearly all sites and both are c/d.

    Parameters
    ----------
    kind : {"model", "data"}
    alpha : float
    ratio : float
        c/D; c/d where `supercritical`.
    supercritical : bool

    Raises
    ------
    InputError
        Argument out of range.
    """
    alpha, ratio = positive(alpha, "alpha"), positive(ratio, "ratio (c/D)")
    if kind not in ("model", "data"):
        raise InputError("unknown kind of scaling", expected="'model' or 'data'", got=repr(kind))
    if supercritical:
        return ratio
    return min(ratio, alpha if kind == "model" else alpha / (1 + alpha))
