"""Corrected participation ratio against its truth; windows of one aspect ratio; dimension values of noise."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.corrected import farms, participation_ratio_corrected
from opalesce.observables.randomised import spectral_distance
from opalesce.observables.spectra import Spectrum, entropy_effective_rank, spectrum
from opalesce.theory.random_matrix import marchenko_pastur_median, quarter_circle_density

LAMBDA = 1 / np.arange(1.0, 201)
TRUE = LAMBDA.sum() ** 2 / (LAMBDA**2).sum()


def traces(n: int, seed: int) -> tuple[float, float]:
    x = np.random.default_rng(seed).standard_normal((n, 200)) * np.sqrt(LAMBDA)
    s = np.cov(x, rowvar=False)
    return float(np.trace(s)), float((s**2).sum())


# 02-structure C.4: true 21.07; plain 14.97, 17.72, 20.01; corrected 21.3, 21.3, 21.0 at N = 50, 100, 400
@pytest.mark.parametrize(
    ("n", "plain", "corrected"), [(50, 14.97, 21.3), (100, 17.72, 21.3), (400, 20.01, 21.0)]
)
def test_corrected_participation_ratio(n: int, plain: float, corrected: float):
    assert pytest.approx(21.07, abs=0.005) == TRUE
    draws = np.array([traces(n, s) for s in range(60)])
    raw = draws[:, 0] ** 2 / draws[:, 1]
    fixed = np.array([participation_ratio_corrected(t1, t2, n) for t1, t2 in draws])
    error = 4 * fixed.std() / np.sqrt(60)  # 1.6, 1.0, 0.4
    assert raw.mean() == pytest.approx(plain, abs=4 * raw.std() / np.sqrt(60) + 0.1)
    assert fixed.mean() == pytest.approx(corrected, abs=error + 0.1)
    assert abs(fixed.mean() - TRUE) < abs(raw.mean() - TRUE)


def test_numerator_and_denominator_are_unbiased():
    # by solving u1, u2 back out of what the function returns
    n, nu = 20, 19
    draws = np.array([traces(n, s) for s in range(1500)])
    u2 = nu**2 / ((nu - 1) * (nu + 2)) * (draws[:, 1] - draws[:, 0] ** 2 / nu)
    u1 = u2 * [participation_ratio_corrected(t1, t2, n) if t2 > t1**2 / nu else np.nan for t1, t2 in draws]
    assert u2.mean() == pytest.approx((LAMBDA**2).sum(), abs=4 * u2.std() / np.sqrt(1500))
    assert np.nanmean(u1) == pytest.approx(LAMBDA.sum() ** 2, abs=4 * np.nanstd(u1) / np.sqrt(1500))


def test_corrected_ratio_refuses_and_abstains():
    assert np.isnan(participation_ratio_corrected(10.0, 100 / 19 * 0.9, 20))  # t2 below t1^2 / nu
    for bad in ((1.0, 1.0, 3), (1.0, 2.0, 9), (0.0, 1.0, 9), (np.nan, 1.0, 9)):
        with pytest.raises(InputError):
            participation_ratio_corrected(*bad)


def test_farms_forgets_the_aspect_ratio():
    r = np.random.default_rng(0)
    square, tall = r.standard_normal((256, 256)), r.standard_normal((1024, 256))
    raw = spectral_distance(spectrum(square).values ** 2, spectrum(tall).values ** 2)
    a, b = farms(square), farms(tall)
    assert (a.windows, b.windows) == (1, 4)
    assert (a.shape, b.shape) == ((256, 256), (256, 256))
    assert raw > 0.25  # shapes alone set them apart
    assert spectral_distance(a.eigenvalues, b.eigenvalues) < 0.02


def test_farms_covers_and_turns():
    r = np.random.default_rng(1)
    w = r.standard_t(3, (90, 40))
    wide, tall = farms(w.T, 0.5, 32), farms(w, 0.5, 32)
    assert wide.eigenvalues == pytest.approx(tall.eigenvalues)
    assert tall.shape == (32, 16)
    assert tall.windows == 3 * 3
    assert tall.eigenvalues.size == 9 * 16
    corner = np.linalg.svd(w[-32:, -16:], compute_uv=False) ** 2  # the far corner is not forgotten
    assert np.isclose(tall.eigenvalues[:, None], corner).any(0).all()
    again = farms(1e-3 * w, 0.5, 32)
    assert again.fit.alpha == pytest.approx(tall.fit.alpha)
    assert again.fit.xmin == pytest.approx(1e-6 * tall.fit.xmin)
    for bad in ({"ratio": 2.0}, {"side": 200}, {"most": 0}):
        with pytest.raises(InputError):
            farms(w, **bad)
    with pytest.raises(InputError, match="distinct"):
        farms(np.eye(4))


def test_effective_dimension_of_noise():
    # 02-structure C.4, E.11: shares of s instead of s^2 give 824 where shares of s^2 give 621 (n = d = 1024)
    s = spectrum(np.random.default_rng(5).standard_normal((1024, 1024)))
    assert entropy_effective_rank(s, power=1.0) == pytest.approx(824, rel=0.01)
    assert entropy_effective_rank(s) == pytest.approx(621.1, rel=0.01)


def test_quarter_circle_of_a_square_matrix():
    # 02-structure C.3: density sqrt(4 - s^2)/pi at sigma = 1; 20 bins of about 50 rigid levels
    s: Spectrum = spectrum(np.random.default_rng(6).standard_normal((1024, 1024)) / 32)
    counts, edges = np.histogram(s.values, bins=20, range=(0, 2))
    middle = (edges[1:] + edges[:-1]) / 2
    assert counts / 1024 / 0.1 == pytest.approx(quarter_circle_density(middle), abs=0.04)
    assert np.median(s.values) ** 2 == pytest.approx(marchenko_pastur_median(1.0), rel=0.02)
