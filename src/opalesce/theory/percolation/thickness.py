r"""Local thickness: the largest open ball that covers a place, in images and in graphs.

.. math:: R(c) = d(c, \text{closed}), \quad \mathrm{LT}(x) = \max \{ R(c) : d(x, c) \le R(c) \}

(Hildebrand and Ruegsegger 1997.) In an image d is Euclidean and needs neighbours that mean something:
permuting the units of a dense layer changes it. In a graph d counts edges and permuting changes nothing;
that version is a reconstruction [R].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy.ndimage import distance_transform_edt

from opalesce.errors import InputError
from opalesce.theory.percolation.geometry import of_graph

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FAR = -1  # hops of a node that no closed node is connected to


def image_thickness(open_places: ArrayLike) -> NDArray[np.float64]:
    """Local thickness (a radius, in pixels) of each open place of an image; 0 where it is closed.

    Balls are drawn around every open place, the largest first; no list of sizes, so no rounding of radii.
    The cost is the sum of the balls' volumes.

    Parameters
    ----------
    open_places : array of bool, 1 to 3 dimensions

    Raises
    ------
    InputError
        Not 1 to 3 dimensions, empty, not boolean, or nothing closed (no radius is defined).
    """
    mask = np.asarray(open_places)
    if mask.dtype != bool or not 1 <= mask.ndim <= 3 or mask.size == 0:
        raise InputError(
            "not an image of open places",
            expected="booleans in 1 to 3 dimensions",
            got=f"{mask.dtype}, {mask.shape}",
        )
    if mask.all():
        raise InputError("nothing is closed, so no ball has a radius", expected="at least one closed place")
    box = mask.reshape((1,) * (3 - mask.ndim) + mask.shape)
    radius = np.asarray(distance_transform_edt(box), np.float64)
    out = np.zeros(box.shape)
    _paint(radius, np.argsort(-radius.ravel(), kind="stable"), out)
    return out.reshape(mask.shape)


@njit(cache=True, nogil=True)
def _paint(radius: Any, order: Any, out: Any) -> None:
    a, b, c = radius.shape
    for at in order:
        i, j, k = at // (b * c), at // c % b, at % c
        r = radius[i, j, k]
        if r == 0:
            return
        reach = int(r)
        for x in range(max(i - reach, 0), min(i + reach + 1, a)):
            for y in range(max(j - reach, 0), min(j + reach + 1, b)):
                for z in range(max(k - reach, 0), min(k + reach + 1, c)):
                    # the larger came first; rounding of squared roots stays far below 1e-9
                    near = (x - i) ** 2 + (y - j) ** 2 + (z - k) ** 2 <= r * r + 1e-9
                    if near and out[x, y, z] == 0 and radius[x, y, z] > 0:
                        out[x, y, z] = r


def graph_thickness(
    n: int, edges: ArrayLike, closed: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distance to the closed nodes and local thickness of each node of a graph, in edges [R].

    One breadth-first search from all closed nodes, then one for each radius that occurs, the largest
    first: O(m) times the number of radii.

    Parameters
    ----------
    n : int
    edges : array, shape (m, 2)
    closed : array of bool, shape (n,)

    Returns
    -------
    radius, thickness : arrays, shape (n,)
        0 for closed nodes, -1 for nodes that no closed node is connected to.

    Raises
    ------
    InputError
        Bad n or edges, `closed` of another shape.
    """
    g = of_graph(n, edges, "site")
    shut = np.asarray(closed)
    if shut.shape != (n,) or shut.dtype != bool:
        raise InputError(
            "`closed` does not fit the nodes", expected=f"{n} booleans", got=f"{shut.dtype}, {shut.shape}"
        )
    radius = np.full(n, FAR, np.int64)
    radius[shut] = 0
    _spread(g.first, g.v, np.flatnonzero(shut), radius, n)
    thickness = np.where(radius > 0, 0, radius)
    for r in np.unique(radius[radius > 0])[::-1]:
        reached = np.full(n, FAR, np.int64)
        centres = np.flatnonzero(radius == r)
        reached[centres] = 0
        _spread(g.first, g.v, centres, reached, int(r))
        thickness[(reached >= 0) & (radius > 0) & (thickness == 0)] = r
    return radius, thickness


@njit(cache=True, nogil=True)
def _spread(first: Any, to: Any, start: Any, hops: Any, limit: int) -> None:
    """Breadth-first search from `start`, whose hops are 0, up to `limit` hops."""
    queue = np.empty(len(hops), np.int64)
    queue[: len(start)] = start
    head, tail = 0, len(start)
    while head < tail:
        i = queue[head]
        head += 1
        if hops[i] == limit:
            return
        for k in range(first[i], first[i + 1]):
            j = to[k]
            if hops[j] < 0:
                hops[j] = hops[i] + 1
                queue[tail] = j
                tail += 1
