"""The slow twin: clusters and windings by breadth-first search, from scratch at every count."""

from __future__ import annotations

from collections import deque

import numpy as np


def clusters(n, edges, winding, present):
    """Sizes of the clusters, and the set of axes around which some cluster wraps.

    Every cluster is laid out in the plane from its first node; a bond between two nodes already laid out
    whose places do not agree with its winding closes a loop around the torus.
    """
    near = [[] for _ in range(n)]
    for (u, v), w in zip(edges, winding, strict=True):
        near[u].append((v, tuple(w)))
        near[v].append((u, tuple(-x for x in w)))
    place, sizes, around = {}, [], set()
    for start in range(n):
        if start in place or not present[start]:
            continue
        place[start] = np.zeros(winding.shape[1], int)
        queue, size = deque([start]), 0
        while queue:
            u = queue.popleft()
            size += 1
            for v, w in near[u]:
                if not present[v]:
                    continue
                there = place[u] + w
                if v not in place:
                    place[v] = there
                    queue.append(v)
                around |= set(np.flatnonzero(place[v] - there).tolist())
        sizes.append(size)
    return sorted(sizes, reverse=True), around


def history(n, edges, winding, kind, order):
    """(S1, S2, M2, clusters) at every count, and the first count at which each axis is wrapped."""
    m = n if kind == "site" else len(edges)
    rows, first = [], np.full(winding.shape[1], m + 1)
    for count in range(m + 1):
        on = np.zeros(m, bool)
        on[order[:count]] = True
        if kind == "site":
            keep = on[edges].all(axis=1)
            sizes, around = clusters(n, edges[keep], winding[keep], on)
        else:
            sizes, around = clusters(n, edges[on], winding[on], np.ones(n, bool))
        padded = [*sizes, 0, 0]
        rows.append((padded[0], padded[1], sum(s * s for s in sizes), len(sizes)))
        for axis in around:
            first[axis] = min(first[axis], count)
    return np.array(rows), first
