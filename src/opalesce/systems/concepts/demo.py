"""The demo: percolation of concepts, predicted before training, then trained, judged and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from opalesce.report.build import report
from opalesce.runs.open import open as open_run
from opalesce.systems.concepts.chains import by_capability
from opalesce.systems.concepts.exhibits import broken, chains, collapse, naive, staircase
from opalesce.systems.concepts.judge import Ladders, judge
from opalesce.systems.concepts.ladder import Design, train
from opalesce.systems.concepts.models import TRANSFORMER, torch_module
from opalesce.systems.concepts.predict import chance, predict
from opalesce.systems.concepts.weights import weights
from opalesce.systems.once import all_once
from opalesce.theory.prediction import Judgement, freeze
from opalesce.transitions.result import Trial
from opalesce.transitions.trial import trial

SEEDS, TWINS, OTHER_SEEDS, OTHER_TWINS = 7, 5, 3, 2
DESIGN = Design()
OTHER = Design(rungs=10, learner=TRANSFORMER)
Say = Callable[[str], object]


def demo(out: Path, seed: int = 1, say: Say | None = None) -> tuple[Trial, Path]:
    """Predict, freeze, train seven ladders and five twins, judge, write the report.

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
    main, other = (
        predict(DESIGN, SEEDS, learner="embedding"),
        predict(OTHER, OTHER_SEEDS, learner="transformer"),
    )
    group = [*main.predictions, chance(DESIGN, TWINS)]
    second = [p for p in other.predictions if p.kind != "curve"]
    frozen = freeze([*group, *second], out / "predictions.json")
    runs = out / "runs"
    plan = (
        ("real", SEEDS, False, DESIGN),
        ("null", TWINS, True, DESIGN),
        ("transformer-real", OTHER_SEEDS, False, OTHER),
        ("transformer-null", OTHER_TWINS, True, OTHER),
    )
    jobs, folders = [], []
    for kind, n, twin, design in plan:
        folders.append([runs / f"{kind}{s}" for s in range(seed, seed + n)])
        make = partial(train, null=twin, design=design)
        jobs += [(f, partial(make, seed=seed + i)) for i, f in enumerate(folders[-1])]
    real, null, real2, null2 = folders
    all_once(jobs, say, f"training {len(jobs)} ladders of networks")
    seen, seen2 = _ladders(real, null, DESIGN), _ladders(real2, null2, OTHER)
    judged = [*judge(group, seen), *judge(second, seen2)]
    held = trial(real[0], null=null, seeds=real[1:], store=out / "store", seed=seed, say=say)
    say("drawing")
    opened, twins = ([open_run(f) for f in folder] for folder in (real, null))
    figures = (
        staircase(main, seen, seen2),
        collapse(seen),
        chains(by_capability(opened, DESIGN)),
        naive(seen),
        weights(opened, twins, DESIGN.valid, out / "store"),
        broken(seen),
    )
    return held, report(held, out, predictions=_ordered(judged), frozen=frozen, exhibits=figures)


def _ladders(real: Sequence[Path], null: Sequence[Path], design: Design) -> Ladders:
    return Ladders.of([open_run(f) for f in real], [open_run(f) for f in null], design.capabilities)


def _ordered(judged: list[Judgement]) -> list[Judgement]:
    """General statements before those about one capability."""
    return sorted(judged, key=lambda j: j.prediction.kind in ("place", "curve") and ":" in j.prediction.name)
