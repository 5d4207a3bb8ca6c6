"""Accuracy curves fitted to counts: recovery, coverage, nulls, and a real training run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import betabinom, binom

import opalesce
from opalesce.errors import InputError
from opalesce.laws.capability_curve import capability_curve
from opalesce.laws.capability_shapes import Curve
from opalesce.laws.likelihood import log_pmf, score

X = np.geomspace(1e18, 1e24, 16)
N = 200
TRUE = {"x_c": 1e21, "w": 1.2, "top": 0.85}


def truth(x=X, chance=0.25, top=0.85, x_c=1e21, w=1.2):
    return chance + (top - chance) / (1 + (x / x_c) ** (-1 / w))


def counts(seed, rho=0.0, n=N, q=None):
    rng = np.random.default_rng(seed)
    q = truth() if q is None else q
    return rng.binomial(n, q if rho == 0 else rng.beta(q * (1 / rho - 1), (1 - q) * (1 / rho - 1)))


def test_probabilities_are_those_of_scipy():
    k, n, q, rho = np.arange(11.0), np.full(11, 10.0), np.full(11, 0.3), 0.2
    np.testing.assert_allclose(log_pmf(k, n, q, rho), betabinom.logpmf(k, 10, 0.3 * 4, 0.7 * 4), rtol=1e-10)
    np.testing.assert_allclose(log_pmf(k, n, q), binom.logpmf(k, 10, 0.3), rtol=1e-10)
    np.testing.assert_allclose(log_pmf(k, n, q, 1e-6), binom.logpmf(k, 10, 0.3), atol=1e-3)
    spread = np.exp(log_pmf(k, n, q, rho)) @ (k - 3) ** 2
    assert spread == pytest.approx(10 * 0.3 * 0.7 * (1 + 9 * rho))
    h = 1e-6  # scores against central differences
    by_q, by_log_rho = score(k[None], n, q[None], np.array([[rho]]))
    np.testing.assert_allclose(
        by_q[0], (log_pmf(k, n, q + h, rho) - log_pmf(k, n, q - h, rho)) / (2 * h), rtol=1e-6, atol=1e-6
    )
    up, down = rho * np.exp(h), rho * np.exp(-h)
    slope = (log_pmf(k, n, q, up) - log_pmf(k, n, q, down)) / (2 * h)
    np.testing.assert_allclose(by_log_rho[0], slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", ["logistic", "weibull", "smooth"])
def test_derivatives_of_the_rates(shape):
    curve, u = Curve(shape, None, None, False), np.linspace(-3, 3, 9)
    theta = np.array([[0.4, -0.2, 0.1, 0.9]])
    _, jac = curve.rates(theta, u)
    for i in range(4):
        h = np.zeros(4)
        h[i] = 1e-6
        slope = (curve.rates(theta + h, u)[0] - curve.rates(theta - h, u)[0]) / 2e-6
        np.testing.assert_allclose(jac[0, :, i], slope[0], atol=1e-8)


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ("logistic", lambda x, c, w: 1 / (1 + np.exp(-(np.log(x) - np.log(c)) / w))),
        ("weibull", lambda x, c, w: 1 - np.exp(-((x / c) ** (1 / w)))),
        ("hill", lambda x, c, w: x ** (1 / w) / (x ** (1 / w) + c ** (1 / w))),
    ],
)
def test_formulas_and_the_maximum_against_a_slow_twin(shape, form):
    x = np.geomspace(1, 1e4, 14)
    k = counts(11, n=400, q=0.1 + 0.7 * form(x, 100.0, 0.9))
    got = capability_curve(x, k, 400, shape=shape, chance=None, draws=0)

    def cost(p):
        q = p[2] + (p[3] - p[2]) * form(x, np.exp(p[0]), np.exp(p[1]))
        return -binom.logpmf(k, 400, np.clip(q, 1e-9, 1 - 1e-9)).sum()

    slow = minimize(
        cost, [np.log(100.0), 0.0, 0.1, 0.8], method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 5000, "maxfev": 5000},
    )  # fmt: skip
    assert got.log_likelihood == pytest.approx(-slow.fun, abs=1e-4)
    w = got.params["w"] if shape == "logistic" else 1 / got.params["k"]
    assert [np.log(got.params["x_c"]), np.log(w)] == pytest.approx(slow.x[:2], abs=0.01)
    assert got.aic == pytest.approx(2 * (4 - got.log_likelihood))
    # 10-90 % width read off the formula itself
    fine = np.geomspace(1e-4, 1e8, 200001)
    s = form(fine, np.exp(slow.x[0]), np.exp(slow.x[1]))
    ends = np.log10(fine[np.searchsorted(s, [0.1, 0.9])])
    assert got.width.value == pytest.approx(ends[1] - ends[0], abs=0.03)


def test_beta_binomial_maximum_of_wild_counts():
    # U-shaped counts, far from any start: squared scores as curvature once stalled here, 40 nats too low
    k = counts([12, 0], rho=0.6, n=5153, q=np.full(26, 0.2))
    _, value = Curve("constant", 0.0, 1.0, True).fit(
        np.arange(26.0), k[None].astype(float), np.full(26, 5153.0)
    )

    def cost(p):
        q, rho = 1 / (1 + np.exp(-p))
        return -betabinom.logpmf(k, 5153, q * (1 / rho - 1), (1 - q) * (1 / rho - 1)).sum()

    slow = minimize(cost, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-9})
    assert value[0] == pytest.approx(-slow.fun, abs=1e-4)


def test_recovery_within_sampling_error():
    # 20 000 trials a point: one fit's interval at 99.9 % holds each constant but for once in a thousand
    got = capability_curve(X, counts(3, n=20000), 20000, chance=0.25, level=0.999, draws=1000)
    for name, true in TRUE.items():
        e = got.intervals[name]
        assert e.low <= true <= e.high, name
        assert e.high - e.low < 0.2 * true, name
    band = got.predict(X)
    assert np.abs(band.median - truth()).max() < 0.01
    assert ((band.lower <= truth()) & (truth() <= band.upper)).mean() > 0.8
    assert got.resolution == 1 / 20000


def coverage(likelihood, rho, curves=100):
    inside = dict.fromkeys([*TRUE, "rho"], 0)
    wide = 0
    for seed in range(curves):
        got = capability_curve(
            X, counts([1, seed], rho), N, chance=0.25, likelihood=likelihood, draws=100, seed=seed
        )
        wide += got.likelihood == "beta-binomial"
        for name, true in TRUE.items():
            inside[name] += got.intervals[name].low <= true <= got.intervals[name].high
        inside["rho"] += got.overdispersion.low <= rho <= got.overdispersion.high
    return inside, wide


# 100 curves: at a true coverage of .9 the count is 90 +- 3; 80 is three standard errors below, and a
# percentile interval of 16 points is known to fall a few per cent short.
def test_binomial_intervals_cover():
    inside, _ = coverage("binomial", 0.0)
    assert min(inside[name] for name in TRUE) >= 80, inside


def test_overdispersed_counts_need_the_beta_binomial():
    narrow, _ = coverage("binomial", 0.05)
    wide, chosen = coverage("auto", 0.05)
    assert chosen >= 95  # variance 11 times the binomial's
    assert max(narrow[name] for name in TRUE) <= 60, narrow
    assert min(wide.values()) >= 78, wide


def test_auto_keeps_binomial_counts_binomial():
    _, chosen = coverage("auto", 0.0)
    assert chosen <= 5 + 3 * np.sqrt(100 * 0.05 * 0.95)  # stated size 5 % of 100: 5 +- 2.2


def test_constant_rates_are_rarely_called_a_step():
    # 100 curves of rate .3, 99 draws each: p <= .1 in 10 +- 3, mean .5 +- .029
    p = np.array([
        capability_curve(X, counts([2, seed], q=np.full(16, 0.3)), N, chance=None, draws=0)
        .compare("constant", draws=99, seed=seed).p
        for seed in range(100)
    ])  # fmt: skip
    assert (p <= 0.1).sum() <= 19
    assert abs(p.mean() - 0.5) < 3 * 0.029
    strong = capability_curve(X, counts(5), N, chance=None, draws=0).compare("constant", draws=99)
    assert strong.p == 0.01
    assert strong.difference > 50


def test_smooth_product_curve_is_told_from_a_plateau():
    # p^L of a power law rises to 1: a curve that levels off at .6 is not one, and one that is is not rejected
    smooth = np.exp(-((1e21 / X) ** 0.35))
    p = [
        capability_curve(X, counts([4, seed], q=smooth), N, draws=0).compare("smooth", draws=49, seed=seed).p
        for seed in range(30)
    ]
    assert np.sum(np.array(p) <= 0.1) <= 3 + 3 * np.sqrt(30 * 0.1 * 0.9)  # 3 +- 1.6
    level_off = capability_curve(X, counts(6, q=truth(chance=0.0, top=0.6, w=0.6)), N, draws=0)
    found = level_off.compare("smooth", draws=99)
    assert found.p == 0.01
    assert found.difference > 20
    assert len(found.null) == 99


def test_runs_move_together():
    # Eight runs whose step differs: intervals over runs are wider than those of independent counts
    rng = np.random.default_rng(8)
    x, groups = np.tile(X, 8), np.repeat(np.arange(8), 16)
    places = np.exp(np.log(1e21) + rng.normal(0, 1.0, 8))
    k = np.concatenate([rng.binomial(N, truth(x_c=place)) for place in places])
    alone = capability_curve(x, k, N, chance=0.25, draws=100)
    runs = capability_curve(x, k, N, chance=0.25, draws=100, groups=groups)
    assert runs.params == alone.params

    def decades(e):
        return np.log10(e.high / e.low)

    assert decades(runs.intervals["x_c"]) > 3 * decades(alone.intervals["x_c"])
    assert "runs" in runs.width.method
    assert runs.width.n == 8


def test_lambada_of_pythia(data):
    # reference 03, C2: accuracy 0 up to step 512, .067 at 1000, .32 at 3000 (5153 questions); .62 at the end
    curve = opalesce.open(data / "pythia_evals" / "pythia-1.4b").curves["lambada_openai/acc"]
    keep = curve.x > 0
    x, n = curve.x[keep], curve.n_trials
    k = np.round(curve.y[keep] * n)
    got = capability_curve(x, k, n, likelihood="auto", draws=100)
    assert got.likelihood == "beta-binomial"  # one run's checkpoints scatter more than the questions
    assert got.intervals["x_c"].low > 1000
    assert got.intervals["x_c"].high < 13000
    assert 0.55 < got.params["top"] < 0.65
    assert got.resolution == pytest.approx(1 / 5153)
    assert got.compare("constant", draws=99).p == 0.01
    assert got.predict(512.0).median[0] < 0.05


def test_no_success_at_all_and_a_step_between_two_points():
    none = capability_curve(X, np.zeros(16), N, draws=20)
    assert none.compare("constant", draws=19).p > 0.05
    sharp = capability_curve(X, np.where(X < 3e20, 0, N), N, draws=20)
    assert "narrower than the spacing" in sharp.width.status


def test_bad_input():
    k = counts(9)
    for bad, match in (
        ({"successes": k / N}, "counts"), ({"successes": k + N}, "counts"), ({"trials": 0}, "counts"),
        ({"successes": np.where(k > 100, np.nan, k)}, "counts"), ({"x": -X}, "logarithm"),
        ({"successes": k[:5]}, "lengths"), ({"x": np.ones(16)}, "different x"),
        ({"shape": "probit"}, "shape"), ({"likelihood": "normal"}, "likelihood"),
        ({"chance": 0.9, "top": 0.5}, "chance and top"), ({"level": 90}, "level"),
        ({"groups": np.zeros(16)}, "groups"),
        ({"successes": np.ones(16), "trials": 1, "likelihood": "beta-binomial"}, "one trial"),
    ):  # fmt: skip
        arguments = {"x": X, "successes": k, "trials": N, "draws": 0} | bad
        with pytest.raises(InputError, match=match):
            capability_curve(**arguments)
    got = capability_curve(X, k, N, draws=0)
    with pytest.raises(InputError, match="comparison"):
        got.compare("quadratic")
    with pytest.raises(InputError, match="level"):
        got.predict(X, 2)
