"""Weight nulls keep what they promise and destroy the rest."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.nulls.weights import matched_gaussian, shuffled
from opalesce.observables.spectra import mp_outliers, spectrum


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
