"""Schedules of steps: regular stretches (arithmetic or geometric), and what does not fit them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MOST = 10_000  # a longer gap is no hole: its steps are not listed one by one


@dataclass
class Spacing:
    """What was found in a list of steps.

    `missing` holds (steps around the gap, steps that should be inside); `uneven` holds steps that
    break a regular stretch; `regular` is the share of gaps that belong to a regular stretch; with
    `irregular` there is no schedule to judge by.
    """

    missing: list[tuple[tuple[float, float], tuple[float, ...]]] = field(default_factory=list)
    uneven: list[tuple[float, ...]] = field(default_factory=list)
    regular: float = 0.0
    irregular: bool = False


def spacing(x: NDArray[np.float64]) -> Spacing:
    """Find the regular stretches of sorted, distinct steps `x`, and the gaps in them.

    A stretch is the range between the first and last occurrence of a gap (or of a ratio) that
    occurs three times or more and fills at least 70 % of that range; stretches are split off one
    after the other, so that a schedule like Pythia's (powers of two, then every 1000) is two
    regular stretches and not a list of faults. A gap that is a whole multiple of its stretch's gap
    is a hole; any other gap in a stretch is uneven. What lies outside every stretch is not judged.
    """
    found = Spacing()
    x = np.unique(np.asarray(x, float))
    covered = _arithmetic(x, found) if x.size >= 4 else 0
    found.regular = covered / max(1, x.size - 1)
    if x.size >= 8 and found.regular < 0.5 and found.uneven:
        found.irregular = True  # no schedule at all: one remark, not a hundred
        found.missing, found.uneven = [], []
    if np.all(x == np.round(x)):
        found.missing = [(ends, tuple(float(round(v)) for v in inside)) for ends, inside in found.missing]
    found.missing.sort()
    return found


def _arithmetic(x: NDArray[np.float64], found: Spacing) -> int:
    """Split off the stretch of the commonest gap; recurse to both sides. Returns gaps covered."""
    if x.size < 4:
        return 0
    gaps = np.diff(x)
    key = np.round(gaps / gaps.min(), 6) if gaps.min() > 0 else gaps
    values, counts = np.unique(key, return_counts=True)
    best = values[np.argmax(counts)]
    where = np.flatnonzero(key == best)
    if where.size < 3:
        return _geometric(x, found)
    first, last = _dense_range(where)
    if (last - first + 1) < 3:
        return _geometric(x, found)
    delta = float(np.median(gaps[where]))
    stop = last + 1
    if first == 1 and x[0] == 0 and where.size >= 4 and 2 <= _multiple(float(gaps[0]), delta) <= 3:
        first = 0
    # a hole just before the last step still shows: three equal gaps, then a whole multiple at the end
    end_hole = stop == gaps.size - 1 and gaps.size >= 4 and _multiple(float(gaps[-1]), delta) >= 2
    if end_hole and where.size >= 4:
        stop += 1
    covered = 0
    i = first
    while i < stop:
        k = _multiple(float(gaps[i]), delta)
        if k == 1:
            covered += 1
        elif k >= 2:
            inside = tuple(float(x[i] + j * delta) for j in range(1, k))
            found.missing.append(((float(x[i]), float(x[i + 1])), inside))
        else:
            j = i
            while j + 1 < stop and _multiple(float(gaps[j + 1]), delta) == 0:
                j += 1
            found.uneven.append(tuple(float(v) for v in x[i + 1 : max(j, i) + 1]) or (float(x[i + 1]),))
            i = j
        i += 1
    left = _arithmetic(x[: first + 1], found) if first >= 3 else 0
    right = _arithmetic(x[stop:], found) if x.size - stop >= 4 else 0
    return covered + left + right


def _dense_range(where: NDArray[np.intp]) -> tuple[int, int]:
    """Longest range of indices in which the members fill at least 70 %."""
    best = (int(where[0]), int(where[0]))
    for a in range(min(where.size, 50)):
        span = where[a:] - where[a] + 1
        good = np.flatnonzero(np.arange(1, span.size + 1) >= 0.7 * span)
        b = a + int(good[-1])
        if where[b] - where[a] > best[1] - best[0]:
            best = (int(where[a]), int(where[b]))
    return best


def _geometric(x: NDArray[np.float64], found: Spacing) -> int:
    """Regular ratios (1, 2, 4, ...): the same idea in the logarithm, holes only."""
    pos = x[x > 0]
    if pos.size < 4:
        return 0
    ratio = np.diff(np.log(pos))
    key = np.round(ratio, 6)
    values, counts = np.unique(key, return_counts=True)
    best = values[np.argmax(counts)]
    where = np.flatnonzero(key == best)
    if where.size < 3 or best <= 0:
        return 0
    first, last = _dense_range(where)
    for i in range(first, last + 1):
        k = _multiple(float(ratio[i]), float(best))
        if k >= 2:
            inside = tuple(float(pos[i] * np.exp(j * best)) for j in range(1, k))
            found.missing.append(((float(pos[i]), float(pos[i + 1])), inside))
    return int(last - first + 1)


def _multiple(gap: float, delta: float) -> int:
    """k when the gap is k times delta (k >= 1, to 1e-4), else 0."""
    ratio = gap / delta
    k = round(ratio) if ratio <= MOST else 0
    return k if k >= 1 and abs(ratio - k) < 1e-4 * k else 0
