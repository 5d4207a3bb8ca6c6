r"""Probabilities that a cluster wraps the torus at the threshold, in two dimensions exactly.

With :math:`t(x) = \sum_{l \in Z} e^{-x l^2}` and the Dedekind eta function, a cluster winds (a, b) times,
and no other way, with probability

.. math::

    \pi_{ab}(\tau) = \frac{3\, t(6 \pi y) + t(2 \pi y / 3) - 4\, t(8 \pi y / 3)}
                          {\sqrt{6\, \mathrm{Im}\,\tau}\; |\eta(\tau)|^2}, \qquad
    y = \frac{|a + b \tau|^2}{\mathrm{Im}\,\tau}, \quad \gcd(a, b) = 1,

tau being the second period of the torus over the first (i for a square). Square torus: Pinson 1994 and
Newman and Ziff 2001, eqs. 12 to 17. For other tori [R]: the square formula with the exponent of the
winding sectors of the free field put in; it is invariant under tau -> tau + 1 and tau -> -1/tau and tested
against sweeps of triangular lattices. A cluster that wraps in two independent ways and none that wraps
are equally likely (duality), so each takes half of the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from opalesce.errors import InputError

# Simple cubic torus, sites and bonds together: Wang, Zhou, Zhang, Garoni and Deng 2013 [M]
CUBIC_AXIS, CUBIC_EITHER, CUBIC_ALL = 0.25780, 0.45997, 0.08041


@dataclass(frozen=True)
class Wrapping:
    """Probabilities at the threshold; the names are those of `canonical.probability`.

    `either`: around some axis; `first`, `second`: around axis 0, axis 1; `all`: around both, in whatever
    way; `axis`: mean of `first` and `second`; `one`: mean over the axes of "this one, not the other".
    """

    either: float
    first: float
    second: float
    all: float

    @property
    def axis(self) -> float:
        """Around one given axis, averaged over both."""
        return (self.first + self.second) / 2

    @property
    def one(self) -> float:
        """Around one given axis and not the other, averaged over both."""
        return (self.either - self.all) / 2


def torus(tau: complex = 1j) -> Wrapping:
    """Wrapping probabilities of a two-dimensional torus at the threshold, to about 1e-14.

    Parameters
    ----------
    tau : complex
        Period along axis 1 over the period along axis 0 (`Lattice.aspect`): i for the square, i r for
        a rectangle r times as long along axis 1, exp(i pi / 3) for the rhombus of triangular cells.

    Returns
    -------
    Wrapping
        Square: .69047372457017 either, .52105828924882 axis, .35164285392748 all, .16941543532135 one.

    Raises
    ------
    InputError
        The imaginary part of tau is not between 0.05 and 20.
    """
    if not 0.05 <= tau.imag <= 20:
        raise InputError("not the shape of a usable torus", expected="0.05 <= Im tau <= 20", got=str(tau))
    reach = int(8 * max(tau.imag, 1 / tau.imag) + abs(tau.real)) + 8
    ways = {
        (a, b): _winding(abs(a + b * tau) ** 2 / tau.imag, tau)
        for a in range(-reach, reach + 1)
        for b in range(reach + 1)
        if math.gcd(a, b) == 1 and (b > 0 or a > 0)  # (a, b) and (-a, -b) are the same way round
    }
    none = (1 - math.fsum(ways.values())) / 2
    only_0, only_1 = ways[1, 0], ways[0, 1]
    return Wrapping(1 - none, 1 - none - only_1, 1 - none - only_0, 1 - none - only_0 - only_1)


def _winding(y: float, tau: complex) -> float:
    top = 3 * _theta(6 * math.pi * y) + _theta(2 * math.pi * y / 3) - 4 * _theta(8 * math.pi * y / 3)
    return top / (math.sqrt(6 * tau.imag) * abs(_eta(tau)) ** 2)


def _theta(x: float) -> float:
    """Sum over all whole l of exp(-x l^2); for small x by Poisson summation."""
    if x < math.pi:
        return math.sqrt(math.pi / x) * _theta(math.pi**2 / x)
    return 1 + 2 * math.fsum(math.exp(-x * k * k) for k in range(1, 6))


def _eta(tau: complex) -> complex:
    """Dedekind eta, up to a phase: exp(i pi tau / 12) times the product of 1 - exp(2 pi i n tau)."""
    if tau.imag < 1:  # |eta(-1/tau)| = |tau|^(1/2) |eta(tau)| speeds it up; only |eta| is used
        other = -1 / tau
        if other.imag > tau.imag:
            return complex(abs(_eta(other)) / math.sqrt(abs(tau)))
    n = np.arange(1, int(7 / tau.imag) + 8)
    q = np.exp(2j * math.pi * tau * n)
    return complex(np.exp(1j * math.pi * tau / 12) * np.prod(1 - q))
