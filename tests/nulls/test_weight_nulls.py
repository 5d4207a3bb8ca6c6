"""Weight nulls keep what they promise and destroy the rest."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.nulls.weights import against, matched_gaussian, same_strengths, shuffled
from opalesce.observables.spectra import mp_outliers, spectral_norm, spectrum


def planted() -> np.ndarray:
    r = np.random.default_rng(0)
    w = r.standard_normal((200, 100)).astype(np.float32) * 0.1
    return w + np.outer(r.standard_normal(200), r.standard_normal(100)).astype(np.float32) * 0.05


def test_shuffling_keeps_entries_and_destroys_the_outlier():
    w = planted()
    null = shuffled(w, np.random.default_rng(1))
    assert np.array_equal(np.sort(null.ravel()), np.sort(w.ravel()))
    assert not np.array_equal(null, w)
    assert (null.shape, null.dtype) == (w.shape, w.dtype)
    assert mp_outliers(spectrum(w)) == 1
    assert mp_outliers(spectrum(null)) == 0


def test_gaussian_matches_mean_and_sd():
    w = planted() + np.float32(3)
    null = matched_gaussian(w, np.random.default_rng(1))
    n = w.size
    assert null.mean() == pytest.approx(w.mean(), abs=4 * w.std() / np.sqrt(n))
    assert null.std() == pytest.approx(w.std(), rel=4 / np.sqrt(2 * n))
    assert (null.shape, null.dtype) == (w.shape, w.dtype)


@pytest.mark.parametrize("null", [shuffled, matched_gaussian])
def test_same_generator_same_null_and_bad_input_refused(null):
    w = planted()
    same = [null(w, np.random.default_rng(9)) for _ in range(2)]
    assert np.array_equal(*same)
    with pytest.raises(InputError, match="NaN"):
        null(np.array([1.0, np.nan]), np.random.default_rng(0))
    with pytest.raises(InputError, match="empty"):
        null(np.empty((0, 3)), np.random.default_rng(0))


def test_same_strengths_keeps_every_unit_and_moves_the_rest():
    r = np.random.default_rng(4)
    w = r.standard_normal((30, 50)) * np.exp(r.normal(size=(30, 1))) * np.exp(r.normal(size=50))
    w[3] = 0
    null = same_strengths(w, np.random.default_rng(1))
    for axis in (0, 1):
        assert np.abs(null).sum(axis) == pytest.approx(np.abs(w).sum(axis), rel=1e-8)
    assert not null[3].any()
    assert abs(np.corrcoef(np.abs(null[4]), np.abs(w[4]))[0, 1]) < 0.95
    assert (np.sign(null) != np.sign(w)).mean() > 0.3
    assert same_strengths(w.astype(np.float32), np.random.default_rng(1)).dtype == np.float32


def test_what_cannot_be_balanced_is_refused():
    w = np.zeros((4, 4))
    w[0], w[:, 0] = 1, 1  # a star: shuffled, some row is empty
    with pytest.raises(InputError, match="balanced"):
        same_strengths(w, np.random.default_rng(0))
    assert not same_strengths(np.zeros((3, 2)), np.random.default_rng(0)).any()


def test_against_needs_draws_and_counts_ranks():
    w = planted()
    found = against(w, lambda x: spectral_norm(spectrum(x)), shuffled, np.random.default_rng(0), 19)
    assert found.z > 5
    assert found.p_value == 0.1
    constant = against(w, lambda x: float(np.sort(x.ravel())[0]), shuffled, np.random.default_rng(0), 3)
    assert np.isnan(constant.z)
    assert constant.p_value == 1.0
    with pytest.raises(InputError, match="draws"):
        against(w, np.mean, shuffled, np.random.default_rng(0), 0)
