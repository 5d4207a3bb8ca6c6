"""Learning curves that leave a plateau at small x: M3 and M4 of alabdulmohsin2022revisiting."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import expit

from opalesce.laws.forms import FLOOR, Floats, Form, log_sum, softplus

NEWTON = 30  # most Newton steps; the equation is monotone with a monotone slope, and about eight are taken


@dataclass(frozen=True)
class M3(Form):
    r"""A power law that bends at a scale 1/gamma.

    .. math:: y = \beta\,(x^{-1} + \gamma)^{c}

    Internal parameters: ln beta, c, ln gamma, at the centre of the data.

    Source: alabdulmohsin2022revisiting, sec. 2 (M3).
    """

    key = "M3"
    formula = "y = beta (1/x + gamma)^c"
    source = "alabdulmohsin2022revisiting, sec. 2"
    cites = ("alabdulmohsin2022revisiting",)

    @property
    def names(self) -> tuple[str, ...]:
        """beta, c, gamma."""
        return ("beta", "c", "gamma")

    @property
    def alone(self) -> tuple[str, ...]:
        """c and gamma."""
        return ("c", "gamma")

    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """See `Form.log_value`."""
        x = np.broadcast_to(-u[0], (len(theta), u.shape[1]))
        inner, (_, share) = log_sum([x, np.broadcast_to(theta[:, 2, None], x.shape)])
        c = theta[:, 1, None]
        return theta[:, 0, None] + c * inner, np.stack([np.ones_like(inner), inner, c * share], axis=-1)

    def natural(self, theta: Floats, centre: Floats) -> Floats:
        """See `Form.natural`."""
        beta, c, gamma = theta.T
        return np.stack([np.exp(beta + c * centre[0]), c, np.exp(gamma - centre[0])], axis=1)

    def bounds(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """c from 0 to 10."""
        return np.array([-60.0, 0.0, FLOOR]), np.array([60.0, 10.0, 10.0])

    def starts(self, u: Floats, v: Floats) -> Floats:
        """Exponents and places of the bend."""
        rows = []
        for c, gamma in product((0.1, 0.3, 0.8, 2.0), (-u[0].max() - 3, -u[0].max(), 0.0)):
            inner = np.logaddexp(-u[0], gamma)
            rows.append([float(np.median(v - c * inner)), c, gamma])
        return np.array(rows)


@dataclass(frozen=True)
class M4(Form):
    r"""A power law between two plateaus.

    .. math:: \frac{y - \epsilon_\infty}{(\epsilon_0 - y)^{\alpha}} = \beta\,x^{-c}

    alpha = 0 is M2. With :math:`y = \epsilon_\infty + (\epsilon_0 - \epsilon_\infty) S(t)` (S logistic) the
    law is one monotone equation for t, solved by Newton's method; derivatives follow from the implicit
    function. Internal parameters: ln eps_inf, ln eps_0, ln beta, c, alpha. All are fitted together: this is
    the law of the source, not its alternating estimator, which keeps the first guess of eps_0 in one
    regressor.

    Source: alabdulmohsin2022revisiting, sec. 3 (M4).
    """

    key = "M4"
    formula = "(y - eps_inf) / (eps_0 - y)^alpha = beta x^(-c)"
    source = "alabdulmohsin2022revisiting, sec. 3"
    cites = ("alabdulmohsin2022revisiting",)

    @property
    def names(self) -> tuple[str, ...]:
        """eps_inf, eps_0, beta, c, alpha."""
        return ("eps_inf", "eps_0", "beta", "c", "alpha")

    @property
    def alone(self) -> tuple[str, ...]:
        """All but beta, which carries the unit of x."""
        return ("eps_inf", "eps_0", "c", "alpha")

    def log_value(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """See `Form.log_value`."""
        low, top = np.exp(theta[:, 0, None]), np.exp(theta[:, 1, None])
        log_beta, c, alpha = theta[:, 2, None], theta[:, 3, None], theta[:, 4, None]
        room = np.maximum(top - low, 1e-300)
        log_room = np.log(room)
        # ln(y - low) - alpha ln(top - y) in t: -softplus(-t) + alpha softplus(t) = right
        right = log_beta - c * u[0] - (1.0 - alpha) * log_room
        t = _solve(right, alpha)
        share, slope = expit(t), expit(-t) + alpha * expit(t)
        y = low + room * share
        move = room * share * expit(-t) / slope  # dy/dt over d(right)/dt
        d_low = expit(-t) + move * (1.0 - alpha) / room
        d_top = share - move * (1.0 - alpha) / room
        d_alpha = move * (log_room - softplus(t))
        jac = np.stack([d_low * low, d_top * top, move, -move * u[0], d_alpha], axis=-1)
        return np.log(y), jac / y[..., None]

    def natural(self, theta: Floats, centre: Floats) -> Floats:
        """See `Form.natural`."""
        low, top, beta, c, alpha = theta.T
        floor = np.where(low <= FLOOR, 0.0, np.exp(low))
        return np.stack([floor, np.exp(top), np.exp(beta + c * centre[0]), c, alpha], axis=1)

    def bounds(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """eps_inf below all data, eps_0 above them and at most twenty times the largest."""
        low = [FLOOR, v.max() + 1e-4, -80.0, 0.0, 0.0]
        return np.array(low), np.array([v.min() - 1e-6, v.max() + 3.0, 80.0, 10.0, 20.0])

    def starts(self, u: Floats, v: Floats) -> Floats:
        """Plateaus, exponents and alpha; beta puts the law at the median of the data."""
        rows = []
        offsets = (FLOOR, v.min() + np.log(0.4), v.min() + np.log(0.8))
        for low, gap, c, alpha in product(offsets, (0.02, 0.2, 1.0), (0.2, 0.5), (0.2, 1.0)):
            top = v.max() + gap
            z = np.log(np.exp(v) - np.exp(low)) - alpha * np.log(np.exp(top) - np.exp(v))
            rows.append([low, top, float(np.median(z + c * u[0])), c, alpha])
        return np.array(rows)


def _solve(right: Floats, alpha: Floats) -> Floats:
    """t of -softplus(-t) + alpha softplus(t) = right, elementwise."""
    steep = np.maximum(alpha, 1e-3)
    t = np.where(right < 0, right, right / steep)
    t = np.clip(t, -700.0, 700.0)
    for _ in range(NEWTON):
        step = (-softplus(-t) + alpha * softplus(t) - right) / (expit(-t) + alpha * expit(t) + 1e-12)
        t = np.clip(t - np.clip(step, -50.0, 50.0), -700.0, 700.0)
        if np.abs(step).max(initial=0.0) < 1e-12:
            break
    return np.asarray(t)
