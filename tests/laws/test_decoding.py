"""Readings of simulated answers whose curves are known: what greedy answers hide, and what they invent."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.laws.decoding import decoding

X = np.geomspace(1, 1e4, 12)
ITEMS, N, K = 400, 20, 4


def answers(p, seed):
    """Greedy answers (right where p > 1/2) and counts of N samples, for success rates p (S, m)."""
    c = np.random.default_rng([17, seed]).binomial(N, p)
    return (p > 0.5).astype(int), c


def smooth_rates():
    # item i fails with g_i times one power law: the mean has no break and slope 0.07, pass@k k times that.
    # The greedy answer is right once g_i x^-0.07 falls below 5/6: hardly ever wrong at the end.
    g = np.linspace(0.4, 1.6, ITEMS)
    return 1 - 0.6 * X[:, None] ** -0.07 * g


@pytest.fixture(scope="module")
def smooth():
    p = smooth_rates()
    return decoding(X, *answers(p, 0), N, k=K, offset=False), p


def test_errors_are_those_of_the_rates(smooth):
    got, p = smooth
    truth = {"greedy": p <= 0.5, "mean": 1 - p, "pass@4": (1 - p) ** K, "any of 4 fails": 1 - p**K}
    assert set(got.readings) == set(truth)
    np.testing.assert_array_equal(got.readings["greedy"].error, truth["greedy"].mean(axis=1))
    for name, t in truth.items():
        r = got.readings[name]
        error = (r.high - r.low) / 3.29  # 90 % of a normal law
        assert (np.abs(r.error - t.mean(axis=1)) <= 4 * error + 1e-12).all()
        np.testing.assert_allclose(r.gap, r.error - got.readings["greedy"].error, atol=1e-12)


def test_greedy_answers_invent_a_break(smooth):
    readings = smooth[0].readings
    assert readings["greedy"].significant
    assert not readings["mean"].significant
    assert not readings["pass@4"].significant
    # standard errors of a rate of about 0.5 from 8000 samples, twelve times over 9.2 in ln x: 0.001 and 0.005
    assert readings["mean"].test.without["c0"] == pytest.approx(0.07, abs=0.004)
    assert readings["pass@4"].test.without["c0"] == pytest.approx(K * 0.07, abs=0.02)


@pytest.mark.validate
def test_false_alarms_of_readings_without_a_break():
    tests = [
        decoding(X, *answers(smooth_rates(), i), N, k=K, offset=False, draws=39, seed=i) for i in range(150)
    ]
    for name in ("mean", "pass@4"):
        p = np.array([t.readings[name].test.p for t in tests])
        # binomial errors of 150 at 0.1 and 0.3: 0.0245, 0.0374; three of them
        for level, error in ((0.1, 0.0245), (0.3, 0.0374)):
            assert abs((p <= level).mean() - level) < 3 * error


def test_greedy_answers_hide_a_break():
    # success rises from 2 % to 40 % at x = 100: never the most likely answer
    p = np.tile((0.02 + 0.38 / (1 + (100 / X) ** 3))[:, None], ITEMS)
    got = decoding(X, *answers(p, 1), N, k=K).readings
    assert got["greedy"].test is None
    assert not got["greedy"].significant
    assert got["mean"].significant
    assert got["pass@4"].significant
    assert 10 < got["pass@4"].test.params["d1"] < 1000
    assert (got["pass@4"].gap_high[-4:] < 0).all()


def test_groups_of_paraphrases():
    rng = np.random.default_rng(23)
    p = np.clip(rng.uniform(0.2, 1.0, (1, ITEMS)) * (1 - 0.8 * X**-0.2)[:, None], 0, 1)
    greedy, c = answers(p, 2)
    groups = np.repeat(np.arange(ITEMS // 4), 4)
    got = decoding(X, greedy, c, N, groups=groups, draws=19)
    assert got.groups == tuple(range(ITEMS // 4))
    truth = 1 - p.reshape(len(X), -1, 4).prod(axis=2)
    error = (got.sampled_fails - truth).mean(axis=1)
    # unbiased: one item's product moves by at most its largest binomial error, 0.11 each, over 100 groups
    assert np.abs(error).max() < 4 * 2 * 0.11 / np.sqrt(ITEMS // 4)
    np.testing.assert_array_equal(got.greedy_fails, 1 - greedy.reshape(len(X), -1, 4).min(axis=2))


def test_whole_groups_are_redrawn():
    # four copies of each item: by items intervals are half as wide, by groups as wide as without copies
    p = np.random.default_rng(29).uniform(0.1, 0.9, (1, 60)) * np.linspace(0.5, 1, len(X))[:, None]
    greedy, c = answers(p, 3)
    four = [np.repeat(v, 4, axis=1) for v in (greedy, c)]
    settings = {"draws": 19, "resamples": 2000}
    widths = [
        (r.high - r.low).mean()
        for r in (
            decoding(X, greedy, c, N, **settings).readings["mean"],
            decoding(X, *four, N, groups=np.repeat(np.arange(60), 4), **settings).readings["mean"],
            decoding(X, *four, N, **settings).readings["mean"],
        )
    ]
    # a width from 2000 resamples has an error of about 3 %
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] == pytest.approx(widths[0] / 2, rel=0.1)


def test_order_of_models_does_not_matter(smooth):
    _, p = smooth
    greedy, c = answers(p, 0)
    flipped = decoding(X[::-1], greedy[::-1], c[::-1], N, k=K, offset=False)
    for name, r in flipped.readings.items():
        np.testing.assert_allclose(r.error, smooth[0].readings[name].error)
        assert r.p == smooth[0].readings[name].p


def test_bad_input():
    greedy, c = np.ones((12, 5)), np.full((12, 5), 3)
    for wrong in (
        (X[:-1], greedy, c, N),
        (X, greedy + 0.5, c, N),
        (X, greedy, c, 2),
        (X, greedy, c + 0.5, N),
        (X, greedy, -c, N),
    ):
        with pytest.raises(InputError):
            decoding(*wrong)
    with pytest.raises(InputError):
        decoding(X, greedy, c, N, k=N + 1)
    with pytest.raises(InputError):
        decoding(X, greedy, c, N, groups=["a"] * 4)
    with pytest.raises(InputError):
        decoding(X, greedy, c, N, level=1.0)
