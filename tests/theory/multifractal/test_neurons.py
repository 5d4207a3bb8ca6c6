"""NeuroMFA: golden vectors, the published rules as a dictionary twin, what noise and rescaling give."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.theory.multifractal.exponents import MassExponents, Q, emergence, legendre, slopes
from opalesce.theory.multifractal.initial import (
    PYTHIA,
    Initial,
    edges_per_block,
    initial_spectra,
    sampled_noise,
)
from opalesce.theory.multifractal.neurons import (
    ScaleFree,
    gaussian_alpha0,
    neuron_dimensions,
    paper_exponents,
)

A = 1 / np.arange(2, 14.0)  # distances 2, 3, ... 13
B = 1 / np.arange(2, 25, 2.0)


def dictionary_twin(weights, limit=150, q=Q):
    """The published procedure with dictionaries, written down as the rules are stated."""
    nodes = []
    for w in weights:
        for row in w:
            lengths = [1 / abs(x) for x in row if x != 0]
            found = Counter(int(np.rint(d)) for d in lengths if 1 < d <= limit)
            if sum(found.values()) > 10:
                nodes.append(found)
    radii = sorted(set().union(*nodes))
    tau = []
    masses = [[1 + sum(c for d, c in node.items() if d <= r) for r in radii] for node in nodes]
    for moment in q:
        log_z = [np.log(sum((m[k] / m[-1]) ** moment for m in masses)) for k in range(len(radii))]
        tau.append(np.polyfit(np.log(np.array(radii) / radii[-1]), log_z, 1)[0])
    return np.array(tau)


def test_golden_vectors():
    """Theory note A.6.1: three copies of A, and A with B."""
    s = legendre(paper_exponents([np.array([A, A, A])]), "backward")
    assert s.alpha0 == pytest.approx(1.0, abs=1e-12)
    assert s.width == pytest.approx(0.0, abs=1e-12)
    m = paper_exponents([A[None], B[None]])
    s = legendre(m, "backward")
    got = [m.at(q) for q in (-3, -1, 0, 1, 3)]
    assert got == pytest.approx([-2.427862, -0.806456, 0, 0.803632, 2.402402], abs=1e-6)
    assert min(abs(s.alpha0 - 0.805185), abs(s.alpha0 - 0.804903)) < 1e-6  # a tie that rounding decides
    assert s.width == pytest.approx(0.016545, abs=1e-6)
    assert legendre(m).alpha0 == pytest.approx((0.805185 + 0.804903) / 2, abs=1e-6)
    assert s.f.max() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_published_rules_against_dictionaries(order):
    rng = np.random.default_rng(3)
    weights = [
        np.array(rng.standard_t(3, shape) * 0.03, order=order) for shape in ((9, 40), (14, 25), (5, 11))
    ]
    weights[0][0, :35] = 0.0  # a node with too few edges
    weights[1][2] = 1.0 / 7.5  # ties of the rounding: half to even
    assert paper_exponents(weights).tau == pytest.approx(dictionary_twin(weights), abs=1e-11)
    assert paper_exponents(weights, 60).tau == pytest.approx(dictionary_twin(weights, 60), abs=1e-11)


def test_sampled_block_has_the_published_counts():
    assert edges_per_block(32) == 10_272
    assert sum(len(w) for w in sampled_noise(Initial.pythia(512, 6), 1, 32, np.random.default_rng(0))) == 160


# theory note A.4.5: alpha_0 and w at n = 32 and n = 64, mean of 5 sampled networks
TABLE = {
    "14m": (0.976, 0.579, 1.105, 0.623),
    "70m": (1.395, 0.741, 1.582, 0.828),
    "160m": (1.406, 0.524, 1.480, 0.658),
    "410m": (1.594, 0.402, 1.769, 0.342),
    "1b": (1.952, 0.525, 2.177, 0.448),
    "1.4b": (1.955, 0.513, 2.180, 0.446),
    "2.8b": (2.074, 0.541, 2.323, 0.473),
}


@pytest.mark.parametrize("name", PYTHIA)
def test_initialisation_of_pythia(name):
    """Within 4 combined standard errors: ours over 10 networks, theirs over 5, and their rounding."""
    width, blocks = PYTHIA[name]
    for n, (alpha0, w) in zip((32, 64), np.reshape(TABLE[name], (2, 2)), strict=True):
        found = initial_spectra(Initial.pythia(width, blocks), blocks, n, 10, np.random.default_rng(7))
        for values, published in (([s.alpha0 for s in found], alpha0), ([s.width for s in found], w)):
            error = np.std(values, ddof=1) * np.sqrt(1 / 10 + 1 / 5) + 0.0005
            assert abs(np.mean(values) - published) < 4 * error, (n, np.mean(values), published, error)


RESCALED = {  # theory note A.4.1: E of rescaled noise, d = 2048, 12 of 24 blocks
    (32, 150): (0.11, 0.18, 0.25, 0.52, 0.83, 0.16),
    (64, 150): (0.11, 0.18, 0.39, 0.83, 1.13, 0.13),
    (64, 200): (0.11, 0.31, 0.57, 1.00, 1.29, 0.11),
}


SLOW = [pytest.param(*k, marks=pytest.mark.validate) for k in RESCALED if k != (64, 150)]


@pytest.mark.parametrize(("n", "limit"), [(64, 150), *SLOW])
def test_rescaled_noise_gives_the_published_emergence(n, limit):
    """The confound: no organisation, only size. Within 4 combined standard errors, E of 5 networks each."""
    std = Initial.pythia(2048, 24)
    raised = Initial(std.reads, std.reads)  # output std raised to input std
    settings = [(std, c) for c in (1.0, 1.25, 1.5, 2.0, 3.0, 4.0)] + [(raised, 1.0)]
    e = []
    for seed in range(4):
        mean = []
        for k, (s, c) in enumerate(settings):
            found = initial_spectra(s, 12, n, 5, np.random.default_rng([seed, k]), limit, c)
            mean.append((np.mean([x.width for x in found]), np.mean([x.alpha0 for x in found])))
        e.append([emergence(*m, *mean[0]) for m in mean[1:]])
    error = np.std(e, axis=0, ddof=1) * np.sqrt(1 / 4 + 1) + 0.005
    assert (np.abs(np.mean(e, axis=0) - RESCALED[n, limit]) < 4 * error).all(), (np.mean(e, axis=0), error)
    assert np.mean(e, axis=0)[2] > 0.2  # doubling alone is of the published size


def test_scale_free_does_not_see_the_size():
    rng = np.random.default_rng(5)
    weights = [rng.standard_t(4, s) for s in ((60, 90), (90, 60))]
    first = _spectrum(weights)
    for c in (1e-3, 1.25, 2.0, 3.0, 7e4):
        s = _spectrum([c * weights[0], c * c * weights[1]])  # each matrix by a number of its own
        assert abs(emergence(s.width, s.alpha0, first.width, first.alpha0)) < 1e-10
    assert abs(emergence(first.width, 0.9 * first.alpha0, first.width, first.alpha0)) > 0.1


def _spectrum(weights):
    sums = ScaleFree()
    for w in weights:
        sums.add(w)
    return legendre(sums.exponents())


def test_scale_free_sums_against_a_plain_loop():
    w = np.random.default_rng(6).standard_t(3, (20, 50))
    w[3, 4:] = 0.0  # too few edges: left out
    sums = ScaleFree()
    sums.add(w)
    m = sums.exponents()
    d = np.sqrt(np.mean(w**2)) / np.abs(np.where(w == 0, np.nan, w))
    kept = np.delete(d, 3, axis=0)
    radii = sums.radii[(sums.radii >= m.window[0]) & (sums.radii <= m.window[1])]
    n = 1 + (kept[:, :, None] <= radii).sum(axis=1)
    log_z = [[np.log(np.sum((n[:, k] / 51) ** q)) for q in m.q] for k in range(len(radii))]
    by_hand = np.polyfit(np.log(radii), log_z, 1)[0]
    assert m.tau == pytest.approx(by_hand, abs=1e-10)
    assert m.nodes == 19
    share = (kept[:, :, None] <= radii).sum(axis=(0, 1)) / kept.size
    assert share[0] >= 0.02
    assert share[-1] <= 0.5


def test_gaussian_weights_have_the_computed_alpha0():
    """Normal weights, 12 draws: the closed form within 4 standard errors; R^2 says it is no line."""
    for shape in ((400, 100), (300, 1000)):
        found = [_spectrum([np.random.default_rng([9, s]).standard_normal(shape)]).alpha0 for s in range(12)]
        error = np.std(found, ddof=1) / np.sqrt(12)
        assert abs(np.mean(found) - gaussian_alpha0(shape[1])) < 4 * error + 0.003


def test_power_law_rows_have_their_exponent():
    """Entries with P(d <= r) = r^mu: alpha_0 -> mu, width -> 0 (theory note A.6.8)."""
    rng = np.random.default_rng(11)
    for mu in (1.0, 2.0):
        d = rng.random((200, 8000)) ** (1 / mu)
        s = _spectrum([1 / d])
        assert s.alpha0 == pytest.approx(mu, rel=0.02)
        assert s.width < 0.05


@pytest.mark.parametrize(("m", "alpha0", "width"), [(2000, 1.409, 0.975), (96, 1.176, 0.664)])
def test_two_populations_by_the_published_rules(m, alpha0, width):
    """Half the rows with P(d <= r) = r/150, half with (r/150)^2 (theory note A.6.8).

    alpha_0 is a tie of two neighbours by the published rule, so the value must lie between them; 4 standard
    errors of one draw of 400 rows, from 6 draws.
    """
    below, above, widths = [], [], []
    for seed in range(6):
        rng = np.random.default_rng([13, seed])
        tau = paper_exponents([1 / (150 * rng.random((200, m)) ** (1 / mu)) for mu in (1, 2)])
        below.append((tau.at(0.1) - tau.at(0.0)) / 0.1)
        above.append((tau.at(0.0) - tau.at(-0.1)) / 0.1)
        widths.append(legendre(tau, "backward").width)
    slack = 4 * np.std(below, ddof=1) * np.sqrt(1 + 1 / 6)
    assert np.mean(below) - slack < alpha0 < np.mean(above) + slack
    assert abs(np.mean(widths) - width) < 4 * np.std(widths, ddof=1) * np.sqrt(1 + 1 / 6)


def test_two_populations_without_end():
    """Infinitely long rows of mu = 1 and 2 on r = 2..150: alpha_0 1.539 (a tie again), width 1.051."""
    r = np.arange(2, 151) / 150
    mass = np.array([r, r**2])
    z = np.array([np.log((mass**q).sum(axis=0)) for q in Q]).T
    tau, r2 = slopes(z, np.log(r))
    s = legendre(MassExponents(Q, tau, r2, (2, 150)), "backward")
    assert s.width == pytest.approx(1.051, abs=1e-3)
    assert s.alpha[30] - 1e-3 < 1.539 < s.alpha[29] + 1e-3


def test_bootstrap_covers_and_narrows():
    rng = np.random.default_rng(12)
    sizes = []
    for rows in (200, 3200):
        sums = ScaleFree()
        sums.add(rng.standard_normal((rows, 60)))
        sizes.append(sums.bootstrap(200, rng).std(axis=0)[0])
        assert sums.bootstrap(200, rng).mean(axis=0)[0] == pytest.approx(
            legendre(sums.exponents()).alpha0, abs=0.02
        )
    assert sizes[0] / sizes[1] == pytest.approx(4.0, rel=0.5)  # sqrt(16), spread of a spread 10 %


def test_dimension_of_single_neurons():
    w = np.array([A, B, np.append(A[:5], np.zeros(7))])
    d = np.arange(2, 14.0)
    slope = np.polyfit(np.log(d), np.log(np.arange(1, 13)), 1)[0]
    found = neuron_dimensions(w)
    assert found[:2] == pytest.approx([slope, np.polyfit(np.log(2 * d - 2), np.log(np.arange(1, 13)), 1)[0]])
    assert np.isnan(found[2])


def test_what_cannot_be_analysed_is_said():
    with pytest.raises(InputError, match="enough edges"):
        paper_exponents([np.full((4, 30), 5.0)])  # all lengths below 1
    with pytest.raises(InputError, match="equal steps"):
        paper_exponents([A[None]], q=[0.0, 1.0, 5.0])
    sums = ScaleFree()
    sums.add(np.zeros((3, 30)))
    with pytest.raises(InputError, match="0 neurons"):
        sums.exponents()
    sums.add(np.ones((30, 30)))
    with pytest.raises(InputError, match="radii in the window"):
        sums.exponents()
    with pytest.raises(InputError, match="targets"):
        gaussian_alpha0(10)
