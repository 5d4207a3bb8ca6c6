"""Geometry of representations: spheres of known dimension, two-pass twins, exact invariances."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.collapse import neural_collapse
from opalesce.observables.dimension import (
    gride,
    local_mle_estimate,
    neighbour_distances,
    two_nn_estimate,
)
from opalesce.observables.isotropy import (
    alpha_req,
    anisotropy,
    channel_kurtosis,
    massive_activations,
    partition_isotropy,
    rankme,
)
from opalesce.observables.probes import Ridge, linear_probe, logit_lens, transfer
from opalesce.observables.similarity import (
    DebiasedCKA,
    biased_cka,
    debiased_cka,
    mutual_neighbours,
    procrustes_distance,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sphere(dimension: int, n: int, seed: int = 1) -> np.ndarray:
    x = rng(seed).standard_normal((n, dimension + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# ---- intrinsic dimension -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "tolerance"), [(2, 0.03), (5, 0.03), (10, 0.05)], ids=["S2", "S5", "S10"]
)
def test_spheres(dimension, tolerance):
    """10,000 points: 3 % up to 5 dimensions, 5 % at 10; TwoNN's standard deviation is 1 %."""
    found = two_nn_estimate(sphere(dimension, 10_000))
    assert found.value == pytest.approx(dimension, rel=tolerance)
    assert found.low < found.value < found.high


def test_every_estimator_saturates_at_twenty():
    """Measured 12 to 15 % low at S^20 and 10,000 points: said in the docs, and so kept in view here."""
    found = two_nn_estimate(sphere(20, 10_000)).value
    assert 20 * 0.83 < found < 20 * 0.93


def test_scales_tell_noise_from_dimension():
    """A circle in 10 dimensions with noise: dimension above 3 at the scale of the noise, 1 well above it."""
    angle = rng(2).uniform(0, 2 * np.pi, 4000)
    x = np.zeros((4000, 10))
    x[:, 0], x[:, 1] = np.cos(angle), np.sin(angle)
    noisy = x + 0.01 * rng(3).standard_normal(x.shape)
    scales = gride(noisy, 256)
    assert scales[0].estimate.value > 3
    assert scales[-1].estimate.value == pytest.approx(1.0, abs=0.15)
    assert scales[0].scale < scales[-1].scale
    assert gride(x, 256)[4].estimate.value == pytest.approx(1.0, abs=0.05)


def test_gride_at_one_neighbour_is_two_nn_and_the_rest_agree():
    x = rng(4).random((3000, 4))
    first = gride(x, 64)[0].estimate
    assert first.value == pytest.approx(two_nn_estimate(x).value, rel=1e-3)
    assert local_mle_estimate(x).value == pytest.approx(4, rel=0.12)
    assert gride(x, 64)[4].estimate.value == pytest.approx(4, rel=0.15)  # edges of the cube


def test_intervals_cover():
    """60 clouds of 300 points on a plane: 90 % intervals hold the truth in 90 % (binomial s.d. 4 %), less
    what neighbours share."""
    hits = [f.low <= 2 <= f.high for f in (two_nn_estimate(rng(s).random((300, 2))) for s in range(60))]
    assert np.mean(hits) > 0.7


def test_neighbours_by_hand_and_far_from_the_origin():
    x = rng(5).standard_normal((50, 3)) + 1e6
    d = np.sort(np.linalg.norm(x[:, None] - x, axis=2), axis=1)[:, 1:6]
    order = np.lexsort(x.T[::-1])
    found = neighbour_distances(x, 5, block=7) * np.abs(x - x.mean(0)).max()
    assert found == pytest.approx(d[order], rel=1e-6)
    with pytest.raises(InputError, match="distinct"):
        neighbour_distances(np.ones((50, 3)), 2)
    with pytest.raises(InputError, match="3 or more"):
        local_mle_estimate(x, 2)


# ---- similarity ----------------------------------------------------------------------------------


def two_pass(x: np.ndarray, y: np.ndarray) -> float:
    """The n x n formula of Song et al."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n = len(k)
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        total = np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k @ m).sum() / (n - 2)
        return float(total / (n * (n - 3)))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_one_pass_cka_is_the_two_pass_formula():
    x = rng(6).standard_normal((90, 7))
    y = np.tanh(x @ rng(7).standard_normal((7, 12))) + 0.3
    sums = DebiasedCKA()
    for start in range(0, 90, 32):
        sums.add(x[start : start + 32], y[start : start + 32])
    assert sums.value() == pytest.approx(two_pass(x, y), abs=1e-10)
    assert debiased_cka(x + 1e4, y - 1e3) == pytest.approx(two_pass(x, y), abs=1e-8)  # offsets say nothing


def test_cka_invariances_and_null():
    x = rng(8).standard_normal((60, 9))
    q = np.linalg.qr(rng(9).standard_normal((9, 9)))[0]
    for f in (debiased_cka, biased_cka):
        assert f(x, x @ q) == pytest.approx(1, abs=1e-10)
        assert f(x, -3 * x + 5) == pytest.approx(1, abs=1e-10)
    free = [
        (debiased_cka(rng(2 * s).standard_normal((50, 20)), rng(2 * s + 1).standard_normal((50, 20))),
         biased_cka(rng(2 * s).standard_normal((50, 20)), rng(2 * s + 1).standard_normal((50, 20))))
        for s in range(40)
    ]  # fmt: skip
    mean, biased = np.mean(free, axis=0)
    error = np.std(free, axis=0, ddof=1)[0] / np.sqrt(40)
    assert abs(mean) < 3 * error
    assert biased > 0.2  # what the debiasing is for


def test_procrustes_and_neighbours():
    x = rng(10).standard_normal((80, 6))
    q = np.linalg.qr(rng(11).standard_normal((6, 6)))[0]
    assert procrustes_distance(x, 4 * x @ q + 1) == pytest.approx(0, abs=1e-12)
    far = procrustes_distance(x, rng(12).standard_normal((80, 6)))
    assert 0.5 < far < 2
    assert np.isnan(procrustes_distance(x, np.ones((80, 3))))
    assert mutual_neighbours(x, 2 * x @ q, 5, block=17) == 1.0
    pairs = [(rng(s).random((200, 5)), rng(s + 99).random((200, 5))) for s in range(20)]
    chance = np.mean([mutual_neighbours(u, v, 10) for u, v in pairs])
    assert chance == pytest.approx(10 / 199, abs=0.006)  # s.d. of the mean 0.0012


def test_pairs_that_do_not_match():
    sums = DebiasedCKA()
    with pytest.raises(InputError, match="rows"):
        sums.add(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(InputError, match="NaN"):
        sums.add(np.full((3, 2), np.nan), np.ones((3, 2)))
    assert sums.n == 0
    assert np.isnan(sums.value())
    sums.add(rng().random((5, 2)), rng().random((5, 3)))
    with pytest.raises(InputError, match="another width"):
        sums.add(rng().random((5, 3)), rng().random((5, 3)))


# ---- isotropy ------------------------------------------------------------------------------------


def test_decay_exponent_of_a_planted_spectrum():
    """lambda_j = 1/j over 200 channels, 20,000 tokens: the fitted exponent is 1 within 4 %."""
    x = rng(13).standard_normal((20_000, 200)) / np.sqrt(np.arange(1, 201))
    assert alpha_req(x) == pytest.approx(1.0, abs=0.04)


def test_cosines_against_all_pairs():
    x = rng(14).standard_normal((40, 5)) + 1
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert anisotropy(x) == pytest.approx((u @ u.T)[~np.eye(40, dtype=bool)].mean(), abs=1e-12)


def test_rankme_of_a_known_spectrum():
    x = np.linalg.qr(rng(15).standard_normal((30, 4)))[0] * [4.0, 2, 1, 1]
    p = np.array([4, 2, 1, 1]) / 8 + 1e-7
    assert rankme(x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), abs=1e-9)


def test_massive_activations_are_those_of_the_definition():
    x = rng(16).standard_normal((50, 64))
    assert massive_activations(x) == []
    x[3, 7], x[9, 1] = 2546.8, -1502.0
    x[5, 5] = 400.0  # large, but not 1,000 medians
    found = massive_activations(x)
    assert [(m.token, m.channel, m.value) for m in found] == [(3, 7, 2546.8), (9, 1, -1502.0)]
    assert found[0].ratio == pytest.approx(2546.8 / np.median(np.abs(x)))
    assert massive_activations(x * 0.01) == []  # of another scale: judge by the ratio alone
    assert len(massive_activations(x * 0.01, above=0.0)) == 2


def test_partition_function_and_kurtosis():
    even = np.concatenate([np.eye(4), -np.eye(4)])
    assert partition_isotropy(even) == pytest.approx(1.0)
    assert partition_isotropy(even + 2) < 0.2
    normal, uniform = rng(17).standard_normal(200_000), rng(18).random(200_000)
    k = channel_kurtosis(np.column_stack([normal, uniform, np.ones(200_000)]))
    assert k[:2] == pytest.approx([0, -1.2], abs=0.05)
    assert np.isnan(k[2])


# ---- collapse, probes, lens ----------------------------------------------------------------------


def test_neural_collapse_of_a_simplex_and_of_noise():
    K = 4
    simplex = np.eye(K) - 1 / K
    labels = np.repeat(np.arange(K), 25)
    at = neural_collapse(simplex[labels], labels, simplex)
    assert [at.nc1, at.nc2_norms, at.nc2_angles, at.nc3, at.nc4] == pytest.approx([0] * 5, abs=1e-10)
    noisy = simplex[labels] + 0.1 * rng(19).standard_normal((100, K))
    off = neural_collapse(noisy, labels, rng(20).standard_normal((K, K)))
    expected = 0.1**2 * (K - 1) / (1 / K) / K  # tr(Sigma_W Sigma_B^+)/K with Sigma_B = P/K
    assert off.nc1 == pytest.approx(expected, rel=0.2)
    assert off.nc3 > 0.5
    with pytest.raises(InputError, match="classes"):
        neural_collapse(noisy, np.zeros(100))
    with pytest.raises(InputError, match="does not fit"):
        neural_collapse(noisy, labels, np.ones((3, K)))


def test_ridge_is_the_normal_equations():
    x, y = rng(21).standard_normal((40, 5)), rng(22).integers(0, 3, 40)
    r = Ridge(x, y, 3)
    xc, t = x - x.mean(0), np.eye(3)[y]
    penalty = 0.3 * np.linalg.eigvalsh(xc.T @ xc).mean()
    w = np.linalg.solve(xc.T @ xc + penalty * np.eye(5), xc.T @ (t - t.mean(0)))
    assert r.scores(x, 0.3) == pytest.approx(xc @ w + t.mean(0), abs=1e-10)


def test_probe_finds_a_planted_class_and_its_control_does_not():
    y = rng(23).integers(0, 2, 400)
    x = rng(24).standard_normal((400, 30))
    nothing = linear_probe(x, y, rng(25))
    assert nothing.accuracy.value == pytest.approx(0.5, abs=0.1)  # binomial s.d. 0.025
    x[:, 0] += 2.5 * (y - 0.5)
    found = linear_probe(x, y, rng(25))
    assert found.accuracy.value == pytest.approx(0.89, abs=0.07)  # Phi(1.25) = 0.894
    assert found.control.value == pytest.approx(0.5, abs=0.1)
    assert found.selectivity.low > 0.2


def test_groups_are_not_split():
    """Rows of a group are copies: a probe that saw some of them would answer for the rest."""
    g = np.repeat(np.arange(60), 5)
    x, y = rng(26).standard_normal((60, 100))[g], rng(27).integers(0, 2, 60)[g]
    assert linear_probe(x, y, rng(28)).accuracy.value > 0.95
    assert linear_probe(x, y, rng(28), groups=g).accuracy.value < 0.7


def test_transfer_between_layers():
    y = rng(29).integers(0, 2, 300)
    base = rng(30).standard_normal((300, 6))
    a, b = base.copy(), base.copy()
    a[:, 0] += 4 * y
    b[:, 0] += 4 * y
    turned = b[:, ::-1]
    table = transfer([a, b, turned], y, np.arange(300) < 150)
    assert table[0, 1] > 0.9
    assert table[0, 2] < 0.75  # the class is there, in another direction
    assert table[2, 2] > 0.9


def test_logit_lens_by_hand():
    h, w = rng(31).standard_normal((3, 5, 4)), rng(32).standard_normal((7, 4))
    gain, targets = rng(33).random(4) + 0.5, np.array([0, 1, 2, 3, 6])
    lens = logit_lens(h, w, gain=gain, targets=targets)

    def logp(x: np.ndarray) -> np.ndarray:
        z = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * gain @ w.T
        return z - np.log(np.exp(z).sum(1, keepdims=True))

    p = [logp(x) for x in h]
    assert lens.cross_entropy[1] == pytest.approx(-p[1][np.arange(5), targets])
    assert lens.kl[0] == pytest.approx((np.exp(p[2]) * (p[2] - p[0])).sum(1))
    assert lens.kl[2] == pytest.approx(0, abs=1e-12)
    top = np.array([q.argmax(1) for q in p])
    for t in range(5):
        stays = [d for d in range(3) if (top[d:, t] == top[2, t]).all()]
        assert lens.depth[t] == stays[0]
    with pytest.raises(InputError, match="norm"):
        logit_lens(h, w, norm="batch")
