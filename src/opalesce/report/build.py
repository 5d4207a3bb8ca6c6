"""`opalesce.report`: put a run on trial and write report.html with its JSON twin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opalesce.report.document import document
from opalesce.report.exhibits import Exhibit
from opalesce.report.html import write
from opalesce.theory.prediction import Frozen, Judgement
from opalesce.transitions.result import Trial
from opalesce.transitions.trial import trial


def report(
    run: Any,
    out: str | Path = "report",
    predictions: Sequence[Judgement] = (),
    frozen: Frozen | None = None,
    exhibits: Sequence[Exhibit] = (),
    **options: Any,
) -> Path:
    """Write the report of a run into the folder `out`; return the path of report.html.

    Parameters
    ----------
    run : Trial, Run, path or DataFrame
        A trial that was held already is only drawn.
    out : path
        Folder; created when missing.
    predictions, frozen
        Judged predictions, and when and under which hash they were fixed.
    exhibits
        Figures beside the court's own.
    **options
        Those of `opalesce.trial`: null, seeds, events, alpha, observables ...
    """
    held = run if isinstance(run, Trial) else trial(run, **options)
    return write(document(held, predictions, frozen, exhibits), Path(out))
