"""The bulk of a spectrum: noise level under planted outliers, distance to the law, level spacings."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.bulk import fit_bulk, mp_distance, mp_soft_rank, spacing_ratio, spacing_ratios
from opalesce.observables.spectra import Spectrum, spectrum
from opalesce.theory.random_matrix import (
    SPACING_RATIO_GOE,
    SPACING_RATIO_POISSON,
    bbp_rectangular,
    marchenko_pastur_median,
)


@pytest.mark.parametrize("shape", [(600, 300), (300, 600), (400, 400)])
@pytest.mark.parametrize("sigma", [1.0, 1e-4])
def test_noise_level_and_edges(shape: tuple[int, int], sigma: float):
    w = sigma * np.random.default_rng(3).standard_normal(shape)
    long, c = max(shape), min(shape) / max(shape)
    bulk = fit_bulk(spectrum(w).values ** 2, shape)
    # sampling: the median of M repelling eigenvalues moves by about 1/M of its law
    assert bulk.level == pytest.approx(long * sigma**2, rel=0.02)
    assert bulk.high == pytest.approx(long * sigma**2 * (1 + np.sqrt(c)) ** 2, rel=0.02)
    assert bulk.outliers == 0
    assert bulk.distance < 0.02
    assert bulk.status == ""


def test_outliers_do_not_move_the_level():
    # 90 of 300 directions planted
    r = np.random.default_rng(4)
    n, m, k = 600, 300, 90
    u, v = (np.linalg.qr(r.standard_normal((size, k)))[0] for size in (n, m))
    w = r.standard_normal((n, m)) / np.sqrt(n)
    planted = spectrum(w + 3.0 * u @ v.T)
    bulk = fit_bulk(planted.values**2, (n, m))
    assert bulk.outliers == k
    assert bulk.level == pytest.approx(1.0, rel=0.03)
    assert np.median(planted.values**2) / marchenko_pastur_median(0.5) > 1.3  # what the plain median says
    one = spectrum(w + 2.0 * np.outer(u[:, 0], v[:, 0]))
    expected = (1 + np.sqrt(0.5)) ** 2 / bbp_rectangular(2.0, 0.5)[0]
    assert mp_soft_rank(one) == pytest.approx(expected, rel=0.03)


def test_true_cut_finds_what_the_wide_one_misses():
    # 02-structure C.1: N x M = 2048 x 1024: correct 99 % cut 2.942, WeightWatcher's lambda_+ + 0.119
    from opalesce.observables.weightwatcher import weightwatcher_cut

    noise = spectrum(np.random.default_rng(0).standard_normal((2048, 1024)) / np.sqrt(2048))
    values = noise.values**2
    bulk = fit_bulk(values, (2048, 1024))
    assert bulk.cut / bulk.level == pytest.approx(2.942, abs=5e-4)
    theirs = weightwatcher_cut(bulk, (2048, 1024), bulk.level)
    assert theirs / bulk.level - (1 + np.sqrt(0.5)) ** 2 == pytest.approx(0.119, abs=1e-3)
    between = np.append(values, 3.0 * bulk.level)
    assert fit_bulk(between, (2048, 1024)).outliers == 1
    assert 3.0 * bulk.level < theirs


def test_distance_sees_a_heavy_bulk():
    r = np.random.default_rng(1)
    assert mp_distance(spectrum(r.standard_normal((400, 200)))) < 0.03
    # rows of unequal variance: a broad bulk without being noise of one level
    assert mp_distance(spectrum(np.exp(r.normal(0, 1, (400, 1))) * r.standard_normal((400, 200)))) > 0.08


def test_spacing_ratio_of_a_goe_and_of_independent_levels():
    # 02-structure C.3: 0.5307 and 0.3863; 1000 levels, spread 0.27: standard error 0.0085
    r = np.random.default_rng(8)
    a = r.standard_normal((1000, 1000))
    mean, error = spacing_ratios(np.linalg.eigvalsh(a + a.T))
    assert 0.006 < error < 0.012
    assert mean == pytest.approx(SPACING_RATIO_GOE, abs=3.5 * 0.0085)
    mean, error = spacing_ratios(r.random(4000))
    assert mean == pytest.approx(SPACING_RATIO_POISSON, abs=3.5 * error)


def test_spacing_ratio_sees_blocks():
    # many independent blocks: their levels do not know of each other
    r = np.random.default_rng(2)
    w = np.zeros((600, 600))
    for k in range(0, 600, 6):
        w[k : k + 6, k : k + 6] = r.standard_normal((6, 6))
    assert spacing_ratio(spectrum(w)) == pytest.approx(SPACING_RATIO_POISSON, abs=0.04)
    assert spacing_ratio(spectrum(r.standard_normal((600, 600)))) > 0.49


def test_spacing_ratios_by_hand():
    mean, _ = spacing_ratios([0.0, 1.0, 3.0, 4.0, 8.0])  # spacings 1 2 1 4: ratios 1/2 1/2 1/4
    assert mean == pytest.approx(5 / 12)
    assert np.isnan(spacing_ratios([1.0, 2.0])[0])


def test_no_bulk():
    small = fit_bulk(np.arange(1.0, 6.0), (9, 5))
    assert np.isnan(small.level)
    assert "short side" in small.status
    assert "zero" in fit_bulk(np.r_[np.zeros(15), np.ones(3)], (18, 18)).status
    with pytest.raises(InputError, match="negative"):
        fit_bulk([-1.0, 2.0], (2, 2))
    assert np.isnan(mp_soft_rank(Spectrum(np.zeros(9), (9, 9))))
    assert np.isnan(mp_distance(Spectrum(np.zeros(9), (9, 9))))
