"""Does `opalesce plan` foretell what `opalesce measure` takes? Three runs of different shape.

Each command runs in a process of its own. Writes docs/plan.md.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from opalesce.runs.safetensors import write

ROOT = Path(__file__).resolve().parents[1]
Shapes = dict[str, tuple[int, int]]
MEASURE = "import sys; from opalesce.cli import main; raise SystemExit(main(sys.argv[1:]))"
RUNS: dict[str, tuple[int, Shapes, str]] = {
    "many small checkpoints": (
        80,
        {f"layer{i}.{m}.weight": (96, 96) for i in range(4) for m in "qkvo"},
        "spectra,norms,entries",
    ),
    "few large matrices": (
        3,
        {"embed.weight": (8192, 512), "up.weight": (4096, 1024), "down.weight": (1024, 4096)},
        "spectra,norms,entries",
    ),
    "one model, everything": (4, {f"layer{i}.mlp.weight": (256, 1024) for i in range(12)}, ""),
}


def make(folder: Path, steps: int, shapes: Shapes) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    w = {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}
    for step in range(steps):
        w = {k: v + 0.02 * rng.standard_normal(v.shape).astype(np.float32) for k, v in w.items()}
        write(folder / f"step{step}.safetensors", w)


def command(*words: str) -> tuple[float, int, str]:
    """Wall seconds, peak memory (bytes) and output of a command of this program."""
    read, wrote = os.pipe()
    begun = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.dup2(wrote, 1)
        os.execv(sys.executable, [sys.executable, "-c", MEASURE, *words])
    os.close(wrote)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{words}: exit {status}")
    return time.perf_counter() - begun, usage.ru_maxrss * 1024, text


def main() -> None:
    lines = [
        "---", "orphan: true", "---", "", "# What `plan` foretells", "",
        "Made by `python -m benchmarks.plan_check`; do not edit. One worker; compiled code is in no cache "
        "beforehand.", "",
        "| run | cells | time foretold | time taken | ratio | memory foretold | memory taken | ratio "
        "| the plan itself |", "|" + " --- |" * 9,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        for name, (steps, shapes, asked) in RUNS.items():
            folder = Path(home) / name.replace(" ", "-").replace(",", "")
            make(folder, steps, shapes)
            names = ["--observables", asked] if asked else []
            plan_s, _, text = command("plan", str(folder), *names, "--json")
            told = json.loads(text)
            took, memory, _ = command("measure", str(folder), *names, "--out", str(folder) + "-out")
            lines.append(
                f"| {name} | {told['cells']} | {told['seconds']:.1f} s | {took:.1f} s "
                f"| {told['seconds'] / took:.2f} | {told['memory'] / 1e6:.0f} MB | {memory / 1e6:.0f} MB "
                f"| {told['memory'] / memory:.2f} | {plan_s:.1f} s |"
            )
            print(lines[-1], flush=True)
    (ROOT / "docs" / "plan.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
