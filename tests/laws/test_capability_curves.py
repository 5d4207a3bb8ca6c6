"""Accuracies over scale: constants recovered, intervals that cover, and rivals that are refused or not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom, binom

import opalesce
from opalesce.errors import InputError
from opalesce.laws.capability_curve import capability_curve, log_likelihood

X = np.geomspace(1e7, 1e11, 14)


def rate(x, chance=0.25, top=0.9, place=1e9, w=0.8):
    return chance + (top - chance) / (1 + np.exp(-(np.log(x) - np.log(place)) / w))


def counts(rng, n=400, rho=0.0, q=None):
    q = rate(X) if q is None else q
    if rho:
        q = rng.beta(q * (1 - rho) / rho, (1 - q) * (1 - rho) / rho)
    return rng.binomial(n, q), np.full(len(X), n)


def test_likelihoods_are_those_of_scipy():
    q, k, n = np.array([0.2, 0.7]), np.array([3.0, 9.0]), np.array([10.0, 12.0])
    assert log_likelihood(q, k, n) == pytest.approx(binom.logpmf(k, n, q).sum())
    rho = 0.1
    a, b = q * (1 - rho) / rho, (1 - q) * (1 - rho) / rho
    assert log_likelihood(q, k, n, rho) == pytest.approx(betabinom.logpmf(k, n, a, b).sum())
    assert betabinom.var(12, a[1], b[1]) == pytest.approx(12 * 0.7 * 0.3 * (1 + 11 * rho))


def test_large_counts_give_the_constants_back():
    f = capability_curve(X, *counts(np.random.default_rng(0), n=2_000_000), chance=0.25, draws=0)
    assert np.log(f.params["x_c"] / 1e9) == pytest.approx(0, abs=0.02)
    assert f.params["w"] == pytest.approx(0.8, rel=0.01)
    assert f.params["top"] == pytest.approx(0.9, abs=0.002)
    assert f.intervals["width"].value == pytest.approx(4.394 * 0.8 / np.log(10), rel=0.01)
    hill = capability_curve(
        X, *counts(np.random.default_rng(0), n=2_000_000), chance=0.25, shape="hill", draws=0
    )
    assert hill.params["k"] == pytest.approx(1 / f.params["w"], rel=1e-3)
    assert hill.log_likelihood == pytest.approx(f.log_likelihood, abs=1e-2)
    assert f.predict(X).median == pytest.approx(rate(X), abs=2e-3)


@pytest.mark.validate
def test_intervals_cover_and_a_binomial_is_too_narrow_where_questions_hang_together():
    # 40 curves: 36 of 40 inside at 90 %, standard deviation 1.9; 30 is three below
    held = {"plain": 0, "over, binomial": 0, "over, beta-binomial": 0}
    for i in range(40):
        rng = np.random.default_rng([5, i])
        plain, over = counts(rng), counts(rng, rho=0.03)
        for key, data, kind in (
            ("plain", plain, "binomial"),
            ("over, binomial", over, "binomial"),
            ("over, beta-binomial", over, "beta-binomial"),
        ):
            f = capability_curve(X, *data, chance=0.25, likelihood=kind, draws=40)
            e = f.intervals["x_c"]
            held[key] += e.low <= 1e9 <= e.high
    assert held["plain"] >= 30, held
    assert held["over, beta-binomial"] >= 30, held
    assert held["over, binomial"] <= 28, held


def test_auto_takes_the_beta_binomial_where_counts_scatter():
    # 60 binomial curves: 3 taken for overdispersed at 5 %, standard deviation 1.7
    wrong = sum(
        capability_curve(X, *counts(np.random.default_rng([6, i])), chance=0.25, draws=0).likelihood
        != "binomial"
        for i in range(60)
    )
    assert wrong <= 8
    f = capability_curve(X, *counts(np.random.default_rng(7), rho=0.05), chance=0.25, draws=0)
    assert f.likelihood == "beta-binomial"
    assert f.params["rho"] == pytest.approx(0.05, abs=0.04)


def test_a_constant_is_refused_only_where_there_is_a_rise():
    # 20 constants: at 10 % 2 are refused, standard deviation 1.3
    refused = 0
    for i in range(20):
        data = counts(np.random.default_rng([8, i]), n=100, q=np.full(len(X), 0.25))
        f = capability_curve(X, *data, chance=0.25, top=1.0, likelihood="binomial", draws=0)
        refused += f.compare(draws=19)["constant"][1] <= 0.1
    assert refused <= 6
    f = capability_curve(X, *counts(np.random.default_rng(9)), chance=0.25, likelihood="binomial", draws=0)
    assert f.compare(draws=39)["constant"][1] == pytest.approx(1 / 40)


def test_lambada(data):
    c = opalesce.open(data / "pythia_evals" / "pythia-1.4b").curves["lambada_openai/acc"]
    keep = c.x > 0
    n = np.full(keep.sum(), 5153)
    f = capability_curve(c.x[keep], np.round(c.y[keep] * 5153), n, draws=20)
    assert 1000 < f.params["x_c"] < 23000
    assert f.resolution == pytest.approx(1 / 5153)
    assert f.likelihood == "beta-binomial"  # checkpoints scatter by more than questions do
    assert f.intervals["x_c"].low < f.params["x_c"] < f.intervals["x_c"].high
    runs = np.arange(len(n)) % 5
    g = capability_curve(c.x[keep], np.round(c.y[keep] * 5153), n, groups=runs, draws=10)
    assert "over runs" in g.intervals["x_c"].method


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ({"successes": [500] * 14}, "right answers"),
        ({"successes": [1.5] * 14}, "right answers"),
        ({"x": [-1.0] * 14}, "x has values"),
        ({"x": [1.0] * 3}, "four or more"),
        ({"chance": 2.0}, "is a rate"),
        ({"chance": 0.5, "top": 0.4}, "chance below top"),
        ({"shape": "probit"}, "curve of accuracies"),
        ({"groups": ["a"] * 14}, "two runs"),
        ({"level": 90}, "between 0 and 1"),
    ],
)
def test_bad_input(kind, words):
    k, n = counts(np.random.default_rng(1))
    with pytest.raises(InputError, match=words):
        capability_curve(**{"x": X, "successes": k, "trials": n, **kind})
