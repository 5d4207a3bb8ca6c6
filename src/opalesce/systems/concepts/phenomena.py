"""What the neural percolation model says of operations on trained networks, put to the test on small ones.

Each experiment takes seeds and returns one number per seed and condition; `npm phenomena` judges them.
The model's B-layer names a direction or a factor for each (reference: ding2026percolation, section on
phenomena); the system is the world of concepts, where thresholds are known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.systems.concepts.ladder import stream
from opalesce.systems.concepts.models import Learner, Weights, fit
from opalesce.systems.concepts.predict import LEVEL
from opalesce.systems.concepts.world import LADDER, SeenGraph, World, auc
from opalesce.theory.concepts import onset

Floats = NDArray[np.float64]
TRAINED = 0.2  # density at which all capabilities are there


def _cosine(w: Weights) -> Floats:
    e, k = (w[f"{n}.weight"].astype(float) for n in ("entity", "property"))
    e, k = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (e, k))
    return np.asarray(e @ k.T)


def _world(seed: int) -> World:
    return World.draw(stream(seed, 0), LADDER)


def _aucs(scores: Floats, graph: SeenGraph, seed: int) -> Floats:
    caps = range(len(graph.world.capabilities))
    return np.array([auc(scores, graph.questions(i, stream(seed, 1, i))) for i in caps])


def _trained(seed: int) -> tuple[SeenGraph, Weights, Floats]:
    """A graph at the density TRAINED, a network trained on it, and its AUC of every capability."""
    world = _world(seed)
    graph = SeenGraph(world, world.seen(int(TRAINED * len(world.order))))
    weights = fit(graph.seen, Learner(), seed)[0]
    return graph, weights, _aucs(_cosine(weights), graph, seed)


def _kept(values: Floats, whole: Floats) -> Floats:
    """Share of what was above chance that is left."""
    return np.asarray((values - 0.5) / (whole - 0.5))


def quantise(w: NDArray[np.floating], levels: int) -> Floats:
    """Symmetric uniform quantisation of a tensor to 2 levels + 1 values."""
    top = float(np.abs(w).max())
    return np.asarray(np.round(w / top * levels) / levels * top) if top else np.asarray(w, float)


def quantisation(seeds: Sequence[int], levels: Sequence[int] = (16, 8, 6, 4, 3, 2, 1)) -> Floats:
    """Coarseness 1/levels at which half of a capability is lost (seed, capability); infinity if never."""
    out = []
    for s in seeds:
        graph, weights, whole = _trained(s)
        kept = [
            _kept(
                _aucs(_cosine({n: quantise(w, v).astype(np.float32) for n, w in weights.items()}), graph, s),
                whole,
            )
            for v in levels
        ]
        out.append(_lost(1 / np.array(levels, float), np.array(kept)))
    return np.array(out)


def _lost(x: Floats, kept: Floats) -> Floats:
    """Place where the kept share (row: condition of growing x) first falls to one half."""
    return np.array([onset(x, 1 - kept[:, i], 0.5) for i in range(kept.shape[1])])


def distillation(seeds: Sequence[int], widths: Sequence[int] = (6, 5, 4, 3, 2)) -> Floats:
    """Narrowness 1/width of a student at which half of a capability is lost (seed, capability).

    The student learns the teacher's probabilities of all pairs; it never sees the data.
    """
    out = []
    for s in seeds:
        graph, weights, whole = _trained(s)
        logit = np.exp(float(weights["log_scale"][0])) * _cosine(weights) + float(weights["bias"][0])
        soft = 1 / (1 + np.exp(-logit))
        kept = [_kept(_aucs(_cosine(fit(soft, Learner(width=v), s)[0]), graph, s), whole) for v in widths]
        out.append(_lost(1 / np.array(widths, float), np.array(kept)))
    return np.array(out)


def corrupted(world: World, m: int, kind: str, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The first m pairs, a share of them corrupted.

    "noise": the property is replaced by one drawn from anywhere. "wrong": by one of the mirror family,
    always for the same entities. "contradiction": the same pairs of the mirror family are added and the
    right ones stay.

    Raises
    ------
    InputError
        Another kind.
    """
    e, k = world.order[:m].T
    e, k = e.copy(), k.copy()
    bad = rng.random(m) < share
    if kind == "noise":
        k[bad] = rng.integers(len(world.property_family), size=int(bad.sum()))
    elif kind in ("wrong", "contradiction"):
        chosen = rng.random(len(world.entity_family)) < share
        bad = chosen[e]
        mirror = _mirror(world, k[bad], rng)
        if kind == "wrong":
            k[bad] = mirror
        else:
            e, k = np.concatenate([e, e[bad]]), np.concatenate([k, mirror])
    else:
        raise InputError("no such corruption", expected="noise, wrong or contradiction", got=repr(kind))
    out = np.zeros((len(world.entity_family), len(world.property_family)), bool)
    out[e, k] = True
    return out


def _mirror(world: World, k: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random property of the mirror family for each of `k`."""
    family = world.property_family[k] ^ 1
    start = np.searchsorted(world.property_family, family)
    size = np.bincount(world.property_family)[family]
    return np.asarray(start + np.floor(rng.random(len(k)) * size), np.int64)


def corruption(
    seeds: Sequence[int],
    share: float = 0.3,
    densities: Sequence[float] = (0.01, 0.015, 0.02, 0.03, 0.045, 0.07),
    kinds: Sequence[str] = ("clean", "noise", "wrong", "contradiction"),
) -> dict[str, Floats]:
    """Onset density of the largest capability by kind of corruption (seed,); "clean" has none."""
    out: dict[str, list[float]] = {kind: [] for kind in kinds}
    last = len(LADDER) - 1
    for s in seeds:
        world = _world(s)
        curves: dict[str, list[float]] = {kind: [] for kind in kinds}
        for p in densities:
            m = int(p * len(world.order))
            graph = SeenGraph(world, world.seen(m))
            for kind in kinds:
                rng = stream(s, 4, m)
                data = graph.seen if kind == "clean" else corrupted(world, m, kind, share, rng)
                scores = fit(data, Learner(), s)[1]
                q = graph.questions(last, stream(s, 1, m))
                curves[kind].append(auc(scores.astype(float), q))
        for kind in kinds:
            out[kind].append(onset(densities, curves[kind], LEVEL))
    return {kind: np.array(v) for kind, v in out.items()}


def affected(seeds: Sequence[int], share: float = 0.3, density: float = 0.05) -> dict[str, Floats]:
    """AUC of the largest capability by kind of corruption (seed,), at a density where it is learned."""
    last = len(LADDER) - 1
    out: dict[str, list[float]] = {}
    for s in seeds:
        world = _world(s)
        m = int(density * len(world.order))
        graph = SeenGraph(world, world.seen(m))
        q = graph.questions(last, stream(s, 1, m))
        for kind in ("noise", "contradiction", "wrong"):
            scores = fit(corrupted(world, m, kind, share, stream(s, 4, m)), Learner(), s)[1]
            out.setdefault(kind, []).append(auc(scores.astype(float), q))
    return {kind: np.array(v) for kind, v in out.items()}


def breadth(
    seeds: Sequence[int], densities: Sequence[float] = (0.008, 0.012, 0.018, 0.027, 0.04, 0.06)
) -> tuple[Floats, Floats]:
    """Onset density of the capability 40x160 for a generalist (all data) and a specialist (its own only)."""
    which = 2
    generalist, specialist = [], []
    for s in seeds:
        world = _world(s)
        own = np.isin(world.entity_family, list(world.families(which)))
        curves: tuple[list[float], list[float]] = ([], [])
        for p in densities:
            m = int(p * len(world.order))
            graph = SeenGraph(world, world.seen(m))
            q = graph.questions(which, stream(s, 1, m))
            mine = graph.seen & own[:, None]
            for curve, data in zip(curves, (graph.seen, mine), strict=True):
                curve.append(auc(fit(data, Learner(), s)[1].astype(float), q))
        generalist.append(onset(densities, curves[0], LEVEL))
        specialist.append(onset(densities, curves[1], LEVEL))
    return np.array(generalist), np.array(specialist)


def fine_tuning(
    seeds: Sequence[int],
    base: float = 0.005,
    densities: Sequence[float] = (0.006, 0.008, 0.012, 0.018, 0.027, 0.04),
) -> tuple[Floats, Floats]:
    """Onset density of the largest capability, begun from a network trained at `base`, and from scratch.

    Fine-tuning takes a third of the steps and sees the capability's own pairs up to each density, the
    others up to `base`.
    """
    last = len(LADDER) - 1
    tuned, scratch = [], []
    for s in seeds:
        world = _world(s)
        own = np.isin(world.entity_family, list(world.families(last)))[:, None]
        before = world.seen(int(base * len(world.order)))
        start = fit(before, Learner(), s)[0]
        curves: tuple[list[float], list[float]] = ([], [])
        for p in densities:
            m = int(p * len(world.order))
            now = world.seen(m)
            data = np.where(own, now, before)
            q = SeenGraph(world, now).questions(last, stream(s, 1, m))
            more = fit(data, Learner(steps=100), s, start)[1]
            curves[0].append(auc(more.astype(float), q))
            curves[1].append(auc(fit(data, Learner(), s)[1].astype(float), q))
        tuned.append(onset(densities, curves[0], LEVEL))
        scratch.append(onset(densities, curves[1], LEVEL))
    return np.array(tuned), np.array(scratch)
