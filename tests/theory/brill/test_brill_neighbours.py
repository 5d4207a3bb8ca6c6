"""Cross-entropy, Chinchilla bounds, solvable limits, Yule-Simon and hierarchies: exact values and twins."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import chisquare

from opalesce.cite import bibtex
from opalesce.errors import InputError
from opalesce.theory.brill import chinchilla, crossentropy, hierarchy, limits, yule_simon
from opalesce.theory.brill.summary import log_slope

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("vocabulary", [2, 17, 50_000])
@pytest.mark.parametrize("weight", [1e-6, 0.01, 0.7])
def test_eq_18_is_the_direct_cross_entropy(vocabulary, weight):
    for inside in {0, 1, vocabulary // 3, vocabulary - 1, vocabulary}:
        q = np.where(np.arange(vocabulary) < inside, 1.0, weight)
        q /= math.fsum(q)
        direct = np.log(vocabulary) + math.fsum(q * np.log(q))  # uniform guess less the entropy of the truth
        assert crossentropy.loss_reduction(vocabulary, inside, weight) == pytest.approx(direct, abs=1e-12)
        p_in, q_in, q_out = crossentropy.probabilities(vocabulary, inside, weight)
        assert inside * q_in + (vocabulary - inside) * q_out == pytest.approx(1, abs=1e-12)
        assert p_in == pytest.approx(inside * q_in, abs=1e-15)
    for inside in (0, vocabulary):
        assert crossentropy.loss_reduction(vocabulary, inside, weight) == pytest.approx(0, abs=1e-12)


def test_eq_19_is_its_first_order_and_makes_the_gain_proportional_to_size():
    for inside in (1, 10):
        exact = crossentropy.loss_reduction(10**7, inside, 0.01)
        assert crossentropy.first_order(10**7, inside, 0.01) == pytest.approx(exact, rel=1e-3)
    sizes = np.array([1e3, 1e4, 1e5, 1e6])
    gain = [crossentropy.expected_reduction(s, 4.0, 10**7, 0.01) for s in sizes]
    assert log_slope(sizes, gain) == pytest.approx(1, abs=1e-3)


def test_width_of_chinchilla_models(data):
    table = np.genfromtxt(data / "chinchilla" / "table_a9_params_dmodel.csv", delimiter=",", skip_header=1)
    linear = chinchilla.width_fit(table[:, 0] * 1e6, table[:, 1])
    # brill2024neural, figure 10: 0.57(5) P^0.387(4); re-fitted elsewhere 0.569, 0.3872. The table here rounds
    # parameters to millions.
    assert linear["exponent"].value == pytest.approx(0.3872, abs=1e-3)
    assert linear["coefficient"].value == pytest.approx(0.569, abs=0.01)
    assert linear["exponent"].high - linear["exponent"].value == pytest.approx(1.645 * 0.0037, rel=0.05)
    log = chinchilla.width_fit(table[:, 0] * 1e6, table[:, 1], space="log")
    assert log["exponent"].value == pytest.approx(0.3944, abs=1e-3)


def test_width_fit_recovers_a_planted_law():
    p, rng = np.geomspace(1e7, 1e10, 40), np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        e = chinchilla.width_fit(p, 0.5 * p**0.4 + 30 * rng.standard_normal(40))["exponent"]
        inside += e.low <= 0.4 <= e.high
    assert inside / 200 == pytest.approx(0.9, abs=4 * (0.09 / 200) ** 0.5)


def test_exponents_beside_their_bounds():
    # hoffmann2022training, approach 3: 0.34 with the model, 0.28 with the data; no errors are given there,
    # 0.02 is assumed
    data = chinchilla.against_bounds(0.28, 0.02, "data")
    assert data.status == ""
    assert data.value == pytest.approx(4 / 0.28)  # D = c / exponent
    near = chinchilla.against_bounds(0.34, 0.02, "model", dof_per_param=0.387)
    assert near.value == pytest.approx(0.387 * 4 / 0.34)
    assert near.status == ""  # 0.373 at most: just below 0.387
    assert "reaches the bound" in chinchilla.against_bounds(0.48, 0.03, "data").status
    above = chinchilla.against_bounds(0.7, 0.03, "data")
    assert "contradicted" in above.status
    assert np.isnan(above.value)


@pytest.mark.parametrize("alpha", [0.4, 1.0, 2.0])
def test_hutter(alpha):  # table 1: D^(-alpha/(1+alpha)), the exponent of learning by heart
    n = np.array([1e3, 1e4])
    assert log_slope(n, limits.hutter_error(n, alpha)) == pytest.approx(-alpha / (1 + alpha), abs=0.005)
    assert log_slope(n, limits.hutter_error(n, alpha, seen=4)) == pytest.approx(
        -alpha / (1 + alpha), abs=0.01
    )


def test_hutter_against_draws():
    rng, q = np.random.default_rng(2), limits.zipf(1.0, 3000)
    q = q / q.sum()
    for n, seen in ((50, 1), (400, 1), (400, 3)):
        counts = rng.multinomial(n, q, size=800)
        miss = (counts < seen) @ q
        theory = float(limits.hutter_error(n, 1.0, seen))
        # draws cut the features at 3000 (2e-4 of the mass); Poisson for multinomial: relative 1/n
        assert miss.mean() == pytest.approx(theory, abs=4 * miss.std() / 800**0.5 + 4e-4 + theory / n)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_quanta(alpha):  # table 1: N^(-alpha)
    n = np.array([300, 3000])
    assert log_slope(n, limits.quanta_loss(n, alpha)) == pytest.approx(-alpha, abs=0.003)
    assert float(limits.quanta_loss(0, alpha)) == pytest.approx(1)
    assert float(limits.quanta_loss(3, alpha)) == pytest.approx(1 - limits.zipf(alpha, 3).sum())


@pytest.mark.parametrize(
    ("dimension", "order", "c"), [(1, "constant", 2), (2, "constant", 2), (3, "constant", 2)]
)
def test_nearest_neighbour_on_a_manifold(dimension, order, c):  # table 1: n^(-c/D)
    rng, n, times = np.random.default_rng(3), np.array([1000, 8000]), 12
    loss = np.array([[limits.manifold_error(int(v), dimension, order, rng) for v in n] for _ in range(times)])
    error = np.sqrt((loss.std(axis=0) ** 2 / times / loss.mean(axis=0) ** 2).sum()) / np.log(8)
    assert log_slope(n, loss.mean(axis=0)) == pytest.approx(-c / dimension, abs=4 * error + 0.03)


@pytest.mark.parametrize(("dimension", "n"), [(1, (300, 2400)), (2, (800, 6400))])
def test_linear_interpolation_on_a_manifold(dimension, n):  # table 1 with c = 4
    rng, times = np.random.default_rng(4), 4
    loss = np.array([[limits.manifold_error(v, dimension, "linear", rng) for v in n] for _ in range(times)])
    error = np.sqrt((loss.std(axis=0) ** 2 / times / loss.mean(axis=0) ** 2).sum()) / np.log(8)
    assert log_slope(n, loss.mean(axis=0)) == pytest.approx(-4 / dimension, abs=4 * error + 0.05)


def test_random_features():  # table 1, maloney2022solvable: N^(-alpha)
    rng, n = np.random.default_rng(5), (15, 30, 60)
    for alpha in (0.6, 1.0):
        loss = np.array([[limits.feature_loss(v, alpha, 1500, rng) for v in n] for _ in range(16)])
        theory = np.array([limits.feature_loss_theory(v, alpha, 1500) for v in n])
        error = loss.std(axis=0) / 4
        # the self-consistent formula is the limit of large N: corrections 1/N
        np.testing.assert_array_less(np.abs(loss.mean(axis=0) - theory), 4 * error + theory / np.array(n))
        large = [limits.feature_loss_theory(v, alpha, 10**6) for v in (300, 1000)]
        assert log_slope([300, 1000], large) == pytest.approx(-alpha, abs=0.02)


def test_yule_simon_exponent():
    # count exponent 1 + 1/(1 - 1/3) = 5/2 at 1e6 points (simon1955class)
    _, label = yule_simon.yule_simon(10**6, np.random.default_rng(6))
    sizes = yule_simon.cluster_sizes(label)
    fit = yule_simon.fit_yule(sizes)
    assert fit.value == pytest.approx(2.5, abs=0.05)
    assert fit.high - fit.low < 0.02
    k = np.geomspace(10, 3000, 20).astype(int)
    slope = log_slope(k, sizes[k - 1])
    assert slope == pytest.approx(-2 / 3, abs=0.1)  # rank law of counted clusters, not -2
    s = np.arange(1, 12)
    share = 1.5 * np.exp(betaln(s, 2.5))
    got = np.bincount(sizes, minlength=12)[1:12] / sizes.size
    np.testing.assert_allclose(got, share, atol=4 * (share.max() / sizes.size) ** 0.5 + 1e-3)


def test_yule_simon_trees():
    rng = np.random.default_rng(7)
    parent, label = yule_simon.yule_simon(3000, rng)
    joined = parent >= 0
    assert (parent[joined] < np.flatnonzero(joined)).all()
    np.testing.assert_array_equal(label[joined], label[parent[joined]])
    assert (~joined).sum() == label.max() + 1
    assert yule_simon.yule_simon(50, rng, 0.0)[1].max() == 0
    fits = [
        yule_simon.fit_yule(yule_simon.cluster_sizes(yule_simon.yule_simon(20_000, rng)[1]))
        for _ in range(60)
    ]
    assert np.std([f.value for f in fits]) == pytest.approx((fits[0].high - fits[0].low) / 3.29, rel=0.4)


def test_cyclic_coalescent_makes_uniform_trees():
    # s^(s-2) labelled trees, all alike: 16 at s = 4; blocks chosen regardless of size would give stars 2/9
    rng, n = np.random.default_rng(8), 16_000
    seen = Counter(
        tuple(sorted(tuple(sorted(e)) for e in hierarchy.cyclic_coalescent(4, rng).edges.tolist()))
        for _ in range(n)
    )
    assert len(seen) == 16
    assert chisquare(list(seen.values())).pvalue > 1e-4


def test_hierarchy_is_a_binary_tree_of_the_merges():
    h = hierarchy.cyclic_coalescent(400, np.random.default_rng(9))
    assert h.above[-1] == -1
    assert (h.above[:-1] > np.arange(798)).all()
    assert (np.bincount(h.above[:-1])[400:] == 2).all()
    below = [{i} for i in range(400)] + [set() for _ in range(399)]
    for i in range(798):
        below[h.above[i]] |= below[i]
    for t, (u, v) in enumerate(h.edges):  # each edge joins the two halves of its merge
        halves = [below[i] for i in range(798) if h.above[i] == 400 + t]
        assert sorted((u in half, v in half) for half in halves) == [(False, True), (True, False)]


def test_latent_labels_and_embedding():
    rng = np.random.default_rng(10)
    h = hierarchy.cyclic_coalescent(60, rng)
    labels = np.array([hierarchy.latent_labels(h, rng)[0] for _ in range(4000)])
    np.testing.assert_allclose(labels.var(axis=0), 1, atol=5 * (2 / 4000) ** 0.5)
    # sites that share more merges are more alike
    one, latent = hierarchy.latent_labels(h, rng)
    i, path = 17, []
    while i >= 0:
        path.append(i)
        i = int(h.above[i])
    assert one[17] == pytest.approx(latent[path].sum() / len(path) ** 0.5)
    x = hierarchy.embed(h, 50, rng)
    step = np.linalg.norm(x[h.edges[:, 0]] - x[h.edges[:, 1]], axis=1)
    np.testing.assert_allclose(step, 60 ** (-1 / 6) * 50**0.5, rtol=1e-9)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-9)
    assert hierarchy.embed(hierarchy.cyclic_coalescent(1, rng), 10, rng).shape == (1, 10)


def test_directions_avoid_the_merges_above():
    rng = np.random.default_rng(11)
    h = hierarchy.cyclic_coalescent(30, rng)
    way = rng.standard_normal((29, 40))
    hierarchy._orthogonal(h.above, way, 4)
    for t in range(29):
        near, node = [], int(h.above[30 + t])
        while node >= 0 and len(near) < 4:
            near.append(node - 30)
            node = int(h.above[node])
        assert np.abs(way[near] @ way[t]).max(initial=0) < 1e-3
    far = [abs(way[a] @ way[b]) for a, b in combinations(range(29), 2)]
    assert max(far) < 0.8


def test_sources_have_entries():
    keys = """brill2024neural harris1963theory dwass1969total vervaat1979relation loader2000fast
    hutter2021learning michaud2023quantization sharma2022scaling bahri2024explaining maloney2022solvable
    simon1955class pitman1999coalescent hoffmann2022training"""
    assert bibtex(keys.split()).count("@") == 13


@pytest.mark.parametrize(
    "call",
    [
        lambda: crossentropy.loss_reduction(10, 11, 0.1),
        lambda: crossentropy.probabilities(10, 3, 1.0),
        lambda: crossentropy.expected_reduction(1e9, 1.0, 100, 0.1),
        lambda: chinchilla.width_fit([1, 2, 3], [1, 2, 3]),
        lambda: chinchilla.width_fit(np.ones(5), [1, 2, 3, 4, -5]),
        lambda: chinchilla.width_fit(np.arange(1, 6), np.arange(1, 6), "cube"),
        lambda: chinchilla.against_bounds(-0.3, 0.1, "data"),
        lambda: chinchilla.against_bounds(0.3, 0.1, "compute"),
        lambda: limits.zipf(-1, 10),
        lambda: limits.hutter_error(10, 1, seen=0),
        lambda: limits.quanta_loss(-3, 1),
        lambda: limits.manifold_error(100, 2, "cubic", RNG),
        lambda: limits.feature_loss(20, 1, 20, RNG),
        lambda: limits.feature_loss_theory(0, 1, 20),
        lambda: yule_simon.yule_simon(0, RNG),
        lambda: yule_simon.yule_simon(10, RNG, 1.0),
        lambda: yule_simon.fit_yule([1, 2, 3]),
        lambda: yule_simon.fit_yule(np.full(20, 1.5)),
        lambda: yule_simon.cluster_sizes(np.array([-1, 0])),
        lambda: hierarchy.cyclic_coalescent(0, RNG),
        lambda: hierarchy.embed(hierarchy.cyclic_coalescent(5, RNG), 3, RNG),
    ],
)
def test_bad_input(call):
    with pytest.raises(InputError, match="expected"):
        call()
