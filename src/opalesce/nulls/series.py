"""What a curve would look like if nothing had happened: surrogate series.

Every function returns shape (n, b): b surrogates of a curve of n values, drawn from the given
Generator. A surrogate keeps what its name says and nothing else, so the choice is a claim: AR(1)
keeps mean, variance and neighbour correlation; the bootstrap keeps the short-range structure,
whatever its form; a smooth trend keeps a slow curve, which is not yet a transition.
A p-value from b surrogates is (1 + #{surrogate >= observed}) / (1 + b), never 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite

Array = NDArray[np.float64]
MIN_POINTS = 8


def independent(y_smooth: ArrayLike, stderr: ArrayLike, rng: np.random.Generator, b: int) -> Array:
    """Independent normal noise of the stated standard errors around a given curve.

    y*_i = y_smooth_i + stderr_i e_i, with e_i standard normal.

    Parameters
    ----------
    y_smooth : array, shape (n,)
        The curve, in units of the witness.
    stderr : array, shape (n,) or scalar
        Stated standard errors, same units, not negative.
    rng : numpy.random.Generator
    b : int
        Number of surrogates.

    Returns
    -------
    array, shape (n, b)

    Raises
    ------
    InputError
        Non-finite input, negative errors, shapes that do not match, or b < 1.
    """
    y = _curve(y_smooth, 1)
    return y[:, None] + _errors(stderr, len(y))[:, None] * rng.standard_normal((len(y), _count(b)))


def ar1_fit(y: ArrayLike) -> tuple[float, float]:
    """Neighbour correlation phi and stationary standard deviation of a first-order autoregression.

    phi = (n phi_LS + 1) / (n - 3) takes out the bias -(1 + 3 phi) / n of least squares with an
    estimated mean (Kendall 1954, eq. 20; Marriott & Pope 1954), and is kept within +-(1 - 1/n). The
    sample variance (divisor n) is divided by 1 - Var(mean) / sigma^2, see `mean_variance`.

    Raises
    ------
    InputError
        Fewer than eight values, non-finite values, or a constant curve.
    """
    a = _curve(y, MIN_POINTS)
    n = len(a)
    before, after = a[:-1] - a[:-1].mean(), a[1:] - a[1:].mean()
    if not before @ before > 0 or np.ptp(a) == 0:
        raise InputError("the curve is constant: it has no noise to imitate", expected="values that vary")
    least_squares = float(before @ after / (before @ before))
    phi = float(np.clip((n * least_squares + 1) / (n - 3), -1 + 1 / n, 1 - 1 / n))
    return phi, math.sqrt(float(a.var()) / (1 - mean_variance(phi, n)))


def mean_variance(phi: float, n: int) -> float:
    """Variance of the mean of n values of a stationary AR(1), over the variance of one value.

    (1/n) [1 + 2 sum_{k=1}^{n-1} (1 - k/n) phi^k].
    """
    k = np.arange(1, n)
    return float((1 + 2 * ((1 - k / n) * phi**k).sum()) / n)


def ar1(y: ArrayLike, rng: np.random.Generator, b: int) -> Array:
    """Surrogates from a first-order autoregression fitted to y, started in its stationary state.

    y*_t = mean + z_t, z_1 ~ N(0, sigma^2), z_t = phi z_{t-1} + sigma sqrt(1 - phi^2) e_t, with phi
    and sigma from `ar1_fit`. The values are taken as equally spaced.

    Parameters
    ----------
    y : array, shape (n,)
    rng : numpy.random.Generator
    b : int
        Number of surrogates.

    Returns
    -------
    array, shape (n, b)

    Raises
    ------
    InputError
        As `ar1_fit`, or b < 1.
    """
    a = _curve(y, MIN_POINTS)
    phi, sd = ar1_fit(a)
    return float(a.mean()) + sd * _unit_ar1(phi, len(a), _count(b), rng)


def block_bootstrap(
    y: ArrayLike,
    rng: np.random.Generator,
    b: int,
    length: float | None = None,
    fitted: ArrayLike | None = None,
) -> Array:
    """Stationary bootstrap: residuals y - fitted drawn in blocks of geometric length, added to fitted.

    Blocks start anywhere and run round the end, so every surrogate is stationary (Politis & Romano
    1994, sec. 2). The mean length defaults to [(2 phi / (1 - phi^2))^2 n]^(1/3), which is best for the
    variance of the mean of an AR(1) (Politis & White 2004, eq. 7 and 8, with the correction of 2009).

    Parameters
    ----------
    y : array, shape (n,)
    rng : numpy.random.Generator
    b : int
        Number of surrogates.
    length : float, optional
        Mean block length in points, at least 1 (1 draws points one by one), at most n.
    fitted : array, shape (n,), optional
        Curve whose residuals are drawn; the mean of y by default.

    Returns
    -------
    array, shape (n, b)

    Raises
    ------
    InputError
        Fewer than eight values, non-finite values, or a length outside 1..n.
    """
    a = _curve(y, MIN_POINTS)
    n = len(a)
    centre = np.full(n, a.mean()) if fitted is None else _curve(fitted, MIN_POINTS)
    if len(centre) != n:
        raise InputError("the fitted curve has another length", expected=str(n), got=str(len(centre)))
    rest = a - centre
    mean_length = block_length(rest) if length is None else float(length)
    if not 1 <= mean_length <= n:
        raise InputError(
            "bad mean block length", expected=f"1 to {n} points", got=f"{mean_length:g}", fix="leave it out"
        )
    at = np.arange(n)[:, None]
    begins = rng.random((n, _count(b))) < 1 / mean_length
    begins[0] = True
    since = np.maximum.accumulate(np.where(begins, at, 0), axis=0)
    start = np.take_along_axis(rng.integers(0, n, begins.shape), since, axis=0)
    drawn: Array = rest[(start + at - since) % n]
    return centre[:, None] + drawn


def block_length(residuals: ArrayLike) -> float:
    """Default mean block length of `block_bootstrap`, in points, within 1 to n / 3."""
    a = _curve(residuals, MIN_POINTS)
    phi = ar1_fit(a)[0] if np.ptp(a) > 0 else 0.0
    best = ((2 * phi / (1 - phi**2)) ** 2 * len(a)) ** (1 / 3)
    return float(np.clip(best, 1.0, len(a) / 3))


def smooth_trend(
    basis: ArrayLike, y: ArrayLike, rng: np.random.Generator, b: int, stderr: ArrayLike | None = None
) -> Array:
    """The smooth curve nearest to y, plus noise: slow change, and no transition.

    The curve is the least-squares fit of y in the column span of `basis`, weighted by 1 / stderr^2
    where errors are stated. Noise is independent of the stated errors, else an AR(1) fitted to the
    residuals, whose variance is enlarged by n / (n - rank) for what the fit took away.

    Parameters
    ----------
    basis : array, shape (n, k)
        Columns that span the smooth class, such as the court's spline with a knot every W*.
    y : array, shape (n,)
    rng : numpy.random.Generator
    b : int
        Number of surrogates.
    stderr : array, shape (n,), optional
        Stated standard errors, all positive.

    Returns
    -------
    array, shape (n, b)

    Raises
    ------
    InputError
        Shapes that do not match, non-finite input, or no residual degree of freedom.
    """
    a = _curve(y, MIN_POINTS)
    x = np.asarray(finite(basis, "the basis"), float)
    if x.ndim != 2 or len(x) != len(a):
        raise InputError("the basis does not fit the curve", expected=f"({len(a)}, k)", got=f"{x.shape}")
    se = None if stderr is None else _errors(stderr, len(a))
    if se is not None and np.any(se == 0):
        raise InputError("stated errors are zero somewhere: they weigh the fit", expected="positive errors")
    weight = np.ones(len(a)) if se is None else 1 / se
    beta, _, rank, _ = np.linalg.lstsq(weight[:, None] * x, weight * a, rcond=None)
    if rank >= len(a):
        raise InputError("the basis fits every curve", expected=f"rank below {len(a)}", got=str(rank))
    curve = x @ beta
    if se is not None:
        return independent(curve, se, rng, b)
    phi, sd = ar1_fit(a - curve)
    sd *= math.sqrt(len(a) / (len(a) - rank))
    return np.asarray(curve[:, None] + sd * _unit_ar1(phi, len(a), _count(b), rng))


def _unit_ar1(phi: float, n: int, b: int, rng: np.random.Generator) -> Array:
    z = rng.standard_normal((n, b))
    step = math.sqrt(1 - phi**2)
    for t in range(1, n):
        z[t] = phi * z[t - 1] + step * z[t]
    return z


def _curve(y: ArrayLike, least: int) -> Array:
    a = np.asarray(finite(y, "the curve"), float)
    if a.ndim != 1 or len(a) < least:
        raise InputError(
            "not a curve long enough for a surrogate", expected=f"shape (n,), n >= {least}", got=f"{a.shape}"
        )
    return a


def _errors(stderr: ArrayLike, n: int) -> Array:
    se = np.asarray(finite(stderr, "the stated errors"), float)
    if se.shape not in ((), (n,)) or np.any(se < 0):
        raise InputError(
            "bad stated errors",
            expected=f"{n} values, none negative",
            got=f"shape {se.shape}, least {se.min():g}",
        )
    return np.broadcast_to(se, (n,))


def _count(b: int) -> int:
    if b < 1:
        raise InputError("no surrogate was asked for", expected="b of 1 or more", got=str(b))
    return int(b)
