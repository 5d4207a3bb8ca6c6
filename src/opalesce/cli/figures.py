"""`opalesce figures`: a report's pictures for print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from opalesce.cli.terminal import print_json, say
from opalesce.cli.typed import folder, names, need


def figures(
    report: Annotated[Path, typer.Argument(metavar="REPORT.JSON", help="The JSON twin of a report.")],
    style: Annotated[str, typer.Option("--style", help="paper or talk.")] = "paper",
    out: Annotated[Path, typer.Option("--out", help="Folder of the files.")] = Path("figures"),
    formats: Annotated[str, typer.Option("--formats", help="Of pdf, svg, png, by commas.")] = "pdf,png",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Publication figures of a report: witnesses, findings, heat map, exhibits (needs matplotlib)."""
    from opalesce.report.paper import figures as draw
    from opalesce.report.verify import read_report

    need(style in ("paper", "talk"), "no such style", "paper or talk", style)
    document = read_report(report)
    folder(out)
    written = draw(document, out, "talk" if style == "talk" else "paper", names(formats) or ())
    if as_json:
        return print_json({"schema": "opalesce.paper/1", "files": [str(p) for p in written]})
    for path in written:
        say(str(path))
    return None
