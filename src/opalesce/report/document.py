"""The report as data: what the JSON twin holds and the page draws (docs/reference/report-document.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import OpalesceError
from opalesce.report import phrases
from opalesce.report.exhibits import Exhibit
from opalesce.report.how import how
from opalesce.runs.check import Finding
from opalesce.theory.prediction import Frozen, Judgement
from opalesce.transitions.court import Card
from opalesce.transitions.evidence import Evidence
from opalesce.transitions.result import Transition, Trial
from opalesce.transitions.verdict import Verdict

SCHEMA = "opalesce.report/1"
ORDER = (
    (Verdict.TRANSITION, "T"),
    (Verdict.CROSSOVER, "C"),
    (Verdict.METRIC_ARTEFACT, "M"),
    (Verdict.DATA_FAULT, "D"),
    (Verdict.NOT_SUPPORTED, ""),
    (Verdict.CANNOT_TELL, ""),
)


def document(
    trial: Trial,
    predictions: Sequence[Judgement] = (),
    frozen: Frozen | None = None,
    exhibits: Sequence[Exhibit] = (),
) -> dict[str, Any]:
    """The whole trial as plain numbers, strings and lists; NaN stands for "unknown".

    `predictions` are judged ones, `frozen` says when and under which hash they were fixed; `exhibits` are
    figures beside the court's.
    """
    main, setting = trial.main, trial.setting
    names = {e.key: (e.label or e.key, e.sublabel) for e in trial.picks}
    transitions = _transitions(trial)
    steps = main.run.steps()
    log = setting.axis.scale == "log"
    u = setting.axis.u(np.array([steps[0], steps[-1]]))
    return {
        "schema": SCHEMA,
        "title": phrases.title(trial),
        "subtitle": phrases.subtitle(trial),
        "axis": {
            "name": setting.axis.name,
            "unit": setting.axis.unit,
            "scale": setting.axis.scale,
            "x1": setting.axis.x1,
        },
        "alpha": setting.alpha,
        "wstar": setting.resolution(u),
        "wstar_unit": "decades" if log else setting.axis.unit,
        "run": {
            "name": main.run.name,
            "n_checkpoints": len(main.run.checkpoints) or len(steps),
            "n_parameters": _parameters(trial),
            "first": steps[0],
            "last": steps[-1],
        },
        "inputs": _inputs(trial),
        "health": _health(trial.findings),
        "counts": dict(Counter(t["verdict"] for t in transitions)),
        "witnesses": [_witness(trial, c.evidence, c, names) for c in trial.hearing.cards]
        + [_witness(trial, e, None, names, q) for e, q in trial.hearing.exploratory],
        "transitions": transitions,
        "events": [asdict(e) for e in setting.events],
        "predictions": [_prediction(j) for j in predictions],
        "frozen": None
        if frozen is None
        else {"time": frozen.time, "sha256": frozen.sha256, "file": Path(frozen.path).name},
        "exhibits": [asdict(e) for e in exhibits],
        "heatmap": _heatmap(trial),
        "seeds": [
            {
                "run": h.run,
                "witness": c.evidence.witness.name,
                "verdict": str(c.verdict),
                "place": asdict(c.evidence.place),
            }
            for h in (trial.hearing, *(h for _, h in trial.seeds))
            for c in h.cards
        ],
        "twins": [
            {
                "run": h.run,
                "witness": c.evidence.witness.name,
                "verdict": str(c.verdict),
                "reason": c.reason,
            }
            for _, h in trial.twins
            for c in h.cards
        ],
        "notes": list(trial.notes),
        "how": how(trial),
    }


def _inputs(trial: Trial) -> list[dict[str, str]]:
    """Where each run was read, the home folder written as ~: `verify` opens them again."""
    groups = (
        ("run", [trial.main]),
        ("seed", [m for m, _ in trial.seeds]),
        ("null", [m for m, _ in trial.twins]),
    )
    home = str(Path.home())
    return [
        {"role": role, "name": m.run.name, "path": m.run.address or str(m.run.path).replace(home, "~", 1)}
        for role, several in groups
        for m in several
        if m.run.address or m.run.path is not None
    ]


def _witness(
    trial: Trial, e: Evidence, card: Card | None, names: dict[str, tuple[str, str]], q: float | None = None
) -> dict[str, Any]:
    w = e.witness
    label, sublabel = names.get(w.name, (w.name, ""))
    runs = [
        {"name": m.run.name, "x": c.x, "y": c.y, "stderr": c.stderr, "main": m is trial.main}
        for m in (trial.main, *(m for m, _ in trial.seeds))
        if (c := m.curves.get(w.name)) is not None
    ]
    return {
        "name": w.name,
        "label": label,
        "sublabel": sublabel or phrases.sublabel(w.name),
        "unit": w.unit,
        "lineage": w.lineage,
        "continuous": w.continuous,
        "n_judged": len(w.x),
        "primary": card is not None,
        "verdict": None if card is None else str(card.verdict),
        "reason": "" if card is None else card.reason,
        "status": e.status,
        "runs": runs,
        "twin": _envelope(e),
        "fit": _fit(e),
        "place": asdict(e.place),
        "width": asdict(e.width),
        "height": asdict(e.height),
        "excess": asdict(e.excess),
        "halfway": asdict(e.halfway),
        "sharp": e.sharp,
        "p_sharp": e.p_sharp,
        "p_adjusted": e.p_adjusted if card is not None else None,
        "p_smooth": e.p_smooth,
        "q": q,
        "power": e.power if card is not None else None,
        "smallest": e.smallest if card is not None else None,
        "false_alarm": e.false_alarm if card is not None else None,
        "noise": {"sd": e.sigma, "neighbour_correlation": e.phi},
        "twin_ratio": None if e.twin is None else asdict(e.twin.ratio),
        "twin_rank_p": None if e.twin is None else e.twin.rank_p,
        "agrees_with": [] if card is None else list(card.agrees_with),
        "seeds": _seeds(trial, card),
        "unseen": "",
    }


def _seeds(trial: Trial, card: Card | None) -> str:
    if not trial.seeds:
        return "one seed"
    if card is None:
        return ""
    name = card.evidence.witness.name
    others = [h.card(name) for _, h in trial.seeds]
    agree = 1 + sum(c is not None and c.verdict is card.verdict for c in others)
    return f"{agree} of {1 + len(others)} seeds"


def _envelope(e: Evidence) -> dict[str, Any] | None:
    """95 % envelope of the null runs: mean +- t s sqrt(1 + 1/K); the range itself for one or two."""
    w = e.witness
    if w.twins is None:
        return None
    k, mean = len(w.twins), w.twins.mean(0)
    if k < 3:
        low, high = w.twins.min(0), w.twins.max(0)
    else:
        from scipy.stats import t

        half = t.ppf(0.975, k - 1) * w.twins.std(0, ddof=1) * np.sqrt(1 + 1 / k)
        low, high = mean - half, mean + half
    return {"n": k, "x": w.x, "low": low, "mean": mean, "high": high}


def _fit(e: Evidence) -> dict[str, Any] | None:
    """The fitted M2 on the scale of the run (twin mean added back)."""
    if e.judged is None:
        return None
    w, curve = e.witness, e.judged.table.design.curve(e.judged.y, e.fit)
    return {"x": w.x, "y": curve if w.twins is None else curve + w.twins.mean(0)}


def _transitions(trial: Trial) -> list[dict[str, Any]]:
    found = trial.transitions
    labels = {w.name: w.label or w.name for w in trial.witnesses[trial.main.run.name]}
    first = next((t for t in found if t.verdict is Verdict.TRANSITION), None)
    out = []
    for verdict, letter in ORDER:
        same = sorted((t for t in found if t.verdict is verdict), key=_place)
        for i, t in enumerate(same):
            out.append(_transition(trial, t, f"{letter}{i + 1}" if letter else "", labels, first))
    return out


def _place(t: Transition) -> float:
    return t.place.value if np.isfinite(t.place.value) else np.inf


def _transition(
    trial: Trial, t: Transition, label: str, labels: dict[str, str], first: Transition | None
) -> dict[str, Any]:
    return {
        "id": label,
        "verdict": str(t.verdict),
        "headline": phrases.headline(t, label, labels, trial.setting.axis),
        "reason": phrases.sentence(t.reason),
        "detail": phrases.detail(trial, t, labels, first),
        "unseen": t.unseen,
        "place": asdict(t.place),
        "width": asdict(t.width),
        "direction": t.direction,
        "p_value": t.p_value,
        "witnesses": list(t.witnesses),
        "seeds": {"n": t.seeds.n, "agree": t.seeds.agree, "p": t.seeds.p, "next": asdict(t.seeds.next)},
        "event": None if t.event is None else asdict(t.event),
    }


def _prediction(j: Judgement) -> dict[str, Any]:
    p = j.prediction
    place = p.kind == "place"
    return {
        "name": p.name,
        "expected": p.expected,
        "interval": [p.low[0], p.high[0]] if place else None,
        "verdict": str(j.outcome),
        "seen": j.seen,
        "reason": j.reason,
        "theory": p.theory,
        "source": p.source,
        "inputs": p.inputs,
    }


def _health(findings: Sequence[Finding]) -> dict[str, Any]:
    severities = {f.severity for f in findings}
    status = "findings" if severities & {"fault", "warning"} else "notes" if severities else "clean"
    rows = [{**asdict(f), "file": ", ".join(Path(p).name for p in f.file.split(", "))} for f in findings]
    return {"status": status, "findings": rows}


def _parameters(trial: Trial) -> int | None:
    """Number of parameters, from the header of the first checkpoint that can be read."""
    for checkpoint in trial.main.run.checkpoints:
        try:
            return sum(int(np.prod(t.shape)) for t in checkpoint.tensors().values())
        except (OpalesceError, OSError):  # check reports the broken file
            continue
    return None


def _heatmap(trial: Trial) -> dict[str, Any] | None:
    """One weight observable, module by step, as change from the first state."""
    ds = trial.main.dataset
    if ds is None:
        return None
    for name in ("stable_rank", "norm"):
        if name in ds and "module" in ds[name].dims:
            kind = ds["kind"].values == "tensor"
            z = ds[name].values[:, kind].T
            use = np.isfinite(z).sum(1) > 1
            if not use.any():
                continue
            z = z[use]
            start = np.array([row[np.isfinite(row)][0] for row in z])
            change = (z - start[:, None]) / np.where(start == 0, 1.0, np.abs(start))[:, None]
            return {
                "observable": name.replace("_", " "),
                "unit": "relative change since the first state",
                "x": ds["step"].values,
                "modules": [str(m) for m in ds["module"].values[kind][use]],
                "z": change,
                "note": "Exploratory: no verdict is given on single modules.",
            }
    return None
