"""From counts to probabilities: against SciPy, against enumeration, against itself."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from opalesce.errors import InputError
from opalesce.theory.percolation.canonical import (
    batch_means,
    binomial,
    canonical,
    over_batches,
    probability,
    susceptibility,
)
from opalesce.theory.percolation.lattices import lattice
from opalesce.theory.percolation.sweep import sweep
from tests.theory.percolation.twin import clusters


def generator(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("p", [1e-7, 0.003, 0.5, 0.59274605, 0.999])
@pytest.mark.parametrize("m", [1, 2, 30, 4096, 1_000_000])
def test_binomial_is_scipys(m, p):
    low, b = binomial(m, p)
    exact = stats.binom.pmf(np.arange(low, low + len(b)), m, p)
    # SciPy itself is off by 1e-10 relative at m = 1e6
    assert b == pytest.approx(exact, rel=1e-8, abs=1e-14)
    assert stats.binom.cdf(low - 1, m, p) + stats.binom.sf(low + len(b) - 1, m, p) < 1e-13


def test_binomial_at_the_ends_and_outside():
    assert (binomial(5, 0.0)[0], binomial(5, 1.0)[0]) == (0, 5)
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="probability"):
            binomial(5, p)


def enumerate_square(side, p):
    """Exact averages over all site sets of a small torus: S1, M2, chance to wrap either, all, axis 0."""
    lat = lattice("square", side)
    edges, winding = lat.edges()
    total = np.zeros(5)
    for bits in product((False, True), repeat=lat.n_sites):
        on = np.array(bits)
        keep = on[edges].all(axis=1)
        sizes, around = clusters(lat.n_sites, edges[keep], winding[keep], on)
        weight = p ** on.sum() * (1 - p) ** (~on).sum()
        wraps = (bool(around), len(around) == 2, len(around) / 2)
        total += weight * np.array([max(sizes, default=0), sum(s * s for s in sizes), *wraps])
    return total


def test_canonical_averages_are_sums_over_all_configurations():
    p, sweeps = 0.55, 20_000
    exact = enumerate_square(3, p)
    s = sweep(lattice("square", 3), "site", sweeps, rng=generator(1))
    got = [canonical(s, "S1", p), canonical(s, "M2", p)]
    got += [probability(s, p, event) for event in ("either", "all", "axis")]
    for (value, error), true in zip(got, exact, strict=True):
        assert 0 < error[0] < 0.01 * max(true, 1)
        assert value[0] == pytest.approx(true, abs=4.5 * error[0])  # 5 numbers: a false alarm in 3e4


def test_derivatives_are_differences():
    s = sweep(lattice("triangular", 8), "bond", 300, rng=generator(2))
    p, h = 0.35, 1e-5
    for value in (
        lambda x, d=False: canonical(s, "S1", x, d),
        lambda x, d=False: probability(s, x, "all", d),
    ):
        difference = (value(p + h)[0] - value(p - h)[0]) / (2 * h)
        assert value(p, True)[0] == pytest.approx(difference, rel=1e-6)


def test_window_and_thinning_change_nothing_that_matters():
    lat, p = lattice("square", 24), np.array([0.56, 0.6])
    full = sweep(lat, "site", 40, rng=generator(3))
    part = sweep(lat, "site", 40, rng=generator(3), window=(0.56, 0.6))
    thin = sweep(lat, "site", 40, rng=generator(3), every=4)
    for name in ("S1", "S2", "M2", "clusters"):
        mean, error = canonical(full, name, p)
        # a quarter of the counts, of noisy curves: an error beyond that of the sweeps, but a small one
        assert np.abs(canonical(thin, name, p)[0] - mean).max() < 0.3 * error.max()
        # other sweeps, since a shorter sweep draws fewer numbers: equal within the error
        assert np.abs(canonical(part, name, p)[0] - mean).max() < 6 * error.max()
    assert part.counts[0] > 0
    with pytest.raises(InputError, match="outside the window"):
        canonical(part, "S1", 0.7)
    with pytest.raises(InputError, match="beyond the last element"):
        probability(part, 0.75)


def test_microcanonical_wrapping_is_not_the_canonical_one():
    # what makes the convolution mandatory: the share of sweeps wrapped at count p M is another number
    s = sweep(lattice("square", 16), "site", 20_000, rng=generator(4), sizes=False)
    p = 0.59274605
    micro = (s.wrapped.min(axis=1) <= round(p * s.m)).mean()
    value, error = probability(s, p, "either")
    assert abs(micro - value[0]) > 4 * error[0]


def test_moments_and_susceptibility():
    s = sweep(lattice("square", 8), "site", 500, rng=generator(5))
    ps = np.linspace(0, 1, 11)
    chi, error = susceptibility(s, ps)
    direct = canonical(s, "M2", ps)[0] - canonical(s, "S1^2", ps)[0]
    assert chi * 64 == pytest.approx(direct, abs=1e-9)
    assert (canonical(s, "S1^4", ps)[0] >= canonical(s, "S1^2", ps)[0] ** 2 * (1 - 1e-12)).all()
    assert canonical(s, "clusters", ps)[0][-1] == pytest.approx(1)
    assert canonical(s, "S1", ps)[0][[0, -1]] == pytest.approx([0, 64])
    assert (error[1:-1] > 0).all()


def test_standard_errors_are_those_of_repeated_runs():
    # 120 runs: the spread of their means is known to 1/sqrt(240) = 6.5 %
    lat, p = lattice("square", 8), 0.6
    runs = [sweep(lat, "site", 96, rng=generator([6, i]), batches=24) for i in range(120)]
    for look in (lambda s: canonical(s, "S1", p), lambda s: probability(s, p, "axis")):
        found = np.array([look(s) for s in runs])[..., 0]
        claimed = np.sqrt((found[:, 1] ** 2).mean())
        assert found[:, 0].std(ddof=1) == pytest.approx(claimed, rel=4 * 0.065 + 0.03)


def test_uneven_batches_are_weighted():
    s = sweep(lattice("square", 4), "site", 7, rng=generator(7), batches=3)
    assert s.per_batch.sum() == 7
    mean, _ = over_batches(batch_means(s, "S1", 0.5), s.per_batch)
    assert mean == pytest.approx(canonical(s, "S1", 0.5)[0])
    one = sweep(lattice("square", 4), "site", 3, rng=generator(7), batches=1)
    assert np.isnan(canonical(one, "S1", 0.5)[1]).all()


def test_same_seed_same_numbers():
    a, b = (sweep(lattice("cubic", 4), "bond", 5, rng=generator(9)) for _ in range(2))
    assert (a.sums == b.sums).all()
    assert (a.wrapped == b.wrapped).all()


def test_unknown_names():
    s = sweep(lattice("square", 4), "site", 4, rng=generator(8), wrapping=False)
    with pytest.raises(InputError, match="quantity"):
        canonical(s, "S3", 0.5)
    with pytest.raises(InputError, match="nothing that wraps"):
        probability(s, 0.5)
    bare = sweep(lattice("cubic", 3), "site", 4, rng=generator(8), sizes=False)
    with pytest.raises(InputError, match="not recorded"):
        canonical(bare, "S1", 0.5)
    with pytest.raises(InputError, match="event"):
        probability(bare, 0.5, "some")
    with pytest.raises(InputError, match="only in 2-D"):
        probability(bare, 0.5, "one")
    for bad in ({"sweeps": 0}, {"every": 0}, {"batches": 0}, {"window": (0.7, 0.3)}, {"window": (0, np.nan)}):
        with pytest.raises(InputError):
            sweep(lattice("square", 4), **{"rng": generator(0), **bad})
