"""The world of concepts: what is seen, what is asked, what the oracle knows; and a small ladder."""

from __future__ import annotations

import json

import numpy as np
import pytest

import opalesce
from opalesce.errors import InputError
from opalesce.systems.concepts.chains import by_length, distances
from opalesce.systems.concepts.judge import Ladders, estimate, judge
from opalesce.systems.concepts.ladder import Design, train
from opalesce.systems.concepts.models import Learner, fit
from opalesce.systems.concepts.predict import chance, predict
from opalesce.systems.concepts.world import Capability, SeenGraph, World, auc
from opalesce.theory.prediction import Outcome, freeze

SMALL = (Capability(6, 20), Capability(12, 40))
DESIGN = Design(SMALL, rungs=8, learner=Learner(steps=60))


@pytest.fixture
def world() -> World:
    return World.draw(np.random.default_rng(5), SMALL)


def brute(graph: SeenGraph, capability: int) -> float:
    """Share of unseen valid pairs joined by a path, by powers of the adjacency matrix."""
    n, k = graph.seen.shape
    a = np.zeros((n + k, n + k), bool)
    a[:n, n:] = graph.seen
    reach = a | a.T | np.eye(n + k, dtype=bool)
    for _ in range(12):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    w = graph.world
    same = w.entity_family[:, None] == w.property_family[None]
    mine = (w.entity_family // 2 == capability)[:, None]
    unseen = same & mine & ~graph.seen
    return float(reach[:n, n:][unseen].mean())


@pytest.mark.parametrize("m", [20, 60, 120, 300])
def test_the_oracle_is_exact(world: World, m: int):
    graph = SeenGraph(world, world.seen(m))
    for c in range(2):
        assert graph.connected(c) == pytest.approx(brute(graph, c), abs=1e-12)
        assert graph.oracle(c) == 0.5 + 0.5 * graph.connected(c)


def test_a_world_grows_and_holds_valid_pairs_only(world: World):
    few, many = world.seen(40), world.seen(200)
    assert few.sum() == 40
    assert many.sum() == 200
    assert (few <= many).all()
    e, k = np.nonzero(many)
    assert (world.entity_family[e] == world.property_family[k]).all()


def test_the_twin_keeps_how_often_each_is_seen_and_forgets_who_goes_with_whom(world: World):
    assert sorted(world.order[:, 1]) == sorted(world.twin_order[:, 1])
    assert (world.order[:, 0] == world.twin_order[:, 0]).all()
    e, k = world.twin_order.T
    within = (world.entity_family[e] == world.property_family[k]).mean()
    sizes = np.array([120, 120, 480, 480])
    expected = ((sizes / sizes.sum()) ** 2).sum()
    assert abs(within - expected) < 4 * np.sqrt(expected * (1 - expected) / len(e))


@pytest.mark.parametrize("m", [30, 150])
def test_questions_are_unseen_matched_and_never_connected(world: World, m: int):
    graph = SeenGraph(world, world.seen(m))
    for c in range(2):
        q = graph.questions(c, np.random.default_rng(1))
        f = world.entity_family[q.entity]
        assert (f // 2 == c).all()
        assert (world.property_family[q.true] == f).all()
        assert (world.property_family[q.false] == f ^ 1).all()
        assert not graph.seen[q.entity, q.true].any()
        entity, prop = graph.labels
        assert not (entity[q.entity] == prop[q.false]).any()


def test_matched_questions_cannot_be_answered_from_how_often_a_property_was_seen(world: World):
    """Degrees of the true and the false property are alike; those of unmatched ones need not be."""
    graph = SeenGraph(world, world.seen(150))
    degree = np.broadcast_to(graph.seen.sum(axis=0).astype(float), graph.seen.shape)
    for c in range(2):
        q = graph.questions(c, np.random.default_rng(2))
        assert abs(auc(degree, q) - 0.5) < 0.1
        right, wrong = degree[q.entity, q.true], degree[q.entity, q.false]
        assert np.abs(right - wrong).mean() < 0.5


def test_the_oracle_scores_what_it_says(world: World):
    """Scoring by "same component" gives the oracle's AUC, up to the sampling of questions."""
    graph = SeenGraph(world, world.seen(150))
    same = (graph.labels[0][:, None] == graph.labels[1][None]).astype(float)
    for c in range(2):
        q = graph.questions(c, np.random.default_rng(3), n=10_000)  # all of them
        assert auc(same, q) == pytest.approx(graph.oracle(c), abs=0.02)


def test_bad_worlds_and_rungs(world: World):
    with pytest.raises(InputError):
        World.draw(np.random.default_rng(0), ())
    with pytest.raises(InputError):
        world.seen(10**6)
    with pytest.raises(InputError):
        Learner(kind="forest")  # type: ignore[arg-type]


def test_an_estimate_that_was_never_reached_has_no_upper_end():
    e = estimate(np.array([0.1, 0.1, np.inf, 0.11]), end=0.3)
    assert e.high == float("inf")
    assert 0 < e.low < 0.3


@pytest.mark.torch
@pytest.mark.parametrize("learner", [Learner(steps=200), Learner("transformer", 16, 300, 0.01)])
def test_learners_fit_what_they_saw(world: World, learner: Learner):
    pytest.importorskip("torch")
    seen = world.seen(400)
    weights, scores, loss = fit(seen, learner, 1)
    again = fit(seen, learner, 1)[1]
    assert (scores == again).all()
    assert np.median(scores[seen]) > np.quantile(scores[~seen], 0.75)
    assert loss < 1.0
    assert all(np.isfinite(v).all() for v in weights.values())


@pytest.mark.torch
def test_nothing_seen_is_refused(world: World):
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="nothing to learn"):
        fit(world.seen(0), Learner(), 1)


@pytest.mark.torch
def test_a_small_ladder_is_predicted_trained_opened_and_judged(tmp_path):
    pytest.importorskip("torch")
    theory = predict(DESIGN, 3, replicates=1500)
    frozen = freeze([*theory.predictions, chance(DESIGN, 3)], tmp_path / "predictions.json")
    runs = [train(tmp_path / f"r{s}", s, design=DESIGN) for s in (1, 2, 3)]
    twins = [train(tmp_path / f"n{s}", s, null=True, design=DESIGN) for s in (1, 2, 3)]
    opened = [opalesce.open(r) for r in runs]
    assert opened[0].axis.name == "pairs"
    assert len(opened[0].checkpoints) == 8
    seen = Ladders.of(opened, [opalesce.open(t) for t in twins], SMALL)
    judged = judge(frozen.predictions, seen)
    assert len(judged) == len(frozen.predictions)
    for j in judged:
        if j.prediction.name.endswith("pairs that are connected"):
            assert j.outcome is Outcome.MET, j  # each holds with probability 0.975
        if j.prediction.kind == "bound":
            assert j.outcome is not Outcome.MISSED, j
    same = train(tmp_path / "again", 1, design=DESIGN)
    for name in ("log.jsonl", "step000360.safetensors"):
        files = [p for p in (runs[0] / name, same / name) if p.exists()]
        assert len({p.read_bytes() for p in files}) <= 1
    assert (runs[0] / "log.jsonl").read_bytes() == (same / "log.jsonl").read_bytes()
    assert json.loads((runs[0] / "config.json").read_text())["system"] == "concepts"


def test_chain_lengths_are_those_of_breadth_first_search(world: World):
    graph = SeenGraph(world, world.seen(150))
    d = distances(graph)
    n = graph.seen.shape[0]
    for e in (0, 7, n - 1):
        reached, frontier, length = {("e", e): 0}, [("e", e)], 0
        while frontier:
            length += 1
            after = []
            for kind, i in frontier:
                row = graph.seen[i] if kind == "e" else graph.seen[:, i]
                after += [("k" if kind == "e" else "e", int(j)) for j in np.flatnonzero(row)]
            frontier = [v for v in dict.fromkeys(after) if v not in reached]
            reached |= dict.fromkeys(frontier, length)
        for k in range(graph.seen.shape[1]):
            assert d[e, k] == reached.get(("k", k), np.inf)


def test_the_oracle_is_right_on_every_chain_and_a_coin_without_one(world: World):
    graph = SeenGraph(world, world.seen(150))
    same = (graph.labels[0][:, None] == graph.labels[1][None]).astype(float)
    got = by_length(same, graph, graph.questions(1, np.random.default_rng(0)))
    assert got.length[0] == 0
    assert (got.length[1:] % 2 == 1).all()
    assert got.length[1] >= 3
    assert (got.right[1:] == 1).all()
    assert got.right[0] == 0.5


@pytest.mark.torch
def test_the_loss_of_seen_pairs_is_the_same_as_that_of_their_probabilities(world: World):
    pytest.importorskip("torch")
    seen = world.seen(150)
    hard = fit(seen, Learner(steps=5), 3)
    soft = fit(seen.astype(float), Learner(steps=5), 3)
    assert soft[2] == pytest.approx(hard[2], rel=1e-4)  # float32 sums in another order
    assert soft[1] == pytest.approx(hard[1], abs=1e-3)
