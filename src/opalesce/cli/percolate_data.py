"""`opalesce percolate-data`: how a user's own data connect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import folder, need

NULLS = 3


def percolate_data(
    embeddings: Annotated[
        str, typer.Argument(metavar="EMBEDDINGS", help="FILE.npy, .csv, .tsv or FILE.safetensors::TENSOR.")
    ],
    neighbours: Annotated[int, typer.Option("--neighbours", help="Nearest neighbours that may join.")] = 10,
    radius: Annotated[
        float | None, typer.Option("--radius", help="Scale at which points are related.")
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", help="Rows taken at random when there are more.")
    ] = 10_000,
    sweeps: Annotated[int, typer.Option("--sweeps", help="Sweeps of the site percolation.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all that is random.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for a page of figures.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document to standard output.")
    ] = False,
) -> None:
    """Cluster sizes of your data, their exponent, and the distance from the threshold, with a null."""
    import numpy as np

    from opalesce.cli.arrays import load_matrix
    from opalesce.theory.percolation.points import checked, column_shuffled, connect

    need(sample >= 100, "too small a sample", "100 or more", str(sample))
    need(sweeps >= 10, "too few sweeps", "10 or more", str(sweeps))
    rng = np.random.default_rng(seed)
    x = load_matrix(embeddings)
    if len(x) > sample:
        x = x[np.sort(rng.choice(len(x), sample, replace=False))]
    x = checked(x)
    with Progress() as progress:
        progress(f"connecting: 0 of {NULLS + 1}")
        real = connect(x, rng, neighbours, radius, sweeps)
        null = []
        for i in range(NULLS):
            progress(f"connecting: {i + 1} of {NULLS + 1}")
            null.append(connect(column_shuffled(x, rng), rng, neighbours, radius, sweeps))
    document = {
        "schema": "opalesce.percolate-data/1",
        "points": x.shape[0],
        "dimensions": x.shape[1],
        "neighbours": neighbours,
        "data": _words(real),
        "null": [_words(c) for c in null],
    }
    if out is not None:
        from opalesce.report.html import write_exhibits

        folder(out)
        lines = [f"{x.shape[0]:,} points in {x.shape[1]} dimensions", *_lines(real, null)]
        document["page"] = str(
            write_exhibits([_exhibit(real, null)], out, "How the data connect", lines, "data")
        )
    if as_json:
        print_json(document)
        return
    for line in _lines(real, null):
        say(line)
    if out is not None:
        say(str(document["page"]))


def _words(c: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "critical_length": c.critical,
        "clusters": len(c.sizes),
        "law": None if c.law is None else asdict(c.law),
        "law_status": c.law_status,
        "radius": c.radius,
        "kept": asdict(c.kept),
        "c_n": asdict(c.c_n),
    }


def _lines(real: Any, null: list[Any]) -> list[str]:
    ratio = sorted(real.critical / c.critical for c in null)
    out = [
        f"connects at length {real.critical:.4g}: {ratio[0]:.3f} to {ratio[-1]:.3f} of the same data with "
        f"every column shuffled ({len(null)} nulls)"
    ]
    if real.law is None:
        out.append(f"cluster sizes there: no exponent ({real.law_status})")
    else:
        fit = "a power law is not excluded" if real.law.p_value >= 0.1 else "not a power law"
        out.append(
            f"cluster sizes there: exponent {real.law.exponent} from size {real.law.smallest} on, "
            f"{real.law.n_tail} clusters, p = {real.law.p_value:.2f} ({fit})"
        )
    where = f"at radius {real.radius:.4g}"
    if real.c_n.ok:
        null_c = [f"{c.c_n.value:.3g}" if c.c_n.ok else "not connected" for c in null]
        out.append(
            f"{where} the data are {real.c_n} times above their threshold; nulls, each at its own median "
            f"scale unless --radius is given: {', '.join(null_c)}"
        )
    else:
        out.append(f"{where}: {real.c_n.status}")
    return out


def _exhibit(real: Any, null: list[Any]) -> Any:
    import numpy as np

    from opalesce.report.exhibits import Exhibit, Mark, Plate, Series

    def curve(c: Any, label: str, role: Any) -> Series:
        pick = np.unique(np.linspace(0, len(c.curve.counts) - 2, 400).astype(int))
        return Series(label, role, c.neighbours.length[pick], c.curve.S1[pick + 1] / c.neighbours.n)

    series = [curve(c, "columns shuffled", "null") for c in null] + [curve(real, "data", "exact")]
    size, count = np.unique(real.sizes, return_counts=True)
    more = count[::-1].cumsum()[::-1] / count.sum()
    plates = (
        Plate("largest cluster", "length", "share of points", series, (Mark(real.critical, "peak"),)),
        Plate(
            "clusters at the peak", "size s", "share of s or more",
            (Series("data at its peak", "seen", size.tolist(), more.tolist()),), log_x=True, log_y=True,
        ),
    )  # fmt: skip
    caption = "Neighbours joined from the closest pair on. Grey: the same columns, each shuffled by itself."
    return Exhibit("data", "How the data connect", caption, plates)
