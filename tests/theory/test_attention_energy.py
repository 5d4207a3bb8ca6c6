"""Free energy of attention: identities to rounding, limits in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.attention_energy import attention, divergence, free_energy, thermodynamics

RNG = np.random.default_rng(0)
S = RNG.normal(0, 2, (3, 4, 17))
S[0, 0, 9:] = -np.inf  # a causal mask


@pytest.mark.parametrize("beta", [0.125, 1.0, 3.0])
def test_softmax_is_the_minimum_and_the_excess_is_a_divergence(beta):
    p = attention(S, beta)
    other = attention(S + np.where(np.isfinite(S), RNG.normal(0, 1, S.shape), 0), beta)
    t = thermodynamics(S, beta)
    assert free_energy(p, S, beta) == pytest.approx(t.free_energy, abs=1e-12)
    assert free_energy(other, S, beta) - t.free_energy == pytest.approx(
        divergence(other, np.maximum(p, 1e-300)) / beta, abs=1e-12
    )
    assert t.energy - t.entropy / beta == pytest.approx(t.free_energy, abs=1e-12)


def complex_step(f, beta):
    """Derivative without cancellation: Im f(beta + i h) / h is exact to rounding."""
    return f(beta + 1e-30j).imag / 1e-30


@pytest.mark.parametrize("beta", [0.125, 1.0, 3.0])
def test_derivatives_by_temperature(beta):
    t = thermodynamics(S, beta)

    def weights(b):
        return np.where(np.isfinite(S), np.exp(b * np.where(np.isfinite(S), S, 0)), 0)

    dF = complex_step(lambda b: -np.log(weights(b).sum(-1)) / b, beta)
    finite = np.where(np.isfinite(S), S, 0)
    dU = complex_step(lambda b: -(weights(b) * finite).sum(-1) / weights(b).sum(-1), beta)
    assert dF == pytest.approx(t.entropy / beta**2, rel=1e-12, abs=1e-12)
    assert dU == pytest.approx(-t.heat_capacity / beta**2, rel=1e-12, abs=1e-12)


def test_equal_scores_and_one_winner():
    flat, sure = thermodynamics(np.full(8, 3.0)), thermodynamics(np.array([0.0, 800.0, 0.0]))
    assert flat.keys == pytest.approx(8)
    assert flat.heat_capacity == 0
    assert flat.free_energy == pytest.approx(-3 - np.log(8))
    assert (sure.keys, sure.free_energy) == (pytest.approx(1), pytest.approx(-800))


def test_normal_scores_follow_the_random_energy_model():
    """H = ln n - b^2/2, C = b^2 above freezing; sampling error of a row is 0.4 %, of 40 rows below 0.1 %."""
    n, b = 200_000, 0.8
    t = thermodynamics(np.random.default_rng(1).standard_normal((40, n)), b)
    assert t.entropy.mean() == pytest.approx(np.log(n) - b**2 / 2, abs=2e-3)
    assert t.heat_capacity.mean() == pytest.approx(b**2, rel=5e-3)


@pytest.mark.parametrize(
    ("scores", "beta"),
    [([np.nan, 1], 1), ([np.inf, 1], 1), ([-np.inf, -np.inf], 1), ([], 1), ([1, 2], 0), ([1, 2], np.nan)],
)
def test_what_is_no_attention_is_refused(scores, beta):
    with pytest.raises(InputError):
        thermodynamics(np.array(scores, float), beta)


def test_weight_on_a_masked_key_is_refused():
    with pytest.raises(InputError, match="masked"):
        free_energy(np.array([0.5, 0.5]), np.array([0.0, -np.inf]))
    with pytest.raises(InputError, match="distribution"):
        free_energy(np.array([0.5, 0.4]), np.array([0.0, 1.0]))
