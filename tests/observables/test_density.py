"""Densities, traces and leading values from products, against numpy's eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.density import (
    chebyshev_density,
    gram,
    hutch_trace,
    jackson,
    lanczos,
    lanczos_density,
    leading_values,
)
from opalesce.theory.random_matrix import marchenko_pastur_density, marchenko_pastur_edges


def matrix(n: int = 600, m: int = 300, seed: int = 0) -> np.ndarray:
    w = np.random.default_rng(seed).standard_normal((n, m)) / np.sqrt(n)
    w[:, :3] *= 2.0
    return w


def cumulative(density) -> np.ndarray:
    steps = np.diff(density.grid) * (density.density[1:] + density.density[:-1]) / 2
    return np.concatenate([[0.0], np.cumsum(steps)])


@pytest.mark.parametrize("shape", [(600, 300), (300, 600)])
@pytest.mark.parametrize("way", ["lanczos", "chebyshev"])
def test_density_is_that_of_the_eigenvalues(shape: tuple[int, int], way: str):
    w = matrix(*shape)
    matvec, n = gram(w)
    assert n == 300
    exact = np.linalg.svd(w, compute_uv=False) ** 2
    r = np.random.default_rng(1)
    if way == "lanczos":
        got = lanczos_density(matvec, n, r, probes=12)
    else:
        got = chebyshev_density(matvec, n, (0.0, exact[0]), r, probes=12)
    below = cumulative(got)
    assert below[-1] == pytest.approx(1, abs=5e-3)
    assert (got.density > -1e-9).all()
    truth = np.searchsorted(np.sort(exact), got.grid) / n
    # sampling: sqrt(2 F (1 - F) / (n probes)), at most 0.012; smoothing adds a width times the density
    assert np.abs(below - truth).max() < 0.03
    assert got.probes == 12


@pytest.mark.parametrize("way", ["lanczos", "chebyshev"])
def test_error_bars_are_those_of_repeated_estimates(way: str):
    matvec, n = gram(matrix())
    runs = []
    for seed in range(40):
        r = np.random.default_rng(seed)
        if way == "lanczos":
            runs.append(lanczos_density(matvec, n, r, steps=25, probes=6, width=0.3, points=50))
        else:
            runs.append(chebyshev_density(matvec, n, (0.0, 9.0), r, order=40, probes=6, points=50))
    grid = np.linspace(0.3, 2.5, 12)
    density = [np.interp(grid, run.grid, run.density) for run in runs]
    stated = [np.interp(grid, run.grid, run.stderr) ** 2 for run in runs]
    # 40 runs: the spread is known to 11 % at each point
    ratio = np.std(density, axis=0) / np.sqrt(np.mean(stated, axis=0))
    assert np.median(ratio) == pytest.approx(1, abs=0.2)


def test_large_noise_follows_marchenko_pastur():
    w = np.random.default_rng(3).standard_normal((3000, 1500)) / np.sqrt(3000)
    matvec, n = gram(w)
    low, high = marchenko_pastur_edges(0.5)
    got = lanczos_density(matvec, n, np.random.default_rng(0), steps=60, probes=6, width=0.08)
    inside = (got.grid > low + 0.3) & (got.grid < high - 0.3)
    law = marchenko_pastur_density(got.grid, 0.5)
    assert np.abs(got.density - law)[inside].max() < 0.06
    assert np.abs(got.density - law)[inside].mean() < 0.02


def test_lanczos_is_exact_when_it_may_go_on():
    r = np.random.default_rng(2)
    a = r.standard_normal((20, 20))
    a = a + a.T
    start = r.standard_normal(20)
    values, weights = lanczos(lambda x: a @ x, start, 50)
    exact, vectors = np.linalg.eigh(a)
    assert values == pytest.approx(exact, abs=1e-9)
    assert weights == pytest.approx((vectors.T @ start) ** 2 / (start @ start), abs=1e-9)
    # a start within an invariant space sees only that
    values, weights = lanczos(lambda x: a @ x, vectors[:, 4], 50)
    assert values == pytest.approx(exact[4:5])
    assert weights == pytest.approx([1.0])


def test_jackson_factors():
    g = jackson(30)
    assert g[0] == pytest.approx(1)
    assert (np.diff(g) < 0).all()
    assert g[-1] > 0


def test_bounds_that_leave_eigenvalues_out_are_noticed():
    matvec, n = gram(matrix())
    with pytest.raises(InputError, match="outside"):
        chebyshev_density(matvec, n, (0.0, 4.0), np.random.default_rng(0))


def test_trace():
    r = np.random.default_rng(5)
    w = r.standard_normal((200, 150)) * 0.8 ** np.arange(150)  # a decaying spectrum
    matvec, n = gram(w)
    exact = float((w**2).sum())
    draws = np.array([hutch_trace(matvec, n, np.random.default_rng(s)) for s in range(60)])
    spread = draws[:, 0].std()
    assert draws[:, 0].mean() == pytest.approx(exact, abs=4 * spread / np.sqrt(60))
    assert spread == pytest.approx(np.sqrt((draws[:, 1] ** 2).mean()), rel=0.4)  # own error 9 %
    plain = np.array([((z * matvec(z)).sum(0)).mean() for z in r.choice([-1.0, 1.0], (60, n, 60))])
    assert spread < 0.5 * plain.std()  # as many products, without the dominant space


def test_leading_values():
    r = np.random.default_rng(6)
    u, v = (np.linalg.qr(r.standard_normal((k, 100)))[0] for k in (300, 200))
    true = 10.0 * 0.8 ** np.arange(100)
    w = (u * true) @ v.T
    assert leading_values(w, 12, r) == pytest.approx(true[:12], rel=1e-4)
    assert leading_values(w.T, 5, r) == pytest.approx(true[:5], rel=1e-6)
    flat = r.standard_normal((400, 300))
    exact = np.linalg.svd(flat, compute_uv=False)[:10]
    got = leading_values(flat, 10, r)
    assert (got <= exact * (1 + 1e-12)).all()
    assert got == pytest.approx(exact, rel=0.08)
    assert leading_values(np.eye(3), 3, r) == pytest.approx(np.ones(3))


def test_what_is_refused():
    matvec, n = gram(matrix())
    r = np.random.default_rng(0)
    for call in (
        lambda: lanczos_density(matvec, n, r, probes=1),
        lambda: lanczos_density(matvec, n, r, steps=1),
        lambda: chebyshev_density(matvec, n, (1.0, 1.0), r),
        lambda: hutch_trace(matvec, n, r, products=3),
        lambda: leading_values(np.eye(3), 4, r),
        lambda: gram(np.ones(3)),
    ):
        with pytest.raises(InputError):
            call()
