"""`opalesce explain`: one finding of a report in plain words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from opalesce.cli.terminal import print_json, say


def explain(
    report: Annotated[Path, typer.Argument(metavar="REPORT.JSON", help="The JSON twin of a report.")],
    which: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="T1, C2 ... or the name of a witness.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """One transition in plain words: evidence for, evidence against, what would settle it."""
    from opalesce.report.explain import explain as put
    from opalesce.report.verify import read_report

    document = read_report(report)
    found = put(document, which)
    if as_json:
        return print_json({"schema": "opalesce.explain/1", **asdict(found)})
    say(found.claim)
    say(f"That is: {found.meaning}.")
    for title, sentences in (
        ("For it", found.evidence_for),
        ("Against it", found.evidence_against),
        ("What would settle it", found.would_settle),
    ):
        say(f"\n{title}:")
        for line in sentences or ("nothing in this report",):
            say(f"  - {line}")
    others = [t["id"] or ", ".join(t["witnesses"]) for t in document["transitions"]]
    if which is None and len(others) > 1:
        say(f"\nOther findings: {', '.join(others[1:])}")
    return None
