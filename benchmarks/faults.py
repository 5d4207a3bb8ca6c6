"""The fault table: what is planted, what `check` finds, and what the court says when nobody checks.

Writes docs/faults.md. The court is given the run with the findings taken away, and with them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from opalesce.errors import OpalesceError
from opalesce.runs.check import Finding
from opalesce.runs.open import open as open_run
from opalesce.systems.faults import AT, FAULTS, clean_run
from opalesce.transitions.trial import trial

ROOT = Path(__file__).resolve().parents[1]
WITNESSES = ["loss", "norm", "stable_rank", "task5/acc", "task5/log_ppl"]
CLEAN = 20


def verdicts(folder: Path, checked: bool) -> dict[str, str]:
    """Verdict and place of each witness; `checked` False takes the findings away."""
    run = open_run(folder)
    names = [n for n in WITNESSES if "/" not in n or n in run.curves]
    try:
        if checked:
            held = trial(run, observables=names)
        else:
            with patch("opalesce.transitions.trial.check", return_value=[]):
                held = trial(run, observables=names)
    except OpalesceError as error:
        return {"trial": error.what}
    out = {}
    for t in held.transitions:
        at = f" at {t.place.value:.0f}" if t.place.value == t.place.value else ""
        out |= dict.fromkeys(t.witnesses, f"{t.verdict}{at}")
    return out


def changed(before: dict[str, str], after: dict[str, str]) -> str:
    """What the court says otherwise, in words; a place that moved under the same verdict is left out."""
    said = [
        f"{n}: {after[n]} (was {before.get(n, 'not there')})"
        for n in after
        if after[n].partition(" at ")[0] != before.get(n, "").partition(" at ")[0]
    ]
    lost = [f"{n}: gone (was {before[n]})" for n in before if n not in after]
    return "; ".join(said + lost) or "no other verdict"


def found(findings: Sequence[Finding]) -> str:
    grave = [f for f in findings if f.severity != "note"]
    return "; ".join(f"{f.kind}" + ("" if f.step is None else f" at {f.step:g}") for f in grave) or "nothing"


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        sound = clean_run(Path(home) / "run", seed=1)
        before = verdicts(sound, checked=True)
        rows, hits = [], 0
        for fault in FAULTS:
            bad = Path(home) / "bad" / "run"
            shutil.rmtree(bad.parent, ignore_errors=True)
            shutil.copytree(sound, bad)
            fault.plant(bad)
            findings = open_run(bad).check()
            hit = any(
                f.kind == fault.finding and (fault.place is None or fault.place in (f.step, *f.x))
                for f in findings
            )
            hits += hit
            blind, seeing = (changed(before, verdicts(bad, checked)) for checked in (False, True))
            place = "" if fault.place is None else f" at {fault.place:g}"
            rows.append(
                f"| {fault.where} | {fault.name}{place} | {'' if hit else '**missed**: '}{found(findings)} "
                f"| {blind} | {seeing if seeing != blind else 'the same'} |"
            )
            print(rows[-1], flush=True)
        quiet = [
            found(open_run(clean_run(Path(home) / f"clean{seed}", seed=300 + seed)).check())
            for seed in range(CLEAN)
        ]
    lines = [
        "---", "orphan: true", "---", "", "# Planted faults", "",
        "Made by `python -m benchmarks.faults`; do not edit. Each fault is planted in a copy of one small "
        f"`induction` run that is trained here, most of them at step {AT:g}. The last two columns say which "
        "verdicts of the court differ from those of the sound run, when its findings are taken away and when "
        "they are not.", "",
        f"Found: {hits} of {len(FAULTS)} kinds. Findings on {CLEAN} other runs without a fault, "
        f"trained here: {sum(q != 'nothing' for q in quiet)}.", "",
        "The court on the sound run: " + "; ".join(f"{n}: {v}" for n, v in before.items()) + ".", "",
        "| where | planted | found | verdicts without the check | with it |", "|" + " --- |" * 5, *rows,
    ]  # fmt: skip
    (ROOT / "docs" / "faults.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines[6:11]))


if __name__ == "__main__":
    main()
