"""The B-layer with a likelihood: constants come back where they can, and are refused where they cannot."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import differential_evolution

from opalesce.errors import InputError
from opalesce.theory.npm.blayer import PUBLISHED, Constants
from opalesce.theory.npm.families import family_errors
from opalesce.theory.npm.fit import Models
from opalesce.theory.npm.likelihood import (
    NAMES,
    RANGES,
    expected_score,
    fit_scores,
)

TRUTH = Constants(alpha=1.2, beta=0.6, delta=1.5, k=80.0)
FAMILIES = (
    *("GPT", "Pythia", "Pythia", "Pythia", "LLaMA", "LLaMA", "LLaMA", "LLaMA"),
    *("GPT", "Chinchilla", "LLaMA", "LLaMA", "LLaMA", "BLOOM"),
)


def planted(seed: int, n: int = 60, noise: float = 0.02) -> Models:
    """Models of every breadth and of tokens below and above the threshold."""
    rng = np.random.default_rng(seed)
    tokens, breadth = 10 ** rng.uniform(9.5, 12.5, n), rng.uniform(0.1, 1, n)
    blank = Models.of(range(n), tokens, breadth, np.ones(n), np.zeros(n))
    score = expected_score(blank, TRUTH) + noise * rng.standard_normal(n)
    return Models.of(range(n), tokens, breadth, 10 ** rng.uniform(8, 11, n), score.clip(0, 1))


@pytest.fixture(scope="module")
def published(data: Path) -> Models:
    with (data / "npm_models" / "npm_14_models.csv").open() as file:
        rows = list(csv.DictReader(file))

    def column(name: str, unit: float) -> list[float]:
        return [unit * float(r[name]) for r in rows]

    return Models.of(
        [r["model"] for r in rows],
        column("tokens_B", 1e9),
        column("sigma_est", 1),
        column("params_B", 1e9),
        column("mmlu_approx", 0.01),
    )


def test_closed_form() -> None:
    # sigma = 1: rho = N e^-alpha, rho_c = k
    tokens = 1e9 * np.array([1.0, 80.0, 160.0, 800.0, 8000.0]) * math.exp(1.2)
    models = Models.of(range(5), tokens, np.ones(5), np.ones(5), np.zeros(5))
    x = np.array([0, 0, 1, 9, 99.0]) ** 0.6
    got = expected_score(models, TRUTH, 0.25)
    assert got == pytest.approx(1 - 0.75 * np.exp(-x), abs=1e-6)
    got = expected_score(models, TRUTH, 0.25, "logistic")
    assert got == pytest.approx(0.25 + 0.75 * (2 / (1 + np.exp(-x)) - 1), abs=1e-6)


def test_planted_constants_are_recovered() -> None:
    held, truth = 0, (TRUTH.alpha, TRUTH.beta, TRUTH.delta, TRUTH.k)
    for seed in range(3):
        fitted = fit_scores(planted(seed), np.random.default_rng(seed), starts=6)
        assert fitted.rms == pytest.approx(0.02, rel=0.3)  # 56 degrees of freedom: 3 s.e. is 0.28
        held += sum(
            fitted.estimates[n].low <= v <= fitted.estimates[n].high
            for n, v in zip(NAMES, truth, strict=True)
        )
    # each joint region holds with 0.9, and with it all four: two of three fail with probability 0.03
    assert held >= 7


def test_optimum_against_a_slow_twin() -> None:
    models = planted(7, n=30)

    def rss(v: np.ndarray) -> float:
        return float(((expected_score(models, Constants(*np.exp(v))) - models.score) ** 2).sum())

    slow = differential_evolution(rss, np.log(RANGES), seed=1, maxiter=300, tol=1e-10)
    fitted = fit_scores(models, np.random.default_rng(0), starts=6)
    assert fitted.rms**2 * 30 <= slow.fun * (1 + 1e-6)
    alpha, ratio = fitted.profiles["alpha"]
    i = int(np.argmin(ratio)) + 1
    fixed = differential_evolution(
        lambda w: rss(np.r_[np.log(alpha[i]), w]), np.log(RANGES)[1:], seed=1, maxiter=300, tol=1e-10
    )
    assert ratio[i] * fitted.rms**2 * 30 == pytest.approx(fixed.fun, rel=1e-3)
    assert np.diag(fitted.correlation) == pytest.approx(1)


@pytest.mark.parametrize("link", ["saturating", "logistic"])
def test_fourteen_models_determine_no_constant(published: Models, link) -> None:
    fitted = fit_scores(published, np.random.default_rng(0), link=link, starts=12)
    for name in NAMES:
        e = fitted.estimates[name]
        assert math.isnan(e.value)
        assert "not determined" in e.status
    published_rms = math.sqrt(float(((expected_score(published, PUBLISHED) - published.score) ** 2).mean()))
    assert fitted.rms < 0.11 < published_rms  # the published constants were fitted to ranks, not to scores


def test_families_left_out(published: Models) -> None:
    error = family_errors(published, FAMILIES, np.random.default_rng(0))
    assert error["N P"] < error["model"]
    # slow twin of one baseline
    x, y, out = np.log(published.tokens * published.params), published.score, np.zeros(14)
    for f in set(FAMILIES):
        i = np.array([g == f for g in FAMILIES])
        out[i] = np.polyval(np.polyfit(x[~i], y[~i], 1), x[i]) - y[i]
    assert error["N P"] == pytest.approx(math.sqrt((out**2).mean()), rel=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: fit_scores(Models(m.names, m.tokens, m.breadth, m.params, 100 * m.score), None),
        lambda m: fit_scores(m, None, level=1.0),
        lambda m: expected_score(m, TRUTH, 1.0),
        lambda m: expected_score(m, TRUTH, 0.25, "probit"),
        lambda m: family_errors(m, ["one"] * 30, None),
        lambda m: family_errors(m, ["one", "two"], None),
        lambda m: fit_scores(Models.of(range(5), [1] * 5, [1] * 5, [1] * 5, [0] * 5), None),
    ],
)
def test_bad_input(call) -> None:
    with pytest.raises(InputError):
        call(planted(0, n=30))
