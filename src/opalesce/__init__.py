"""opalesce: find, measure, explain and forecast transitions in neural networks.

run = opalesce.open("runs/my_run")
run.check()
ds = opalesce.measure(run, observables=["stable_rank", "loss"])
ts = opalesce.transitions(run, null="runs/null")
opalesce.report(run, null="runs/null", out="report")
law = opalesce.fit("broken", x, y)
next_ = opalesce.forecast(x, y, to=x_new)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opalesce.cite import cite as cite
    from opalesce.estimate import Estimate as Estimate
    from opalesce.laws.allocate import allocate as allocate
    from opalesce.laws.fit import fit as fit
    from opalesce.laws.forecast import forecast as forecast
    from opalesce.measure.sweep import measure as measure
    from opalesce.report.build import report as report
    from opalesce.report.figures import plot as plot
    from opalesce.report.verify import verify as verify
    from opalesce.runs.open import open as open
    from opalesce.runs.run import Axis as Axis
    from opalesce.runs.run import Curve as Curve
    from opalesce.runs.run import Event as Event
    from opalesce.runs.run import Run as Run
    from opalesce.transitions.compare import compare as compare
    from opalesce.transitions.mirage import mirage as mirage
    from opalesce.transitions.result import Transition as Transition
    from opalesce.transitions.trial import transitions as transitions
    from opalesce.transitions.trial import trial as trial

__version__ = "0.1.0"

# Verbs that share their name with a folder are made callable there (see _callable.py).
_PUBLIC = {
    "Axis": "runs.run",
    "Curve": "runs.run",
    "Estimate": "estimate",
    "Event": "runs.run",
    "Run": "runs.run",
    "Transition": "transitions.result",
    "allocate": "laws.allocate",
    "compare": "transitions.compare",
    "fit": "laws.fit",
    "forecast": "laws.forecast",
    "mirage": "transitions.mirage",
    "open": "runs.open",
    "plot": "report.figures",
    "trial": "transitions.trial",
    "verify": "report.verify",
}
_VERBS = ("cite", "measure", "report", "transitions")

__all__ = [*sorted(_PUBLIC), *_VERBS]


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return import_module(f"opalesce.{name}")
    if name in _PUBLIC:
        return getattr(import_module(f"opalesce.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'opalesce' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
