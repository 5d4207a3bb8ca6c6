r"""Curves of a rate in ln x, :math:`q = c + (t - c)\,s((\ln x - \ln x_c)/w)`, and their fit to counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from opalesce.laws.forms import RISE, Floats
from opalesce.laws.likelihood import RHO, maximise

RHO_STARTS = (0.001, 0.05, 0.4)


def step(shape: str, z: Floats) -> tuple[Floats, Floats]:
    """s(z) and its derivative. Hill in x is the logistic in ln x; "smooth" is p^L, a Gumbel step in ln x."""
    if shape in ("logistic", "hill"):
        s = expit(z)
        return s, s * (1 - s)
    if shape == "weibull":
        e = np.exp(np.clip(z, -700, 6))
        return -np.expm1(-e), e * np.exp(-e)
    e = np.exp(np.clip(-z, -700, 6))
    return np.exp(-e), e * np.exp(-e)


def width(shape: str, w: Floats) -> Floats:
    """Decades of x from 10 to 90 % of the step."""
    nats = RISE if shape in ("logistic", "hill") else math.log(math.log(10) / -math.log(0.9))
    return np.asarray(w * nats / math.log(10))


@dataclass(frozen=True)
class Curve:
    """A model: shape, chance and top (None: fitted), and whether the counts are beta-binomial.

    Internal parameters: the place of the step in centred ln x, ln w, then chance, top and ln rho as fitted.
    A constant has its rate instead.
    """

    shape: str
    chance: float | None
    top: float | None
    beta: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Internal parameters, in order."""
        if self.shape == "constant":
            return ("rate", *(["rho"] if self.beta else []))
        more = [n for n, v in (("chance", self.chance), ("top", self.top)) if v is None]
        return ("place", "log_w", *more, *(["rho"] if self.beta else []))

    def rates(self, theta: Floats, u: Floats) -> tuple[Floats, Floats]:
        """q (S, n) and its derivative (S, n, P) without ln rho, at centred logs u (n,)."""
        if self.shape == "constant":
            q = np.repeat(theta[:, :1], len(u), axis=1)
            return q, np.ones((*q.shape, 1))
        w = np.exp(theta[:, 1, None])
        z = (u - theta[:, 0, None]) / w
        s, ds = step(self.shape, z)
        at = 2
        ends = []
        for value in (self.chance, self.top):
            ends.append(theta[:, at, None] if value is None else np.full((len(theta), 1), value))
            at += value is None
        low, high = ends
        slope = (high - low) * ds
        parts = [-slope / w, -slope * z]
        parts += [1 - s] if self.chance is None else []
        parts += [s] if self.top is None else []
        return low + (high - low) * s, np.stack(parts, axis=-1)

    def bounds(self, u: Floats, k: Floats, n: Floats) -> tuple[Floats, Floats]:
        """Bounds (S, P). A rising curve has chance below and top above the pooled rate of its data."""
        pooled = np.clip((k.sum(axis=1) + 0.5) / (n.sum() + 1), 0, 1)
        zero, one = np.zeros_like(pooled), np.ones_like(pooled)
        if self.shape == "constant":
            pairs = [(zero, one)]
        else:
            span = float(np.ptp(u))
            gap = float(np.diff(np.unique(u)).min())
            pairs = [
                (one * (u.min() - span), one * (u.max() + span)),
                (one * math.log(gap / 20), one * math.log(3 * span)),
            ]
            if self.chance is None:
                pairs.append((zero, pooled if self.top is None else np.minimum(pooled, self.top)))
            if self.top is None:
                pairs.append((pooled if self.chance is None else np.maximum(pooled, self.chance), one))
        if self.beta:
            pairs.append((one * math.log(RHO[0]), one * math.log(RHO[1])))
        return np.stack([p[0] for p in pairs], axis=1), np.stack([p[1] for p in pairs], axis=1)

    def starts(self, u: Floats, k: Floats, n: Floats) -> Floats:
        """Starts (B, S, P): places by widths, ends at the extreme rates."""
        rate = k / n
        if self.shape == "constant":
            rows = [[k.sum(axis=1) / n.sum()]]
        else:
            span, ones = float(np.ptp(u)), np.ones(len(k))
            ends = [
                e for e, v in ((rate.min(axis=1), self.chance), (rate.max(axis=1), self.top)) if v is None
            ]
            rows = [
                [ones * (u.min() + share * span), ones * math.log(part * span), *ends]
                for share in (0.25, 0.5, 0.75, 1.1)
                for part in (0.05, 0.2)
            ]
        if self.beta:
            rows = [[*r, np.full(len(k), math.log(rho))] for r in rows for rho in RHO_STARTS]
        return np.stack([np.stack(r, axis=1) for r in rows])

    def fit(
        self, u: Floats, k: Floats, n: Floats, weights: Floats | None = None, near: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Best theta (S, P) and log-likelihood (S,) of each data set k (S, n).

        From `near` (P,) alone when it is given (resamples of data whose optimum it is), else from all starts.
        """
        low, high = self.bounds(u, k, n)
        starts = self.starts(u, k, n) if near is None else np.broadcast_to(near, (1, len(k), len(near)))
        many, sets, p = starts.shape
        theta, value = maximise(
            lambda t: self.rates(t, u),
            np.tile(k, (many, 1)),
            n,
            starts.reshape(-1, p),
            (np.tile(low, (many, 1)), np.tile(high, (many, 1))),
            None if weights is None else np.tile(weights, (many, 1)),
            beta=self.beta,
        )
        theta, value = theta.reshape(many, sets, p), value.reshape(many, sets)
        pick = np.argmax(value, axis=0)
        return theta[pick, np.arange(sets)], value[pick, np.arange(sets)]
