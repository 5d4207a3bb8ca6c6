"""`opalesce percolate`: curve, threshold and null of a lattice, a graph or a weight matrix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import folder, need


def percolate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="GRAPH|TENSOR|lattice:KIND:L",
            help="Edge list .csv/.tsv or sparse .npz; matrix .npy or FILE.safetensors::NAME; a lattice.",
        ),
    ],
    site: Annotated[bool, typer.Option("--site/--bond", help="Switch on sites, or bonds.")] = False,
    sweeps: Annotated[int, typer.Option("--sweeps", help="Random sweeps of a graph or lattice.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all that is random.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for JSON and a page of figures.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document to standard output.")
    ] = False,
) -> None:
    """Percolation curve, threshold with interval, exponents where meaningful, and the null.

    A lattice gives its threshold and exponents, a graph its threshold under random retention (and by
    weight, if it has weights), a matrix its threshold by magnitude against shuffled entries.
    """
    need(sweeps >= 20, "too few sweeps", "20 or more", str(sweeps))
    need(seed >= 0, "a seed is a whole number", "0 or more", str(seed))
    if out is not None:
        folder(out)
    with Progress() as progress:
        found = _survey(source, "site" if site else "bond", sweeps, seed, progress)
    swept = found.pop("_swept", None)
    document = {"schema": "opalesce.percolate/1", "seed": seed, **found}
    if out is not None:
        from opalesce.report.clean import clean
        from opalesce.report.html import write_exhibits

        (out / "percolate.json").write_text(json.dumps(clean(document), indent=1, allow_nan=False) + "\n")
        figures = [_exhibit(found)] if swept is None else _lattice(found, swept, seed)
        page = write_exhibits(figures, out, "Percolation", _lines(found), "percolation")
        document["page"] = str(page)
    if as_json:
        print_json(document)
        return
    for line in _lines(found):
        say(line)
    if out is not None:
        say(str(document["page"]))


def _survey(source: str, kind: str, sweeps: int, seed: int, progress: Any) -> dict[str, Any]:
    import numpy as np

    from opalesce.cli import percolate_survey as survey
    from opalesce.cli.arrays import load_matrix
    from opalesce.cli.graphs import load_graph

    rng = np.random.default_rng(seed)
    if source.startswith("lattice:"):
        parts = source.split(":")
        ok = len(parts) == 3 and parts[2].isdigit()
        need(ok, "no such lattice", "lattice:KIND:L, such as lattice:square:512", source)
        return survey.of_lattice(parts[1], int(parts[2]), kind, sweeps, rng, progress)  # type: ignore[no-any-return]
    name = source.partition("::")[0]
    if Path(name).suffix in (".csv", ".tsv", ".npz"):
        return survey.of_graph(load_graph(Path(name)), kind, sweeps, rng, progress)  # type: ignore[no-any-return]
    need(kind == "bond", "a matrix percolates by its entries", "--bond", "--site")
    return survey.of_matrix(load_matrix(source), source, rng, progress)  # type: ignore[no-any-return]


def _lines(found: dict[str, Any]) -> list[str]:
    out = [f"{found['source']}: {found['nodes']:,} nodes"]
    out += [f"note: {n}" for n in found["notes"]]
    t = found["threshold"]
    if "observables" in found:
        out.append(f"threshold: {_n(t['value'])} of the entries kept, {_n(t['ratio'])} times 1/sqrt(NM)")
        for name, null in found["nulls"].items():
            if null is not None:
                out.append(
                    f"  null, {name}: {_n(null['mean'])} times, z = {_n(null['z'])}, {null['draws']} draws"
                )
        return out + [f"{k}: {_n(v)}" for k, v in found["observables"].items()]
    out.append(f"threshold: {_estimate(t)}")
    if "published" in found:
        known = found["published"]
        out.append(f"  published: {known['value']:.10g} +- {known['error']:.1g} ({known['source']})")
        out += [f"{k}: {_estimate(v)}" for k, v in found["exponents"].items()]
    if "largest_gap" in found:
        gap = found["largest_gap"]
        out.append(f"largest gap: at {_estimate(gap['place'])}, {_estimate(gap['size'])} of the nodes")
    for name, value in found.get("theory", {}).items():
        out.append(f"{name}: {value if isinstance(value, str) else _n(value)}")
    if "weights" in found:
        w = found["weights"]
        out.append(
            f"by weight: S2 peaks at {_n(w['threshold'])} kept; largest gap at {_n(w['largest_gap'])}, "
            f"z = {_n(w['gap_z'])} against {w['null']}"
        )
    return out


def _n(x: float | None) -> str:
    return "none" if x is None else f"{x:.4g}"


def _estimate(e: dict[str, Any]) -> str:
    from opalesce.estimate import Estimate

    text = str(Estimate(**e))
    return f"{text} ({e['status']})" if e["status"] and e["status"] != text else text


def _lattice(found: dict[str, Any], swept: Any, seed: int) -> Any:
    import numpy as np

    from opalesce.report.percolation import lattice_exhibits

    name, kind, sizes, sweeps, window, powers = swept
    t = found["threshold"]
    place = (t["value"], t["low"], t["high"])
    square = kind if name == "square" else None
    rng = np.random.default_rng([seed, 1])
    return lattice_exhibits(sizes, sweeps, window, place, (float(powers.nu), float(powers.beta)), square, rng)


def _exhibit(found: dict[str, Any]) -> Any:
    from opalesce.report.exhibits import Exhibit, Mark, Plate, Series

    value = found["threshold"]["value"]
    low, high = found["threshold"].get("low"), found["threshold"].get("high")
    marks = () if value is None else (Mark(value, "threshold", low, high),)
    plates = []
    for key, title in (("S1", "largest cluster"), ("S2", "second largest")):
        series = []
        for label, role, curve in (
            ("random order", "null", found.get("null_curve")),
            ("measured", "exact", found["curve"]),
            ("by weight", "second", found.get("weights", {}).get("curve")),
        ):
            if curve is not None:
                series.append(Series(label, role, curve["p"], curve[key]))  # type: ignore[arg-type]
        plates.append(Plate(title, "share kept", "share of nodes", series, marks))
    caption = "Clusters against the share of elements kept."
    return Exhibit("percolation", found["source"], caption, plates)
