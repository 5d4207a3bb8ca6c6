"""Collapse and exponents: planted curves with known answers, then percolation itself."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.percolation.canonical import canonical, probability
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.scaling import Curves, collapse, curves, power, quality
from opalesce.theory.percolation.sweep import sweep
from opalesce.theory.percolation.threshold import stderr

P_C, NU, ZETA = 0.4, 0.8, -0.3
SIZES = np.array([10.0, 20.0, 40.0])


def planted(rng, error=0.003, points=31, resamples=0):
    """A_L(p) = L^(zeta/nu) f(L^(1/nu) (p - p_c)), f a smooth step, the same x-range at each size."""
    x = np.linspace(-2.5, 2.5, points)
    p = P_C + x * SIZES[:, None] ** (-1 / NU)
    scale = SIZES[:, None] ** (ZETA / NU)
    true = scale * (0.5 + 0.4 * np.tanh(x))
    se = np.broadcast_to(error * scale, true.shape)
    y = true + se * rng.standard_normal(true.shape)
    return Curves(SIZES, p, y, se, y + se * rng.standard_normal((resamples, *true.shape)))


def slow_quality(c, p_c, nu, zeta):
    """The sum over points as it is written, with the weighted line from numpy's polyfit."""
    x = (c.p - p_c) * c.sizes[:, None] ** (1 / nu)
    y, dy = (a * c.sizes[:, None] ** (-zeta / nu) for a in (c.y, c.stderr))
    terms = [[] for _ in c.sizes]
    for i in range(len(x)):
        for at, value, error in zip(x[i], y[i], dy[i], strict=True):
            px, py, pe = [], [], []
            for j in set(range(len(x))) - {i}:
                k = np.searchsorted(x[j], at, side="right") - 1
                if (k == len(x[j]) - 1 and at == x[j][-1]) or 0 <= k < len(x[j]) - 1:
                    k = min(k, len(x[j]) - 2)
                    for found, new in ((px, x), (py, y), (pe, dy)):
                        found.extend(new[j][k : k + 2])
            if px:
                design = np.stack([np.ones(len(px)), np.array(px) - at], axis=1) / np.array(pe)[:, None]
                cov = np.linalg.inv(design.T @ design)
                line = (cov @ design.T @ (np.array(py) / pe))[0]
                terms[i].append((value - line) ** 2 / (error**2 + cov[0, 0]))
    return np.mean([t for group in terms for t in group]), np.mean([np.mean(t) for t in terms if t])


@pytest.mark.parametrize("at", [(P_C, NU, ZETA), (0.39, 0.9, -0.2), (0.45, 0.7, 0.1)])
def test_quality_is_the_sum_as_written(at):
    c = planted(np.random.default_rng(1), points=14)
    pooled, per_size = slow_quality(c, *at)
    assert quality(c, *at) == pytest.approx(pooled, rel=1e-9)
    assert quality(c, *at, per_size=True) == pytest.approx(per_size, rel=1e-9)


def test_quality_is_one_at_the_truth_and_large_elsewhere():
    # mean of 40 draws; each has about 90 terms of unit mean and variance 2
    found = [quality(planted(np.random.default_rng([2, i])), P_C, NU, ZETA) for i in range(40)]
    assert np.mean(found) == pytest.approx(1, abs=0.1)
    c = planted(np.random.default_rng(2))
    for wrong in ((P_C + 0.01, NU, ZETA), (P_C, NU * 1.2, ZETA), (P_C, NU, ZETA * 1.2)):
        assert quality(c, *wrong) > 5
    assert quality(c, P_C, -1, ZETA) == quality(c, P_C + 5, 0.05, ZETA) == np.inf


def test_collapse_finds_the_planted_parameters():
    covered, offs = [], []
    for i in range(12):
        c = planted(np.random.default_rng([3, i]), points=21, resamples=20)
        got = collapse(c, (P_C + 0.01, NU * 1.1, ZETA * 0.8))
        assert got.quality < 2
        for e, true in ((got.p_c, P_C), (got.nu, NU), (got.zeta, ZETA)):
            assert not e.status
            covered.append(e.low <= true <= e.high)
            offs.append((e.value - true) / (e.high - e.low))
    # 36 intervals of level 0.9 from 20 noisy copies (noise twice: they are centred off the truth)
    assert np.mean(covered) > 0.5
    assert np.abs(offs).max() < 1.5


def test_fixed_parameters_stay_and_a_failure_says_so():
    c = planted(np.random.default_rng(4), points=21, resamples=10)
    got = collapse(c, (P_C, NU * 1.1, ZETA), fixed=("p_c", "zeta"))
    assert (got.p_c.value, got.zeta.value) == (P_C, ZETA)
    assert got.nu.value == pytest.approx(NU, rel=0.05)
    bad = collapse(c, (P_C + 0.05, NU, ZETA), fixed=("p_c",))
    assert "do not collapse" in bad.nu.status
    for fixed in (("beta",), ("p_c", "nu", "zeta")):
        with pytest.raises(InputError, match="to fit"):
            collapse(c, (P_C, NU, ZETA), fixed=fixed)


@pytest.mark.parametrize(
    "change",
    [{"sizes": np.array([10.0])}, {"y": np.full((3, 31), np.nan)}, {"stderr": np.zeros((3, 31))},
     {"p": np.zeros((3, 31))}, {"sizes": -SIZES}, {"y": np.zeros((3, 30))}],
)  # fmt: skip
def test_curves_that_are_none(change):
    c = planted(np.random.default_rng(5))
    with pytest.raises(InputError):
        Curves(**{**c.__dict__, **change})


def test_powers():
    rng, sizes = np.random.default_rng(6), np.array([8, 16, 32, 64, 128])
    pulls, corrected = [], []
    for _ in range(200):
        y = 3 * sizes**-0.7 * (1 + 0.01 * rng.standard_normal(5))
        e = power(sizes, y, 0.01 * y)
        pulls.append((e.value + 0.7) / stderr(e))
        y = 3 * sizes**-0.7 * np.exp(0.8 / sizes) * (1 + 0.001 * rng.standard_normal(5))
        e = power(sizes, y, 0.001 * y, omega=1)
        corrected.append((e.value + 0.7) / stderr(e))
    for pull in (pulls, corrected):
        assert abs(np.mean(pull)) < 4 / np.sqrt(200)
        assert np.std(pull) == pytest.approx(1, abs=4 / np.sqrt(400))
    assert "corrections" in power(sizes, y, 0.001 * y).status
    for bad in (([8], [1], [1]), ([8, 8], [1, 1], [1, 1]), ([8, 16], [1, -1], [1, 1])):
        with pytest.raises(InputError):
            power(*bad)


def test_square_sites_collapse():
    """Issue 3, part D, row 13: tolerances cover corrections to scaling at these sizes."""
    rng, p_c = np.random.default_rng(7), 0.592746050790
    numbers = {32: 6000, 64: 3000, 128: 1200}
    runs = [
        sweep(lattice("square", size), "site", n, rng=rng, window=(0.57, 0.62)) for size, n in numbers.items()
    ]
    c = curves(list(numbers), runs, np.linspace(0.57, 0.62, 26), rng=rng, resamples=8)
    free = collapse(c, (p_c, 4 / 3, -5 / 36))
    assert free.p_c.value == pytest.approx(p_c, abs=0.003)
    assert free.nu.value == pytest.approx(4 / 3, abs=0.08)
    assert -free.zeta.value / free.nu.value == pytest.approx(5 / 48, abs=0.02)
    fixed = collapse(c, (p_c, 1.2, -0.1), fixed=("p_c",))
    assert fixed.nu.value == pytest.approx(4 / 3, abs=0.05)
    assert -fixed.zeta.value / fixed.nu.value == pytest.approx(5 / 48, abs=0.008)
    assert quality(c, p_c, 4 / 3, -5 / 36) < 5 < quality(c, p_c + 0.006, 4 / 3, -5 / 36)
    # exponents at the known threshold
    top = [canonical(s, "S1", p_c) for s in runs]
    e = power(list(numbers), [t[0][0] / s.n for t, s in zip(top, runs, strict=True)],
              [t[1][0] / s.n for t, s in zip(top, runs, strict=True)])  # fmt: skip
    assert e.value == pytest.approx(-5 / 48, abs=4 * stderr(e) + 0.002)
    slope = [probability(s, p_c, "axis", derivative=True) for s in runs]
    e = power(list(numbers), [s[0][0] for s in slope], [s[1][0] for s in slope])
    assert e.value == pytest.approx(3 / 4, abs=4 * stderr(e) + 0.01)


def test_curves_need_sizes():
    s = sweep(lattice("square", 4), "site", 8, rng=np.random.default_rng(8))
    with pytest.raises(InputError, match="two or more sizes"):
        curves([4], [s], [0.5, 0.6], rng=np.random.default_rng(8))
    chi = curves([4, 8], [s, s], [0.5, 0.6], "chi", rng=np.random.default_rng(8))
    assert chi.y.shape == (2, 2)
