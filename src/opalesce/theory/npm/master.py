r"""The master equation of the neural percolation model, :math:`a_{out} = W_{eff}\,a_{in}`, and what
conserves what.

Three forms: a fixed matrix (feed-forward), the normalised adjacency of a graph (GCN), softmax attention.
`step` is one application; `solve` is the steady state of a flow with sources, :math:`L c = q` with the graph
Laplacian L. They differ: one GCN layer is one damped Jacobi step of diffusion, its repetition ends in the
null
space of :math:`I - \hat A` (oversmoothing), not in the solution of a flow problem. The published text
calls the
normalised adjacency a Laplacian and positive semi-definite; the Laplacian is :math:`I - \hat A`, and only
that is.

Rows of attention that sum to 1 conserve weight per query (a Markov kernel), not flow: nothing fixes column
sums. For currents and entropy production see `opalesce.theory.percolation.attention_flow`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError

Floats = NDArray[np.float64]


def _square(a: ArrayLike, what: str) -> Floats:
    m = np.asarray(a, float)
    if m.ndim != 2 or m.shape[0] != m.shape[1] or not m.size or not np.isfinite(m).all():
        raise InputError(f"no {what}", expected="a square matrix of finite numbers", got=str(m.shape))
    return m


def normalised_adjacency(adjacency: ArrayLike) -> Floats:
    r""":math:`\hat A = D^{-1/2}(A + I)D^{-1/2}`, D degrees of A + I (kipf2017semi, eq. 2); symmetric A >= 0.

    Raises
    ------
    InputError
        Not square, not symmetric, or negative.
    """
    a = _square(adjacency, "adjacency matrix")
    if (a < 0).any() or not np.allclose(a, a.T):
        raise InputError(
            "no undirected graph", expected="a symmetric matrix without negative entries", got="another"
        )
    a = a + np.eye(len(a))
    root = 1 / np.sqrt(a.sum(axis=1))
    return np.asarray(a * root[:, None] * root[None])


def attention(query: ArrayLike, key: ArrayLike) -> Floats:
    r""":math:`\mathrm{softmax}(QK^T/\sqrt{d_k})`, shapes (n, d) and (m, d); each row sums to 1.

    Raises
    ------
    InputError
        Shapes that do not fit, values that are not finite.
    """
    q, k = np.asarray(query, float), np.asarray(key, float)
    if (
        q.ndim != 2
        or k.ndim != 2
        or q.shape[1] != k.shape[1]
        or not (np.isfinite(q).all() and np.isfinite(k).all())
    ):
        raise InputError(
            "queries and keys do not fit", expected="(n, d) and (m, d)", got=f"{q.shape}, {k.shape}"
        )
    z = q @ k.T / np.sqrt(q.shape[1])
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def step(effective: ArrayLike, activations: ArrayLike) -> Floats:
    """One application of the master equation, W_eff a.

    Raises
    ------
    InputError
        Shapes that do not fit.
    """
    w, a = np.asarray(effective, float), np.asarray(activations, float)
    if w.ndim != 2 or w.shape[1] != a.shape[0]:
        raise InputError("shapes do not fit", expected="(m, n) and (n, ...)", got=f"{w.shape}, {a.shape}")
    return np.asarray(w @ a)


def solve(conductance: ArrayLike, source: ArrayLike) -> Floats:
    r"""Steady state of :math:`L c = q`, L_ii = sum_k g_ik, L_ij = -g_ij, with zero mean.

    For boundary values instead of sources see `opalesce.theory.percolation.flow`.

    Raises
    ------
    InputError
        Negative or asymmetric conductances, or sources that do not sum to zero on some component.
    """
    g, q = _square(conductance, "conductance matrix"), np.asarray(source, float)
    if (g < 0).any() or not np.allclose(g, g.T):
        raise InputError(
            "no conductances", expected="a symmetric matrix without negative entries", got="another"
        )
    if q.shape != (len(g),):
        raise InputError("one source for each node", expected=f"({len(g)},)", got=str(q.shape))
    laplacian = np.diag(g.sum(axis=1)) - g
    c = np.linalg.lstsq(laplacian, q, rcond=None)[0]
    if np.abs(laplacian @ c - q).max() > 1e-8 * max(1.0, float(np.abs(q).max())):
        raise InputError(
            "what flows in must flow out", expected="sources that sum to 0 on each component", got="others"
        )
    return np.asarray(c - c.mean())
