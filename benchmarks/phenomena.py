"""Phenomena of the neural percolation model on small trained networks, predicted and judged.

python -m benchmarks.phenomena
"""

from __future__ import annotations

from pathlib import Path

from opalesce.systems.concepts.operations import run

SEEDS = tuple(range(201, 206))
TABLE = Path("docs/phenomena.md")


def main() -> None:
    lines = ["| prediction | expected | verdict | seen |", "| --- | --- | --- | --- |"]
    for j in run(SEEDS):
        p = j.prediction
        interval = f" [{p.low[0]:.2f}, {p.high[0]:.2f}]" if p.kind == "place" else ""
        lines.append(f"| {p.name} | {p.expected}{interval} | {j.outcome} | {j.seen}: {j.reason} |")
        print(lines[-1], flush=True)
    TABLE.write_text(
        "# Operations on small networks, predicted and judged\n\nMade by `python -m "
        "benchmarks.phenomena`: the world "
        f"of concepts, {len(SEEDS)} seeds, embedding model; predictions of the neural percolation "
        "model's B-layer. "
        "Lost: half of what was above chance is gone; first means at the least coarseness "
        "(quantisation) or the "
        "widest student (distillation).\n\n" + "\n".join(lines) + "\n",
        "utf-8",
    )


if __name__ == "__main__":
    main()
