"""All witnesses at once: Westfall-Young, joint noise, agreement of places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from opalesce.transitions.calibrate import NullTable
from opalesce.transitions.joint import (
    Judged,
    difference_interval,
    equivalent,
    noise,
    place_replicates,
    residual_correlation,
    seed_difference_interval,
    westfall_young,
)
from opalesce.transitions.scan import Design
from opalesce.transitions.smooth import logistic

from . import dense

N = 30
U = np.arange(float(N))


@pytest.fixture(scope="module")
def known():
    """One noise model only: its p-values are uniform, not merely conservative."""
    d = Design(U, 7.5)
    return NullTable(d.recandidate(d.places, d.widths, [dense.near(d, 0.0)]), first=4999)


@pytest.fixture(scope="module")
def whole():
    return NullTable(Design(U, 7.5))


def judged(table, y):
    return Judged(U, y, table, table.design.fit(y))


def test_one_witness_needs_no_correction(known):
    p = np.array([0.013])
    assert np.array_equal(westfall_young([judged(known, np.sin(U))], p, np.random.default_rng(0)), p)


@pytest.mark.parametrize("p1", [0.01, 0.05, 0.2])
def test_independent_witnesses_get_one_minus_the_power(known, p1):
    """Smallest of m independent uniform p-values: 1 - (1 - p)^m (Sidak), within Monte Carlo error.

    4,000 replicates: standard error at most 0.008; four of them, and 3 se of the table (4,999).
    """
    rng = np.random.default_rng(1)
    # no place in common: their residual correlation is exactly zero
    items = [
        Judged(U + 100 * i, y, known, known.design.fit(y)) for i, y in enumerate(rng.standard_normal((3, N)))
    ]
    p = np.array([p1, 0.9, 0.95])
    found = westfall_young(items, p, rng, 4000)
    wanted = 1 - (1 - p1) ** 3
    se = np.sqrt(wanted * (1 - wanted) / 4000) + 3 * np.sqrt(p1 * (1 - p1) / 4999)
    assert found[0] == pytest.approx(wanted, abs=4 * se)
    # step-down: the second is corrected for the two that are left, up to Bonferroni, and monotone
    assert found[1] >= found[0]
    assert found[1] == pytest.approx(1 - (1 - 0.9) ** 2, abs=0.03)


def test_copies_of_one_witness_pay_nothing(known):
    """Perfectly dependent witnesses are one witness: the correction leaves p as it is."""
    y = np.random.default_rng(3).standard_normal(N)
    items = [judged(known, y), judged(known, 5 * y - 2)]
    p = np.full(2, known.p_value(items[0].fit.sharp))
    found = westfall_young(items, p, np.random.default_rng(4), 2000)
    assert found == pytest.approx(p, abs=4 * np.sqrt(0.25 / 2000) + 0.01)
    assert found.max() < 2 * p[0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.0005, 1), min_size=2, max_size=5), st.integers(0, 99))
def test_between_p_and_bonferroni_and_in_the_order_of_p(whole, ps, seed):
    p = np.array(ps)
    rng = np.random.default_rng(seed)
    items = [judged(whole, rng.standard_normal(N)) for _ in ps]
    found = westfall_young(items, p, rng, 99)
    assert np.all(found >= p - 1e-12)
    assert found.min() <= min(1.0, len(p) * p.min()) + 1e-12
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(found[order]) >= -1e-12)
    # step-down Bonferroni (Holm 1979) is never undercut by being worse than it
    holm = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    assert np.all(found[order] <= holm + 1e-12)


def test_family_wise_error_with_correlated_witnesses(whole):
    """Three witnesses that share their noise, 300 runs without a change: at most 5 % reject any.

    Binomial: 300 draws at 0.05 stay below 29 but for one time in a thousand.
    """
    rng = np.random.default_rng(5)
    root = np.linalg.cholesky(np.array([[1, 0.8, 0.5], [0.8, 1, 0.6], [0.5, 0.6, 1]]))
    runs = 0
    for _ in range(300):
        items = [judged(whole, y) for y in root @ rng.standard_normal((3, N))]
        p = whole.p_values(np.array([i.fit.sharp for i in items]))
        if p.min() > 0.05:
            continue  # the corrected p is never smaller
        runs += westfall_young(items, p, rng, 199).min() <= 0.05
    assert runs <= 28


def test_residual_correlation_is_pearsons_and_positive_definite(whole):
    rng = np.random.default_rng(6)
    a, b, c = rng.standard_normal((3, N))
    items = [judged(whole, a), judged(whole, -2 * a + 7), judged(whole, 0.5 * a + b), judged(whole, c)]
    found = residual_correlation(items)
    assert found[0, 1] == pytest.approx(-1, abs=0.01)  # clipped to stay positive definite
    r = [whole.design.innovations(i.y, i.fit) for i in items]
    # the two smallest eigenvalues are lifted to 0.001, which moves entries by as much
    assert found[2, 3] == pytest.approx(np.corrcoef(r[2], r[3])[0, 1], abs=0.01)
    assert np.allclose(np.diag(found), 1)
    assert np.linalg.eigvalsh(found).min() > 0


def test_witnesses_with_few_common_places_are_taken_as_uncorrelated(whole):
    y = np.random.default_rng(7).standard_normal(N)
    here = judged(whole, y)
    apart = Judged(U + 100, y, whole, here.fit)
    assert residual_correlation([here, apart])[0, 1] == 0
    assert residual_correlation([here, here])[0, 1] > 0.99


def test_joint_noise_has_each_witness_own_and_shared_innovations(whole):
    """Covariance of two witnesses: root_a C root_b' entry by entry, standard error 1/sqrt(b)."""
    rng, b = np.random.default_rng(8), 20_000
    items = [judged(whole, rng.standard_normal(N)) for _ in range(2)]
    c = np.array([[1, 0.6], [0.6, 1]])
    x, y = noise(items, c, b, rng)
    roots = [whole.design.models[i.fit.noise].root for i in items]
    assert np.abs(x @ x.T / b - roots[0] @ roots[0].T).max() < 6 * np.sqrt(2 / b)
    assert np.abs(x @ y.T / b - 0.6 * roots[0] @ roots[1].T).max() < 6 / np.sqrt(b)


def test_place_replicates_scatter_about_the_fit(whole):
    rng = np.random.default_rng(9)
    y = 20 * logistic(U, 14.5, 2.0) + rng.standard_normal(N)
    item = judged(whole, y)
    draws = place_replicates([item, item], rng, 200)
    assert draws.shape == (2, 200)
    # places are quantised to a quarter of a spacing; a rise of 20 sd is placed to a fraction of one
    assert abs(np.median(draws[0]) - item.fit.place) <= 0.5
    assert draws[0].std() < 1
    # the same witness twice: differences are far smaller than the scatter of independent ones would be
    assert np.abs(draws[0] - draws[1]).mean() <= draws[0].std()


def test_difference_interval_is_the_basic_bootstrap():
    rng = np.random.default_rng(10)
    a, b = rng.normal(5, 1, 5000), rng.normal(3, 1, 5000)
    low, high = difference_interval(5.2, 3.0, a, b)
    # 2 (a - b) minus quantiles of a normal with mean 2 and sd sqrt(2)
    half = 1.6449 * np.sqrt(2)
    assert (low, high) == pytest.approx((2 * 2.2 - 2 - half, 2 * 2.2 - 2 + half), abs=0.1)


def test_difference_over_seeds_is_scipys_t_interval():
    gaps = np.array([0.1, -0.2, 0.05, 0.3, 0.0])
    wanted = ttest_1samp(gaps, 0).confidence_interval(0.9)
    assert seed_difference_interval(gaps) == pytest.approx(tuple(wanted), rel=1e-12)


@pytest.mark.parametrize(
    ("interval", "agree"),
    [
        ((-0.5, 0.5), True),
        ((-1.0, 1.0), True),
        ((-1.1, 0.2), False),
        ((0.2, 1.1), False),
        ((-9, 9), False),
        ((0.9, 0.95), True),
    ],
)
def test_agreement_is_equivalence_not_overlap(interval, agree):
    """The whole interval lies inside the margin of 1; (-9, 9) holds zero and proves nothing."""
    assert equivalent(interval, 1.0) is agree
