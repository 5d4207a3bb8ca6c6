r"""Union-find on one int32 array, with winding numbers for wrapping clusters.

`parent[i]` is the parent of i, or minus the size of the cluster when i is its root. Weighted union and
path halving (Tarjan and van Leeuwen 1984; Newman and Ziff 2001, section II).

**Winding.** On a torus every site has its place in the box, so the displacement from a site to its root
(Machta et al. 1996) is known but for the number of times the path went round. Only that integer vector
is kept, packed in one int64: :math:`W = \sum_j w_j 2^{bj}`, which adds like the vector itself as long as
:math:`|w_j| < 2^{b-1}`, b = min(20, 62 // d): 19 bits of room in 2-D, 7 (128 turns) in 7-D.
`shift[i]` is the winding of the parent minus that of i, seen along the path in the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from opalesce.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMIT = 2**31 - 1  # largest int32


def winding_bits(dimension: int) -> int:
    """Bits for each component of a packed winding vector."""
    return min(20, 62 // max(dimension, 1))


def pack(winding: NDArray[np.int64]) -> NDArray[np.int64]:
    """Packed form of winding vectors, shape (..., d) to (...,)."""
    d = winding.shape[-1]
    return np.asarray(winding @ (1 << (winding_bits(d) * np.arange(d, dtype=np.int64))), dtype=np.int64)


def check_size(n: int, what: str = "nodes") -> int:
    """n as an int that an int32 can index.

    Raises
    ------
    InputError
        n is not a whole number from 1 to 2^31 - 1.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise InputError(f"the number of {what} is not a whole number", expected="an int", got=repr(n))
    if n > LIMIT:
        raise InputError(
            f"more {what} than 2^31 asked for",
            expected=f"at most {LIMIT} {what}",
            got=str(int(n)),
            fix="take a smaller system, or sample it",
        )
    if n < 1:
        raise InputError(f"no {what} at all", expected="at least one", got=str(int(n)))
    return int(n)


@njit(cache=True, nogil=True)
def find(parent: Any, i: int) -> Any:
    """Root of i; halves the path on the way."""
    p = parent[i]
    while p >= 0:
        g = parent[p]
        if g < 0:
            return p
        parent[i] = g
        i = g
        p = parent[i]
    return i


@njit(cache=True, nogil=True)
def find_shift(parent: Any, shift: Any, i: int) -> Any:
    """Root of i and the winding of the root minus that of i; halves the path on the way."""
    total = np.int64(0)
    p = parent[i]
    while p >= 0:
        g = parent[p]
        if g < 0:
            return p, total + shift[i]
        shift[i] += shift[p]
        total += shift[i]
        parent[i] = g
        i = g
        p = parent[i]
    return i, total


@njit(cache=True, nogil=True)
def unite(parent: Any, u: int, v: int) -> bool:
    """Join the clusters of u and v, the larger (in a tie u's) stays root; False if they were one."""
    a, b = find(parent, u), find(parent, v)
    if a == b:
        return False
    if parent[a] > parent[b]:  # sizes are stored negative
        a, b = b, a
    parent[a] += parent[b]
    parent[b] = a
    return True
