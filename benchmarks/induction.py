"""The court on the induction system: fresh seeds, many twins, and runs made to fool it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import opalesce
from opalesce.systems import induction
from opalesce.transitions.result import groups
from opalesce.transitions.trial import trial

REAL = range(101, 111)
TWINS = range(201, 241)
NULLS = (201, 202)  # the two twins that stand beside every real seed, as in the demo
Cell = tuple[str, Callable[..., dict[str, Any]], dict[str, Any]]


def trained(folder: Path, seed: int, **options: Any) -> Path:
    """Train into `folder` unless it is there already, whole or not at all."""
    if not folder.exists():
        part = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        induction.train(part, seed, **options)
        if folder.exists():  # another process was faster
            shutil.rmtree(part)
        else:
            part.rename(folder)
    return folder


def twin(runs: Path, seed: int) -> Path:
    """A null run."""
    return trained(runs / f"null{seed}", seed, null=True)


def verdicts(run: Any, nulls: list[Path]) -> dict[str, Any]:
    """Verdict and place of every primary witness, and the places of joint transitions."""
    t = trial(run, null=nulls, judge_twins=False)
    return {
        "transitions": [
            {"place": x.place.value, "low": x.place.low, "high": x.place.high, "witnesses": x.witnesses}
            for x in t.transitions
            if x.verdict == "TRANSITION"
        ],
        "cards": {
            c.evidence.witness.name: [
                str(c.verdict),
                c.evidence.place.value,
                c.evidence.p_adjusted,
                c.evidence.place.low,
                c.evidence.place.high,
            ]
            for c in t.hearing.cards
        },
        "groups": len(groups(t.hearing)),
    }


def real_seed(runs: str, seed: int) -> dict[str, Any]:
    """A fresh seed beside two twins."""
    root = Path(runs)
    return verdicts(trained(root / f"real{seed}", seed), [twin(root, s) for s in NULLS])


def null_seed(runs: str, seed: int) -> dict[str, Any]:
    """A twin judged as if it were a run, beside two other twins."""
    root = Path(runs)
    others = [s for s in (*NULLS, 203) if s != seed][:2]
    return verdicts(twin(root, seed), [twin(root, s) for s in others])


def special(runs: str, kind: str, seed: int = 101) -> dict[str, Any]:
    """Runs made to fool a court that was tuned to step 250."""
    root = Path(runs)
    nulls = [twin(root, s) for s in NULLS]
    if kind == "switch300":
        return verdicts(trained(root / "switch300", seed, switch_at=300, steps=900), _long_nulls(root))
    if kind == "lr400":
        return verdicts(trained(root / "lr400", seed, lr_event=(400, 0.1)), nulls)
    run = opalesce.open(trained(root / f"real{seed}", seed))
    if kind == "cut180":
        return verdicts(_only(run, lambda x: x <= 180), nulls)
    if kind == "every50":
        return verdicts(_only(run, lambda x: x % 50 == 0), nulls)
    if kind == "every20":
        return verdicts(_only(run, lambda x: x % 20 == 0), nulls)
    raise ValueError(kind)


def _long_nulls(root: Path) -> list[Path]:
    return [trained(root / f"null{s}-900", s, null=True, steps=900) for s in NULLS]


def _only(run: opalesce.Run, keep: Callable[[float], bool]) -> opalesce.Run:
    """The run with some of its states only."""
    curves = {}
    for name, c in run.curves.items():
        at = [i for i, x in enumerate(c.x) if keep(float(x))]
        curves[name] = replace(c, x=c.x[at], y=c.y[at], stderr=None if c.stderr is None else c.stderr[at])
    return replace(run, checkpoints=tuple(c for c in run.checkpoints if keep(c.step)), curves=curves)


SPECIAL = ("cut180", "every50", "every20", "lr400", "switch300")


def cells(out: Path, quick: bool) -> list[Cell]:
    """Every cell; the nulls are trained by whoever needs them first."""
    runs = str(out / "runs")
    real = list(REAL)[:1] if quick else list(REAL)
    twins = list(TWINS)[:1] if quick else list(TWINS)
    jobs: list[Cell] = [(f"induction-real-{s}", real_seed, {"runs": runs, "seed": s}) for s in real]
    jobs += [(f"induction-special-{k}", special, {"runs": runs, "kind": k}) for k in SPECIAL]
    jobs += [(f"induction-twin-{s}", null_seed, {"runs": runs, "seed": s}) for s in twins]
    return jobs


def summary(out: Path) -> str:
    """Markdown for docs/validation.md."""
    read = {p.stem: json.loads(p.read_text()) for p in sorted(out.glob("induction-*.json"))}
    real = {k: v for k, v in read.items() if "-real-" in k}
    twins = {k: v for k, v in read.items() if "-twin-" in k}
    hits = [v for v in real.values() if any(230 <= t["place"] <= 310 for t in v["transitions"])]
    alarms = [k for k, v in twins.items() if v["transitions"]]
    lines = [
        f"Fresh seeds with a TRANSITION between steps 230 and 310: {len(hits)} of {len(real)}.",
        f"Twins with a TRANSITION: {len(alarms)} of {len(twins)}.",
        "",
        "| run | transitions (place, interval, witnesses) | other primary witnesses |",
        "| --- | --- | --- |",
    ]
    for name, v in [*real.items(), *((k, v) for k, v in read.items() if "-special-" in k)]:
        found = "; ".join(
            f"{t['place']:.0f} [{t['low']:.0f}, {t['high']:.0f}] {', '.join(t['witnesses'])}"
            for t in v["transitions"]
        )
        rest = "; ".join(f"{n}: {c[0]}" for n, c in v["cards"].items() if c[0] != "TRANSITION")
        lines.append(f"| {name.removeprefix('induction-')} | {found or 'none'} | {rest} |")
    return "\n".join(lines) + "\n"
