"""Densities, traces and leading values of large matrices from products with vectors alone.

A matrix enters as `matvec(block)`: its product with a block of column vectors, shape (n, k) to (n, k), and it
must be symmetric. `gram(w)` makes that of W^T W on the smaller side. Errors are over independent probes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite

Array = NDArray[np.float64]
Product = Callable[[Array], Array]


@dataclass(frozen=True)
class Density:
    """A spectral density on a grid, mean over probes with its standard error.

    Attributes
    ----------
    grid, density, stderr : array
        Points, density (its integral is 1), error at each point; correlated between neighbours.
    probes : int
        Random vectors used.
    width : float
        Standard deviation of the kernel (Lanczos), or resolution at the centre (Chebyshev).
    """

    grid: Array
    density: Array
    stderr: Array
    probes: int
    width: float


def gram(w: ArrayLike) -> tuple[Product, int]:
    """Product with W^T W on the smaller side, and that side; the product matrix is never formed.

    Raises
    ------
    InputError
        Empty, non-finite or not a matrix.
    """
    a = finite(w, "the weight", ndim=2)
    tall = a if a.shape[0] >= a.shape[1] else a.T
    return lambda x: np.asarray(tall.T @ (tall @ x), np.float64), int(tall.shape[1])


def _probes(n: int, probes: int, rng: np.random.Generator) -> Array:
    if n < 1 or probes < 2:
        raise InputError(
            "no error bar", expected="n >= 1 and 2 or more probes", got=f"n {n}, probes {probes}"
        )
    return rng.choice(np.array([-1.0, 1.0]), (n, probes))


def lanczos(matvec: Product, start: Array, steps: int) -> tuple[Array, Array]:
    """Ritz values and weights of one starting vector, with full reorthogonalisation.

    The weights are squared first components of the eigenvectors of the tridiagonal matrix; they sum to 1.
    """
    basis = np.zeros((min(steps, start.size), start.size))
    diagonal, beside = [], []
    v = start / np.linalg.norm(start)
    scale = 0.0
    for k in range(basis.shape[0]):
        basis[k] = v
        u = matvec(v[:, None])[:, 0]
        diagonal.append(float(v @ u))
        for _ in range(2):  # twice is enough
            u = u - basis[: k + 1].T @ (basis[: k + 1] @ u)
        size = float(np.linalg.norm(u))
        scale = max(scale, abs(diagonal[-1]), size)
        if size <= 1e-12 * scale or k == basis.shape[0] - 1:
            break  # the space that the start reaches is exhausted, or all steps are done
        beside.append(size)
        v = u / size
    off = np.array(beside[: len(diagonal) - 1])
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    return values, vectors[0] ** 2


def lanczos_density(
    matvec: Product,
    n: int,
    rng: np.random.Generator,
    *,
    steps: int = 80,
    probes: int = 8,
    width: float | None = None,
    points: int = 400,
) -> Density:
    r"""Density of eigenvalues by stochastic Lanczos quadrature.

    .. math:: \hat\rho(x) = \frac{1}{n_v} \sum_j \sum_i \tau_{ij}^2\, \mathcal N(x; \theta_{ij}, \sigma^2)

    theta and tau^2 the Ritz values and weights of probe j (Ubaru, Chen and Saad 2017). What is narrower than
    `width` is smoothed away; fewer steps than about range/width leave ripples. Cost: probes * steps products.

    Parameters
    ----------
    matvec : callable
        Product with a symmetric matrix, see the module.
    n : int
        Its side.
    width : float, optional
        Standard deviation of the kernel; 1 % of the range when not given.

    Raises
    ------
    InputError
        Fewer than 2 probes or 2 steps.
    """
    if steps < 2:
        raise InputError("too few Lanczos steps", expected="2 or more", got=str(steps))
    starts = _probes(n, probes, rng)
    found = [lanczos(matvec, starts[:, j], steps) for j in range(probes)]
    low, high = min(v[0] for v, _ in found), max(v[-1] for v, _ in found)
    sigma = width if width is not None else 0.01 * (high - low) or 1e-12
    grid = np.linspace(low - 5 * sigma, high + 5 * sigma, points)
    rows = np.stack([_smoothed(grid, v, t, sigma) for v, t in found])
    return Density(grid, rows.mean(0), rows.std(0, ddof=1) / np.sqrt(probes), probes, float(sigma))


def _smoothed(grid: Array, values: Array, weights: Array, sigma: float) -> Array:
    z = (grid[:, None] - values) / sigma
    return np.asarray(np.exp(-(z**2) / 2) @ weights / (sigma * np.sqrt(2 * np.pi)))


def jackson(order: int) -> Array:
    """Jackson's factors: they keep a truncated Chebyshev series positive (Weisse et al. 2006, eq. 71)."""
    k, m = np.arange(order), order + 1
    angle = np.pi / m
    return np.asarray(((m - k) * np.cos(k * angle) + np.sin(k * angle) / np.tan(angle)) / m)


def chebyshev_density(
    matvec: Product,
    n: int,
    bounds: tuple[float, float],
    rng: np.random.Generator,
    *,
    order: int = 120,
    probes: int = 8,
    points: int = 400,
) -> Density:
    r"""Density of eigenvalues by the kernel polynomial method with Jackson's kernel.

    .. math:: \hat\rho(y) = \frac{1}{\pi\sqrt{1 - y^2}} \Big[\mu_0 + 2\sum_{k \ge 1} g_k \mu_k T_k(y)\Big]

    y the eigenvalue mapped to [-1, 1], mu_k the mean of z^T T_k z / n over probes, two moments a product. All
    eigenvalues must lie within `bounds` (Weisse et al. 2006). Resolution: pi/order of half the range at the
    centre, finer at the ends. All probes go through the matrix in one block, unlike Lanczos.

    Raises
    ------
    InputError
        Empty bounds, fewer than 2 probes, order below 4, or eigenvalues outside the bounds.
    """
    low, high = bounds
    if not high > low or order < 4:
        raise InputError("no such expansion", expected="high > low, order >= 4", got=f"{bounds}, {order}")
    centre, half = (high + low) / 2, (high - low) / 2 * 1.001  # a margin: the weight is singular at the ends
    z = _probes(n, probes, rng)

    def mapped(x: Array) -> Array:
        return (matvec(x) - centre * x) / half

    moments = np.zeros((order, probes))
    before, now = z, mapped(z)
    moments[0], moments[1] = 1.0, (z * now).sum(0) / n
    for k in range(1, (order + 1) // 2):
        # T_2k = 2 T_k^2 - 1 and T_2k+1 = 2 T_k T_k+1 - T_1: two moments from one product
        moments[2 * k] = 2 * (now * now).sum(0) / n - 1
        before, now = now, 2 * mapped(now) - before
        if 2 * k + 1 < order:
            moments[2 * k + 1] = 2 * (before * now).sum(0) / n - moments[1]
    if np.abs(moments).max() > 1 + 1e-6:
        raise InputError(
            "eigenvalues outside the bounds", expected=f"all within {bounds}", got="a series that grows",
            fix="take bounds from a few Lanczos steps",
        )  # fmt: skip
    y = np.cos(np.pi * (np.arange(points) + 0.5) / points)[::-1]
    table = np.cos(np.arange(order)[:, None] * np.arccos(y)) * jackson(order)[:, None]
    table[1:] *= 2
    rows = (moments.T @ table) / (np.pi * np.sqrt(1 - y**2)) / half
    stderr = rows.std(0, ddof=1) / np.sqrt(probes)
    return Density(centre + half * y, rows.mean(0), stderr, probes, float(half * np.pi / order))


def hutch_trace(
    matvec: Product, n: int, rng: np.random.Generator, *, products: int = 60
) -> tuple[float, float]:
    r"""Trace from products alone, and its standard error (Hutch++).

    A third of the products finds the dominant space Q, a third takes its trace exactly, and the rest samples
    what remains, :math:`\mathrm{tr}(Q^T A Q) + \frac{1}{k}\sum_j z_j^T (1-QQ^T) A (1-QQ^T) z_j`. The error
    falls as 1/products for positive matrices, where plain sampling has its square root (Meyer et al. 2021).

    Raises
    ------
    InputError
        Fewer than 6 products.
    """
    if products < 6:
        raise InputError("too few products", expected="6 or more", got=str(products))
    k = products // 3
    q, _ = np.linalg.qr(matvec(_probes(n, max(2, min(k, n)), rng)))
    exact = float((q * matvec(q)).sum())
    z = _probes(n, products - 2 * k, rng)
    z = z - q @ (q.T @ z)
    rest = (z * matvec(z)).sum(0)
    return exact + float(rest.mean()), float(rest.std(ddof=1) / np.sqrt(rest.size))


def leading_values(
    w: ArrayLike, k: int, rng: np.random.Generator, *, power: int = 2, extra: int = 10
) -> Array:
    r"""The k largest singular values by a randomised decomposition.

    .. math:: Y = (W W^T)^q W \Omega,\quad W \approx Q (Q^T W)

    with k + `extra` random columns, orthonormalised between powers (Halko, Martinsson and Tropp 2011,
    algorithm 4.4). Never above the true values; close where the spectrum decays, a few per cent low inside
    a flat bulk.

    Raises
    ------
    InputError
        Unless 1 <= k <= min(N, M); empty or non-finite weights.
    """
    a = np.asarray(finite(w, "the weight", ndim=2))
    if not 1 <= k <= min(a.shape):
        raise InputError("no such rank", expected=f"1 <= k <= {min(a.shape)}", got=str(k))
    columns = min(k + extra, min(a.shape))
    q, _ = np.linalg.qr(a @ rng.standard_normal((a.shape[1], columns)))
    for _ in range(power):
        q, _ = np.linalg.qr(a.T @ q)
        q, _ = np.linalg.qr(a @ q)
    return np.asarray(np.linalg.svd(q.T @ a, compute_uv=False)[:k], np.float64)
