"""`opalesce theory`: what physics predicts, simulated and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from opalesce.cli.terminal import Progress, print_json, say
from opalesce.cli.typed import folder, need

app = typer.Typer(help="What physics predicts, simulated, compared and drawn.", no_args_is_help=True)


@app.callback()
def theories() -> None:
    """What physics predicts, simulated, compared and drawn."""


@app.command()
def brill(
    figure: Annotated[
        int | None, typer.Option("--figure", help="1 to 10; default all that need no data.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Seeds of figure 6.")] = 5,
    table: Annotated[
        Path | None, typer.Option("--table", help="CSV of params,d_model for figure 10.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the page and its JSON.")] = Path("brill"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document to standard output.")
    ] = False,
) -> None:
    """Brill's data model: simulate, fit, compare with theory, draw."""
    from opalesce.report.brill import exhibit
    from opalesce.report.html import write_exhibits
    from opalesce.theory.brill.figures import figure as make

    need(figure is None or 1 <= figure <= 10, "no such figure", "1 to 10", str(figure))
    need(seeds >= 3, "a median needs seeds", "3 or more", str(seeds))
    need(
        figure != 10 or table is not None,
        "figure 10 needs models",
        "--table FILE with params,d_model",
        "none",
    )
    folder(out)
    chosen = [figure] if figure else [n for n in range(1, 11) if n != 10 or table is not None]
    found: dict[int, dict[str, Any]] = {}
    with Progress() as progress:
        for i, n in enumerate(chosen):
            progress(f"figure {n}: {i} of {len(chosen)}")
            options: dict[str, Any] = {"seeds": range(seeds)} if n == 6 else {}
            found[n] = make(n, **(_models(table) if n == 10 and table else options))
    page = write_exhibits(
        [exhibit(n, d) for n, d in found.items()],
        out,
        "Brill's data model",
        ["Simulation and theory"],
        "brill",
    )
    if as_json:
        print_json({"schema": "opalesce.brill/1", "page": str(page), "figures": found})
        return
    if 6 in found:
        _summary(found[6])
    say(str(page))


def _summary(d: dict[str, Any]) -> None:
    for kind in ("model", "data"):
        inside = d["dof"] >= 30
        ratio = (d[f"{kind}_median"] / d[f"{kind}_theory"])[inside]
        say(f"{kind} scaling: median / theory {ratio.min():.3f} to {ratio.max():.3f} for N >= 30")


def _models(table: Path) -> dict[str, Any]:
    """Columns params and d_model of a CSV."""
    import pandas as pd

    from opalesce.errors import InputError

    try:
        frame = pd.read_csv(table)
        return {"params": frame["params"].to_numpy(float), "d_model": frame["d_model"].to_numpy(float)}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{table.name} has no models", expected="CSV with the columns params,d_model", got=str(error)
        ) from error
