"""Every JSON document that a command prints, of one small run.

`python tests/compat/documents.py` stores those that are not there yet.

Stored documents are those of the first version of each schema. They are never made anew: a change of meaning
raises the number of a schema and stores a new one beside.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.cli import main
from opalesce.runs.safetensors import write

HOME = Path(__file__).parent
STATES = 16


def make_run(folder: Path) -> Path:
    """Checkpoints, a log with a drop and results of an evaluation; the same numbers at every call."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(11)
    w = {f"layers.{i}.mlp.up_proj.weight": rng.normal(size=(12, 10)) for i in range(3)}
    with (folder / "log.jsonl").open("w") as log:
        for k in range(STATES):
            w = {n: v + 0.1 * rng.normal(size=v.shape) for n, v in w.items()}
            write(folder / f"step{10 * k}.safetensors", w)
            loss = 3 - (k > 8) + 0.05 * float(rng.normal())
            log.write(json.dumps({"step": 10 * k, "loss": loss, "loss_stderr": 0.05}) + "\n")
    for k in range(1, STATES):
        n, p = 400, 0.25 + 0.03 * k
        result = {"acc": p, "acc_stderr": (p * (1 - p) / (n - 1)) ** 0.5}
        text = json.dumps({"results": {"task": result}, "config": {"model": "m"}})
        (folder / f"eval_step{10 * k}.json").write_text(text)
    return folder


def commands(home: Path) -> dict[str, list[str]]:
    """Name of a document, and the command that prints it."""
    run, report = str(home / "run"), str(home / "report" / "report.json")
    table = home / "table.csv"
    x = np.geomspace(1e6, 1e9, 24)
    rows = [f"{a:.6g},{2 + 300 * a**-0.4:.8g}" for a in x]
    table.write_text("\n".join(["tokens,loss", *rows]) + "\n")
    curve = [str(table), "--x", "tokens", "--y", "loss"]
    return {
        "check": ["check", run],
        "measure": ["measure", run, "--observables", "norm,stable_rank", "--out", str(home / "measured")],
        "plan": ["plan", run, "--observables", "norm"],
        "report": ["report", run, "--out", str(home / "report"), "--observables", "loss,norm,task/acc"],
        "verify": ["verify", report, "--share", "1"],
        "explain": ["explain", report],
        "paper": ["figures", report, "--out", str(home / "figures")],
        "compare": ["compare", run, run, "--observables", "loss"],
        "fit": ["fit", *curve, "--law", "power"],
        "forecast": ["forecast", *curve, "--to", "3e9"],
        "mirage": ["mirage", run],
        "error": ["check", str(home / "nowhere")],
    }


def documents(home: Path) -> dict[str, Any]:
    """All documents, by name."""
    make_run(home / "run")
    out = {}
    for name, words in commands(home).items():
        caught, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(caught), contextlib.redirect_stderr(said):
            code = main([*words, "--json"])
        assert code in (0, 1, 2), f"{name}: {said.getvalue()}"
        out[name] = json.loads(caught.getvalue())
    return out


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for key, document in documents(Path(place)).items():
            file = HOME / "v1" / f"{key}.json"
            if not file.exists():
                file.write_text(json.dumps(document).replace(place, "/home/user") + "\n")
