"""How we know: tests made, correction, seeds, versions, files read, methods used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from opalesce.cite import references
from opalesce.observables.registry import REGISTRY
from opalesce.provenance import provenance
from opalesce.report import phrases
from opalesce.transitions.calibrate import FIRST
from opalesce.transitions.result import Trial

# Methods of the court itself; those of the observables are added from their sources.
METHODS = (
    "westfall1993resampling",
    "besag1991sequential",
    "uhlenbeck1930theory",
    "patterson1971recovery",
    "benjamini1995controlling",
    "benjamini2008screening",
)


def how(trial: Trial) -> dict[str, Any]:
    """The last panel of the report as data."""
    cards, ranked = trial.hearing.cards, trial.hearing.exploratory
    called = [c.evidence.witness.name for c in cards] + [e.witness.name for e, _ in ranked]
    sources = [
        REGISTRY[n.partition("@")[0]].source.split(",")[0].strip()
        for n in called
        if n.partition("@")[0] in REGISTRY
    ]
    known = references()
    keys = [k for k in dict.fromkeys([*METHODS, *sources]) if k in known]
    made = provenance()
    return {
        "tests": 2 * (len(cards) + len(ranked)) * (1 + len(trial.seeds))
        + 2 * sum(len(h.cards) for _, h in trial.twins),
        "primary": len(cards),
        "exploratory": len(ranked),
        "correction": "Westfall-Young step-down over the primary witnesses of each run; "
        "Benjamini-Hochberg over the exploratory ones",
        "simulations": f"{FIRST} or more null series for each of the noise correlations of every design",
        "seed": trial.seed,
        "versions": made.get("versions", {}),
        "files": _files(trial),
        "command": phrases.command(sys.argv),
        "time": made.get("time", ""),
        "false_alarm": f"{phrases.declared(trial)} {phrases.false_alarm(trial)}",
        "twins": len(trial.twins),
        "seeds": 1 + len(trial.seeds),
        "methods": [{"key": k, "title": phrases.bib_title(known[k])} for k in keys],
        "bibtex": "\n\n".join(known[k] for k in keys),
    }


def _files(trial: Trial) -> list[dict[str, str]]:
    """Fingerprint of each checkpoint read, and the files of the curves."""
    out = []
    for m in (trial.main, *(m for m, _ in trial.seeds), *(m for m, _ in trial.twins)):
        if m.dataset is not None and "fingerprint" in m.dataset.coords:
            prints = dict(zip(m.dataset["step"].values, m.dataset["fingerprint"].values, strict=True))
            for c in m.run.checkpoints:
                if prints.get(c.step):
                    file = {"path": f"{m.run.name}/{c.paths[0].name}", "fingerprint": str(prints[c.step])}
                    commit = getattr(c, "commit", "")  # of a revision on the hub
                    out.append(file | ({"commit": commit} if commit else {}))
        for name, kind in m.run.scan.took:
            path = (m.run.path or Path()) / name
            if kind != "safetensors" and path.is_file():
                out.append({"path": f"{m.run.name}/{name}", "sha256": phrases.sha256(path)})
    return out
