"""Power-law tails: planted Pareto points, published data sets, a slow twin, and the bootstrap's p-values."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate
from scipy.special import zeta

from opalesce.errors import InputError
from opalesce.observables.tail_tests import RIVALS, compare, goodness_of_fit
from opalesce.observables.tails import fit_power_law, hill, scan_xmin


def pareto(alpha: float, n: int, seed: int = 0) -> np.ndarray:
    return (1 - np.random.default_rng(seed).random(n)) ** (-1 / (alpha - 1))


def data(name: str) -> np.ndarray:
    """A data set that the powerlaw package (MIT) ships; read without importing it."""
    spec = find_spec("powerlaw")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the powerlaw package, which ships the data, is not installed")
    x = np.genfromtxt(Path(spec.submodule_search_locations[0]) / "reference_data" / f"{name}.txt")
    return np.asarray(x[x > 0])


# Clauset, Shalizi and Newman (2009), table 6.1, as kept in powerlaw's test_reference_data (02-structure C.2).
# The published alphas have one or two decimals; the tolerance is 0.02, or half of the last decimal given.
PUBLISHED = [
    ("words", True, 1, 1.95, 7, 0.02),
    ("terrorism", True, 1, 2.4, 12, 0.05),
    ("blackouts", False, 1e-3, 2.3, 230, 0.05),
    ("cities", False, 1e-3, 2.37, 52.46, 0.02),
    ("fires", False, 1, 2.2, 6324, 0.05),
    ("flares", False, 1, 1.79, 323, 0.02),
]


@pytest.mark.parametrize(("name", "discrete", "unit", "alpha", "xmin", "tolerance"), PUBLISHED)
def test_published_data_sets(name, discrete, unit, alpha, xmin, tolerance):
    fit = fit_power_law(data(name) * unit, discrete=discrete)
    assert fit.xmin == pytest.approx(xmin, rel=1e-4)
    assert fit.alpha == pytest.approx(alpha, abs=tolerance)
    assert fit.status == ""


# 02-structure C.2: density exponent 2.5; sampling error 1.5 / sqrt(n) = 0.023, 0.017; more with xmin searched
@pytest.mark.parametrize("n", [4096, 8192])
def test_planted_exponent(n: int):
    x = pareto(2.5, n)
    whole = fit_power_law(x, xmin=1.0)
    assert whole.alpha == pytest.approx(2.5, abs=4 * whole.stderr)
    assert whole.stderr == pytest.approx(1.5 / np.sqrt(n), rel=0.05)
    searched = fit_power_law(x)
    assert searched.alpha == pytest.approx(2.5, abs=4 * searched.stderr)
    assert searched.n_tail > 100


def test_stderr_is_the_spread_of_repeated_fits():
    fits = [fit_power_law(pareto(3.0, 400, s), xmin=1.0) for s in range(300)]
    spread = np.std([f.alpha for f in fits])  # its own error: 1/sqrt(600), 4 %
    assert spread == pytest.approx(np.mean([f.stderr for f in fits]), rel=0.15)


def slow_scan(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.unique(x)[:-1]
    alphas, distances = [], []
    for start in values:
        tail = np.sort(x[x >= start])
        alpha = 1 + tail.size / np.log(tail / start).sum()
        at = np.unique(tail)
        empirical = np.array([(tail < v).mean() for v in at])
        alphas.append(alpha)
        distances.append(np.abs(1 - (at / start) ** (1 - alpha) - empirical).max())
    return values, np.array(alphas), np.array(distances)


@pytest.mark.parametrize("ties", [False, True])
def test_scan_is_its_slow_twin(ties: bool):
    x = pareto(2.2, 150, 3)
    if ties:
        x = np.ceil(5 * x) / 5
    for got, expected in zip(scan_xmin(x), slow_scan(x), strict=True):
        assert got == pytest.approx(expected, rel=1e-10, abs=1e-12)
    fit = fit_power_law(x)  # the pruned search finds the same minimum
    xmin, alpha, distance = slow_scan(x)
    best = int(np.argmin(distance))
    assert (fit.xmin, fit.alpha, fit.distance) == pytest.approx((xmin[best], alpha[best], distance[best]))
    assert fit.n_tail == (x >= fit.xmin).sum()


def test_scale_moves_xmin_only():
    x = pareto(2.5, 500, 1)
    a, b = fit_power_law(x), fit_power_law(1e-9 * x)
    assert (b.alpha, b.distance, b.n_tail) == pytest.approx((a.alpha, a.distance, a.n_tail), rel=1e-9)
    assert b.xmin == pytest.approx(1e-9 * a.xmin)


def zipf(alpha: float, xmin: int, n: int, seed: int) -> np.ndarray:
    k = np.arange(xmin, 200_000)
    p = k**-alpha / zeta(alpha, xmin)
    return np.random.default_rng(seed).choice(k, n, p=p / p.sum()).astype(float)


def test_discrete_exponent_and_its_error():
    fits = [fit_power_law(zipf(2.5, 3, 500, s), xmin=3, discrete=True) for s in range(60)]
    alphas = np.array([f.alpha for f in fits])
    assert alphas.mean() == pytest.approx(2.5, abs=4 * alphas.std() / np.sqrt(60))
    assert alphas.std() == pytest.approx(fits[0].stderr, rel=0.35)  # own error 9 %
    # the continuous formula on integers is far off
    assert abs(fit_power_law(zipf(2.5, 3, 5000, 1), xmin=3).alpha - 2.5) > 0.3


def test_hill_is_the_maximum_likelihood_fit_above_the_next_value():
    x = pareto(2.5, 2000, 4)
    alpha, error = hill(x, 300)
    top = np.sort(x)[-301:]
    assert alpha == pytest.approx(1 + 300 / np.log(top[1:] / top[0]).sum())
    assert alpha == pytest.approx(2.5, abs=4 * error)
    with pytest.raises(InputError, match="k"):
        hill(x, 2000)
    with pytest.raises(InputError, match="equal"):
        hill(np.ones(9), 3)


def test_noise_has_an_exponent_that_means_nothing():
    # 02-structure C.1: alpha 15.6, 13.2, 7.0 at 1024^2 and D = 0.118 to 0.128 always; 512 x 512 draws here
    r = np.random.default_rng(2)
    fits = []
    for _ in range(6):
        w = r.standard_normal((512, 512))
        fits.append(fit_power_law(np.linalg.eigvalsh(w.T @ w)[1:]))
    alphas = np.array([f.alpha for f in fits])
    assert alphas.max() / alphas.min() > 1.5
    assert alphas.min() > 4
    assert all(0.10 < f.distance < 0.15 for f in fits)
    assert all("noise" in f.status or "points" in f.status for f in fits)


def test_bootstrap_accepts_power_laws_and_refuses_exponentials():
    r = np.random.default_rng(5)
    # p is uniform under the law: all of 12 below 0.1 has probability 1e-12, all above 0.9 too
    p = [goodness_of_fit(x, fit_power_law(x), r, 40)[0] for x in (pareto(2.5, 300, s) for s in range(12))]
    assert 0.2 < np.mean(p) < 0.8  # mean 0.5, error 0.09
    x = 1 + r.exponential(1.0, 400)
    value, error = goodness_of_fit(x, fit_power_law(x, xmin=1.0), r, 40)
    assert value == 0
    assert 0 < error < 0.05


def test_bootstrap_draws_as_many_tail_points_as_the_data_have():
    # a body that is no power law below a tail that is one: p stays uniform, mean 0.5, error 0.29 / 4
    r = np.random.default_rng(3)
    p = []
    for seed in range(16):
        x = np.concatenate([r.uniform(0.6, 1.0, 300), pareto(3.0, 300, seed)])
        p.append(goodness_of_fit(x, fit_power_law(x), r, 40)[0])
    assert 0.25 < np.mean(p) < 0.75


def test_discrete_bootstrap():
    r = np.random.default_rng(1)
    x = zipf(2.4, 2, 400, 7)
    assert goodness_of_fit(x, fit_power_law(x, discrete=True), r, 30)[0] > 0.05
    y = r.poisson(6, 400) + 1.0
    assert goodness_of_fit(y, fit_power_law(y, xmin=1, discrete=True), r, 20)[0] == 0


def test_comparisons_with_rivals():
    # Clauset, Shalizi and Newman's values as kept by powerlaw: blackouts, cities (R, p)
    x = data("blackouts") * 1e-3
    fit = fit_power_law(x)
    for rival, ratio, p in (("lognormal", -0.412, 0.68), ("exponential", 1.43, 0.15)):
        got = compare(x, fit, rival)
        assert (got.ratio, got.p) == pytest.approx((ratio, p), abs=0.01)
    assert compare(x, fit, "truncated_power_law").p == pytest.approx(0.38, abs=0.005)


@pytest.mark.parametrize(
    ("rival", "q"),
    [
        ("exponential", [np.log(0.4)]),
        ("lognormal", [0.3, np.log(0.8)]),
        ("stretched_exponential", [np.log(0.5), np.log(0.7)]),
        ("truncated_power_law", [1.7, np.log(0.02)]),
        ("truncated_power_law", [0.4, np.log(0.3)]),
    ],
)
def test_rivals_are_densities_above_xmin(rival: str, q: list[float]):
    xmin = 1.5

    def density(u: float) -> float:  # in ln(x), where all of them are smooth
        x = xmin * np.exp(np.array([u]))
        return float(np.exp(RIVALS[rival](np.array(q), x, xmin))[0] * x[0])

    assert integrate.quad(density, 0, 15, limit=300)[0] == pytest.approx(1, abs=1e-6)


def test_comparisons_find_the_truth():
    r = np.random.default_rng(9)
    x = pareto(2.5, 3000, 2)
    fit = fit_power_law(x, xmin=1.0)
    assert compare(x, fit, "exponential").ratio > 3
    cut = compare(x, fit, "truncated_power_law")
    assert cut.ratio <= 1e-6  # it contains the power law
    assert cut.p > 0.01
    y = np.exp(r.normal(0, 1, 6000))
    y = y[y > 1]
    found = compare(y, fit_power_law(y, xmin=1.0), "lognormal")
    assert found.ratio < -5
    assert found.p < 1e-6
    assert found.parameters == pytest.approx((0, 1), abs=0.2)
    z = 1 + r.exponential(2.0, 3000)
    got = compare(z, fit_power_law(z, xmin=1.0), "exponential")
    assert got.parameters[0] == pytest.approx(0.5, rel=0.08)
    stretched = compare(z, fit_power_law(z, xmin=1.0), "stretched_exponential")
    assert stretched.parameters[0] == pytest.approx(1, abs=0.15)
    with pytest.raises(InputError, match="rival"):
        compare(z, fit, "gamma")


def test_what_is_refused_and_what_gets_a_status():
    for bad in ([], [1.0, np.nan], [0.0, 1.0], [-1.0, 2.0]):
        with pytest.raises(InputError):
            fit_power_law(np.array(bad))
    with pytest.raises(InputError, match="discrete"):
        fit_power_law([1.5, 2.0], discrete=True)
    with pytest.raises(InputError, match="tail"):
        fit_power_law([1.0, 2.0], xmin=5.0)
    flat = fit_power_law(np.ones(5))
    assert np.isnan(flat.alpha)
    assert "two distinct" in flat.status
    with pytest.raises(InputError, match="no fit"):
        goodness_of_fit(np.ones(5), flat, np.random.default_rng(0))
    assert "only" in fit_power_law(pareto(2.5, 30, 0)).status
