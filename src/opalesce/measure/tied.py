"""Tied weights: one matrix under several names, which is measured and counted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from opalesce.errors import InputError
from opalesce.measure.roles import role_of
from opalesce.runs.hub import HubCheckpoint
from opalesce.runs.run import Checkpoint, TensorInfo


def tied(
    checkpoints: Sequence[Checkpoint], tensors: Mapping[str, TensorInfo], config: Mapping[str, object]
) -> dict[str, str]:
    """For each name that repeats an embedding, the name that stays.

    Embeddings and unembeddings of one shape are compared at the first and the last checkpoint that hold them
    (sampled content; on the hub, where that would be a download, only the configuration counts).
    `tie_word_embeddings: true` ties an unembedding whatever the file holds: the model
    ignores it.
    """
    names = [n for n, t in tensors.items() if role_of(n).part in ("embed", "unembed") and len(t.shape) == 2]
    order = sorted(names, key=lambda n: (role_of(n).part == "unembed", n.count("."), n))
    out: dict[str, str] = {}
    for i, name in enumerate(order):
        for first in order[:i]:
            if first in out or tensors[first].shape != tensors[name].shape:
                continue
            said = config.get("tie_word_embeddings") is True and role_of(name).part == "unembed"
            if said or _equal(checkpoints, first, name):
                out[name] = first
                break
    return out


def _equal(checkpoints: Sequence[Checkpoint], a: str, b: str) -> bool:
    try:
        hold = [c for c in checkpoints if not isinstance(c, HubCheckpoint) and {a, b} <= set(c.tensors())]
        return bool(hold) and all(_same(c, a, b) for c in (hold[0], hold[-1]))
    except (InputError, OSError):  # a file that cannot be read has its own finding
        return False


def _same(c: Checkpoint, a: str, b: str) -> bool:
    digest = getattr(c, "digest", None)
    return bool(digest(a) == digest(b) if digest else np.array_equal(c.read(a), c.read(b)))
