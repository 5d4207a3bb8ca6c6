"""`make bench`: every figure beside a named peer, both taken in one run on one thread.

Writes benchmarks/results.json and docs/benchmarks.md. `--quick` tries the machinery on small sizes
and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.figures import ONE_THREAD, Figure

os.environ.update(ONE_THREAD)
PARTS = (
    "checking",
    "reading",
    "spectra",
    "weightwatcher",
    "multifractal",
    "false_alarms",
    "percolation",
    "laws",
)
PACKAGES = (
    "opalesce",
    "numpy",
    "scipy",
    "torch",
    "safetensors",
    "ruptures",
    "weightwatcher",
    "networkit",
    "python-igraph",
    "networkx",
    "openpnm",
    "connected-components-3d",
    "chinchilla",
)
ROOT = Path(__file__).resolve().parents[1]
HEAD = """---
orphan: true
---

# Benchmarks

Made by `make bench`; do not edit. Each figure is taken beside a named peer in the same run, on one thread of
{machine}. The ratio is ours over the peer's.
Times are CPU seconds, the least of several runs, imports not counted; peak memory is that above what the
imports took. What a comparison leaves out is said in its row and in `benchmarks/<part>.py`.

"""


def machine() -> str:
    """Processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} ({os.cpu_count()} cores, {platform.system()})"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def table(figures: list[Figure]) -> str:
    """Markdown, one row a figure."""
    lines = ["| part | what | peer | ours | peer's | unit | ratio |", "|" + " --- |" * 7]
    for f in figures:
        better = "" if f.less_is_better else " (more is better)"
        ratio = "–" if f.ratio != f.ratio else f"{f.ratio:.2g}"
        lines.append(
            f"| {f.part} | {f.what} | {f.peer} | {f.ours:.3g} | {f.theirs:.3g} | {f.unit}{better} | {ratio} |"
        )
    return "\n".join(lines) + "\n"


def write(figures: list[Figure], taken: float) -> None:
    """Both files, from the same numbers."""
    document: dict[str, Any] = {
        "schema": "opalesce.bench/1",
        "machine": machine(),
        "versions": versions(),
        "seconds": round(taken, 1),
        "figures": [{**vars(f), "ratio": f.ratio if f.ratio == f.ratio else None} for f in figures],
    }
    (ROOT / "benchmarks" / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    made = ", ".join(f"{k} {v}" for k, v in document["versions"].items())
    page = HEAD.format(machine=document["machine"]) + table(figures) + f"\nVersions: {made}.\n"
    (ROOT / "docs" / "benchmarks.md").write_text(page)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    start = time.perf_counter()
    figures: list[Figure] = []
    for part in options.part or PARTS:
        for figure in import_module(f"benchmarks.{part}").figures(options.quick):
            figures.append(figure)
            print(table([figure]).splitlines()[-1], flush=True)
    taken = time.perf_counter() - start
    print(f"\n{table(figures)}\n{taken:.0f} s")
    if not options.quick and not options.part:
        write(figures, taken)


if __name__ == "__main__":
    main()
