"""Attention observables on patterns whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.attention import Attention, attention_entropy, induction_score, prefix_matching

T = 12


def even() -> np.ndarray:
    return np.tril(np.ones((T, T))) / np.arange(1, T + 1)[:, None]


def induction(p: int) -> np.ndarray:
    a = np.zeros((T, T))
    a[np.arange(T), [t - p + 1 if t >= p else 0 for t in range(T)]] = 1
    return a


def test_perfect_head_is_found_among_others():
    period = np.array([3, 5])
    patterns = np.stack([np.stack([even(), induction(p), np.eye(T)]) for p in period])
    record = Attention(patterns, period)
    assert induction_score(record) == 1.0
    assert prefix_matching(record)[:, 1].tolist() == [1.0, 1.0]


def test_even_attention_scores_the_mean_inverse_and_has_log_entropy():
    record = Attention(even()[None, None], np.array([4]))
    t = np.arange(4, T)
    assert induction_score(record) == pytest.approx((1 / (t + 1)).mean())
    assert attention_entropy(record) == pytest.approx(np.log(np.arange(1, T + 1)).mean())


def test_best_head_is_best_on_average_not_per_sequence():
    a, b = induction(4), np.eye(T)
    record = Attention(np.stack([np.stack([a, b]), np.stack([b, a])]), np.array([4, 4]))
    assert induction_score(record) == pytest.approx(0.5)


def test_one_hot_attention_has_no_entropy():
    assert attention_entropy(Attention(np.eye(T)[None, None], np.array([4]))) == 0.0


@pytest.mark.parametrize(
    ("patterns", "period"),
    [
        (np.zeros((1, 1, T, T - 1)), [3]),
        (np.zeros((2, 1, T, T)), [3]),
        (np.full((1, 1, T, T), np.nan), [3]),
        (np.zeros((1, 1, T, T)), [T]),
        (np.zeros((0, 1, T, T)), []),
    ],
)
def test_bad_records_are_refused(patterns: np.ndarray, period: list[int]):
    with pytest.raises(InputError):
        Attention(patterns, np.array(period, int))
