r"""Finite-size scaling: how well curves of several sizes fall on one, and the exponents that make them.

.. math:: A_L(p) = L^{\zeta/\nu} f\big(L^{1/\nu} (p - p_c)\big)

with zeta = -beta for the share of the largest cluster, gamma for the mean finite cluster size, 0 for
wrapping probabilities (Stauffer and Aharony 1994, chapter 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import chdtrc

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.percolation.canonical import batch_means, over_batches
from opalesce.theory.percolation.threshold import LEVEL, normal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from opalesce.theory.percolation.sweep import Sweeps

    Array = NDArray[np.float64]

NAMES = ("p_c", "nu", "zeta")


@dataclass(frozen=True)
class Curves:
    """One curve for each size.

    Attributes
    ----------
    sizes : array, shape (k,)
        Linear sizes L.
    p : array, shape (k, P)
        Control parameter, increasing along each row.
    y, stderr : arrays, shape (k, P)
    resampled : array, shape (R, k, P)
        Curves from resampled data, for errors; R may be 0.
    """

    sizes: Array
    p: Array
    y: Array
    stderr: Array
    resampled: Array

    def __post_init__(self) -> None:
        k = self.sizes.size
        shapes = {self.p.shape, self.y.shape, self.stderr.shape, self.resampled.shape[1:]}
        if self.sizes.ndim != 1 or k < 2 or len(shapes) != 1 or self.p.shape[:1] != (k,) or self.p.ndim != 2:
            raise InputError(
                "curves do not fit their sizes",
                expected="two or more sizes, and p, y, stderr of shape (sizes, points)",
                got=f"{self.sizes.shape} sizes; {sorted(shapes)}",
            )
        if not all(np.isfinite(a).all() for a in (self.sizes, self.p, self.y, self.resampled)):
            raise InputError("a curve is not finite")
        if not ((self.stderr > 0) & np.isfinite(self.stderr)).all() or (np.diff(self.p) <= 0).any():
            raise InputError("a curve cannot be compared", expected="p increasing, every stderr positive")
        if (self.sizes <= 0).any() or self.p.shape[1] < 2:
            raise InputError("a curve cannot be compared", expected="sizes above 0, two or more points")


def curves(
    sizes: ArrayLike,
    sweeps: Sequence[Sweeps],
    p: ArrayLike,
    name: str = "S1",
    *,
    rng: np.random.Generator,
    resamples: int = 100,
) -> Curves:
    """Canonical averages of sweeps at several sizes, per node, with resampled batches.

    Parameters
    ----------
    sizes : array, shape (k,)
    sweeps : sequence of k Sweeps
    p : array, shape (P,) or (k, P)
    name : str
        As in `canonical`, or "chi" for M2 - S1^2.
    rng : numpy.random.Generator
    resamples : int

    Raises
    ------
    InputError
        As `canonical`; fewer than two sizes; a single batch.
    """
    length = np.asarray(sizes, float)
    if len(sweeps) != length.size or length.size < 2:
        raise InputError("two or more sizes are needed, one for each set of sweeps", got=str(length.size))
    ps = np.broadcast_to(np.asarray(p, float), (length.size, np.shape(p)[-1] if np.ndim(p) else 1))
    y, se, again = [], [], []
    for s, row in zip(sweeps, ps, strict=True):
        if name == "chi":
            means = (batch_means(s, "M2", row) - batch_means(s, "S1^2", row)) / s.n
        else:
            means = batch_means(s, name, row) / s.n
        mean, error = over_batches(means, s.per_batch)
        share = s.per_batch / s.per_batch.sum()
        y.append(mean)
        se.append(error)
        again.append(rng.multinomial(len(share), share, size=resamples) / len(share) @ means)
    return Curves(length, ps, np.array(y), np.array(se), np.stack(again, axis=1))


def quality(c: Curves, p_c: float, nu: float, zeta: float, per_size: bool = False) -> float:
    r"""How far scaled curves lie apart, in their errors; about 1 when they are one.

    .. math:: S = \frac{1}{N} \sum_{ij} \frac{(y_{ij} - Y_{ij})^2}{dy_{ij}^2 + dY_{ij}^2}

    Y_ij is a weighted straight line through the points of the other sizes that bracket x_ij (Houdayer and
    Hartmann 2004, appendix). `per_size` averages each size first: S' = (1/k) sum_i (1/N_i) sum_j.
    Infinite where no two curves overlap, or nu <= 0.

    Raises
    ------
    InputError
        From `Curves`.
    """
    return _quality(c, c.y, p_c, nu, zeta, per_size)


def _quality(c: Curves, values: Array, p_c: float, nu: float, zeta: float, per_size: bool) -> float:
    if not nu > 0:
        return np.inf
    scale = c.sizes[:, None]
    x = (c.p - p_c) * scale ** (1 / nu)
    y, dy = values * scale ** (-zeta / nu), c.stderr * scale ** (-zeta / nu)
    terms = []
    for i in range(len(c.sizes)):
        near, here = _brackets(x, i), x[i]
        k = kx = ky = kxx = kxy = np.zeros_like(here)
        for j, left, inside in near:
            for point in (left, left + 1):
                w = inside / dy[j, point] ** 2
                px, py = x[j, point] - here, y[j, point]  # centred: the line is wanted at 0
                k, kx, ky = k + w, kx + w * px, ky + w * py
                kxx, kxy = kxx + w * px * px, kxy + w * px * py
        delta = k * kxx - kx**2
        ok = delta > 1e-12 * k * kxx
        line = (kxx[ok] * ky[ok] - kx[ok] * kxy[ok]) / delta[ok]
        terms.append((y[i, ok] - line) ** 2 / (dy[i, ok] ** 2 + kxx[ok] / delta[ok]))
    terms = [t for t in terms if t.size]
    if not terms:
        return np.inf
    return float(np.mean([t.mean() for t in terms]) if per_size else np.concatenate(terms).mean())


def _brackets(x: Array, i: int) -> list[tuple[int, NDArray[np.intp], NDArray[np.bool_]]]:
    """For every other curve: index of the point on the left of each x[i], and whether there is one."""
    out = []
    for j in range(len(x)):
        if j != i:
            left = np.clip(np.searchsorted(x[j], x[i], side="right") - 1, 0, x.shape[1] - 2)
            out.append((j, left, (x[j, left] <= x[i]) & (x[i] <= x[j, left + 1])))
    return out


@dataclass(frozen=True)
class Collapse:
    """Best collapse: parameters with intervals (none for those held fixed), and its quality S."""

    p_c: Estimate
    nu: Estimate
    zeta: Estimate
    quality: float


def collapse(
    c: Curves,
    start: tuple[float, float, float],
    fixed: Sequence[str] = (),
    per_size: bool = False,
    level: float = LEVEL,
) -> Collapse:
    """Parameters that put the curves on one, by Nelder-Mead from `start`; errors from resampled curves.

    Parameters
    ----------
    c : Curves
    start : (p_c, nu, zeta)
    fixed : names among "p_c", "nu", "zeta"
        Held at their start: p_c from `threshold` makes the exponents several times more precise.
    per_size : bool
        Minimise S' instead of S, see `quality`.
    level : float

    Returns
    -------
    Collapse
        With a status in each free parameter where no overlap was found or S exceeds 5: corrections to
        scaling are then larger than the errors, and the interval does not cover them.

    Raises
    ------
    InputError
        Unknown names, or nothing left to fit.
    """
    free = [k for k, name in enumerate(NAMES) if name not in fixed]
    if set(fixed) - set(NAMES) or not free:
        raise InputError("no parameters to fit", expected=f"some of {', '.join(NAMES)} free", got=str(fixed))
    scales = np.array([0.02 * max(abs(start[0]), 1e-3), 0.1 * start[1], 0.1 * max(abs(start[2]), 0.1)])

    def best(values: Array, first: Array) -> tuple[Array, float]:
        def cost(z: Array) -> float:
            at = first.copy()
            at[free] += z * scales[free]
            q = _quality(c, values, float(at[0]), float(at[1]), float(at[2]), per_size)
            return q if np.isfinite(q) else 1e300

        simplex = np.vstack([np.zeros(len(free)), np.eye(len(free))])
        got = minimize(
            cost,
            simplex[0],
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-5, "maxiter": 600},
        )
        at = first.copy()
        at[free] += got.x * scales[free]
        return at, float(got.fun)

    at, q = best(c.y, np.array(start, float))
    at, q = best(c.y, at)  # a second simplex from the first minimum: Nelder-Mead may stop early
    again = np.array([best(y, at)[0] for y in c.resampled])
    status = "" if q < 5 else f"quality {q:.3g}: the sizes do not collapse; leave out the smallest"
    out = []
    for k, name in enumerate(NAMES):
        if k not in free:
            held = float(start[k])
            out.append(Estimate(held, held, held, 0, "", f"{name} held fixed", level))
            continue
        low, high = np.nan, np.nan
        if len(again) > 1:
            low, high = np.quantile(again[:, k], [(1 - level) / 2, (1 + level) / 2])
        n = len(c.sizes)
        out.append(Estimate(float(at[k]), float(low), float(high), n, status, "collapse", level))
    return Collapse(out[0], out[1], out[2], q)


def power(
    sizes: ArrayLike, values: ArrayLike, stderr: ArrayLike, omega: float | None = None, level: float = LEVEL
) -> Estimate:
    r"""Exponent of a power of the size, by weighted least squares of the logarithms.

    .. math:: \ln A_L = c + s \ln L \;(+\; b L^{-\omega})

    At a fixed p_c: s = -beta/nu for S1/n, s = 1/nu for dR/dp, s = gamma/nu for the mean finite size.

    Parameters
    ----------
    sizes, values, stderr : arrays, shape (k,)
        Values above 0.
    omega : float, optional
        Exponent of a correction to scaling; costs one parameter.
    level : float

    Returns
    -------
    Estimate
        Error from `stderr`; chi-square in `method`, and in `status` where its probability is below 0.001.

    Raises
    ------
    InputError
        Too few sizes, values or errors that are not positive.
    """
    length, y, se = (np.asarray(a, float) for a in (sizes, values, stderr))
    need = 2 if omega is None else 3
    if not (length.shape == y.shape == se.shape) or length.ndim != 1 or len(set(length.tolist())) < need:
        raise InputError(f"an exponent needs {need} sizes or more", got=f"{length.shape}, {y.shape}")
    if not all((np.isfinite(a) & (a > 0)).all() for a in (length, y, se)):
        raise InputError("sizes, values and errors are above 0", got="a value that is not")
    columns = [np.log(length), np.ones_like(length)]
    if omega is not None:
        columns.append(length**-omega)
    design, rhs = np.stack(columns, axis=1) * (y / se)[:, None], np.log(y) * (y / se)
    inverse = np.linalg.inv(design.T @ design)
    best = inverse @ design.T @ rhs
    rest, free = float(((rhs - design @ best) ** 2).sum()), len(y) - need
    method = f"power of L, chi-square {rest:.2f} for {free} degrees of freedom"
    e = normal(float(best[0]), float(np.sqrt(inverse[0, 0])), len(y), method, level)
    bad = free > 0 and float(chdtrc(free, rest)) < 1e-3
    return Estimate(e.value, e.low, e.high, e.n, "corrections to scaling" if bad else "", method, level)
