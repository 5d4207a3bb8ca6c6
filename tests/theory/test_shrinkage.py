"""Denoising: closed forms, planted signals, and the sign of the Stieltjes transform."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.random_matrix import bbp_rectangular
from opalesce.theory.shrinkage import (
    denoise,
    frobenius_shrinker,
    hard_threshold,
    hard_threshold_of_median,
    ledoit_peche,
)


@pytest.mark.parametrize("c", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("theta", [1.1, 1.5, 3.0])
def test_shrinker_is_the_signal_times_both_cosines(c: float, theta: float):
    # an independent derivation: the best value is theta <u, u^> <v, v^>, from BBP
    square, short, long = bbp_rectangular(theta, c)
    assert float(frobenius_shrinker(np.sqrt(square), c)) == pytest.approx(
        theta * np.sqrt(short * long), rel=1e-9
    )


def test_shrinker_kills_noise_and_keeps_strong_signals():
    assert (frobenius_shrinker([0.0, 0.5, 1.7], 0.5) == 0).all()
    assert float(frobenius_shrinker(1e4, 0.5)) == pytest.approx(1e4, rel=1e-6)


def test_published_thresholds():
    # Gavish and Donoho 2014: 4/sqrt(3), 2.858 sigma-free; table I: omega(0.5) = 2.1711 (approximately 2.17)
    assert hard_threshold(1.0) == pytest.approx(4 / np.sqrt(3))
    assert hard_threshold_of_median(1.0) == pytest.approx(2.858, abs=1e-3)
    assert hard_threshold_of_median(0.5) == pytest.approx(2.17, abs=0.02)


def planted(n: int, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    u, v = (np.linalg.qr(r.standard_normal((k, 3)))[0] for k in (n, m))
    signal = (u * [4.0, 2.5, 1.6]) @ v.T
    return signal, signal + r.standard_normal((n, m)) / np.sqrt(max(n, m))


@pytest.mark.parametrize("shape", [(600, 300), (300, 600), (400, 400)])
@pytest.mark.parametrize("sigma", ["known", "unknown"])
def test_denoising_comes_near_the_best_possible(shape: tuple[int, int], sigma: str):
    signal, noisy = planted(*shape)
    given = 1 / np.sqrt(max(shape)) if sigma == "known" else None
    u, _, vt = np.linalg.svd(noisy, full_matrices=False)
    best_values = np.einsum("ik,ij,kj->k", u, signal, vt)  # the oracle, which sees the signal
    best = ((signal - (u * best_values) @ vt) ** 2).sum()
    shrunk = ((signal - denoise(noisy, given)) ** 2).sum()
    cut = ((signal - denoise(noisy, given, "cut")) ** 2).sum()
    raw = ((signal - noisy) ** 2).sum()
    assert shrunk < 1.1 * best + 0.05
    assert shrunk < cut < raw / 10


def test_denoised_noise_is_nothing():
    r = np.random.default_rng(1)
    w = r.standard_normal((300, 200))
    assert np.linalg.norm(denoise(w, 1.0)) < 0.25 * np.linalg.norm(w, 2)
    assert not denoise(w, 1.0, "cut").any()
    assert np.array_equal(denoise(np.zeros((4, 3))), np.zeros((4, 3)))


def test_ledoit_peche_flattens_noise():
    # 02-structure C.3, M = 1200: xi within 0.61 to 1.12, mean 1.04, raw eigenvalues 0.086 to 2.91 (c = 0.5)
    r = np.random.default_rng(2)
    m, n = 1200, 2400
    x = r.standard_normal((n, m))
    raw = np.linalg.eigvalsh(x.T @ x / n)
    assert (raw.min(), raw.max()) == pytest.approx((0.086, 2.91), rel=0.05)
    xi = ledoit_peche(raw, m / n, width=m**-0.5)
    assert 0.55 < xi.min() < xi.max() < 1.2
    assert xi.mean() == pytest.approx(1.04, abs=0.03)
    own = ledoit_peche(raw, m / n)  # a width for each eigenvalue: flatter still
    assert 0.85 < own.min() < own.max() < 1.3
    # the other sign, g(z) with z - lambda reversed, would give 0.2 to 6.5
    wrong = raw / np.abs(1 - 0.5 - 0.5 * raw * ((1 / (raw[:, None] - 1j * m**-0.5 - raw)).mean(1))) ** 2
    assert wrong.max() > 4


def test_ledoit_peche_beats_the_sample_covariance():
    r = np.random.default_rng(3)
    m, n = 200, 400
    truth = np.repeat([1.0, 3.0, 10.0], [80, 80, 40])
    q = np.linalg.qr(r.standard_normal((m, m)))[0]
    cov = (q * truth) @ q.T
    x = r.standard_normal((n, m)) @ ((q * np.sqrt(truth)) @ q.T)
    values, vectors = np.linalg.eigh(x.T @ x / n)
    best = np.einsum("ij,ik,kj->j", vectors, cov, vectors)  # the oracle
    xi = ledoit_peche(values, m / n)
    error = {
        name: ((vectors * v) @ vectors.T - cov) for name, v in (("raw", values), ("xi", xi), ("best", best))
    }
    size = {name: np.linalg.norm(e) for name, e in error.items()}
    assert size["best"] < size["xi"] < 0.8 * size["raw"]
    assert size["xi"] < 1.04 * size["best"]


def test_what_is_refused():
    for call in (
        lambda: frobenius_shrinker(1.0, 2.0),
        lambda: hard_threshold(0.0),
        lambda: denoise(np.ones(3)),
        lambda: denoise(np.eye(3), rule="magic"),
        lambda: ledoit_peche([-1.0], 0.5),
    ):
        with pytest.raises(InputError):
            call()
