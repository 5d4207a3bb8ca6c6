r"""Laws of one positive quantity y in the logs of its inputs, each with an analytic Jacobian.

Every law here is a sum of positive terms, so that its log is a log-sum-exp. Inputs are centred logs
:math:`u = \ln x - \overline{\ln x}`: un-centred, an exponent and its coefficient are almost one parameter.
A law works on many parameter vectors at once: `theta` has shape (S, P), values (S, n), Jacobians (S, n, P).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
RISE = 2 * math.log(9)  # 10-90 % width of a logistic step, in units of its scale
FLOOR = -30.0  # log of an offset that no data can tell from zero


class Form(ABC):
    """A law. `names` are the reported parameters, `inputs` the quantities that it is a function of."""

    key: ClassVar[str]
    formula: ClassVar[str]
    source: ClassVar[str]
    cites: ClassVar[tuple[str, ...]]
    inputs: ClassVar[tuple[str, ...]] = ("x",)

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the reported parameters, in the order of `natural`."""

    @property
    @abstractmethod
    def alone(self) -> tuple[str, ...]:
        """Reported parameters that depend on one internal parameter only, which profiles hold fixed."""

    @abstractmethod
    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """ln y (S, n) and its derivative by theta (S, n, P) at centred logs u (k, n)."""

    @abstractmethod
    def natural(self, theta: Floats, centre: Floats) -> Floats:
        """Reported parameters (S, P) of internal ones, given the centres (k,) of the logs."""

    @abstractmethod
    def bounds(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Lowest and highest internal parameters for data u (k, n), v = ln y (n,)."""

    @abstractmethod
    def starts(self, u: Floats, v: Floats) -> Floats:
        """Structured starting points (S, P)."""


def log_sum(terms: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
    """ln sum exp of terms (S, n), and the share of each term (its derivative)."""
    top = np.maximum.reduce(list(terms))
    parts = [np.exp(t - top) for t in terms]
    total = np.add.reduce(parts)
    return top + np.log(total), [p / total for p in parts]


def softplus(t: Floats) -> Floats:
    """ln(1 + e^t) without overflow."""
    return np.asarray(np.maximum(t, 0.0) + np.log1p(np.exp(-np.abs(t))))


def _soft_step(t: Floats) -> tuple[Floats, Floats]:
    """softplus and its derivative, the logistic function, from one exponential."""
    small = np.exp(-np.abs(t))
    rise = 1.0 / (1.0 + small)
    return np.maximum(t, 0.0) + np.log1p(small), np.where(t < 0, small * rise, rise)


@dataclass(frozen=True)
class Broken(Form):
    r"""The broken neural scaling law with `breaks` breaks.

    .. math:: y = a + b\,x^{-c_0}\prod_{i=1}^{n}\left(1 + (x/d_i)^{1/f_i}\right)^{-c_i f_i}

    a is the limit, c_0 the first slope, c_i the change of slope at d_i, f_i > 0 the width of break i in ln x
    (its 10-90 % width is 4.394 f_i). Internal parameters: ln a, ln b, c_0, then c_i, ln d_i, ln f_i of each
    break. n = 0 is the power law with an offset; `offset=False` fixes a = 0.

    Source: caballero2023broken, eq. 1.
    """

    breaks: int = 1
    offset: bool = True
    key = "broken"
    formula = "y = a + b x^(-c0) prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)"
    source = "caballero2023broken, eq. 1"
    cites = ("caballero2023broken",)

    @property
    def names(self) -> tuple[str, ...]:
        """a (when there is an offset), b, c0, then c, d and f of each break."""
        more = [f"{s}{i}" for i in range(1, self.breaks + 1) for s in "cdf"]
        return (*(["a"] if self.offset else []), "b", "c0", *more)

    @property
    def alone(self) -> tuple[str, ...]:
        """All but b, which carries the unit of x."""
        return tuple(n for n in self.names if n != "b")

    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """See `Form.log_value`."""
        k, x = int(self.offset), u[0]
        z = theta[:, k, None] - theta[:, k + 1, None] * x
        jac = np.empty((*z.shape, theta.shape[1]))
        jac[..., k], jac[..., k + 1] = 1.0, -x
        for i in range(self.breaks):
            j = k + 2 + 3 * i
            c, log_f = theta[:, j, None], theta[:, j + 2, None]
            f = np.exp(log_f)
            t = (x - theta[:, j + 1, None]) / f
            soft, step = _soft_step(t)
            z = z - c * f * soft
            jac[..., j] = -f * soft
            jac[..., j + 1] = c * step
            jac[..., j + 2] = -c * f * (soft - t * step)
        if not self.offset:
            return z, jac
        rise, share = _soft_step(z - theta[:, :1])  # ln(a + e^z) = ln a + ln(1 + e^(z - ln a))
        jac *= share[..., None]
        jac[..., 0] = np.exp(-rise)
        return theta[:, :1] + rise, jac

    def slope(self, parameters: Floats, x: Floats) -> Floats:
        r"""Local slope :math:`d\ln(y - a)/d\ln x = -c_0 - \sum_i c_i S((\ln x - \ln d_i)/f_i)` at x.

        Each break is a logistic step of the slope in ln x, of height c_i, place ln d_i and scale f_i.
        `parameters` are the reported ones.
        """
        p = np.asarray(parameters, float)[int(self.offset) :]
        out = np.full(np.shape(x), -p[1])
        for c, d, f in p[2:].reshape(-1, 3):
            out = out - c * expit((np.log(x) - np.log(d)) / f)
        return np.asarray(out)

    def natural(self, theta: Floats, centre: Floats) -> Floats:
        """See `Form.natural`."""
        k, out = int(self.offset), np.array(theta, float)
        if self.offset:
            out[:, 0] = np.where(theta[:, 0] <= FLOOR, 0.0, np.exp(theta[:, 0]))
        out[:, k] = np.exp(theta[:, k] + theta[:, k + 1] * centre[0])
        for i in range(self.breaks):
            j = k + 2 + 3 * i
            out[:, j + 1] = np.exp(theta[:, j + 1] + centre[0])
            out[:, j + 2] = np.exp(theta[:, j + 2])
        return out

    def bounds(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Offsets below the smallest y; breaks inside the data and up to a factor of 20 beyond them."""
        span = float(np.ptp(u[0])) or 1.0
        head = ([FLOOR], [float(v.min())]) if self.offset else ([], [])
        low = [*head[0], -60.0, -10.0]
        high = [*head[1], 60.0, 10.0]
        for _ in range(self.breaks):
            low += [-20.0, u[0].min() - 1.0, np.log(0.005)]
            high += [20.0, u[0].max() + 3.0, np.log(max(2.0, span))]
        return np.array(low), np.array(high)

    def starts(self, u: Floats, v: Floats) -> Floats:
        """Offsets, break places inside and beyond the data, changes of slope and widths, on a grid.

        Without places beyond the largest x the noiseless case of the source is not recovered.
        """
        x = u[0]
        offsets = [FLOOR, *(v.min() + np.log(np.array([0.3, 0.6, 0.85])))] if self.offset else [None]
        slopes = _first_slopes(x, v)
        rows: list[list[float]] = []
        if self.breaks == 0:
            rows = [[]]
        else:
            where = [x.min() + q * np.ptp(x) for q in (0.2, 0.4, 0.6, 0.8, 0.95)]
            where += [x.max() + np.log(1.5), x.max() + np.log(2.5)]
            single = [[c, d, np.log(f)] for c in (-0.3, 0.5, 3.0) for d in where for f in (0.06, 0.3, 1.0)]
            if self.breaks == 1:
                rows = single
            else:
                rng = np.random.default_rng(0)  # a thin sample of the product grid, the same each time
                for _ in range(150):
                    chosen = sorted(
                        (single[i] for i in rng.integers(len(single), size=self.breaks)), key=lambda r: r[1]
                    )
                    rows.append([value for r in chosen for value in r])
        heads = [[] if a is None else [a] for a in offsets]
        out = np.array([[*h, 0.0, slope, *row] for h in heads for slope in slopes for row in rows])
        k = int(self.offset)
        shape, _ = Broken(self.breaks, offset=False).log_value(out[:, k:], u)
        out[:, k] = np.median(v - shape, axis=1)  # the power part goes through the middle of the data
        return out


def _first_slopes(x: Floats, v: Floats) -> list[float]:
    """Flat, and the slope of the data as a whole."""
    if np.ptp(x) == 0:
        return [0.0]
    return [0.0, float(-np.polyfit(x, v, 1)[0])]
