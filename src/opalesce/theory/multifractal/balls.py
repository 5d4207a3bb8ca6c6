r"""Node-centred partition functions from counts of neighbours in balls.

.. math:: Z_q(r) = \sum_i \left(\frac{N_i(r)}{N_i(L)}\right)^q, \quad N_i(r) = 1 + \#\{j: d_{ij} \le r\}

N_i counts the centre itself (the pseudo-count 1). Sums over nodes add up over matrices, so a whole network
is streamed in one pass, matrix by matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@njit(cache=True, nogil=True, error_model="numpy")
def integer_counts(weight: Array, by_column: bool, limit: int, out: NDArray[np.int64]) -> None:
    """Count round(1/|w|) per source, where 1 < 1/|w| <= limit, into `out`, shape (sources, limit + 1).

    Sources are rows, or columns with `by_column`. Rounding is half to even, as numpy's. A weight of 0 is no
    edge.
    """
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            x = abs(np.float64(weight[i, j]))
            if x > 0.0:
                d = 1.0 / x
                if 1.0 < d <= limit:
                    out[j if by_column else i, int(np.rint(d))] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def log_counts(
    weight: Array, by_column: bool, scale: float, low: float, per_octave: float, out: NDArray[np.int64]
) -> None:
    """Count d = scale/|w| per source on the radii 2^(low + k/per_octave); `out` has shape (sources, K + 1).

    Class k holds the distances in (radius k-1, radius k], the first all below, the last all beyond.
    """
    last = out.shape[1] - 1
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            x = abs(np.float64(weight[i, j]))
            if x > 0.0:
                k = np.ceil((np.log2(scale / x) - low) * per_octave)
                out[j if by_column else i, int(min(max(k, 0.0), last))] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def add_moments(counts: NDArray[np.int64], q0: float, dq: float, group: NDArray[np.int64], out: Array) -> int:
    """Add every row's (N(r)/N(L))^q to out[group of the row, r, q]; returns the rows added.

    `counts` has shape (rows, K): edges per radius class, N is 1 + their running sum. Rows with 10 edges or
    fewer are left out. q runs from q0 in steps dq, so one exponential and a chain of products serve all.
    """
    rows, radii = counts.shape
    moments = out.shape[2]
    added = 0
    for i in range(rows):
        total = 0
        for k in range(radii):
            total += counts[i, k]
        if total <= 10:
            continue
        added += 1
        whole = np.log(1.0 + total)
        running = 0
        for k in range(radii):
            running += counts[i, k]
            x = np.log(1.0 + running) - whole
            term = np.exp(q0 * x)
            step = np.exp(dq * x)
            for m in range(moments):
                out[group[i], k, m] += term
                term *= step
    return added
