"""Models of one curve along depth: constant, line, step, logistic, broken line, spline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from opalesce.transitions.smooth import LINEAR_SHARE, spline

Array = NDArray[np.float64]


def _shape(at: Array, place: float, width: float) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(np.clip((at - place) / (2 * width), -350, 350))))


def fit_logistic(at: Array, y: Array, error: Array, start: Array | None = None) -> Array:
    """Weighted least squares of (y0, A, gamma_c, w): a grid first, or from `start`."""
    gap = float(np.diff(at).mean())
    low, high = np.array([at[0], 0.05 * gap]), np.array([at[-1], float(at[-1] - at[0])])
    if start is None:
        best = np.inf
        for w in np.geomspace(0.2 * gap, high[1] / 2, 10):
            for c in np.arange(at[0] + gap / 2, at[-1], gap / 2):
                rss = _linear(at, y, error, c, w)[0]
                if rss < best:
                    best, point = rss, np.array([c, w])
    else:
        point = start[2:]
    inside = np.clip(point, low + 1e-9, high - 1e-9)

    def residual(p: Array) -> Array:
        return _linear(at, y, error, p[0], p[1])[2]

    found = least_squares(residual, inside, bounds=(low, high), x_scale=np.array([gap, gap]), max_nfev=60)
    beta = _linear(at, y, error, *found.x)[1]
    return np.array([*beta, *found.x])


def _linear(at: Array, y: Array, error: Array, c: float, w: float) -> tuple[float, Array, Array]:
    x = np.column_stack([np.ones_like(at), _shape(at, c, w)]) / error[:, None]
    z = y / error
    a, b = x.T @ x, x.T @ z
    det = a[0, 0] * a[1, 1] - a[0, 1] ** 2
    if det <= 1e-12 * a[0, 0] * a[1, 1]:
        beta = np.array([b[0] / a[0, 0], 0.0])
    else:
        beta = np.array([a[1, 1] * b[0] - a[0, 1] * b[1], a[0, 0] * b[1] - a[0, 1] * b[0]]) / det
    r = z - x @ beta
    return float(r @ r), beta, r


def _bases(at: Array, y: Array, error: Array, fit: Array) -> dict[str, tuple[Array, int]]:
    """model -> (columns, number of parameters) at the best place for this curve."""
    one = np.ones_like(at)
    middle = (at[1:] + at[:-1]) / 2

    def best(make: Callable[[float], list[Array]]) -> Array:
        inside = middle[1:-1] if len(middle) > 2 else middle
        options = [np.column_stack([one, *make(c)]) for c in inside]
        return options[int(np.argmin([_rss(x, y, error) for x in options]))]

    out = {
        "constant": (one[:, None], 1),
        "linear": (np.column_stack([one, at]), 2),
        "step": (best(lambda c: [(at > c).astype(float)]), 3),
        "logistic": (np.column_stack([one, _shape(at, fit[2], fit[3])]), 4),
        "piecewise linear": (best(lambda c: [at, np.maximum(0, at - c)]), 4),
    }
    if len(at) >= 9:
        x = spline(at, LINEAR_SHARE * float(at[-1] - at[0]))
        out["spline"] = (x, x.shape[1])
    return out


def _fitted(x: Array, y: Array, error: Array) -> Array:
    beta = np.linalg.lstsq(x / error[:, None], y / error, rcond=None)[0]
    return np.asarray(x @ beta)


def _rss(x: Array, y: Array, error: Array) -> float:
    return float((((y - _fitted(x, y, error)) / error) ** 2).sum())


def bic(at: Array, y: Array, error: Array, fit: Array) -> dict[str, float]:
    """n ln(RSS/n) + k ln n: the size of the noise is left free, for no model is the truth."""
    n = len(at)
    return {
        name: float(n * np.log(max(_rss(x, y, error), 1e-300) / n) + k * np.log(n))
        for name, (x, k) in _bases(at, y, error, fit).items()
        if n > k + 1
    }


def cross_validation(
    at: Array, own: Array, level: float, error: Array, rng: np.random.Generator, folds: int = 5
) -> dict[str, float]:
    """Fit to the mean of four fifths of the prompts, compare with the mean of the fifth left out."""
    n = len(own)
    folds = min(folds, n)
    fold = rng.permutation(np.arange(n) % folds)
    total: dict[str, list[float]] = {}
    for k in range(folds):
        train, test = own[fold != k].mean(axis=0) + level, own[fold == k].mean(axis=0) + level
        scale = error * np.sqrt(n / max(int((fold == k).sum()), 1))
        fit = fit_logistic(at, train, error)
        for name, (x, _) in _bases(at, train, error, fit).items():
            off = (test - _fitted(x, train, error)) / scale
            total.setdefault(name, []).append(float((off**2).mean()))
    return {name: float(np.mean(v)) for name, v in total.items()}
