"""Run by a bare environment that holds the wheel and nothing else: what a first user does.

Needs no torch; exits with an error where a step fails.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import opalesce
from opalesce.runs.safetensors import write


def run(*words: str, codes: tuple[int, ...] = (0,)) -> str:
    """Output of a command of the installed program."""
    program = Path(sys.executable).with_name("opalesce")
    done = subprocess.run([program, *words], capture_output=True, text=True)
    if done.returncode not in codes:
        raise SystemExit(f"opalesce {' '.join(words)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def main() -> None:
    """Every step in turn."""
    for name in ("torch", "matplotlib", "transformers"):
        assert importlib.util.find_spec(name) is None, f"{name} is installed: this environment is not bare"
    assert "site-packages" in str(opalesce.__file__), "not the wheel"
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "run"
        folder.mkdir()
        rng = np.random.default_rng(0)
        lines = ["step,loss"]
        w = rng.normal(size=(20, 16))
        for step in range(30):
            w = w + 0.05 * rng.normal(size=w.shape)
            write(folder / f"step{step}.safetensors", {"a.weight": w})
            lines.append(f"{step},{3 - 2 * (step > 15) + 0.05 * rng.normal()}")
        (folder / "log.csv").write_text("\n".join(lines) + "\n")
        run("check", str(folder), codes=(0, 1))
        run("measure", str(folder), "--observables", "stable_rank,gini", "--out", f"{home}/measured")
        run("report", str(folder), "--out", f"{home}/report", codes=(0, 1))
        assert (Path(home) / "report" / "report.html").stat().st_size > 100_000
        run("verify", f"{home}/report/report.json")
        run("explain", f"{home}/report/report.json")
        assert "@article" in run("cite", "stable_rank") or "@book" in run("cite", "norm")
        assert "opalesce[paper]" in subprocess.run(
            [Path(sys.executable).with_name("opalesce"), "figures", f"{home}/report/report.json"],
            capture_output=True, text=True,
        ).stderr  # fmt: skip
    print("the wheel works in a bare environment")


if __name__ == "__main__":
    main()
