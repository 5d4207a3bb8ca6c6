"""One seed of the `concepts` system: a ladder of data sets, one network trained on each, a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.runs.safetensors import write
from opalesce.systems.concepts.models import Learner, fit
from opalesce.systems.concepts.world import LADDER, Capability, SeenGraph, World, auc

DENSITIES = (0.003, 0.3)


@dataclass(frozen=True)
class Design:
    """Everything a ladder is made of but its seed: what theory is told before the first network."""

    capabilities: tuple[Capability, ...] = LADDER
    rungs: int = 14
    learner: Learner = field(default_factory=Learner)

    @property
    def valid(self) -> int:
        """Number of valid pairs in the world."""
        return sum(c.pairs for c in self.capabilities)

    def ladder(self) -> NDArray[np.int64]:
        """Numbers of distinct pairs seen: geometric in density over two decades."""
        low, high = DENSITIES
        pairs = np.unique(np.round(self.valid * np.geomspace(low, high, self.rungs)).astype(np.int64))
        return pairs[pairs > 0]


def stream(seed: int, kind: int, *more: int) -> np.random.Generator:
    """Independent streams: 0 the world, 1 the questions at one rung."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, kind, *more))))


def train(
    out: Path | str,
    seed: int,
    null: bool = False,
    design: Design | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Train one network on each rung of the ladder and write a run; same arguments, same bytes.

    Parameters
    ----------
    out : path
        New or empty folder. Gets `config.json`, `log.jsonl` (one line per rung: `step` = distinct pairs
        seen; for every capability `auc/NAME` on matched questions, `naive/NAME` on unmatched ones,
        `oracle/NAME` and `giant/NAME` from the seen graph; the training loss) and the final weights of
        each rung, `step000425.safetensors` and so on. Every rung starts from the same weights.
    seed : int
        Drives the world, the initial weights and the questions. One seed is one independent unit.
    null : bool
        Train the twin: who goes with whom is shuffled, how often each is seen is not. It is asked the
        questions of the real world.
    design : Design, optional
    progress : callable, optional
        Called with (rungs done, rungs).

    Raises
    ------
    InputError
        When the folder already holds something.
    MissingExtra
        Without torch.
    """
    design, folder = design or Design(), Path(out)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty", expected="a new folder", fix="choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    world = World.draw(stream(seed, 0), design.capabilities)
    config = {
        "system": "concepts",
        "seed": seed,
        "null": null,
        "axis": {"name": "pairs", "unit": "distinct pairs seen"},
        "valid_pairs": design.valid,
        "design": asdict(design),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    ladder = design.ladder()
    with (folder / "log.jsonl").open("w", encoding="utf-8") as log:
        for i, m in enumerate(ladder):
            row, weights = _rung(world, int(m), seed, null, design.learner)
            write(folder / f"step{m:06d}.safetensors", weights)
            log.write(json.dumps(row) + "\n")
            if progress is not None:
                progress(i + 1, len(ladder))
    return folder


def _rung(
    world: World, m: int, seed: int, null: bool, learner: Learner
) -> tuple[dict[str, float], dict[str, NDArray[np.float32]]]:
    graph = SeenGraph(world, world.seen(m))
    weights, scores, loss = fit(world.seen(m, twin=null), learner, seed)
    row: dict[str, float] = {"step": m, "loss": loss}
    for i, c in enumerate(world.capabilities):
        row[f"auc/{c.name}"] = auc(scores, graph.questions(i, stream(seed, 1, m, i)))
        row[f"naive/{c.name}"] = auc(scores, graph.naive(i, stream(seed, 1, m, i)))
        row[f"oracle/{c.name}"] = graph.oracle(i)
        row[f"giant/{c.name}"] = graph.giant(i)
    return row, weights
