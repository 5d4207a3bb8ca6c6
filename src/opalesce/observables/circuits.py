"""Circuits read from the weights alone, for attention-only models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable

Array = NDArray[np.floating]
_SYMMETRIES = {"head_permutation", "token_permutation", "head_scale", "residual_rotation", "embed_scale"}


@dataclass(frozen=True)
class Circuit:
    """View `circuit`: the weights of an attention-only model, rows times matrices (x W).

    Attributes
    ----------
    embed : array, shape (V, d)
        Token embedding.
    q, k, v : array, shape (layers, heads, d, dh)
        Projections into each head.
    o : array, shape (layers, heads, dh, d)
        Projection back to the residual stream; the OV matrix of a head is v @ o.
    """

    embed: Array
    q: Array
    k: Array
    v: Array
    o: Array

    def __post_init__(self) -> None:
        finite(self.embed, "the embedding", ndim=2)
        for name in "qkvo":
            finite(getattr(self, name), f"the projection {name}", ndim=4)
        layers, heads, d, dh = self.q.shape
        if (
            self.k.shape != self.q.shape
            or self.v.shape != self.q.shape
            or self.o.shape != (layers, heads, dh, d)
            or self.embed.shape[1] != d
            or layers < 2
        ):
            raise InputError(
                "these weights make no two-layer circuit",
                expected="q, k, v (layers >= 2, heads, d, dh), o (layers, heads, dh, d), embed (V, d)",
                got=", ".join(str(x.shape) for x in (self.q, self.k, self.v, self.o, self.embed)),
            )


@observable(
    on="circuit",
    unit="1",
    symmetries=_SYMMETRIES,
    null="twin",
    source="elhage2021mathematical, section 'Two-layer attention-only transformers'",
)
def token_match(circuit: Circuit) -> float:
    r"""Share of tokens that an induction circuit, read from weights, matches to themselves.

    .. math:: M_{ab} = (E\,W_Q^b)\,(E\,W_{OV}^a\,W_K^b)^T, \quad
              \max_{a, b}\; \frac1V \#\{i : \arg\max_j (M_{ab})_{ij} = i\}

    E (V x d) token embedding, a a head of layer 0 (the previous-token part of an induction circuit
    carries its tokens by W_OV = W_V W_O), b a head of layer 1. Dimensionless, in [0, 1]; a random
    pair scores 1/V on average, and the best of H^2 pairs a few times that. Positions, which the
    circuit also needs, do not enter. NaN for a vocabulary of one token.

    Raises
    ------
    InputError
        From `Circuit`.
    """
    embed = circuit.embed.astype(np.float64)
    vocab = embed.shape[0]
    if vocab < 2:
        return float("nan")
    own = np.arange(vocab)
    best = 0.0
    for a in range(circuit.v.shape[1]):
        moved = embed @ circuit.v[0, a].astype(np.float64) @ circuit.o[0, a]
        for b in range(circuit.q.shape[1]):
            m = (embed @ circuit.q[1, b]) @ (moved @ circuit.k[1, b]).T
            # the diagonal must beat every other entry: ties, as in a zero matrix, are no match
            diagonal = m[own, own].copy()
            m[own, own] = -np.inf
            best = max(best, float((diagonal > m.max(axis=1)).mean()))
    return best


def _norm_of_product(left: Array, middle: Array, right: Array) -> float:
    """Frobenius norm of left @ middle @ right.T from dh x dh matrices only."""
    ll, rr = left.T @ left, right.T @ right
    return float(np.sqrt(max(np.sum((ll @ middle @ rr) * middle), 0.0)))


def _composition(circuit: Circuit, kind: str) -> float:
    """Best pair (head of layer 0, head of layer 1) of one kind, minus the random baseline."""
    d = circuit.embed.shape[1]
    scores = []
    for a in range(circuit.v.shape[1]):
        v, o = (x[0, a].astype(np.float64) for x in (circuit.v, circuit.o))
        ov = _norm_of_product(v, np.eye(v.shape[1]), o.T)
        for b in range(circuit.q.shape[1]):
            q, k, v1, o1 = (x[1, b].astype(np.float64) for x in (circuit.q, circuit.k, circuit.v, circuit.o))
            if kind == "q":  # W_OV^a W_Q W_K^T
                joint, own = _norm_of_product(v, o @ q, k), _norm_of_product(q, np.eye(q.shape[1]), k)
            elif kind == "k":  # W_OV^a W_K W_Q^T
                joint, own = _norm_of_product(v, o @ k, q), _norm_of_product(q, np.eye(q.shape[1]), k)
            else:  # W_OV^a W_OV^b
                joint = _norm_of_product(v, o @ v1, o1.T)
                own = _norm_of_product(v1, np.eye(v1.shape[1]), o1.T)
            scores.append(joint / (ov * own) if ov > 0 and own > 0 else np.nan)
    finite_scores = [s for s in scores if np.isfinite(s)]
    return max(finite_scores) - d**-0.5 if finite_scores else float("nan")


_ELHAGE = "elhage2021mathematical, section 'Virtual attention heads' (composition scores)"


@observable(on="circuit", unit="1", symmetries=_SYMMETRIES, null="random_orientation", source=_ELHAGE)
def q_composition(circuit: Circuit) -> float:
    r"""Q-composition of the best pair of heads, above its random baseline.

    .. math:: \max_{a,b} \frac{\|W_{OV}^a W_{QK}^b\|_F}{\|W_{OV}^a\|_F \|W_{QK}^b\|_F} - d^{-1/2}

    with :math:`W_{QK} = W_Q W_K^T`, a in layer 0, b in layer 1. The baseline is the root mean square of
    the score under random rotation of one factor, exactly :math:`d^{-1/2}`; the best of H^2 pairs
    lies a little above it. Dimensionless. NaN when every pair holds a zero matrix.

    Raises
    ------
    InputError
        From `Circuit`.
    """
    return _composition(circuit, "q")


@observable(on="circuit", unit="1", symmetries=_SYMMETRIES, null="random_orientation", source=_ELHAGE)
def k_composition(circuit: Circuit) -> float:
    r"""K-composition of the best pair of heads, above its random baseline.

    .. math:: \max_{a,b} \frac{\|W_{OV}^a W_{QK}^{bT}\|_F}{\|W_{OV}^a\|_F \|W_{QK}^b\|_F} - d^{-1/2}

    See `q_composition`. It says that two heads share a subspace, not that they share the right one:
    on the induction system it dates the change wrongly. Dimensionless.

    Raises
    ------
    InputError
        From `Circuit`.
    """
    return _composition(circuit, "k")


@observable(on="circuit", unit="1", symmetries=_SYMMETRIES, null="random_orientation", source=_ELHAGE)
def v_composition(circuit: Circuit) -> float:
    r"""V-composition of the best pair of heads, above its random baseline.

    .. math:: \max_{a,b} \frac{\|W_{OV}^a W_{OV}^b\|_F}{\|W_{OV}^a\|_F \|W_{OV}^b\|_F} - d^{-1/2}

    See `q_composition`. Dimensionless.

    Raises
    ------
    InputError
        From `Circuit`.
    """
    return _composition(circuit, "v")
