r"""Null values of object integrity Omega, for coordinates that mean nothing.

All are limits of large d for independent coordinates, :math:`\Omega = 1 - \langle|x|\rangle /
\sqrt{\langle x^2 \rangle}` (derived here). The "liquid" baseline of a Gaussian cloud is 0.202, not 0: quote
differences from it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from opalesce.errors import InputError

GAUSSIAN_SD = 0.2123  # of Omega over vectors, times sqrt(d): sqrt((1 - 3/pi) / 1) by the delta method


def gaussian() -> float:
    r"""Normal coordinates: :math:`1 - \sqrt{2/\pi}` = 0.20212."""
    return float(1 - np.sqrt(2 / np.pi))


def gaussian_spread(d: int) -> float:
    r"""Standard deviation over vectors for normal coordinates: :math:`\sqrt{1 - 3/\pi}/\sqrt d` =
    0.2123/sqrt(d).
    """
    return float(np.sqrt((1 - 3 / np.pi) / d))


def uniform() -> float:
    r"""Uniform on (-1, 1): :math:`1 - \sqrt 3/2` = 0.13397."""
    return float(1 - np.sqrt(3) / 2)


def laplace() -> float:
    r"""Laplace: :math:`1 - 1/\sqrt 2` = 0.29289."""
    return float(1 - 1 / np.sqrt(2))


def student(nu: float) -> float:
    r"""Student t with nu > 2 degrees of freedom: :math:`1 - \langle|t|\rangle \sqrt{(\nu - 2)/\nu}`.

    Reached slowly for small nu (0.353 at d = 2048 for nu = 3, where the limit is 0.3634).

    Raises
    ------
    InputError
        nu at or below 2: the second moment does not exist.
    """
    if not nu > 2:
        raise InputError("no limit", expected="nu > 2", got=f"{nu:g}")
    log_ratio = gammaln((nu + 1) / 2) - gammaln(nu / 2)
    mean = 2 * np.sqrt(nu) * np.exp(log_ratio) / (np.sqrt(np.pi) * (nu - 1))
    return float(1 - mean * np.sqrt((nu - 2) / nu))


def sparse(share: float) -> float:
    r"""Normal coordinates kept with probability rho, else 0: :math:`1 - \sqrt{2\rho/\pi}`.

    Raises
    ------
    InputError
        Unless 0 < rho <= 1.
    """
    if not 0 < share <= 1:
        raise InputError("a share lies between 0 and 1", got=f"{share:g}")
    return float(1 - np.sqrt(2 * share / np.pi))


def one_massive(size: float, d: int) -> float:
    r"""One coordinate of size M among d - 1 unit normal ones.

    .. math:: \Omega = 1 - \frac{(d-1)\sqrt{2/\pi} + M}{\sqrt d \sqrt{d - 1 + M^2}}

    At d = 4096: 0.362 for M = 50, 0.557 for 100, 0.933 for 1000. A single massive activation makes a "phase
    transition" of Omega by itself.

    Raises
    ------
    InputError
        d below 2.
    """
    if d < 2:
        raise InputError("too few coordinates", expected="d >= 2", got=str(d))
    top = (d - 1) * np.sqrt(2 / np.pi) + abs(size)
    return float(1 - top / (np.sqrt(d) * np.sqrt(d - 1 + size**2)))
