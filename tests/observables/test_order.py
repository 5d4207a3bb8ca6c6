"""Object integrity: its nulls in closed form, the massive coordinate that makes it jump, and its controls."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.moments import Moments, integrity_of
from opalesce.observables.order import (
    mask_massive,
    object_integrity,
    residual_effective_rank,
    residual_participation_ratio,
    residual_stable_rank,
    rotated,
)
from opalesce.theory import integrity

D, N = 2048, 4000


def draws(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("name", "sample", "expected"),
    [
        ("constant", lambda r, s: r.choice([-1.0, 1.0], s), 0.0),
        ("uniform", lambda r, s: r.uniform(-1, 1, s), integrity.uniform()),
        ("normal", lambda r, s: r.standard_normal(s), integrity.gaussian()),
        ("laplace", lambda r, s: r.laplace(size=s), integrity.laplace()),
        ("t5", lambda r, s: r.standard_t(5, s), integrity.student(5)),
        ("half kept", lambda r, s: r.standard_normal(s) * (r.random(s) < 0.5), integrity.sparse(0.5)),
        ("tenth kept", lambda r, s: r.standard_normal(s) * (r.random(s) < 0.1), integrity.sparse(0.1)),
        ("hundredth kept", lambda r, s: r.standard_normal(s) * (r.random(s) < 0.01), integrity.sparse(0.01)),
    ],
)
def test_nulls(name, sample, expected):
    """Within three standard errors of 500 vectors, and the bias of order 1/d of the limit."""
    omega = integrity_of(sample(draws(len(name)), (500, D)))
    bias = {"t5": 6e-3, "hundredth kept": 1.5e-3, "laplace": 1e-3}.get(name, 4e-4)
    assert abs(omega.mean() - expected) <= 3 * omega.std() / np.sqrt(500) + bias


def test_published_values():
    """Table of the nulls, to its digits."""
    assert integrity.gaussian() == pytest.approx(0.20212, abs=1e-5)
    assert integrity.uniform() == pytest.approx(0.13397, abs=1e-5)
    assert integrity.laplace() == pytest.approx(0.29289, abs=1e-5)
    for nu, value in ((5, 0.2649), (4, 0.2929), (3, 0.3634)):
        assert integrity.student(nu) == pytest.approx(value, abs=1e-4)
    for share, value in ((0.5, 0.4358), (0.1, 0.7477), (0.01, 0.9202)):
        assert integrity.sparse(share) == pytest.approx(value, abs=1e-4)
    for size, value in ((10, 0.209), (50, 0.362), (100, 0.557), (500, 0.883), (1000, 0.933)):
        assert integrity.one_massive(size, 4096) == pytest.approx(value, abs=6e-4)


def test_spread_over_vectors():
    """Standard deviation 0.2123/sqrt(d); that of 4000 vectors is known to 1.1 %."""
    omega = integrity_of(draws(0).standard_normal((N, 512)))
    assert omega.std() == pytest.approx(integrity.gaussian_spread(512), rel=0.04)


def test_ends_of_the_range():
    one = np.zeros((1, 64))
    one[0, 3] = -2
    assert integrity_of(one)[0] == pytest.approx(1 - 1 / 8)
    assert integrity_of(1e-300 * one)[0] == pytest.approx(1 - 1 / 8)  # no underflow
    four = np.zeros((1, 64))
    four[0, :4] = 5
    assert integrity_of(four)[0] == pytest.approx(1 - (4 / 64) ** 0.5)
    assert np.isnan(integrity_of(np.zeros((1, 4)))[0])


@pytest.mark.parametrize("size", [10, 100, 1000])
def test_one_massive_coordinate_in_closed_form(size):
    """Simulated equal to 3 digits: standard error 0.0047/sqrt(300) or less."""
    x = draws(size).standard_normal((300, 2048))
    x[:, 7] = size
    assert object_integrity(Moments.of(x)) == pytest.approx(integrity.one_massive(size, 2048), abs=1e-3)


def test_a_planted_massive_activation_is_flagged_and_its_masking_returns_the_null():
    x = draws(1).standard_normal((500, 1024))
    x[3, 17] = 400  # in one token is enough
    x[100:, 5] += 250
    assert object_integrity(Moments.of(x)) > 0.6
    masked, dropped = mask_massive(x)
    assert dropped.tolist() == [5, 17]
    value = object_integrity(Moments.of(masked))
    assert abs(value - integrity.gaussian()) < 3 * 0.2123 / np.sqrt(1024 * 500) + 4e-4
    assert mask_massive(draws(2).standard_normal((500, 64)))[1].size == 0
    with pytest.raises(InputError):
        mask_massive(np.diag(np.full(5, 7.0)))


def test_rotation_takes_sparsity_and_leaves_spectra():
    sparse = draws(3).standard_normal((400, 512)) * (draws(4).random((400, 512)) < 0.05)
    turned = rotated(sparse, draws(5))
    assert object_integrity(Moments.of(sparse)) == pytest.approx(integrity.sparse(0.05), abs=0.01)
    value = object_integrity(Moments.of(turned))
    assert value == pytest.approx(integrity.gaussian(), abs=3 * 0.2123 / np.sqrt(512 * 400) + 1e-3)
    for f in (residual_effective_rank, residual_participation_ratio, residual_stable_rank):
        assert f(Moments.of(turned)) == pytest.approx(f(Moments.of(sparse)), rel=1e-8)


def test_few_tokens():
    """Noise at n = d = 1024: entropy rank 621.1 (Page 1993), stable rank 256, and PR corrected to d."""
    m = Moments.of(draws(6).standard_normal((1024, 1024)))
    lam = m.eigenvalues
    assert lam.sum() ** 2 / (lam**2).sum() == pytest.approx(512, rel=0.01)
    assert residual_effective_rank(m) == pytest.approx(621.1, rel=0.01)
    assert residual_stable_rank(m) == pytest.approx(256, rel=0.03)
    assert residual_participation_ratio(m) == pytest.approx(1024, rel=0.02)


@pytest.mark.parametrize(("tokens", "naive"), [(50, 14.97), (100, 17.72), (400, 20.01)])
def test_corrected_participation_ratio(tokens, naive):
    """lambda_j = 1/j, d = 200: true 21.07. Forty clouds; the s.d. of one is 15 % at 50 tokens."""
    scale = np.sqrt(1 / np.arange(1, 201))
    clouds = [Moments.of(draws(100 + s).standard_normal((tokens, 200)) * scale) for s in range(40)]
    plain = [m.eigenvalues.sum() ** 2 / (m.eigenvalues**2).sum() for m in clouds]
    assert np.mean(plain) == pytest.approx(naive, rel=0.04)
    assert np.mean([residual_participation_ratio(m) for m in clouds]) == pytest.approx(21.07, rel=0.08)


def test_one_pass_is_many_passes():
    x = draws(7).standard_normal((90, 12)) * 1e3 + 1e6  # a mean that eats seven digits of a plain sum
    whole = Moments.of(x)
    parts = Moments.of(x[:7]).add(x[7:60]).merge(Moments.of(x[60:]))
    assert parts.n == 90
    assert parts.mean == pytest.approx(x.mean(0), rel=1e-12)
    assert parts.scatter == pytest.approx(whole.scatter, rel=1e-9, abs=1e-3)
    assert parts.scatter / 89 == pytest.approx(np.cov(x.T), rel=1e-7, abs=1)
    assert parts.integrity == pytest.approx(whole.integrity)
    assert parts.second_moment[0] == pytest.approx(np.linalg.eigvalsh(x.T @ x / 90)[-1], rel=1e-9)
    for bad in (np.full((2, 12), np.nan), np.ones((2, 11))):
        with pytest.raises(InputError):
            whole.add(bad)
