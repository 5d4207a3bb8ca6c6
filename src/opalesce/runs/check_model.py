"""Check of what the tensors are: clones at initialisation, optimizer states, not the model of the config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import OpalesceError
from opalesce.runs.check import Finding
from opalesce.runs.look import Look
from opalesce.runs.run import Checkpoint, Run, TensorInfo

PARTS = (8, 4, 2)  # tensor-parallel slices that are tried
ROWS, LEAST = 8, 256  # rows that are compared, and entries that they must have
CLONE = 0.5  # difference of two correlations: of independent entries it has sd (2/n)^(1/2), at most 0.09
_OPTIMIZER = re.compile(
    r"exp_avg(?:_sq)?\b|momentum_buffer|\bmax_exp_avg_sq|(?:^|[./])(?:mu|nu|m|v)[./]|adam_[mv]\b"
)
_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
_EMBED = re.compile(r"(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings)\.weight$")


def check_model(run: Run, looks: Sequence[Look]) -> list[Finding]:
    """Findings about the first checkpoint: what it holds, and how it was made."""
    if not looks:
        return []
    first = min(looks, key=lambda k: k.step)
    infos = {n: t.info for n, t in first.tensors.items()}
    return _optimizer(run, first, infos) + _clones(run, first, infos) + _config(run, first, infos)


def _optimizer(run: Run, k: Look, infos: Mapping[str, TensorInfo]) -> list[Finding]:
    named = sorted(n for n in infos if _OPTIMIZER.search(n))
    if 3 * len(named) < len(infos) or not named:
        return []
    return [
        Finding("optimizer state", "fault", run.name, k.file, named[0], k.step, (k.step,),
                "weights of a model",
                f"{len(named)} of {len(infos)} tensors are called like moments of an optimizer: {named[0]}",
                "open the file of the weights; leave the optimizer's out of this folder",
                "norms and spectra of gradients taken for those of weights")
    ]  # fmt: skip


def _clones(run: Run, k: Look, infos: Mapping[str, TensorInfo]) -> list[Finding]:
    """Slices of a matrix that are copies of one another: tensor-parallel ranks that shared a seed."""
    found: dict[tuple[int, int], list[str]] = {}
    for name, info in infos.items():
        if not k.tensors[name].values.size:
            continue  # integers, or a checkpoint elsewhere of which no value was read
        if len(info.shape) != 2 or not info.dtype.upper().startswith(("F", "BF")):
            continue
        try:
            hit = cloned(k.checkpoint, name, info.shape)
        except (OpalesceError, OSError):
            continue  # said elsewhere
        if hit is not None:
            found.setdefault(hit, []).append(name)
    return [
        Finding("cloned slices", "fault", run.name, k.file, sorted(names)[0], k.step, (k.step,),
                f"slices that differ (r less than {CLONE} above that with other rows)",
                f"{len(names)} matrices are {parts} copies side by side along side {side}: "
                f"{', '.join(sorted(names)[:3])}",
                "ranks of tensor parallelism shared a seed: the run has fewer neurons than it seems",
                "ranks and spectra that start low and rise when the copies part")
        for (side, parts), names in found.items()
    ]  # fmt: skip


def cloned(checkpoint: Checkpoint, name: str, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """(side, number of slices) where all slices of a matrix along a side are alike, or None.

    Some rows and their counterparts are compared; the largest number of slices counts.
    """
    rows, columns = shape
    across = _rows(checkpoint, name, np.linspace(0, rows - 1, min(ROWS, rows)).astype(int))
    for parts in PARTS:
        some = np.linspace(0, rows // parts - 1, min(ROWS, rows // parts)).astype(int)
        starts = range(0, rows, rows // parts) if rows % parts == 0 and columns * some.size >= LEAST else ()
        if starts and _alike([_rows(checkpoint, name, some + start) for start in starts]):
            return 0, parts
        if columns % parts == 0 and across.size // parts >= LEAST and _alike(np.split(across, parts, axis=1)):
            return 1, parts
    return None


def _rows(checkpoint: Checkpoint, name: str, index: NDArray[np.int_]) -> NDArray[np.float64]:
    some = getattr(checkpoint, "rows", None)
    return np.asarray(some(name, index) if some else checkpoint.read(name)[index], np.float64)


def _alike(slices: Sequence[NDArray[np.float64]]) -> bool:
    """Whether each slice correlates with the first row by row, by more than `CLONE` beyond other rows.

    Rows of trained embeddings share a direction: they correlate with every row, not with their counterpart.
    """
    first = slices[0]
    if len(first) < 2 or not all(np.isfinite(s).all() and s.std() > 0 for s in slices):
        return False

    def correlation(s: NDArray[np.float64]) -> float:
        return float(np.corrcoef(first.ravel(), s.ravel())[0, 1])

    return all(correlation(s) - correlation(np.roll(s, 1, axis=0)) > CLONE for s in slices[1:])


def _config(run: Run, k: Look, infos: Mapping[str, TensorInfo]) -> list[Finding]:
    """Depth, width and vocabulary that the config states, against the tensors."""
    blocks = {int(m[1]) for n in infos if (m := _BLOCK.search(n))}
    embeds = [t.shape for n, t in infos.items() if _EMBED.search(n) and len(t.shape) == 2]
    seen: list[tuple[str, int, tuple[str, ...]]] = []
    if blocks:
        seen.append(("layers", max(blocks) + 1, ("num_hidden_layers", "n_layer", "num_layers")))
    if len(embeds) == 1:
        seen.append(("width", embeds[0][1], ("hidden_size", "n_embd", "d_model")))
    found = []
    for what, is_, keys in seen:
        said = next((run.config[key] for key in keys if isinstance(run.config.get(key), int)), is_)
        if said != is_:
            found.append(f"{what} {is_}, the config says {said}")
    if not found:
        return []
    return [
        Finding("another model", "fault", run.name, k.file, "", k.step, (k.step,), "the model of config.json",
                "; ".join(found), "fetch config.json and the weights from the same place",
                "heads, parts and depths cut in the wrong places")
    ]  # fmt: skip
