"""Counting with and without embeddings: the published exponents, and the limits of the formula."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.embedding import local_exponent, optimal_compute, reading, simulated_reading, total

EPOCH = (1.8172, 482.01, 2085.43, 0.3478, 0.3658)
HOFFMANN = (1.6934, 406.4, 410.7, 0.3392, 0.2849)


@pytest.mark.parametrize(("law", "loss"), [(EPOCH, -0.0690), (HOFFMANN, -0.0659)])
def test_exponents_against_a_search(law, loss):
    e, a, b, alpha, beta = law
    n = np.logspace(2, 10.5, 40001)
    budgets = optimal_compute(np.logspace(3.5, 9, 12), *law[1:])
    curves = (e + a * total(n) ** -alpha + b * (c / 6 / n) ** -beta for c in budgets)
    best = n[[int(np.argmin(v)) for v in curves]]
    np.testing.assert_allclose(best, np.logspace(3.5, 9, 12), rtol=5e-3)
    got = reading(*law)
    assert got.loss == pytest.approx(loss, abs=2e-3)  # printed by the source
    # most of the way from beta / (alpha + beta) to Kaplan's 0.73, by counting alone
    assert got.size > 0.73 > beta / (alpha + beta)


# printed by the script of pearce2024reconciling
@pytest.mark.parametrize(("law", "size", "loss"), [(EPOCH, 0.7805, -0.0690), (HOFFMANN, 0.7388, -0.0659)])
def test_the_simulation_prints_what_the_source_prints(law, size, loss):
    got = simulated_reading(*law)
    assert got.size == pytest.approx(size, abs=1e-4)
    assert got.loss == pytest.approx(loss, abs=1e-4)


def test_a_fine_simulation_is_the_exact_optimum():
    # many sizes and tokens, and budgets at which the optimum is inside the sizes
    sizes = np.logspace(2, 10.5, 1500)
    budgets = optimal_compute(np.logspace(4, 9, 40), *EPOCH[1:])
    got = simulated_reading(*EPOCH, sizes=sizes, budgets=budgets, tokens=np.logspace(6, 20, 6000))
    exact = reading(*EPOCH, sizes=np.logspace(4, 9, 40))
    assert got.size == pytest.approx(exact.size, abs=2e-3)
    assert got.loss == pytest.approx(exact.loss, abs=1e-4)


def test_grids_of_a_simulation():
    for wrong in ({"budgets": [1e15]}, {"sizes": [0.0]}, {"tokens": [np.inf]}):
        with pytest.raises(InputError):
            simulated_reading(*EPOCH, **wrong)


def test_local_exponent_is_the_derivative_and_has_its_limits():
    n = np.logspace(3, 12, 30)
    c = [optimal_compute(n * h, *EPOCH[1:]) for h in (1 - 1e-5, 1 + 1e-5)]
    slope = np.log((1 + 1e-5) / (1 - 1e-5)) / np.log(c[1] / c[0])
    np.testing.assert_allclose(local_exponent(n, *EPOCH[3:]), slope, rtol=1e-6)
    alpha, beta = EPOCH[3:]
    assert local_exponent(1e-3, alpha, beta) == pytest.approx(beta / (alpha / 3 + beta), rel=1e-3)
    assert local_exponent(1e18, alpha, beta) == pytest.approx(beta / (alpha + beta), rel=1e-3)


def test_total():
    assert total(1e9) == pytest.approx(1e9 + 47491 * 1e3)
    with pytest.raises(InputError):
        total(0.0)
