"""The first demo: train, check, measure, judge and report the induction system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from joblib import Parallel, delayed

from opalesce.errors import MissingExtra
from opalesce.report.build import report
from opalesce.systems import induction
from opalesce.transitions.result import Trial
from opalesce.transitions.trial import trial

SEEDS, TWINS = 3, 2
Say = Callable[[str], object]


def demo(out: Path, seed: int = 1, say: Say | None = None) -> tuple[Trial, Path]:
    """Train three seeds and two null twins, put the first seed on trial, write the report.

    What was trained or measured already is kept, so that an interrupted demo goes on.

    Parameters
    ----------
    out : path
        Folder for runs/, store/, report.html and report.json.
    seed : int
        First of the three seeds; the twins take the first two.
    say : callable, optional
        Called with one line of progress at a time.

    Raises
    ------
    MissingExtra
        Without torch.
    """
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtra("torch", "torch")
    say = say or (lambda _: None)
    jobs = [(f"real{s}", s, False) for s in range(seed, seed + SEEDS)]
    jobs += [(f"null{s}", s, True) for s in range(seed, seed + TWINS)]
    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    workers = min(len(jobs), os.cpu_count() or 1)
    say(f"training {SEEDS} seeds and {TWINS} null twins: 0 of {len(jobs)}")
    finished = Parallel(n_jobs=workers, return_as="generator_unordered")(
        delayed(_train)(runs / name, s, null) for name, s, null in jobs
    )
    for k, _ in enumerate(finished):
        say(f"training {SEEDS} seeds and {TWINS} null twins: {k + 1} of {len(jobs)}")
    folders = [runs / name for name, _, _ in jobs]
    held = trial(
        folders[0], null=folders[SEEDS:], seeds=folders[1:SEEDS], store=out / "store", seed=seed, say=say
    )
    say("drawing")
    return held, report(held, out)


def _train(folder: Path, seed: int, null: bool) -> None:
    """Train into a hidden folder and rename it: a half-trained run is never taken for a run."""
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    induction.train(part, seed, null=null)
    part.rename(folder)
