"""The first demo: train, check, measure, judge and report the induction system."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from opalesce.errors import MissingExtra
from opalesce.report.build import report
from opalesce.systems import induction
from opalesce.systems.once import all_once
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
    runs = out / "runs"
    seeds = [(runs / f"real{s}", s, False) for s in range(seed, seed + SEEDS)]
    twins = [(runs / f"null{s}", s, True) for s in range(seed, seed + TWINS)]
    all_once(
        [(f, partial(induction.train, seed=s, null=n)) for f, s, n in (*seeds, *twins)],
        say,
        f"training {SEEDS} seeds and {TWINS} null twins",
    )
    folders = [f for f, _, _ in (*seeds, *twins)]
    held = trial(
        folders[0], null=folders[SEEDS:], seeds=folders[1:SEEDS], store=out / "store", seed=seed, say=say
    )
    say("drawing")
    return held, report(held, out)
