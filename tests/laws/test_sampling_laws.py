"""Repeated sampling against exact sums and integrals; growth laws against their own formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import gamma
from scipy.stats import beta as beta_law
from scipy.stats import betabinom

from opalesce.errors import InputError
from opalesce.laws.growth_laws import modulated_log, rl_sigmoid
from opalesce.laws.sampling_laws import beta_pass_at, coverage_law, success_rates, tail_exponent
from opalesce.theory.sampling import pass_at_k


def problems(seed, alpha=0.4, beta=3.0, size=300, n=100):
    rng = np.random.default_rng(seed)
    return np.full(size, n), rng.binomial(n, rng.beta(alpha, beta, size))


@pytest.mark.parametrize(("a", "b"), [(0.4, 3.0), (2.0, 5.0), (1.0, 1.0)])
def test_pass_at_k_is_the_integral_and_the_sum(a, b):
    for k in (1, 7, 40):
        integral = quad(lambda p, k=k: (1 - (1 - p) ** k) * beta_law.pdf(p, a, b), 0, 1)[0]
        assert beta_pass_at(k, a, b) == pytest.approx(integral, rel=1e-6)
        # and the mean of the unbiased pass@k over beta-binomial counts of 50 samples
        c = np.arange(51)
        total = (betabinom.pmf(c, 50, a, b) * pass_at_k(np.full(51, 50), c, k)).sum()
        assert beta_pass_at(k, a, b) == pytest.approx(total, rel=1e-9)
    assert beta_pass_at(1, a, b) == pytest.approx(a / (a + b))


def test_tail_law_is_the_limit_of_many_samples():
    a, b, k = 0.4, 3.0, 1e6
    tail = gamma(a + b) / gamma(b) * k**-a
    assert -np.log(beta_pass_at(k, a, b)) == pytest.approx(tail, rel=0.01)  # next term is of order tail / 2


@pytest.mark.validate
def test_beta_law_is_recovered_and_its_intervals_cover():
    # 40 sets of 300 problems, 90 % intervals: 36 +- 1.9 inside; 30 is three standard errors below
    inside, found = np.zeros(3, int), []
    for seed in range(40):
        got = success_rates(*problems([1, seed]), draws=100, seed=seed)
        ahead = got.pass_at([10000])[0]
        for i, (e, true) in enumerate(
            ((got.alpha, 0.4), (got.beta, 3.0), (ahead, float(beta_pass_at(10000, 0.4, 3.0))))
        ):
            inside[i] += e.low <= true <= e.high
        found.append([got.alpha.value, got.beta.value])
    assert inside.min() >= 30, inside
    error = np.std(found, axis=0) / np.sqrt(40)
    assert np.all(
        np.abs(np.mean(found, axis=0) - [0.4, 3.0]) < 3 * error + [0.01, 0.1]
    )  # bias of order 1/300
    assert got.tail_coefficient == pytest.approx(
        gamma(got.alpha.value + got.beta.value) / gamma(got.beta.value), rel=1e-9
    )


def test_beta_law_is_the_maximum_of_scipys_likelihood():
    n, c = problems(8)
    got = success_rates(n, c, draws=0)

    def cost(t):
        return -betabinom.logpmf(c, n, *np.exp(t)).sum()

    slow = minimize(cost, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    assert got.log_likelihood == pytest.approx(-slow.fun, abs=1e-5)
    assert [got.alpha.value, got.beta.value] == pytest.approx(np.exp(slow.x), rel=1e-3)


def test_a_line_in_logs_promises_more_than_all_and_the_counts_do_not():
    # the regression of ln pass@k on ln k is the one that kazdan2025efficient warns of
    n, c = problems(2, alpha=0.8, beta=3.0)
    ks = np.array([1, 2, 4, 8, 16])
    mean = [pass_at_k(n, c, int(k)).mean() for k in ks]
    slope, start = np.polyfit(np.log(ks), np.log(mean), 1)
    assert np.exp(start + slope * np.log(1e4)) > 1
    ahead = success_rates(n, c, draws=50).pass_at(np.array([1e4]))[0]
    assert ahead.high <= 1
    assert ahead.value == pytest.approx(float(beta_pass_at(1e4, 0.8, 3.0)), abs=0.01)


def test_coverage_law():
    # rates of a power-law tail at 0 give ln c ~ -k^-b far out, with b its exponent (schaeffer2025monkeys)
    n, c = problems(3, alpha=0.4, beta=3.0, size=2000, n=2000)
    ks = np.array([100, 200, 400, 800, 1600])
    got = coverage_law(n, c, ks, draws=100)
    cover = np.array([pass_at_k(n, c, int(k)).mean() for k in ks])
    assert np.abs(got(ks) - cover).max() < 0.01
    assert got.a.value < 0
    # local slope of the exact law between the same k
    exact = np.polyfit(np.log(ks), np.log(-np.log(beta_pass_at(ks, 0.4, 3.0))), 1)[0]
    spread = (got.b.high - got.b.low) / (2 * 1.645)
    assert abs(got.b.value - exact) < 3 * spread
    assert spread < 0.05


def test_tail_exponent_of_rates():
    # p = t U^(1/b): exact power law. Relative error 1 / sqrt(m) = 3.2 % at m = 1000; coverage of 2000 exact
    # 90 % intervals 1800 +- 13.4
    rng = np.random.default_rng(4)
    one = tail_exponent(0.1 * rng.random(1000) ** (1 / 0.5), 0.1)
    assert one.value == pytest.approx(0.5, rel=3 * 0.032)
    inside, values = 0, []
    for _ in range(2000):
        e = tail_exponent(0.1 * rng.random(20) ** (1 / 0.5), 0.1)
        inside += e.low <= 0.5 <= e.high
        values.append(e.value)
    assert abs(inside - 1800) <= 3 * 13.4
    # unbiased: s.d. of one .5 / sqrt(18) = .118, of the mean of 2000 .0026; m / sum is .026 too high
    assert abs(np.mean(values) - 0.5) < 3 * 0.0026


def test_sigmoid_of_compute():
    c = np.geomspace(10, 1e5, 25)
    clean = 0.2 + 0.4 / (1 + (800 / c) ** 1.3)
    exact = rl_sigmoid(c, clean, draws=0)
    got = {k: e.value for k, e in exact.params.items()}
    assert got == pytest.approx({"R0": 0.2, "A": 0.6, "C_mid": 800, "B": 1.3}, rel=1e-4)
    np.testing.assert_allclose(exact(c), clean, atol=1e-7)
    # noise .01, 30 sets, 90 % intervals of A and C_mid: 27 +- 1.6 of 30
    inside = np.zeros(2, int)
    for seed in range(30):
        noisy = clean + 0.01 * np.random.default_rng([5, seed]).normal(size=25)
        fit = rl_sigmoid(c, noisy, draws=60, seed=seed)
        inside += [fit.params[k].low <= v <= fit.params[k].high for k, v in (("A", 0.6), ("C_mid", 800.0))]
    assert inside.min() >= 22, inside


def test_modulated_logarithm():
    t = np.concatenate([[0.0], np.geomspace(1, 140, 40)])
    x = 0.3 * t + 1.5
    clean = 40 * np.exp(-0.05 * x) * np.log(x) + 7
    got = modulated_log(t, clean, draws=0)
    values = {k: e.value for k, e in got.params.items()}
    assert values == pytest.approx({"A": 40, "lambda": 0.05, "gamma": 0.3, "t0": 1.5, "K": 7}, rel=1e-3)
    np.testing.assert_allclose(got(t), clean, atol=1e-4)
    noisy = clean + np.random.default_rng(6).normal(size=len(t))
    fit = modulated_log(t, noisy, draws=60, level=0.99)
    assert np.sqrt(((fit(t) - clean) ** 2).mean()) < 3 * np.sqrt(5 / 41)  # noise 1, five parameters
    assert fit.params["K"].low <= 7 <= fit.params["K"].high


def test_bad_input():
    n, c = problems(7)
    with pytest.raises(InputError, match="counts"):
        success_rates(n, c + 0.5)
    with pytest.raises(InputError, match="one sample"):
        success_rates(np.ones(10), np.ones(10))
    with pytest.raises(InputError, match="problems"):
        success_rates(n[:2], c[:2])
    with pytest.raises(InputError, match="counts of passes"):
        coverage_law(n, c, [1, 1000])
    with pytest.raises(InputError, match="coverage"):
        coverage_law(n, 0 * c, [1, 10])
    with pytest.raises(InputError, match="threshold"):
        tail_exponent(np.full(10, 0.5), 0.1)
    with pytest.raises(InputError):
        rl_sigmoid([1, 2, 3], [0.1, 0.2, 0.3])
    with pytest.raises(InputError):
        modulated_log(-np.arange(10.0), np.arange(10.0))
    assert "alike" in success_rates(np.full(20, 50), np.full(20, 25), draws=0).status
