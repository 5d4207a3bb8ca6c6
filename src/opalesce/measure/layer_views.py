"""Activations of one checkpoint on the run's own prompts: recorded once, shared by all layers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.models import MAX_PROMPTS
from opalesce.observables.moments import Moments
from opalesce.runs.bounded import read_bytes, real
from opalesce.runs.run import Checkpoint, Run

Array = NDArray[np.float64]
NAMES = ("prompts.jsonl", "prompts.txt")
POINTS = 2000  # tokens kept per layer for what needs points
MOST = 512  # prompts read
MAX_LAYERS = 10_000


def prompts_of(run: Run) -> Path | None:
    """The file of prompts in the folder of a run, if its model can be built here from every checkpoint."""
    if run.path is None or not run.path.is_dir() or run.config.get("model_type") != "llama":
        return None
    home = real(run.path)  # a link out of the folder is not followed, as in its scan
    found = (run.path / n for n in NAMES)
    return next((p for p in found if p.is_file() and real(p).parent == home), None)


def depth_of(run: Run) -> int:
    """Layers 0..L of the run's model, by its config; 0 where it does not say, or says what cannot be."""
    layers = run.config.get("num_hidden_layers")
    return layers + 1 if isinstance(layers, int) and 0 < layers <= MAX_LAYERS else 0


def digest_of(path: Path) -> str:
    """Identity of a file of prompts (hex)."""
    return hashlib.blake2b(read_bytes(path, MAX_PROMPTS), digest_size=16).hexdigest()


class LayerViews:
    """Views `activations` and `moments` of every layer of one checkpoint.

    The first position of each prompt is left out: it carries massive activations of its own. Points are a
    uniform sample of tokens, the same tokens at every layer and checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint, config: Mapping[str, object], prompts: Path) -> None:
        self.checkpoint, self.config, self.prompts = checkpoint, config, prompts

    @cached_property
    def _recorded(self) -> tuple[list[Moments], list[Array]]:
        from opalesce.measure.decoder import from_checkpoint
        from opalesce.measure.models import read_prompts
        from opalesce.measure.record import Reservoir, batches, record
        from opalesce.measure.words import Words

        home = self.prompts.parent
        encode = Words.load(home).encode if (home / "tokenizer.json").is_file() else None
        tokens = [p for p in read_prompts(self.prompts, encode) if len(p) > 1][:MOST]
        if not tokens:
            raise InputError(f"{self.prompts.name} holds no prompt of two tokens", expected="longer prompts")
        model = from_checkpoint(self.checkpoint, dict(self.config))
        moments: dict[int, Moments] = {}
        kept: dict[int, Reservoir] = {}

        def take(layer: int, h: Array) -> None:
            rows = h[:, 1:].reshape(-1, h.shape[2])
            new = Moments.of(rows)
            moments[layer] = moments[layer].merge(new) if layer in moments else new
            kept.setdefault(layer, Reservoir(POINTS, np.random.default_rng(0))).add(rows, [0] * len(rows))

        for numbers in batches(tokens, 32):
            record(model, np.array([tokens[i] for i in numbers]), take)
        order: Sequence[int] = sorted(moments)
        return [moments[k] for k in order], [kept[k].points for k in order]

    def get(self, view: str, layer: int) -> Any:
        """`moments` or `activations` of one layer.

        Raises
        ------
        InputError, FormatError
            The checkpoint makes no model, the prompts cannot be read, or a layer is not finite.
        """
        moments, points = self._recorded
        return moments[layer] if view == "moments" else points[layer]
