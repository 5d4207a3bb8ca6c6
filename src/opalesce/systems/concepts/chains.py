"""How far the ends of an unseen pair lie apart in the seen graph, and who answers right at that distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path

from opalesce.runs.run import Run
from opalesce.systems.concepts.ladder import Design, stream
from opalesce.systems.concepts.world import Questions, SeenGraph, World

Floats = NDArray[np.float64]


LENGTHS = (0, 3, 5, 7, 9, 11)
WINDOW = (1.5, 4.0)  # of C_n: where chains of all lengths are there to be asked about


@dataclass(frozen=True)
class ByLength:
    """Share of right answers by chain length; length 0 stands for "not connected"."""

    length: NDArray[np.int64]
    right: Floats
    n: NDArray[np.int64]


def distances(graph: SeenGraph) -> Floats:
    """Seen pairs on the shortest chain from every entity to every property; infinity if there is none.

    A seen pair is at distance 1; the shortest chain to an unseen one has 3 links.
    """
    n, k = graph.seen.shape
    i, j = np.nonzero(graph.seen)
    ends = np.concatenate([i, j + n]), np.concatenate([j + n, i])
    links = coo_matrix((np.ones(2 * len(i)), ends), shape=(n + k, n + k)).tocsr()
    return np.asarray(shortest_path(links, unweighted=True, indices=np.arange(n))[:, n:])


def by_length(scores: NDArray[np.floating], graph: SeenGraph, questions: Questions) -> ByLength:
    """Right answers (ties half) of one learner on one capability's questions, by chain length."""
    q = questions
    d = distances(graph)[q.entity, q.true]
    d = np.where(np.isfinite(d), d, 0).astype(np.int64)
    a, b = scores[q.entity, q.true], scores[q.entity, q.false]
    right = (a > b) + 0.5 * (a == b)
    lengths: NDArray[np.int64] = np.unique(d)
    share = np.array([right[d == v].mean() for v in lengths])
    return ByLength(lengths, share, np.array([(d == v).sum() for v in lengths]))


def along_ladder(run: Run, design: Design) -> Floats:
    """Share right (capability, chain length in LENGTHS) of a trained ladder, pooled over rungs in WINDOW.

    Scores are the cosines of the saved weights, questions those of the training log; NaN where fewer than
    20 questions have that length.
    """
    seed = int(str(run.config["seed"]))
    world = World.draw(stream(seed, 0), design.capabilities)
    right = np.zeros((len(design.capabilities), len(LENGTHS)))
    count = np.zeros_like(right)
    for checkpoint in run.checkpoints:
        m = int(checkpoint.step)
        c_n = [m / design.valid / c.threshold for c in design.capabilities]
        inside = [i for i, v in enumerate(c_n) if WINDOW[0] <= v <= WINDOW[1]]
        if not inside:
            continue
        graph = SeenGraph(world, world.seen(m))
        e, k = (checkpoint.read(f"{n}.weight").astype(float) for n in ("entity", "property"))
        e, k = (w / np.linalg.norm(w, axis=1, keepdims=True) for w in (e, k))
        for i in inside:
            got = by_length(e @ k.T, graph, graph.questions(i, stream(seed, 1, m, i)))
            for length, share, n in zip(got.length, got.right, got.n, strict=True):
                if length in LENGTHS:
                    right[i, LENGTHS.index(length)] += share * n
                    count[i, LENGTHS.index(length)] += n
    return np.where(count >= 20, right / np.maximum(count, 1), np.nan)


def by_capability(runs: Sequence[Run], design: Design) -> list[tuple[str, Floats, Floats]]:
    """For each capability its name, the chain lengths seen in every run, and shares (run, length)."""
    shares = np.array([along_ladder(r, design) for r in runs])
    out = []
    for i, c in enumerate(design.capabilities):
        there = np.isfinite(shares[:, i]).all(axis=0)
        out.append((c.name, np.array(LENGTHS, float)[there], shares[:, i][:, there]))
    return out
