"""Two classes and the spike of their covariance, against samples, with the crossing at (d/n)^(1/4)."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.separability import bayes_error, between, spikes, threshold, two_classes


def sample(m: float, d: int, n: int, seed: int) -> tuple[float, float]:
    """Largest eigenvalue and squared overlap of n samples of two classes at +-m e_1, sigma = 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[:, 0] += m * rng.choice([-1, 1], n)
    values, vectors = np.linalg.eigh(x.T @ x / n)
    return float(values[-1]), float(vectors[0, -1] ** 2)


def test_mixture_covariance_is_noise_plus_spikes():
    rng = np.random.default_rng(0)
    priors, means = np.array([0.5, 0.3, 0.2]), rng.standard_normal((3, 6))
    found = spikes(priors, means, 0.5)
    full = np.linalg.eigvalsh(0.25 * np.eye(6) + between(priors, means))[::-1]
    assert len(found) == 2
    assert full[:2] == pytest.approx(0.25 * (1 + found))
    assert full[2:] == pytest.approx(0.25)
    assert spikes([0.5, 0.5], [[1.5, 0], [-1.5, 0]], 1.0) == pytest.approx([2.25])


@pytest.mark.parametrize(
    ("ell", "eigenvalue", "overlap"), [(1, 3.0, 1 / 3), (2, 3.75, 0.70), (4, 5.625, 0.861)]
)
def test_published_values_and_samples(ell, eigenvalue, overlap):
    """c = 0.5. The largest eigenvalue of one draw has s.d. (1+l) sqrt(2 (1-c/l^2)/n) < 0.16; eight draws."""
    said = two_classes(ell**0.5, 1.0, 400, 800)
    assert said.detectable
    assert (said.eigenvalue, said.overlap) == (pytest.approx(eigenvalue), pytest.approx(overlap, abs=5e-4))
    drawn = np.array([sample(ell**0.5, 400, 800, s) for s in range(8)])
    assert drawn[:, 0].mean() == pytest.approx(eigenvalue, rel=0.03)
    assert drawn[:, 1].mean() == pytest.approx(overlap, abs=0.05)


def test_the_direction_appears_at_the_fourth_root():
    """Overlap on both sides of (d/n)^(1/4) = 1: of the order n^(-1/3) = 0.12 below, 0.47 at 1.4 times it."""
    assert threshold(600, 600) == 1.0
    assert threshold(100, 1600) == 0.5
    below, above = (np.mean([sample(f, 600, 600, s)[1] for s in range(6)]) for f in (0.7, 1.4))
    assert below < 0.06
    assert above == pytest.approx(two_classes(1.4, 1.0, 600, 600).overlap, abs=0.08)
    assert not two_classes(0.99, 1.0, 600, 600).detectable
    assert two_classes(1.01, 1.0, 600, 600).detectable


def test_bayes_error_at_the_threshold():
    assert bayes_error(threshold(500, 500), 1.0) == pytest.approx(0.158655, abs=1e-6)
    rng = np.random.default_rng(3)  # standard error sqrt(.159 * .841 / 200000) = 0.0008
    assert (rng.normal(1, 1, 200_000) < 0).mean() == pytest.approx(bayes_error(1, 1), abs=0.003)


def test_sigma_is_a_unit():
    one, three = two_classes(2, 1, 50, 100), two_classes(6, 3, 50, 100)
    assert three.eigenvalue == pytest.approx(9 * one.eigenvalue)
    assert (three.overlap, three.bayes_error) == (pytest.approx(one.overlap), pytest.approx(one.bayes_error))


@pytest.mark.parametrize("wrong", [(-1, 1, 5, 5), (1, 0, 5, 5), (1, 1, 0, 5), (1, 1, 5, np.nan)])
def test_nonsense_is_refused(wrong):
    with pytest.raises(InputError):
        two_classes(*wrong)
    with pytest.raises(InputError):
        between([0.5, 0.6], np.eye(2))
