"""The demo: percolation of concepts, predicted before training, then trained, judged and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from opalesce.report.build import report
from opalesce.runs.open import open as open_run
from opalesce.systems.concepts.chains import by_capability
from opalesce.systems.concepts.exhibits import broken, chains, collapse, naive, staircase
from opalesce.systems.concepts.judge import Ladders, judge
from opalesce.systems.concepts.ladder import Design, train
from opalesce.systems.concepts.models import DECAY, TRANSFORMER, torch_module
from opalesce.systems.concepts.predict import Theory, chance, predict
from opalesce.systems.concepts.weights import weights
from opalesce.systems.once import all_once
from opalesce.theory.prediction import Judgement, freeze
from opalesce.transitions.result import Trial
from opalesce.transitions.trial import trial

Say = Callable[[str], object]


@dataclass(frozen=True)
class Group:
    """Ladders of one kind of learner: how many seeds, how many twins, and the prefix of their folders."""

    name: str
    prefix: str
    design: Design
    seeds: int
    twins: int


PLAIN = Group("embedding", "", Design(), 7, 3)
DECAYED = Group("embedding, decay", "decay-", Design(learner=DECAY), 5, 2)
OTHER = Group("transformer", "transformer-", Design(rungs=8, learner=TRANSFORMER), 3, 1)
GROUPS = (PLAIN, DECAYED, OTHER)


def demo(out: Path, seed: int = 1, say: Say | None = None) -> tuple[Trial, Path]:
    """Predict, freeze, train ladders of three learners and their twins, judge, write the report.

    What was frozen or trained already is kept, so that an interrupted demo goes on.

    Parameters
    ----------
    out : path
        Folder for predictions.json, runs/, store/, report.html and report.json.
    seed : int
        First of the seeds.
    say : callable, optional
        Called with one line of progress at a time.

    Raises
    ------
    MissingExtra
        Without torch.
    InputError
        When the folder holds predictions made with other settings.
    """
    torch_module()
    say = say or (lambda _: None)
    say("predicting from bipartite percolation")
    theories: dict[Group, Theory] = {}
    grown = None
    for g in GROUPS:
        theories[g] = predict(g.design, g.seeds, learner=g.name, grown=grown)
        grown = theories[g].grown
    said = {g: [p for p in t.predictions if g is PLAIN or p.kind != "curve"] for g, t in theories.items()}
    said[PLAIN].append(chance(PLAIN.design, PLAIN.twins))
    frozen = freeze([p for g in GROUPS for p in said[g]], out / "predictions.json")
    real: dict[Group, list[Path]] = {}
    null: dict[Group, list[Path]] = {}
    jobs = []
    for g in GROUPS:
        for found, kind, n, twin in ((real, "real", g.seeds, False), (null, "null", g.twins, True)):
            found[g] = [out / "runs" / f"{g.prefix}{kind}{s}" for s in range(seed, seed + n)]
            make = partial(train, null=twin, design=g.design)
            jobs += [(f, partial(make, seed=seed + i)) for i, f in enumerate(found[g])]
    all_once(jobs, say, f"training {len(jobs)} ladders of networks")
    seen = {g: _ladders(real[g], null[g], g.design) for g in GROUPS}
    judged = [j for g in GROUPS for j in judge(said[g], seen[g])]
    held = trial(
        real[PLAIN][0], null=null[PLAIN], seeds=real[PLAIN][1:], store=out / "store", seed=seed, say=say
    )
    say("drawing")
    opened = {g: [open_run(f) for f in real[g]] for g in GROUPS}
    twins = [open_run(f) for f in null[PLAIN]]
    figures = (
        staircase(theories[PLAIN], seen[PLAIN], {g.name: seen[g] for g in GROUPS}),
        collapse(seen[PLAIN], seen[DECAYED]),
        chains({g.name: by_capability(opened[g], g.design) for g in (PLAIN, DECAYED)}),
        naive(seen[PLAIN]),
        weights(opened[PLAIN], twins, PLAIN.design.valid, out / "store"),
        broken(seen[PLAIN]),
    )
    return held, report(held, out, predictions=_ordered(judged), frozen=frozen, exhibits=figures)


def _ladders(real: Sequence[Path], null: Sequence[Path], design: Design) -> Ladders:
    return Ladders.of([open_run(f) for f in real], [open_run(f) for f in null], design.capabilities)


def _ordered(judged: list[Judgement]) -> list[Judgement]:
    """General statements before those about one capability."""
    return sorted(judged, key=lambda j: j.prediction.kind in ("place", "curve") and ":" in j.prediction.name)
