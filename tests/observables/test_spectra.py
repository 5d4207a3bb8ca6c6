"""Spectra: closed forms, random-matrix anchors and numpy's SVD as the slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.spectra import (
    Spectrum,
    entropy_effective_rank,
    mp_outliers,
    participation_ratio,
    spectral_norm,
    spectrum,
    stable_rank,
)


def of(*values: float, shape: tuple[int, int] | None = None) -> Spectrum:
    return Spectrum(np.array(values, float), shape or (len(values), len(values)))


@pytest.mark.parametrize("shape", [(40, 17), (17, 40), (30, 30), (1, 5), (5, 1), (1, 1)])
@pytest.mark.parametrize("method", ["gram", "svd"])
def test_singular_values_are_numpys(shape: tuple[int, int], method):
    w = np.random.default_rng(5).standard_normal(shape)
    s = spectrum(w, method, block=7)
    assert s.values == pytest.approx(np.linalg.svd(w, compute_uv=False), rel=1e-9)
    assert s.shape == shape


def test_gram_states_its_floor_and_svd_resolves_below_it():
    r = np.random.default_rng(0)
    u, v = (np.linalg.qr(r.standard_normal((30, 30)))[0] for _ in range(2))
    true = 10.0 ** -np.linspace(0, 11, 30)
    w = (u * true) @ v.T
    gram, svd = spectrum(w), spectrum(w, "svd")
    above = true > 3 * gram.floor
    assert gram.values[above] == pytest.approx(true[above], rel=0.1)
    assert (gram.values[true < 1e-9] == 0.0).all()  # noise is not passed off as a singular value
    assert 1e-8 < gram.floor < 1e-6
    assert svd.values == pytest.approx(true, rel=1e-3)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_scale_of_the_weights_does_not_overflow(size: float):
    w = np.random.default_rng(2).standard_normal((9, 6))
    assert spectrum(w * size).values / size == pytest.approx(spectrum(w).values, rel=1e-12)


def test_unknown_method_and_wrong_shapes():
    with pytest.raises(InputError, match="method"):
        spectrum(np.eye(3), "magic")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="dimensions"):
        spectrum(np.ones(3))
    with pytest.raises(InputError, match="belong"):
        Spectrum(np.ones(2), (3, 3))


def test_ranks_of_simple_spectra():
    flat = of(2, 2, 2, 2)
    assert (stable_rank(flat), participation_ratio(flat)) == pytest.approx((4, 4))
    assert entropy_effective_rank(flat) == pytest.approx(4)
    one = of(3, 0, 0)
    assert (stable_rank(one), participation_ratio(one), entropy_effective_rank(one)) == pytest.approx(
        (1, 1, 1)
    )
    two = of(2, 1)  # shares 0.8, 0.2
    assert stable_rank(two) == pytest.approx(1.25)
    assert participation_ratio(two) == pytest.approx(1 / 0.68)
    assert entropy_effective_rank(two) == pytest.approx(0.8**-0.8 * 0.2**-0.2)
    # Roy and Vetterli's own form: shares 2/3, 1/3
    assert entropy_effective_rank(two, power=1) == pytest.approx((2 / 3) ** (-2 / 3) * (1 / 3) ** (-1 / 3))
    assert spectral_norm(two) == 2.0


def test_noise_at_1024_squared():
    # 02-structure B.3 and E.11: 512, 621.1 (Page: d exp(-1/2)) and 256 at n = d = 1024
    s = spectrum(np.random.default_rng(11).standard_normal((1024, 1024)))
    assert participation_ratio(s) == pytest.approx(512, rel=0.01)
    assert entropy_effective_rank(s) == pytest.approx(1024 * np.exp(-0.5), rel=0.01)
    assert stable_rank(s) == pytest.approx(256, rel=0.03)


def test_outliers_follow_the_bbp_threshold():
    # 02-structure C.3: W + theta u v^T leaves the bulk at theta > c^(1/4) = 0.84 for c = 0.5
    r = np.random.default_rng(7)
    n, m = 600, 300
    w = r.standard_normal((n, m)) / np.sqrt(n)
    u, v = (np.linalg.qr(r.standard_normal((k, 3)))[0] for k in (n, m))
    assert mp_outliers(spectrum(w)) == 0
    assert mp_outliers(spectrum(w + 0.3 * u @ v.T)) == 0
    planted = spectrum(w + (u * [3.0, 2.0, 1.5]) @ v.T)
    assert mp_outliers(planted) == 3
    # their places: s^2 = (1 + theta^2)(c + theta^2) / theta^2
    expected = [np.sqrt((1 + t * t) * (0.5 + t * t) / t**2) for t in (3.0, 2.0, 1.5)]
    assert planted.values[:3] == pytest.approx(expected, rel=0.03)


def test_false_outliers_on_noise_are_rare():
    # nominal 1 % per matrix: 80 draws expect 0.8; more than 6 has probability below 1e-4
    r = np.random.default_rng(0)
    hits = sum(mp_outliers(spectrum(r.standard_normal((120, 60)))) > 0 for _ in range(80))
    assert hits <= 6


def test_no_bulk_no_count():
    assert np.isnan(mp_outliers(spectrum(np.random.default_rng(0).standard_normal((50, 7)))))
    assert np.isnan(mp_outliers(spectrum(np.zeros((20, 20)))))
    assert np.isnan(stable_rank(spectrum(np.zeros((4, 4)))))
    assert np.isnan(participation_ratio(spectrum(np.zeros((4, 4)))))
    assert np.isnan(entropy_effective_rank(spectrum(np.zeros((4, 4)))))
