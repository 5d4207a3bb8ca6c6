"""`opalesce.transitions`: a run, its seeds and its null runs go in, verdicts come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import InputError
from opalesce.runs.check import Finding, check
from opalesce.runs.events import load_events
from opalesce.runs.open import open as open_run
from opalesce.runs.run import Axis, Event, Run
from opalesce.transitions.court import Hearing, judge
from opalesce.transitions.evidence import END_SHARE, Setting
from opalesce.transitions.panel import Pick, panel
from opalesce.transitions.result import Transition, Trial
from opalesce.transitions.smooth import resolution
from opalesce.transitions.summon import Measured, summon, witnesses
from opalesce.transitions.witness import Witness

Source = Any  # a Run, a path, or a DataFrame
Say = Callable[[str], object]
Ends = dict[str, np.ndarray[Any, Any]]


def transitions(run: Source, **options: Any) -> list[Transition]:
    """Transitions of a run, judged; takes the options of `trial` and returns its transitions.

    Examples
    --------
    >>> import opalesce                                             # doctest: +SKIP
    >>> ts = opalesce.transitions("runs/1", null="runs/null", alpha=0.05)   # doctest: +SKIP
    """
    return trial(run, **options).transitions


def trial(
    run: Source,
    null: Source | Sequence[Source] | None = None,
    seeds: Source | Sequence[Source] | None = None,
    events: str | Path | Sequence[Event] | None = None,
    alpha: float = 0.05,
    observables: Sequence[str] | None = None,
    wstar: float | None = None,
    scale: str | None = None,
    store: str | Path | None = None,
    n_jobs: int = 1,
    seed: int = 0,
    judge_twins: bool = True,
    say: Say | None = None,
) -> Trial:
    """Put the transitions of a run on trial.

    Parameters
    ----------
    run : Run, path or DataFrame
    null, seeds : the same, or a list of them
        Null runs (nothing to learn), and other seeds of the same run.
    events : path or sequence of Event, optional
        Known events besides those in the run's config.
    alpha : float
        Family-wise level per run, in (0, 0.5).
    observables : sequence of str, optional
        Witnesses to call instead of the declared panel; the first five are judged. "name@glob"
        averages an observable over the modules that match.
    wstar : float, optional
        Resolution of "sharp" in u; by default 0.8 decade, or a quarter of a linear axis.
    scale : {"log", "linear"}, optional
        Scale of the axis; by default log when it spans more than a decade.
    store : path, optional
        Folder for measured cells, so that an interrupted trial continues.
    seed : int
        Of all simulations.
    say : callable, optional
        Called with one line of progress at a time.

    Raises
    ------
    InputError
        Bad alpha, or nothing that can be witnessed.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # many small products: more BLAS threads only fight
        return _trial(
            run, null, seeds, events, alpha, observables, wstar, scale, store, n_jobs, seed, judge_twins, say
        )


def _trial(
    run: Source,
    null: Source | Sequence[Source] | None,
    seeds: Source | Sequence[Source] | None,
    events: str | Path | Sequence[Event] | None,
    alpha: float,
    observables: Sequence[str] | None,
    wstar: float | None,
    scale: str | None,
    store: str | Path | None,
    n_jobs: int,
    seed: int,
    judge_twins: bool,
    say: Say | None,
) -> Trial:
    if not 0 < alpha < 0.5:
        raise InputError("alpha is a false-alarm rate", expected="between 0 and 0.5", got=str(alpha))
    say = say or (lambda _: None)
    opened = unique([_open(s) for s in (run, *_several(seeds), *_several(null))])
    main, others, nulls = opened[0], opened[1 : 1 + len(_several(seeds))], opened[1 + len(_several(seeds)) :]
    known = _events(events, main)
    axis = main.axis if scale is None else Axis(main.axis.name, main.axis.unit, _scale(scale), main.axis.x1)
    ends = axis.u(main.steps()[[0, -1]])
    setting = Setting(axis, known, alpha, resolution(axis, ends) if wstar is None else wstar)
    picks = panel(main, observables)
    say(f"checking {1 + len(others) + len(nulls)} runs")
    findings = check(main, *others, *nulls)
    others, notes = independent(main, others, findings)
    measured = [_measure(r, picks, store, n_jobs, say) for r in (main, *others, *nulls)]
    real, twins = measured[: 1 + len(others)], measured[1 + len(others) :]
    called: dict[str, Sequence[Witness]] = {}
    for m in real:
        mine = [f for f in findings if m.run.name in f.run.split(" and ")]
        called[m.run.name], more = witnesses(m, twins, picks, mine)
        notes += more
    if not called[main.name]:
        raise InputError(
            f"run {main.name!r} has nothing that can be witnessed",
            expected="logged columns, evaluations or checkpoints",
            got="; ".join(notes) or "none of the called witnesses",
            fix="name columns or observables with --observables",
        )
    peers = {m.run.name: _peers(m, real, called[m.run.name]) for m in real}
    hearings = [_hear(m, called[m.run.name], setting, seed, say, peers=peers[m.run.name]) for m in real]
    if len(real) >= 4:  # agreement over seeds needs every seed's places first
        places = _seed_places(hearings)
        hearings = [_hear(m, called[m.run.name], setting, seed, say, places, peers[m.run.name]) for m in real]
    tried = _judge_twins(twins, picks, setting, seed, say) if judge_twins else []
    return Trial(
        real[0],
        setting,
        tuple(picks),
        hearings[0],
        tuple(zip(real[1:], hearings[1:], strict=True)),
        tuple(tried),
        tuple(findings),
        called,
        tuple(dict.fromkeys(notes)),
        seed,
    )


def _hear(
    m: Measured,
    called: Sequence[Witness],
    setting: Setting,
    seed: int,
    say: Say,
    places: Ends | None = None,
    peers: Ends | None = None,
) -> Hearing:
    say(f"judging {m.run.name}")
    key = np.random.SeedSequence([seed, *m.run.name.encode("utf-8", "surrogatepass")])
    return judge(m.run.name, called, setting, np.random.default_rng(key), places, peers)


def unique(runs: Sequence[Run]) -> list[Run]:
    """The same runs under different names: equal names get their folder's parent, then a number."""
    out: list[Run] = []
    for run in runs:
        name = run.name
        if any(name == r.name for r in out) and run.path is not None:
            name = f"{run.path.resolve().parent.name}/{name}"
        base, k = name, 2
        while any(name == r.name for r in out):
            name, k = f"{base} ({k})", k + 1
        out.append(replace(run, name=name))
    return out


def independent(main: Run, others: Sequence[Run], findings: Sequence[Finding]) -> tuple[list[Run], list[str]]:
    """Seeds that share no fault with an earlier one; a copy is not a seed."""
    kept, notes = [main], []
    for run in others:
        shared = [
            r.name
            for r in kept
            for f in findings
            if f.severity == "fault" and f.run in (f"{r.name} and {run.name}", f"{run.name} and {r.name}")
        ]
        if shared:
            notes.append(f"{run.name} is left out as a seed: check finds that it repeats {shared[0]}")
        else:
            kept.append(run)
    return kept[1:], notes


def _peers(m: Measured, real: Sequence[Measured], called: Sequence[Witness]) -> Ends:
    """Level at the end of each witness in the other seeds."""
    out = {}
    for w in called:
        ends = []
        for other in real:
            curve = other.curves.get(w.name)
            if other is not m and curve is not None:
                y = curve.y[np.isfinite(curve.y)]
                if len(y):
                    ends.append(float(y[-max(2, round(END_SHARE * len(y))) :].mean()))
        out[w.name] = np.array(ends)
    return out


def _judge_twins(
    twins: Sequence[Measured], picks: Sequence[Pick], setting: Setting, seed: int, say: Say
) -> list[tuple[Measured, Hearing]]:
    """Each twin against the others: what the court says where there is nothing to find."""
    primary = [p for p in picks if p.primary]
    out = []
    for k, m in enumerate(twins):
        called, _ = witnesses(m, [t for i, t in enumerate(twins) if i != k], primary, [])
        if called:
            out.append((m, _hear(m, called, setting, seed, say)))
    return out


def _seed_places(hearings: Sequence[Hearing]) -> dict[str, np.ndarray[Any, Any]]:
    """Fitted places (u) of each witness that rejects smooth change in every seed."""
    out = {}
    for card in hearings[0].cards:
        name = card.evidence.witness.name
        cards = [h.card(name) for h in hearings]
        found = [
            c.evidence.fit.place
            for c in cards
            if c is not None
            and c.evidence.judged is not None
            and c.evidence.p_adjusted <= hearings[0].setting.alpha
        ]
        if len(found) == len(hearings):
            out[name] = np.array(found)
    return out


def _measure(run: Run, picks: Sequence[Pick], store: str | Path | None, n_jobs: int, say: Say) -> Measured:
    def tick(done: int, total: int) -> None:
        say(f"measuring {run.name}: {done} of {total}")

    return summon(run, picks, None if store is None else Path(store), n_jobs, tick)


def _open(source: Source) -> Run:
    return source if isinstance(source, Run) else open_run(source)


def _several(sources: Source | Sequence[Source] | None) -> list[Source]:
    if sources is None:
        return []
    return list(sources) if isinstance(sources, list | tuple) else [sources]


def _events(events: str | Path | Sequence[Event] | None, run: Run) -> tuple[Event, ...]:
    if events is None:
        return run.events
    given = load_events(Path(events)) if isinstance(events, str | Path) else tuple(events)
    return tuple(sorted({*run.events, *given}, key=lambda e: e.x))


def _scale(scale: str) -> Any:
    if scale not in ("log", "linear"):
        raise InputError("unknown axis scale", expected="log or linear", got=repr(scale))
    return scale
