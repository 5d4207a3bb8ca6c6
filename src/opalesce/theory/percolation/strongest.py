"""The largest entries of a chain of matrices, without a copy of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PIECE = 1 << 20  # entries that are looked at together


def strongest(
    matrices: Sequence[NDArray[Any]], take: int, rms: bool = False
) -> tuple[NDArray[np.int64], Array]:
    """The `take` largest entries that are not zero: their places in the chain and magnitudes, falling.

    One pass in pieces: beside the matrices only about four times `take` entries are held. Which of equal
    entries are taken at the end is open.
    """
    at, held, least, many = [np.empty(0, np.int64)], [np.empty(0)], 0.0, 0
    start = 0
    for w in matrices:
        flat = w.reshape(-1)
        scale = _rms(flat) if rms else 1.0
        for begin in range(0, flat.size, PIECE):
            size = np.abs(flat[begin : begin + PIECE].astype(np.float64)) / scale
            new = np.flatnonzero(size > least)
            at.append(new + (start + begin))
            held.append(size[new])
            many += new.size
            if many > 4 * take + PIECE:
                places, sizes = _top(np.concatenate(at), np.concatenate(held), take)
                at, held, least, many = [places], [sizes], float(sizes.min(initial=np.inf)), len(places)
        start += flat.size
    places, sizes = _top(np.concatenate(at), np.concatenate(held), take)
    order = np.lexsort((places, -sizes))
    return places[order], sizes[order]


def _top(at: NDArray[np.int64], size: Array, take: int) -> tuple[NDArray[np.int64], Array]:
    if len(size) <= take:
        return at, size
    keep = np.argpartition(-size, take - 1)[:take] if take else np.empty(0, np.int64)
    return at[keep], size[keep]


def _rms(flat: NDArray[Any]) -> float:
    """Root mean square, safe against overflow; 1 for zeros."""
    parts = [flat[i : i + PIECE].astype(np.float64) for i in range(0, flat.size, PIECE)]
    top = max(float(np.abs(p).max()) for p in parts)
    return top * float(np.sqrt(sum(float(((p / top) ** 2).sum()) for p in parts) / flat.size)) if top else 1.0
