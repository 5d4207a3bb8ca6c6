"""`opalesce.report`: put a run on trial and write report.html with its JSON twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opalesce.report.document import document
from opalesce.report.html import write
from opalesce.transitions.result import Trial
from opalesce.transitions.trial import trial


def report(run: Any, out: str | Path = "report", **options: Any) -> Path:
    """Write the report of a run into the folder `out`; return the path of report.html.

    Parameters
    ----------
    run : Trial, Run, path or DataFrame
        A trial that was held already is only drawn.
    out : path
        Folder; created when missing.
    **options
        Those of `opalesce.trial`: null, seeds, events, alpha, observables ...
    """
    held = run if isinstance(run, Trial) else trial(run, **options)
    return write(document(held), Path(out))
