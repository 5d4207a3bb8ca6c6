"""Random-matrix theory: closed forms against integrals, moments and drawn matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from opalesce.errors import InputError
from opalesce.theory.random_matrix import (
    SPACING_RATIO_POISSON,
    TRACY_WIDOM_99,
    bbp_covariance,
    bbp_rectangular,
    marchenko_pastur_atom,
    marchenko_pastur_cdf,
    marchenko_pastur_density,
    marchenko_pastur_edges,
    marchenko_pastur_median,
    marchenko_pastur_moments,
    quarter_circle_density,
    tracy_widom_edge,
)


def test_tracy_widom_edge_anchor():
    # 02-structure C.3: N = 2048, M = 1024; the 99 % cut is 2.942 (E.12)
    mu, scale = tracy_widom_edge(2048, 1024)
    assert mu == pytest.approx(2.91338, abs=5e-6)
    assert scale == pytest.approx(0.014199, abs=5e-7)
    assert mu + 2.0234 * scale == pytest.approx(2.942, abs=5e-4)
    with pytest.raises(InputError):
        tracy_widom_edge(3, 4)


@pytest.mark.parametrize("c", [0.05, 0.5, 0.99, 1.0])
def test_marchenko_pastur_median_halves_the_law(c: float):
    low, high = (1 - np.sqrt(c)) ** 2, (1 + np.sqrt(c)) ** 2

    def density(x: float) -> float:
        return np.sqrt(max((high - x) * (x - low), 0)) / (2 * np.pi * c * x)

    upper, _ = integrate.quad(density, marchenko_pastur_median(c), high, limit=200)
    assert upper == pytest.approx(0.5, abs=1e-5)


def test_marchenko_pastur_median_of_a_square_matrix():
    # 02-structure C.3: threshold 4/sqrt(3) at known noise, 2.858 medians at unknown: sqrt(m_1) is their ratio
    assert np.sqrt(marchenko_pastur_median(1.0)) == pytest.approx(4 / np.sqrt(3) / 2.858, rel=2e-4)
    with pytest.raises(InputError):
        marchenko_pastur_median(1.5)


@pytest.mark.parametrize("c", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("variance", [1.0, 2.5])
def test_density_has_the_mass_and_moments_of_the_law(c: float, variance: float):
    low, high = marchenko_pastur_edges(c, variance)
    # x = middle - radius cos(t) takes the square roots out of the integrand
    middle, radius = (low + high) / 2, (high - low) / 2

    def moment(k: int) -> float:
        def f(t: float) -> float:
            x = middle - radius * np.cos(t)
            return float(x**k * marchenko_pastur_density(x, c, variance)) * radius * np.sin(t)

        return integrate.quad(f, 0, np.pi, limit=200)[0]

    assert moment(0) == pytest.approx(1 - marchenko_pastur_atom(c), rel=1e-6)
    got = [moment(k) for k in (1, 2, 3)]
    assert got == pytest.approx(marchenko_pastur_moments(c, variance), rel=1e-6)
    at = low + 0.3 * (high - low)
    below = integrate.quad(lambda x: float(marchenko_pastur_density(x, c, variance)), low, at, limit=200)[0]
    assert float(marchenko_pastur_cdf(at, c, variance)) == pytest.approx(
        marchenko_pastur_atom(c) + below, abs=2e-5
    )
    assert float(marchenko_pastur_cdf(high, c, variance)) == pytest.approx(1, abs=1e-12)
    assert float(marchenko_pastur_cdf(-1.0, c, variance)) == 0


def test_quarter_circle_is_the_square_case_in_singular_values():
    s = np.linspace(0.1, 1.9, 7)
    assert quarter_circle_density(s) == pytest.approx(marchenko_pastur_density(s**2, 1.0) * 2 * s)
    assert integrate.quad(lambda x: float(quarter_circle_density(x, 1.5)), 0, 3)[0] == pytest.approx(
        1, rel=1e-6
    )


# 02-structure C.3, three digits; and the values printed there for one draw, at c = 0.5
@pytest.mark.parametrize(("ell", "value", "overlap"), [(1, 3.0, 0.333), (2, 3.75, 0.70), (4, 5.625, 0.861)])
def test_bbp_of_a_covariance(ell: float, value: float, overlap: float):
    got = bbp_covariance(ell, 0.5)
    assert got == pytest.approx((value, overlap), abs=5e-4)
    r = np.random.default_rng(ell)
    n, m = 3000, 1500
    x = r.standard_normal((n, m))
    x[:, 0] *= np.sqrt(1 + ell)
    values, vectors = np.linalg.eigh(x.T @ x / n)
    # sampling: s.d. of the eigenvalue about (1 + ell) sqrt(2/n), 2.6 % at n = 3000; of the overlap 0.02
    assert values[-1] == pytest.approx(got[0], rel=0.03)
    assert vectors[0, -1] ** 2 == pytest.approx(got[1], abs=0.1 if ell == 1 else 0.05)


@pytest.mark.parametrize(
    ("theta", "s1", "short", "long"),
    [(1.0, 1.7321, None, None), (1.5, 1.9930, 0.737, 0.624), (2.0, 2.3717, 0.861, 0.775)],
)
def test_bbp_of_a_rectangle(theta: float, s1: float, short: float | None, long: float | None):
    # 02-structure C.3: s_1 and the overlaps at c = 0.5
    square, got_short, got_long = bbp_rectangular(theta, 0.5)
    assert np.sqrt(square) == pytest.approx(s1, abs=5e-5)
    if short is not None:
        assert (got_short, got_long) == pytest.approx((short, long), abs=1.1e-3)
        r = np.random.default_rng(3)
        w = r.standard_normal((1600, 800)) / 40
        w[0, 0] += theta
        u, s, vt = np.linalg.svd(w, full_matrices=False)
        assert s[0] == pytest.approx(s1, rel=0.03)
        assert vt[0, 0] ** 2 == pytest.approx(got_short, abs=0.05)
        assert u[0, 0] ** 2 == pytest.approx(got_long, abs=0.05)


def test_bbp_thresholds():
    # E.12: ell = sqrt(1/2) = 0.7071; below, the edge and no overlap
    edge = marchenko_pastur_edges(0.5)[1]
    assert bbp_covariance(0.7071, 0.5) == (edge, 0.0)
    assert bbp_covariance(0.70711, 0.5)[1] > 0
    assert np.sqrt(bbp_rectangular(0.84, 0.5)[0]) == pytest.approx(1.7071, abs=5e-5)
    assert bbp_rectangular(0.84, 0.5)[1:] == (0.0, 0.0)
    assert bbp_rectangular(0.841, 0.5)[1] > 0
    # at the threshold the place is continuous
    assert bbp_covariance(np.sqrt(0.5) + 1e-9, 0.5)[0] == pytest.approx(edge, rel=1e-9)


def test_tracy_widom_moments_of_drawn_matrices():
    # 02-structure C.3: mean -1.2065, s.d. 1.268; 150 draws: standard error 0.10 and 0.073
    r = np.random.default_rng(1)
    n, m = 300, 150
    mu, scale = tracy_widom_edge(n, m)
    draws = [r.standard_normal((n, m)) for _ in range(150)]
    z = np.array([(np.linalg.eigvalsh(w.T @ w / n)[-1] - mu) / scale for w in draws])
    assert z.mean() == pytest.approx(-1.2065, abs=0.4)
    assert z.std() == pytest.approx(1.268, abs=0.3)
    assert (z > TRACY_WIDOM_99).sum() <= 8  # 1.5 expected


def test_spacing_ratio_of_independent_levels():
    assert pytest.approx(0.3863, abs=5e-5) == SPACING_RATIO_POISSON


def test_out_of_range_is_refused():
    for call in (
        lambda: marchenko_pastur_edges(0.0),
        lambda: bbp_covariance(-1.0, 0.5),
        lambda: bbp_rectangular(1.0, 2.0),
        lambda: marchenko_pastur_cdf(1.0, -1.0),
    ):
        with pytest.raises(InputError):
            call()
