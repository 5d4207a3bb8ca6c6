"""The compiled loop of Newman and Ziff: switch elements on one by one, keep the clusters joined.

Helpers are inlined and take plain arrays: passing the tuples around costs several times the work itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from opalesce.theory.percolation.geometry import (
    GRAPH_BOND,
    GRAPH_SITE,
    INLET,
    LATTICE_BOND,
    LATTICE_SITE,
    OUTLET,
    hop,
    locate,
)
from opalesce.theory.percolation.union import find, find_shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

S1, S2, M2, CLUSTERS = range(4)  # places in `tally`
QUANTITIES = ("S1", "S1^2", "S1^4", "S2", "M2", "clusters")
OFF = -(2**31)  # parent of a site that is not there yet
SPANS = INLET | OUTLET
BLOCK = 64  # elements drawn at a time
IN_CACHE = 2**17  # nodes whose parents fit the second-level cache


class State(NamedTuple):
    """Clusters of one sweep. Arrays not asked for have length 1.

    `touch[root]`: INLET and OUTLET bits of the cluster. `sizes[s]`: number of clusters of size s.
    `wrapped`: element count at which each axis first wrapped (or [0]: spanned), m + 1 for never.
    `gap`: largest jump of S1 and the count after it. `x`: cell of the current element.
    """

    parent: NDArray[np.int32]
    shift: NDArray[np.int64]
    touch: NDArray[np.int8]
    sizes: NDArray[np.int32]
    tally: NDArray[np.int64]
    wrapped: NDArray[np.int64]
    gap: NDArray[np.int64]
    x: NDArray[np.int64]


class Wanted(NamedTuple):
    """What to watch: wrapping, spanning, sizes; in random order or the one given; counts lo + k every."""

    track: bool
    span: bool
    measure: bool
    shuffle: bool
    lo: int
    every: int


@njit(cache=True, nogil=True)
def reset(g: Any, s: Any, want: Any, touch: Any) -> None:
    """All elements off: no sites at all, or all sites and no bonds."""
    by_site = g.mode == LATTICE_SITE or g.mode == GRAPH_SITE
    s.parent[:] = OFF if by_site else -1
    s.wrapped[:] = g.m + 1
    s.gap[:] = 0
    if want.span:
        s.touch[:] = touch
        if not by_site and (touch == SPANS).any():
            s.wrapped[0] = 0
    if want.measure:
        s.sizes[:] = 0
        s.tally[:] = 0
        if not by_site:
            s.sizes[1] = g.n
            s.tally[S1] = 1
            s.tally[S2] = g.n > 1
            s.tally[M2] = g.n
            s.tally[CLUSTERS] = g.n


@njit(cache=True, nogil=True)
def merged(sizes: Any, tally: Any, a: int, b: int) -> None:
    """Book the merger of clusters of sizes a and b, or with a = 0 a new site (b = 1)."""
    c = a + b
    if a > 0:
        sizes[a] -= 1
        sizes[b] -= 1
        tally[M2] += 2 * a * b
        tally[CLUSTERS] -= 1
    else:
        tally[M2] += 1
        tally[CLUSTERS] += 1
    sizes[c] += 1
    was = tally[S1]
    if c < was:
        tally[S2] = max(tally[S2], c)
        return
    tally[S1] = c
    if sizes[was] - (was == c) > 0:  # the old first, or one of equal size, is still there
        tally[S2] = was
        return
    low = tally[S2]  # the old first was swallowed; all falls together are at most n in a sweep
    while low > 0 and sizes[low] == 0:
        low -= 1
    tally[S2] = low


@njit(cache=True, nogil=True)
def note(wrapped: Any, bits: int, loop: Any, count: int) -> None:
    """Write down which axes wrap now for the first time; `loop` is the packed winding of a closed loop."""
    base = np.int64(1) << bits
    for j in range(len(wrapped)):
        digit = loop & (base - 1)
        if digit >= base >> 1:
            digit -= base
        loop = (loop - digit) >> bits
        if digit != 0 and wrapped[j] > count:
            wrapped[j] = count


@njit(cache=True, nogil=True, inline="always")
def join(
    parent: Any, shift: Any, touch: Any, sizes: Any, tally: Any, track: bool, span: bool, measure: bool,
    u: int, v: int, turn: int,
) -> Any:  # fmt: skip
    """Connect u to v over a bond of the given winding; the winding of the loop it closes, if any."""
    loop: Any = np.int64(0)
    su: Any = np.int64(0)
    sv: Any = np.int64(0)
    if track:
        a, su = find_shift(parent, shift, u)
        b, sv = find_shift(parent, shift, v)
    else:
        a, b = find(parent, u), find(parent, v)
    if a == b:
        loop = turn + sv - su
    else:
        if measure:
            merged(sizes, tally, -np.int64(parent[a]), -np.int64(parent[b]))
        step = su - sv - turn  # winding of root a minus that of root b
        if parent[a] > parent[b]:  # sizes are stored negative: the larger stays root
            a, b, step = b, a, -step
        parent[a] += parent[b]
        parent[b] = a
        if track:
            shift[b] = step
        if span:
            touch[a] |= touch[b]
    return loop


@njit(cache=True, nogil=True)
def draw(order: Any, begin: int, end: int, rng: Any) -> None:
    """Steps begin .. end of a shuffle (Fisher and Yates); all of `order` stays a permutation."""
    m = len(order)
    for i in range(begin, end):
        j = i + int(rng.random() * (m - i))
        e = order[i]
        order[i] = order[j]
        order[j] = e


@njit(cache=True, nogil=True, error_model="numpy")
def preload(g: Any, parent: Any, block: Any) -> int:
    """Read what the next elements will need, so that the misses of cache overlap instead of queueing."""
    seen = 0
    for e in block:
        if g.mode == GRAPH_BOND:
            u, v = parent[g.u[e]], parent[g.v[e]]
            seen ^= parent[max(u, 0)] ^ parent[max(v, 0)]
        elif g.mode == GRAPH_SITE:
            seen ^= g.first[e] ^ parent[e]
        elif g.mode == LATTICE_BOND:
            seen ^= parent[max(parent[e // len(g.entries) * g.basis], 0)]
        else:
            seen ^= parent[e]
    return seen


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(g: Any, s: Any, want: Any, order: Any, stop: int, rows: Any, rng: Any) -> int:
    """One sweep up to `stop` elements; tallies at the wanted counts go to `rows`.

    A random order is drawn on the way, so what is not reached is not drawn. Returns a number without
    meaning that keeps `preload` from being optimised away.
    """
    parent, shift, touch, sizes, tally, wrapped, gap, x = s
    mode, n, _, axes, bits, periodic, basis, shape, box, entries, moves, first, us, vs, turns = g
    track, span, measure, shuffle, lo, every = want
    kinds = len(entries)
    row, seen = 0, 0
    begin, end, to = 0, 0, 0
    at: Any = 0
    turn: Any = np.int64(0)
    if measure and lo == 0 and len(rows) > 0:
        rows[0] = tally
        row = 1
    for count in range(1, stop + 1):
        if count % BLOCK == 1:
            last = min(count - 1 + BLOCK, stop)
            if shuffle:
                draw(order, count - 1, last, rng)
            if n > IN_CACHE:
                seen ^= preload(g, parent, order[count - 1 : last])
        e: Any = np.int64(order[count - 1])
        before = tally[S1]
        if mode in (LATTICE_SITE, GRAPH_SITE):
            parent[e] = -1
            at = e
            if measure:
                merged(sizes, tally, 0, 1)
        if mode == LATTICE_SITE:
            cell = e // basis
            locate(shape, cell, x)
            begin, end = first[e - cell * basis], first[e - cell * basis + 1]
        elif mode == LATTICE_BOND:
            cell = e // kinds
            locate(shape, cell, x)
            begin, end = e - cell * kinds, e - cell * kinds + 1
            at = cell * basis + entries[begin, 0]
        elif mode == GRAPH_SITE:
            begin, end = first[e], first[e + 1]
        else:
            begin, end, at = e, e + 1, us[e]
        for k in range(begin, end):
            if mode in (LATTICE_SITE, LATTICE_BOND):
                to, turn = hop(box, entries, moves, at, k, x)
                if turn != 0 and not periodic:
                    continue
            else:
                to = vs[k]
                if axes > 0:
                    turn = turns[k]
            if parent[to] == OFF:
                continue
            loop = join(parent, shift, touch, sizes, tally, track, span, measure, at, to, turn)
            if track and loop != 0:
                note(wrapped, bits, loop, count)
        if span and wrapped[0] > count and touch[find(parent, at)] == SPANS:
            wrapped[0] = count
        if measure:
            if tally[S1] - before > gap[0]:
                gap[0] = tally[S1] - before
                gap[1] = count
            if row < len(rows) and count == lo + row * every:
                rows[row] = tally
                row += 1
        elif (track or span) and wrapped.max() <= count:
            break
    return seen


@njit(cache=True, nogil=True)
def sweeps(
    g: Any, s: Any, want: Any, touch: Any, order: Any, stops: Any, rows: Any, rng: Any,
    sums: Any, wrapped: Any, gaps: Any, histogram: Any,
) -> None:  # fmt: skip
    """len(stops) sweeps: batch sums of QUANTITIES, first wrappings, largest gaps, sizes at the stops."""
    for i in range(len(stops)):
        reset(g, s, want, touch)
        sweep(g, s, want, order, stops[i], rows, rng)
        wrapped[i] = s.wrapped
        gaps[i] = s.gap
        b = i * len(sums) // len(stops)
        for k in range(len(rows)):
            top = float(rows[k, S1])
            sums[b, 0, k] += top
            sums[b, 1, k] += top * top
            sums[b, 2, k] += top**4
            sums[b, 3, k] += rows[k, S2]
            sums[b, 4, k] += rows[k, M2]
            sums[b, 5, k] += rows[k, CLUSTERS]
        if len(histogram) > 1:
            for size in range(len(histogram)):
                histogram[size] += s.sizes[size]
