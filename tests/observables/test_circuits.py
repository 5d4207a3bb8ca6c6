"""Circuits: a hand-made perfect circuit, and dense matrices as the slow twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.circuits import Circuit, k_composition, q_composition, token_match, v_composition


def random_circuit(seed: int, vocab: int = 12, d: int = 16, heads: int = 3, dh: int = 4) -> Circuit:
    r = np.random.default_rng(seed)
    q, k, v = (r.standard_normal((2, heads, d, dh)) for _ in range(3))
    return Circuit(r.standard_normal((vocab, d)), q, k, v, r.standard_normal((2, heads, dh, d)))


def perfect() -> Circuit:
    """One head per layer, identity everywhere, orthogonal tokens: M = 1."""
    eye = np.broadcast_to(np.eye(8), (2, 1, 8, 8))
    return Circuit(np.eye(8), eye, eye, eye, eye)


def test_a_perfect_circuit_matches_every_token():
    assert token_match(perfect()) == 1.0


def test_a_half_broken_circuit_matches_half():
    c = perfect()
    k = np.array(c.k)
    k[1, 0, :4] = np.roll(k[1, 0, :4], 1, axis=0)  # four tokens look for their neighbour
    assert token_match(Circuit(c.embed, c.q, k, c.v, c.o)) == 0.5


def test_a_zero_circuit_matches_nothing():
    c = perfect()
    assert token_match(Circuit(c.embed, c.q * 0, c.k, c.v, c.o)) == 0.0
    assert np.isnan(k_composition(Circuit(c.embed, c.q * 0, c.k, c.v, c.o)))


def slow_token_match(c: Circuit) -> float:
    best = 0.0
    for a in range(c.q.shape[1]):
        for b in range(c.q.shape[1]):
            m = np.zeros((c.embed.shape[0],) * 2)
            for i, x in enumerate(c.embed):
                for j, y in enumerate(c.embed):
                    m[i, j] = (x @ c.q[1, b]) @ (y @ c.v[0, a] @ c.o[0, a] @ c.k[1, b])
            best = max(best, float((m.argmax(axis=1) == np.arange(len(m))).mean()))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_token_match_is_its_definition(seed: int):
    c = random_circuit(seed)
    assert token_match(c) == slow_token_match(c)


def slow_composition(c: Circuit, kind: str) -> float:
    out = []
    for a in range(c.q.shape[1]):
        ov = c.v[0, a] @ c.o[0, a]
        for b in range(c.q.shape[1]):
            qk, ov1 = c.q[1, b] @ c.k[1, b].T, c.v[1, b] @ c.o[1, b]
            product, second = {"q": (ov @ qk, qk), "k": (ov @ qk.T, qk), "v": (ov @ ov1, ov1)}[kind]
            out.append(np.linalg.norm(product) / np.linalg.norm(ov) / np.linalg.norm(second))
    return max(out) - c.embed.shape[1] ** -0.5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "fast"), [("q", q_composition), ("k", k_composition), ("v", v_composition)])
def test_composition_is_its_definition(seed: int, kind: str, fast: Any):
    c = random_circuit(seed)
    assert fast(c) == pytest.approx(slow_composition(c, kind), rel=1e-10)


def test_random_baseline_is_exact_in_the_mean_square():
    # E ||A Q B||^2 = ||A||^2 ||B||^2 / d for a Haar-random Q: the baseline subtracted is d^(-1/2)
    scores = [
        (k_composition(random_circuit(s, vocab=2, d=16, heads=1, dh=4)) + 0.25) ** 2 for s in range(600)
    ]
    assert np.mean(scores) == pytest.approx(1 / 16, abs=4 * np.std(scores) / np.sqrt(600))


def test_shared_subspace_composes_and_orthogonal_does_not():
    e = np.eye(8)
    v, k = np.zeros((2, 1, 8, 2)), np.zeros((2, 1, 8, 2))
    v[:, 0], k[:, 0] = e[:, :2], e[:, 2:4]
    o = np.zeros((2, 1, 2, 8))
    o[:, 0] = e[2:4]  # writes where k reads
    q = np.zeros((2, 1, 8, 2))
    q[:, 0] = e[:, 6:]
    c = Circuit(e, q, k, v, o)
    assert k_composition(c) == pytest.approx(2 / 2 / np.sqrt(2) - 8**-0.5)
    assert q_composition(c) == pytest.approx(-(8**-0.5))


def test_shapes_are_checked():
    c = random_circuit(0)
    with pytest.raises(InputError, match="two-layer"):
        Circuit(c.embed, c.q[:1], c.k[:1], c.v[:1], c.o[:1])
    with pytest.raises(InputError, match="two-layer"):
        Circuit(c.embed[:, :3], c.q, c.k, c.v, c.o)
    with pytest.raises(InputError, match="NaN"):
        Circuit(c.embed * np.nan, c.q, c.k, c.v, c.o)
