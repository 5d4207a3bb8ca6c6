r"""Observational scaling laws: a low-dimensional capability behind many benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares
from scipy.special import expit

from opalesce.errors import InputError
from opalesce.laws.forms import Floats

ROUNDS = 1000  # most rounds of imputation
SETTLED = 1e-5  # largest change of an imputed standardised score in the last round
START = 0.03  # first weights of the link, as in the source's code
CHANCE = 0.2  # upper bound of the score without any capability


@dataclass(frozen=True)
class Capability:
    """Principal components of benchmark scores.

    `scores` (models, components): capability of each model. `loadings` (components, benchmarks), each of
    positive sum. `explained` (components,): share of the variance. `filled` (models, benchmarks): scores with
    the missing ones imputed. `rounds`: of imputation.
    """

    scores: Floats
    loadings: Floats
    explained: Floats
    filled: Floats
    rounds: int


def impute(table: ArrayLike) -> tuple[Floats, int]:
    """Missing scores filled from the first principal component of standardised columns, until they settle.

    Each round standardises the filled table, keeps one component, and replaces only what was missing,
    clipped to 0 and 1. The first guess is the column's mean.

    Raises
    ------
    InputError
        No two-dimensional table of scores from 0 to 1, a column or a row without a score, or a constant
        column.

    Source: ruan2024observational, sec. 3.2 and its code.
    """
    x = np.array(table, float)
    known = np.isfinite(x)
    if x.ndim != 2 or min(x.shape) < 2 or ((x[known] < 0) | (x[known] > 1)).any():
        raise InputError(
            "scores of models", expected="(models, benchmarks), numbers from 0 to 1, NaN where missing",
            got=str(x.shape), fix="divide percentages by 100",
        )  # fmt: skip
    if not (known.any(axis=0).all() and known.any(axis=1).all()):
        raise InputError("a model or a benchmark without any score", expected="one or more each", got="none")
    filled = np.where(known, x, np.nanmean(x, axis=0))
    rounds, moved = 0, np.inf
    while moved >= SETTLED and rounds < ROUNDS:
        rounds += 1
        mean, sd = filled.mean(axis=0), filled.std(axis=0)
        if (sd == 0).any():
            raise InputError("a benchmark on which all models score the same", expected="a spread", got="0")
        z = (filled - mean) / sd
        u, s, vt = np.linalg.svd(z, full_matrices=False)
        guess = np.clip(s[0] * np.outer(u[:, 0], vt[0]) * sd + mean, 0.0, 1.0)
        new = np.where(known, x, guess)
        moved = float(np.abs((new - filled) / sd).max())
        filled = new
    return filled, rounds


def capability(table: ArrayLike, components: int = 3) -> Capability:
    """Principal components (centred, not standardised) of scores with the missing ones imputed.

    Raises
    ------
    InputError
        As `impute`; more components than benchmarks.

    Source: ruan2024observational, sec. 3.2.
    """
    filled, rounds = impute(table)
    if not 1 <= components <= min(filled.shape):
        raise InputError("a number of components", expected=f"1 to {min(filled.shape)}", got=str(components))
    centred = filled - filled.mean(axis=0)
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    sign = np.where(vt.sum(axis=1) < 0, -1.0, 1.0)[:, None]
    loadings = (sign * vt)[:components]
    return Capability(centred @ loadings.T, loadings, (s**2 / (s**2).sum())[:components], filled, rounds)


@dataclass(frozen=True)
class Link:
    r"""A downstream score of capability, :math:`y = b_0 + (1 - b_0)\,S(w_0 + w \cdot s)`; `rmse` of fit."""

    floor: float
    weights: Floats
    rmse: float

    def __call__(self, scores: ArrayLike) -> Floats:
        """Predicted downstream score at capabilities (models, components)."""
        s = np.atleast_2d(np.asarray(scores, float))
        return np.asarray(self.floor + (1 - self.floor) * expit(self.weights[0] + s @ self.weights[1:]))


def link(scores: ArrayLike, downstream: ArrayLike) -> Link:
    """Least-squares link from capability to a downstream score, floor between 0 and 0.2.

    Raises
    ------
    InputError
        Other shapes, values outside 0 to 1, or fewer models than parameters.

    Source: ruan2024observational, eq. 4 ("sigmoid-parametric" of its code).
    """
    s, y = np.atleast_2d(np.asarray(scores, float)), np.asarray(downstream, float)
    if s.shape[0] != len(y) or not (np.isfinite(s).all() and (y >= 0).all() and (y <= 1).all()):
        raise InputError(
            "capabilities and a downstream score", expected="(models, components) and scores from 0 to 1",
            got=f"{s.shape} and {y.shape}",
        )  # fmt: skip
    if len(y) < s.shape[1] + 2:
        raise InputError("too few models for a link", expected=f"{s.shape[1] + 2} or more", got=str(len(y)))

    def residual(p: Floats) -> Floats:
        return np.asarray(p[0] + (1 - p[0]) * expit(p[1] + s @ p[2:]) - y)

    size = s.shape[1]
    low, high = np.r_[0.0, np.full(size + 1, -np.inf)], np.r_[CHANCE, np.full(size + 1, np.inf)]
    got = least_squares(residual, np.full(size + 2, START), bounds=(low, high), x_scale="jac", max_nfev=2000)
    rmse = float(np.sqrt((got.fun**2).mean()))
    return Link(float(got.x[0]), np.asarray(got.x[1:]), rmse)
