"""WeightWatcher's quantities: closed forms, slow twins, nulls, kernels. Oracle: tests/oracles."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.randomised import (
    correlation_traps,
    randomised,
    shannon_distance,
    shuffled,
    spectral_distance,
)
from opalesce.observables.spectra import Spectrum, entropy_effective_rank, spectrum
from opalesce.observables.tail_spectra import (
    alpha_hat,
    determinant_tail,
    detx_num,
    log_alpha_norm,
    log_norm,
    spectral_entropy,
    tail_alpha,
    tail_alpha_stderr,
    tail_distance,
)
from opalesce.observables.weightwatcher import convolution_slices, details, layer


def heavy(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(2.2, shape)


def pareto_spectrum(alpha: float, n: int) -> Spectrum:
    """Eigenvalues at the quantiles of a power law of density exponent alpha."""
    values = ((np.arange(n) + 0.5) / n) ** (-1 / (alpha - 1))
    return Spectrum(np.sqrt(values), (n, n))


def test_tail_of_a_spectrum_that_is_a_power_law():
    s = pareto_spectrum(2.5, 2000)
    assert tail_alpha(s) == pytest.approx(2.5, abs=0.05)
    assert tail_distance(s) < 0.01
    assert tail_alpha_stderr(s) == pytest.approx(1.5 / np.sqrt(2000), rel=0.3)
    top = float(2 * np.log10(s.values[0]))
    assert alpha_hat(s) == pytest.approx(tail_alpha(s) * top)
    assert log_alpha_norm(s) == pytest.approx(np.log10((s.values**2) ** tail_alpha(s) @ np.ones(2000)))
    assert log_norm(s) == pytest.approx(np.log10((s.values**2).sum()))


def test_noise_is_told_by_its_distance():
    # 02-structure C.1: alpha 25, 7.2, 20 at 2048 x 1024, D = 0.118 to 0.128 in all; here three more draws
    r = np.random.default_rng(7)
    spectra = [spectrum(r.standard_normal((2048, 1024))) for _ in range(3)]
    assert all(0.11 < tail_distance(s) < 0.135 for s in spectra)
    alphas = [tail_alpha(s) for s in spectra]
    assert max(alphas) > 1.25 * min(alphas)
    assert min(alphas) > 5


def test_entropy_is_the_log_of_the_effective_rank():
    s = spectrum(heavy((50, 30)))
    assert spectral_entropy(s) == pytest.approx(np.log(entropy_effective_rank(s)) / np.log(30))
    assert spectral_entropy(Spectrum(np.ones(7), (7, 9))) == pytest.approx(1)


def slow_determinant(values: np.ndarray) -> int:
    x = np.sort(values)
    x = x * len(x) / x.sum()
    for i in range(len(x) - 1, 0, -1):
        if np.prod(x[i:]) < 1:
            return len(x) - i
    return len(x)


@pytest.mark.parametrize("seed", range(4))
def test_determinant_tail_is_its_slow_twin(seed: int):
    values = spectrum(heavy((40, 25), seed)).values ** 2
    assert determinant_tail(values) == slow_determinant(values)
    assert detx_num(spectrum(heavy((40, 25), seed))) == slow_determinant(values)


def test_determinant_tail_by_hand():
    # mean 1: products 2, 2.4, 1.44, 0.288: below 1 only with all four, which is never asked
    assert determinant_tail(np.array([2.0, 1.2, 0.6, 0.2])) == 4
    assert determinant_tail(np.array([2.6, 0.3, 0.1])) == 2


def test_details_and_observables_are_the_same_numbers():
    w = heavy((80, 60), 3)
    s, d = spectrum(w), details(layer(w))
    assert d.alpha == pytest.approx(tail_alpha(s))
    assert d.alpha_stderr == pytest.approx(tail_alpha_stderr(s))
    assert pytest.approx(tail_distance(s)) == d.D
    assert d.alpha_weighted == pytest.approx(alpha_hat(s))
    assert d.log_alpha_norm == pytest.approx(log_alpha_norm(s))
    assert d.log_norm == pytest.approx(log_norm(s))
    assert d.entropy == pytest.approx(spectral_entropy(s), abs=1e-6)
    assert d.detX_num == detx_num(s)
    assert d.alpha_weighted_stderr == pytest.approx(d.alpha_stderr * abs(d.log_spectral_norm))
    assert (d.warning == "over-trained") == (d.alpha < 2)


def test_threshold_and_small_layers_say_so():
    tiny = details(layer(1e-4 * heavy((40, 30))))  # all eigenvalues below 1e-5: their threshold leaves none
    assert np.isnan(tiny.alpha)
    assert "1e-05" in tiny.status
    assert np.isfinite(tail_alpha(spectrum(1e-4 * heavy((40, 30)))))  # ours has no such scale
    few = details(layer(heavy((20, 12))))
    assert "for fewer than 20" in few.status
    assert few.num_pl_spikes >= 8
    with pytest.raises(InputError, match="zero"):
        details(layer(np.zeros((9, 9))))


def test_convolution_slices_are_pooled():
    k = heavy((6, 10, 3, 2), 1)
    slices = convolution_slices(k)
    assert len(slices) == 6
    assert all(w.shape == (10, 6) for w in slices)
    assert np.array_equal(slices[3], k[:, :, 1, 1].T)
    pooled = layer(k, norm=1.0)
    expected = np.sort(np.concatenate([np.linalg.svd(w, compute_uv=False) ** 2 for w in slices]))
    assert pooled.eigenvalues == pytest.approx(expected)
    assert (pooled.shape, pooled.slices) == ((10, 6), 6)
    assert layer(k).eigenvalues == pytest.approx(expected / 2)  # their factor sqrt(1/2) on pooled slices
    with pytest.raises(InputError):
        layer(np.ones((2, 2, 2)))


def test_shuffling_keeps_entries_and_slices():
    r = np.random.default_rng(0)
    w = heavy((8, 5))
    assert np.array_equal(np.sort(shuffled(w, r).ravel()), np.sort(w.ravel()))
    k = heavy((4, 3, 2, 2))
    mixed = shuffled(k, r)
    for i in range(2):
        for j in range(2):
            assert np.array_equal(np.sort(mixed[:, :, i, j].ravel()), np.sort(k[:, :, i, j].ravel()))
    assert not np.array_equal(mixed, k)


def test_randomised_of_order_and_of_traps():
    r = np.random.default_rng(4)  # a seed has 3 % for a false outlier
    noise = r.standard_normal((300, 150))
    ordered = noise + 60 * np.outer(*(np.linalg.qr(r.standard_normal((n, 1)))[0][:, 0] for n in (300, 150)))
    out = randomised(ordered, r)
    assert out.rand_num_spikes == 0  # order among many entries dies in the shuffle
    assert out.ww_softrank < 0.6
    assert out.ww_maxdist > 0
    trapped = noise.copy()
    trapped[5, 7] = 80.0  # one huge entry survives it
    assert randomised(trapped, r).rand_num_spikes == 1
    assert correlation_traps(trapped) == 1
    assert correlation_traps(ordered) == 0
    assert randomised(noise, r).rand_ks < 0.05
    assert randomised(ordered[:, :50], r).replicas == 5
    with pytest.raises(InputError):
        randomised(noise, r, replicas=0)


def test_distances_by_hand():
    p, q = np.array([1.0, 0.0]), np.array([0.0, 3.0])
    # m = (1, 3) / 4: divergences ln 4 and ln(4/3)
    assert shannon_distance(p, q) == pytest.approx(np.sqrt((np.log(4) + np.log(4 / 3)) / 2))
    assert shannon_distance(p, p) == 0
    assert spectral_distance([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]) == 0  # units of the mean
    assert spectral_distance([0.0, 4.0], [1.0, 1.0]) == pytest.approx(0.5)
    with pytest.raises(InputError):
        shannon_distance(p, np.ones(3))
