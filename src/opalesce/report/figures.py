"""`plot`: a result as a Plotly figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from opalesce.errors import InputError
from opalesce.laws.allocate import Allocation
from opalesce.laws.fit import Fit
from opalesce.laws.forecast import Forecast
from opalesce.report.clean import clean, plotly_text
from opalesce.report.exhibits import Exhibit
from opalesce.report.heat import heat
from opalesce.report.law_panels import allocation_exhibit, slope_plate
from opalesce.report.laws import fit_figure, forecast_figure
from opalesce.report.mirage_panels import mirage_exhibits
from opalesce.report.palette import LIGHT
from opalesce.report.panels import coordinate, panel, ticks
from opalesce.report.plates import painted, plates_figure
from opalesce.transitions.mirage import TaskVerdict

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FEW = 6  # tasks of one figure
_AXIS = {"name": "step", "unit": "", "scale": "linear", "x1": 1.0}


def plot(result: Any, name: str | None = None, axis: Mapping[str, Any] | None = None) -> Figure:
    """Draw a witness of a report document, a measured variable, a fit, a forecast, or verdicts and budgets.

    Parameters
    ----------
    result : dict, xarray.DataArray, xarray.Dataset, Fit, Forecast, or what `mirage` or `allocate` returns
        A report document (schema `opalesce.report/1`), one of its witnesses, or what `measure`
        returns. A variable over the control axis becomes a curve; one over axis and modules a heat
        map of its change from the first step.
    name : str, optional
        Which witness or variable, by default the first; of a fit "slope" for its local slope; of verdicts the
        task, by default the first few.
    axis : dict, optional
        `name`, `scale` ("log" draws u = log10(1 + x / x1), COURT 2) and `x1`. By default that of the
        document; for a Dataset, log when the positive values span more than a decade.

    Returns
    -------
    plotly.graph_objects.Figure
        Labels are real places on the axis.

    Raises
    ------
    InputError
        Neither of these, no such name, or no values to draw.
    """
    if isinstance(result, Fit):
        if name == "slope":
            return plates_figure(Exhibit("slope", result.law.formula, "", (slope_plate(result),)))
        return fit_figure(result)
    if isinstance(result, Forecast):
        return forecast_figure(result)
    if isinstance(result, Allocation | TaskVerdict):
        result = [result]
    if isinstance(result, list | tuple) and result:
        if all(isinstance(r, Allocation) for r in result):
            return plates_figure(allocation_exhibit(result))
        if all(isinstance(r, TaskVerdict) for r in result):
            return _verdicts(result, name)
    if isinstance(result, Mapping) and not hasattr(result, "data_vars"):
        return _mapping(clean(result), name, axis)
    if hasattr(result, "data_vars"):
        result = _variable(result, name)
    if hasattr(result, "dims") and hasattr(result, "to_numpy"):
        return _array(result, axis)
    raise InputError(
        "this cannot be drawn",
        expected="a report document, one of its witnesses, a Dataset of `measure`, a fit, a forecast, "
        "budgets of `allocate` or verdicts of `mirage`",
        got=type(result).__name__,
        fix="opalesce.plot(opalesce.measure(run), 'loss')",
    )


def _verdicts(rows: Sequence[TaskVerdict], name: str | None) -> Figure:
    known = [r for r in rows if name is None or r.task == name]
    if not known:
        tasks = ", ".join(r.task for r in rows)[:300]
        raise InputError("no such task", expected=f"one of {tasks}", got=str(name))
    return plates_figure(*mirage_exhibits(known, FEW))


def _mapping(result: dict[str, Any], name: str | None, axis: Mapping[str, Any] | None) -> Figure:
    if "witnesses" in result:
        axis = axis or result.get("axis")
        known = {str(w.get("name")): w for w in result["witnesses"]}
        if name is None and known:
            name = next(iter(known))
        if name not in known:
            raise InputError(
                "no such witness", expected=f"one of {', '.join(known) or 'none'}", got=str(name)
            )
        result = known[name]
    xs = [x for r in result.get("runs") or [] for x in r["x"]]
    axis = axis or _axis(xs, "step")
    drawn = panel(result, axis)
    if not drawn["traces"]:
        raise InputError("nothing to draw", expected="a witness with values", got=f"{sorted(result)}")
    label = plotly_text(result.get("label") or result.get("name") or "")
    return _figure(drawn["traces"], axis, {"title": {"text": label}, "range": drawn["range"]})


def _variable(data: Any, name: str | None) -> Any:
    names = [str(v) for v in data.data_vars if not str(v).endswith(("_stderr", "_status"))]
    if name is None and names:
        name = names[0]
    if name not in names:
        raise InputError("no such variable", expected=f"one of {', '.join(names) or 'none'}", got=str(name))
    out = data[name]
    if f"{name}_stderr" in data:
        out = out.assign_attrs(stderr=data[f"{name}_stderr"].to_numpy())
    return out


def _array(data: Any, axis: Mapping[str, Any] | None) -> Figure:
    along = str(data.dims[0]) if data.dims else ""
    if data.ndim not in (1, 2) or data.dtype.kind not in "fiu":
        raise InputError(
            "this variable cannot be drawn",
            expected="numbers over (axis) or (axis, module)",
            got=f"{data.dtype} over {data.dims}",
            fix="select one first: ds['name'].isel(...)",
        )
    x = [float(v) for v in data[along].to_numpy()]
    axis = axis or _axis(x, along)
    values = np.asarray(data.to_numpy(), float)
    if data.ndim == 1:
        run = {"name": str(data.name), "x": x, "y": values, "stderr": data.attrs.get("stderr"), "main": True}
        witness = {"name": str(data.name), "lineage": data.attrs.get("lineage"), "runs": [run]}
        return _mapping(clean(witness), None, axis)
    modules = [str(m) for m in data[data.dims[1]].to_numpy()]
    good = np.isfinite(values).any(axis=0)
    change = (values - values[0])[:, good].T
    picture = heat(clean({"x": x, "modules": np.array(modules)[good], "z": change}))
    if picture is None:
        raise InputError(
            "nothing to draw", expected="a module with a value at the first step", got=str(data.name)
        )
    labels = {"tickvals": list(range(len(picture["labels"]))), "ticktext": picture["labels"]}
    title = {"text": plotly_text(f"{data.name}, change from the first {along}")}
    return _figure(picture["traces"], axis, {**labels, "autorange": "reversed"}, title)


def _axis(x: list[float], name: str) -> dict[str, Any]:
    positive = np.array([v for v in x if v > 0], float)
    if positive.size and positive.max() > 10 * positive.min():
        return {**_AXIS, "name": name, "scale": "log", "x1": float(positive.min())}
    return {**_AXIS, "name": name}


def _figure(
    traces: list[dict[str, Any]], axis: Mapping[str, Any], y: dict[str, Any], title: Any = None
) -> Figure:
    from plotly.graph_objects import Figure

    xs = [v for t in traces for v in t["x"] if v is not None]
    at = ticks(min(xs), max(xs), axis)
    drawn = [{**painted(t), "x": coordinate(t["x"], axis).tolist(), "hoverinfo": "all"} for t in traces]
    text = [f"{v:,.6g}" for v in at]
    layout = {
        "showlegend": False,
        "paper_bgcolor": LIGHT["--card"],
        "plot_bgcolor": LIGHT["--card"],
        "title": title,
        "xaxis": {
            "type": "linear",
            "tickvals": coordinate(at, axis).tolist(),
            "ticktext": text,
            "title": {"text": plotly_text(axis["name"])},
        },
        "yaxis": {"type": "linear", **y},
        "font": {"color": LIGHT["--ink"]},
    }
    return Figure(data=drawn, layout=layout)
