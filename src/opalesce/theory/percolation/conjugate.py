r"""Conjugate gradients for large Laplacian systems, with a modified incomplete Cholesky preconditioner.

.. math:: M = (D + L) D^{-1} (D + L^T), \quad
    D_i = a_{ii} - \sum_{j<i} \frac{a_{ij}}{D_j} \Big(a_{ji} + \omega \sum_{k>j,\, k \ne i} a_{jk}\Big)

L is the strict lower part of the matrix itself, so only D is stored. With :math:`\omega = 1` row sums of M
and of the matrix agree up to what D's pattern leaves out (Gustafsson 1978); 0.97 keeps D positive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

RELAX = 0.97
STEPS = 20_000


def solve(
    matrix: csr_array, rhs: NDArray[np.float64], rtol: float = 1e-13, steps: int = STEPS
) -> NDArray[np.float64]:
    """Solution of a symmetric positive definite system with no positive entry off its diagonal.

    Parameters
    ----------
    matrix : sparse, shape (m, m)
        CSR with sorted indices.
    rhs : array, shape (m,)
    rtol : float
        Norm of the residual over that of rhs.
    steps : int

    Raises
    ------
    InputError
        Not converged within `steps`.
    """
    x = np.zeros(len(rhs))
    if not rhs.any():
        return x
    first, to, a = matrix.indptr, matrix.indices, matrix.data
    inverse = np.zeros(len(rhs))
    _factor(first, to, a, inverse, RELAX)
    left = _iterate(first, to, a, inverse, np.array(rhs, np.float64), x, rtol, steps)
    if left > rtol:
        raise InputError(
            "the flow did not converge",
            expected=f"a relative residual of {rtol:g} within {steps} steps",
            got=f"{left:.2e}",
            fix="a larger rtol, or conductances within fewer orders of magnitude",
        )
    return x


@njit(cache=True, nogil=True)
def _factor(first: Any, to: Any, a: Any, inverse: Any, relax: float) -> None:
    """1 / D; `inverse` starts at 0. Rows are in order, so upper sums are made on the way."""
    n = len(inverse)
    upper = np.zeros(n)
    for i in range(n):
        d, own = 0.0, 0.0
        for k in range(first[i], first[i + 1]):
            j = to[k]
            if j < i:
                d -= a[k] * inverse[j] * (a[k] + relax * (upper[j] - a[k]))
            elif j == i:
                d += a[k]
                own = a[k]
            else:
                upper[i] += a[k]
        inverse[i] = 1.0 / max(d, 1e-3 * own)


@njit(cache=True, nogil=True)
def _precondition(first: Any, to: Any, a: Any, inverse: Any, r: Any, z: Any) -> float:
    """z = M^-1 r; returns r . z."""
    n = len(r)
    for i in range(n):
        s = r[i]
        for k in range(first[i], first[i + 1]):
            j = to[k]
            if j >= i:
                break
            s -= a[k] * z[j]
        z[i] = s * inverse[i]
    total = 0.0
    for i in range(n - 1, -1, -1):
        s = 0.0
        for k in range(first[i + 1] - 1, first[i] - 1, -1):
            j = to[k]
            if j <= i:
                break
            s += a[k] * z[j]
        z[i] -= s * inverse[i]
        total += r[i] * z[i]
    return total


@njit(cache=True, nogil=True)
def _iterate(first: Any, to: Any, a: Any, inverse: Any, r: Any, x: Any, rtol: float, steps: int) -> float:
    """Conjugate gradients from x = 0, r = rhs; returns the relative residual it stopped at."""
    n = len(r)
    z, p, q = np.zeros(n), np.zeros(n), np.zeros(n)
    norm = np.sqrt(np.dot(r, r))
    rz, left = 0.0, 1.0
    for step in range(steps):
        new = _precondition(first, to, a, inverse, r, z)
        beta = new / rz if step else 0.0
        rz = new
        for i in range(n):
            p[i] = z[i] + beta * p[i]
        pq = 0.0
        for i in range(n):
            s = 0.0
            for k in range(first[i], first[i + 1]):
                s += a[k] * p[to[k]]
            q[i] = s
            pq += p[i] * s
        alpha, rr = rz / pq, 0.0
        for i in range(n):
            x[i] += alpha * p[i]
            r[i] -= alpha * q[i]
            rr += r[i] * r[i]
        left = np.sqrt(rr) / norm
        if left <= rtol:
            break
    return left
