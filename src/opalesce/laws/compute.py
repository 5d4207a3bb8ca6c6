"""Loss of parameters and tokens together: the laws of Chinchilla and of Kaplan."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from opalesce.laws.forms import FLOOR, Floats, Form, log_sum


@dataclass(frozen=True)
class Chinchilla(Form):
    r"""Loss of parameters N and tokens D.

    .. math:: L(N, D) = E + A N^{-\alpha} + B D^{-\beta}

    Internal parameters: ln E, ln A and ln B at the centre of the data, alpha, beta.

    Source: hoffmann2022training, eq. 2.
    """

    key = "chinchilla"
    formula = "L = E + A N^(-alpha) + B D^(-beta)"
    source = "hoffmann2022training, eq. 2"
    cites = ("hoffmann2022training", "besiroglu2024chinchilla")
    inputs = ("N", "D")

    @property
    def names(self) -> tuple[str, ...]:
        """E, A, B, alpha, beta."""
        return ("E", "A", "B", "alpha", "beta")

    @property
    def alone(self) -> tuple[str, ...]:
        """E and the exponents."""
        return ("E", "alpha", "beta")

    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """See `Form.log_value`."""
        e = np.broadcast_to(theta[:, :1], (len(theta), u.shape[1]))
        a = theta[:, 1, None] - theta[:, 3, None] * u[0]
        b = theta[:, 2, None] - theta[:, 4, None] * u[1]
        value, (pe, pa, pb) = log_sum([e, a, b])
        return value, np.stack([pe, pa, pb, -pa * u[0], -pb * u[1]], axis=-1)

    def natural(self, theta: Floats, centre: Floats) -> Floats:
        """See `Form.natural`."""
        e, a, b, alpha, beta = theta.T
        return np.stack(
            [np.exp(e), np.exp(a + alpha * centre[0]), np.exp(b + beta * centre[1]), alpha, beta], axis=1
        )

    def bounds(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Wide; they keep a term from leaving the range of numbers."""
        return np.array([FLOOR, FLOOR, FLOOR, -1.0, -1.0]), np.array([v.max() + 1, 30.0, 30.0, 6.0, 6.0])

    def starts(self, u: Floats, v: Floats) -> Floats:
        """Exponents, the irreducible loss as a share of the smallest, how the two terms share the rest."""
        rows = []
        for alpha, beta, share, part in product(
            (0.15, 0.35, 0.7), (0.15, 0.35, 0.7), (0.5, 0.8, 0.97), (0.25, 0.5, 0.75)
        ):
            e = v.min() + np.log(share)
            rest = np.exp(np.median(v)) - np.exp(e)
            rows.append([e, np.log(part * rest), np.log((1 - part) * rest), alpha, beta])
        return np.array(rows)


def hoffmann_grid(centre: Floats) -> Floats:
    """The 4,500 starts of hoffmann2022training (Appendix D.2), in the internal parameters of `Chinchilla`."""
    exponents, levels = np.arange(5) / 2, np.arange(6) * 5.0
    rows = product(np.arange(-2, 3) / 2, levels, levels, exponents, exponents)
    out = np.array(list(rows))
    out[:, 1] -= out[:, 3] * centre[0]
    out[:, 2] -= out[:, 4] * centre[1]
    return out


@dataclass(frozen=True)
class Kaplan(Form):
    r"""Loss of non-embedding parameters N and tokens D.

    .. math:: L(N, D) = \left[(N_c/N)^{\alpha_N/\alpha_D} + D_c/D\right]^{\alpha_D}

    Internal parameters: ln of both terms at the centre of the data, alpha_N / alpha_D, ln alpha_D.

    Source: kaplan2020scaling, eq. 1.5.
    """

    key = "kaplan"
    formula = "L = [(Nc/N)^(alphaN/alphaD) + Dc/D]^alphaD"
    source = "kaplan2020scaling, eq. 1.5"
    cites = ("kaplan2020scaling",)
    inputs = ("N", "D")

    @property
    def names(self) -> tuple[str, ...]:
        """Nc, Dc, alphaN, alphaD."""
        return ("Nc", "Dc", "alphaN", "alphaD")

    @property
    def alone(self) -> tuple[str, ...]:
        """alpha_D; alpha_N is the product of two internal parameters."""
        return ("alphaD",)

    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """See `Form.log_value`."""
        a = theta[:, 0, None] - theta[:, 2, None] * u[0]
        b = theta[:, 1, None] - u[1]
        inner, (pa, pb) = log_sum([a, b])
        power = np.exp(theta[:, 3, None])
        value = power * inner
        return value, np.stack([power * pa, power * pb, -power * pa * u[0], value], axis=-1)

    def natural(self, theta: Floats, centre: Floats) -> Floats:
        """See `Form.natural`."""
        a, b, ratio, log_d = theta.T
        with np.errstate(divide="ignore", over="ignore"):
            n_c = np.exp(a / ratio + centre[0])
        return np.stack([n_c, np.exp(b + centre[1]), ratio * np.exp(log_d), np.exp(log_d)], axis=1)

    def bounds(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Wide, with both exponents positive."""
        return np.array([-60.0, -60.0, 1e-3, -8.0]), np.array([200.0, 200.0, 10.0, 1.5])

    def starts(self, u: Floats, v: Floats) -> Floats:
        """Exponents and how the two terms share the level of the data."""
        rows = []
        for ratio, power, part in product((0.4, 0.8, 1.5), (0.05, 0.1, 0.3), (0.2, 0.5, 0.8)):
            level = np.median(v) / power
            rows.append([level + np.log(part), level + np.log(1 - part), ratio, np.log(power)])
        return np.array(rows)
