"""Critical exponents of percolation and the relations between them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

from opalesce.errors import InputError

Number = TypeVar("Number", Fraction, float)


@dataclass(frozen=True)
class Exponents(Generic[Number]):
    """Exponents that follow from nu and D_f by scaling and hyperscaling.

    .. math::

        \\beta = \\nu (d - D_f), \\quad \\gamma = \\nu (2 D_f - d), \\quad \\tau = 1 + d / D_f, \\quad
        \\sigma = 1 / (\\nu D_f), \\quad \\alpha = 2 - d \\nu, \\quad \\delta = D_f / (d - D_f)

    (Stauffer and Aharony 1994, chapter 3.) Above six dimensions put d = 6: hyperscaling ends there.
    """

    d: int
    nu: Number
    fractal: Number

    @property
    def beta(self) -> Number:
        """Giant cluster: P grows as (p - p_c)^beta."""
        return self.nu * (self.d - self.fractal)

    @property
    def gamma(self) -> Number:
        """Mean finite cluster size diverges as |p - p_c|^-gamma."""
        return self.nu * (2 * self.fractal - self.d)

    @property
    def tau(self) -> Number:
        """Number of clusters of size s at p_c falls as s^-tau."""
        return 1 + self.d / self.fractal

    @property
    def sigma(self) -> Number:
        """Largest finite size grows as |p - p_c|^(-1/sigma)."""
        return 1 / (self.nu * self.fractal)

    @property
    def alpha(self) -> Number:
        """Number of clusters: singular part |p - p_c|^(2 - alpha)."""
        return 2 - self.d * self.nu


EXACT_2D = Exponents(
    2, Fraction(4, 3), Fraction(91, 48)
)  # den Nijs 1979, Nienhuis 1980; Smirnov, Werner 2001
MEAN_FIELD = Exponents(6, Fraction(1, 2), Fraction(4))

# (value, standard error); xu2014simultaneous for d = 3 [M], zhang2021critical for d = 4, 5
NU = {2: (4 / 3, 0.0), 3: (0.87619, 1.2e-4), 4: (0.6845, 2.3e-3), 5: (0.574, 3e-3), 6: (0.5, 0.0)}
FRACTAL = {2: (91 / 48, 0.0), 3: (2.52293, 1e-4), 4: (3.0446, 7e-4), 5: (3.5260, 1.4e-3), 6: (4.0, 0.0)}
SHORTEST_PATH = {2: (1.13077, 2e-5), 3: (1.3756, 3e-4), 4: (1.6042, 5e-4), 5: (1.8137, 1.6e-3), 6: (2.0, 0.0)}


def exponents(d: int) -> Exponents[float]:
    """Exponents in d dimensions: exact for d = 2 and from 6 on, best published values between.

    d = 1 has nu = 1, beta = 0, gamma = 1, tau = 2, sigma = 1, D_f = 1. From d = 6 on the mean-field values
    (at d = 6 itself with logarithms).

    Raises
    ------
    InputError
        d below 1.
    """
    if d < 1:
        raise InputError("no such dimension", expected="d >= 1", got=str(d))
    if d == 1:
        return Exponents(1, 1.0, 1.0)
    at = min(d, 6)
    return Exponents(at, NU[at][0], FRACTAL[at][0])
