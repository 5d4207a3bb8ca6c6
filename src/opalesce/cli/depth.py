"""`opalesce depth`: order parameters along the depth of a model, their controls, and a critical depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import folder, need

NOTE = "object integrity is its source's definition; everything else here is a reconstruction"


def depth(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Folder of a model, or of activations: layer_NN.npy, .safetensors."
        ),
    ],
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="Text, one prompt a line; or .jsonl with text or tokens."),
    ] = None,
    most: Annotated[int, typer.Option("--most", help="Prompts read, at most.")] = 200,
    length: Annotated[int, typer.Option("--length", help="Tokens of a prompt, at most.")] = 256,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Random weights and shuffled tokens.")
    ] = True,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all that is random.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for JSON and a page of figures.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document to standard output.")
    ] = False,
) -> None:
    """Order parameters along depth, with controls, and whether there is a critical depth.

    Works on any causal language model in a folder of safetensors (extra [hf]; LLaMA checkpoints without
    it), or on activations that were written before.
    """
    need(seed >= 0, "a seed is a whole number", "0 or more", str(seed))
    need(most >= 2, "too few prompts", "2 or more", str(most))
    need(length >= 2, "prompts are too short", "2 or more tokens", str(length))
    if out is not None:
        folder(out)
    import numpy as np

    from opalesce.transitions.depth_verdict import judge_depth

    with Progress() as progress:
        ds = _measure(model, prompts, most, length, controls, seed, progress)
        progress("judging")
        found = judge_depth(ds, rng=np.random.default_rng([seed, 2]))
    document = as_document(ds, found, model.name, seed)
    if out is not None:
        from opalesce.report.clean import clean
        from opalesce.report.html import write_exhibits
        from opalesce.report.structure import depth_exhibit

        (out / "depth.json").write_text(json.dumps(clean(document), indent=1, allow_nan=False) + "\n")
        places = {f.curve: _numbers(f.found.place) for f in found if f.found and f.verdict == "TRANSITION"}
        drawn = {f.curve: panel(ds, f.curve) for f in found}
        exhibit = depth_exhibit(ds["gamma"].values.tolist(), drawn, places)
        document["page"] = str(
            write_exhibits([exhibit], out, "Order along depth", summary(document), "depth-figures")
        )
    if as_json:
        print_json(document)
        return
    for line in lines(document):
        say(line)
    if out is not None:
        say(str(document["page"]))


def _measure(
    model: Path, prompts: Path | None, most: int, length: int, controls: bool, seed: int, progress: Any
) -> Any:
    from opalesce.measure.depth import CONTROLS, depth_of_shards
    from opalesce.measure.depth import depth as measure_depth

    if prompts is None:
        is_model = (model / "config.json").is_file()
        need(not is_model, "a model needs prompts", "--prompts FILE", "none")
        need(model.exists(), "no such folder", "a model, or activations", str(model))
        return depth_of_shards(model, seed=seed, progress=progress)
    from opalesce.measure.models import load_model, read_prompts

    net, encode = load_model(model)
    ids = [p[:length] for p in read_prompts(prompts, encode)[:most]]
    return measure_depth(net, ids, seed=seed, controls=CONTROLS if controls else (), progress=progress)


def panel(ds: Any, curve: str) -> dict[str, Any]:
    """What a figure of one curve needs: mean, low, high, and its controls by name."""
    raw = ds.sel(stream="raw")
    keep = [s for s in ds["stream"].values.tolist() if s in ("masked", "rotated", "dropped")]
    beside = {s: ds[curve].sel(stream=s).values for s in keep}
    if f"{curve}_control" in ds:
        names = ds["control"].values.tolist()
        named = {n.replace("_", " "): ds[f"{curve}_control"].sel(control=n).values for n in names}
        beside = named | beside
    import numpy as np

    return {
        "mean": raw[curve].values.tolist(),
        "low": raw[f"{curve}_low"].values.tolist(),
        "high": raw[f"{curve}_high"].values.tolist(),
        "controls": {k: v.tolist() for k, v in beside.items() if np.isfinite(v).any()},
    }


def as_document(ds: Any, found: Any, name: str, seed: int) -> dict[str, Any]:
    """The JSON document, schema opalesce.depth/1."""
    curves: dict[str, Any] = {}
    for f in found:
        c = f.found
        curves[f.curve] = {
            "verdict": str(f.verdict),
            "reason": f.reason,
            "critical_depth": None if c is None else _numbers(c.place),
            "width": None if c is None else _numbers(c.width),
            "height": None if c is None else _numbers(c.height),
            "p_sharp": None if c is None else c.p_sharp,
            "p_change": None if c is None else c.p_change,
            "largest_jump": None if c is None else {"size": c.jump, "after_layer": c.jump_at},
            "bic": None if c is None else c.bic,
            "cross_validation": None if c is None else c.cross_validation,
            "controls": {
                k: {"verdict": str(v.verdict), "critical_depth": _numbers(v.place)}
                for k, v in f.controls.items()
            },
            "curve": panel(ds, f.curve),
        }
    notes = [NOTE, *ds.attrs["left"]]
    if ds.attrs["massive"]:
        some = ", ".join(map(str, ds.attrs["massive"][:8]))
        notes.append(f"massive coordinates, masked in one of the streams: {some}")
    if ds.attrs["sketch"]:
        k, d = ds.attrs["sketch"], ds.attrs["width"]
        notes.append(f"covariances in a random projection on {k} of {d} directions")
    layers = ds.sizes["layer"]
    return {
        "schema": "opalesce.depth/1",
        "model": name,
        "seed": seed,
        "layers": layers - 1,
        "width": ds.attrs["width"],
        "prompts": ds.attrs["prompts"],
        "tokens": ds.attrs["tokens"],
        "gamma": ds["gamma"].values.tolist(),
        "curves": curves,
        "notes": notes,
    }


def summary(document: dict[str, Any]) -> list[str]:
    """What stands above the figures: the model, each verdict once with its curves, the notes."""
    d = document
    size = f"{d['layers']} layers, width {d['width']}, {d['prompts']} prompts, {d['tokens']:,} tokens"
    groups: dict[tuple[str, str], list[str]] = {}
    for name, c in d["curves"].items():
        groups.setdefault((c["verdict"], c["reason"]), []).append(name.replace("_", " "))
    said = [f"{verdict}: {', '.join(names)} ({why})" for (verdict, why), names in groups.items()]
    return [f"{d['model']}: {size}", *said, *(f"Note: {n}" for n in d["notes"])]


def lines(document: dict[str, Any]) -> list[str]:
    """The table that is printed."""
    d = document
    size = f"{d['layers']} layers, width {d['width']}"
    out = [f"{d['model']}: {size}, {d['prompts']} prompts, {d['tokens']:,} tokens"]
    out.append(f"{'curve':30} {'first':>8} {'last':>8}  {'critical depth (90 %)':26} verdict")
    for name, c in d["curves"].items():
        line = c["curve"]["mean"]
        place = _text(c["critical_depth"]) if c["verdict"] in ("TRANSITION", "METRIC ARTEFACT") else "none"
        out.append(f"{name:30} {_n(line[0]):>8} {_n(line[-1]):>8}  {place:26} {c['verdict']}")
        out.append(f"  {c['reason']}")
        ends = [f"{k} {_n(v[0])} to {_n(v[-1])}" for k, v in c["curve"]["controls"].items()]
        if ends:
            out.append("  controls: " + "; ".join(ends))
    return out + [f"note: {n}" for n in d["notes"]]


def _numbers(e: Any) -> dict[str, Any]:
    return {"value": e.value, "low": e.low, "high": e.high, "n": e.n, "level": e.level, "method": e.method}


def _text(e: dict[str, Any]) -> str:
    return f"{e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}]"


def _n(x: float | None) -> str:
    return "none" if x is None or x != x else f"{x:.4g}"
