"""The density-threshold law: a capability that is nothing up to a density, and a power law beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from opalesce.laws.forms import Floats, Form

NEAR = 1e-6  # the threshold lies at least so far, in ln x, below the smallest x
FAR = 12.0


@dataclass(frozen=True)
class Threshold(Form):
    r"""A power law above a hard threshold.

    .. math:: y = A\,\left(\frac{x - x_c}{x_c}\right)^{\beta}, \quad x > x_c

    Fitted to data above it only (y is positive), so that x_c is at most the smallest x: a profile interval
    that is open above says that the data do not tell it from there. Internal parameters: ln A, beta, ln x_c.

    Source: ding2026percolation, eq. for C_eff in its reduced form; the same as
    `theory.npm.blayer.capability`, which is 0 up to the threshold.
    """

    key = "threshold"
    formula = "y = A ((x - xc) / xc)^beta"
    source = "ding2026percolation, capability (reduced form)"
    cites = ("ding2026percolation",)

    @property
    def names(self) -> tuple[str, ...]:
        """A, beta, xc."""
        return ("A", "beta", "xc")

    @property
    def alone(self) -> tuple[str, ...]:
        """All three: A has no unit of x."""
        return self.names

    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """See `Form.log_value`."""
        gap = np.maximum(u[0] - theta[:, 2, None], NEAR / 2)  # below the threshold there is no value
        rest = -np.expm1(-gap)
        beyond = gap + np.log(rest)
        beta = theta[:, 1, None]
        value = theta[:, 0, None] + beta * beyond
        return value, np.stack([np.ones_like(gap), beyond, -beta / rest], axis=-1)

    def natural(self, theta: Floats, centre: Floats) -> Floats:
        """See `Form.natural`."""
        a, beta, c = theta.T
        return np.stack([np.exp(a), beta, np.exp(c + centre[0])], axis=1)

    def bounds(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """beta from 0 to 10, x_c below the smallest x by up to e^12."""
        first = float(u[0].min())
        return np.array([-60.0, 0.0, first - FAR]), np.array([60.0, 10.0, first - NEAR])

    def starts(self, u: Floats, v: Floats) -> Floats:
        """Exponents and distances of the threshold from the smallest x."""
        first = float(u[0].min())
        rows = []
        for beta, gap in product((0.03, 0.1, 0.3, 1.0, 3.0), (0.05, 0.2, 0.7, 2.0, 6.0)):
            beyond = u[0] - (first - gap)
            rows.append([float((v - beta * np.log(np.expm1(beyond))).mean()), beta, first - gap])
        return np.array(rows)
