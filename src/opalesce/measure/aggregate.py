"""One series per run from a measured Dataset: what a witness is made of."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import t

from opalesce.errors import InputError
from opalesce.measure.budget import SKIPPED
from opalesce.runs.run import Curve

Floats = NDArray[np.float64]


def aggregate(ds: xr.Dataset, name: str, modules: str | None = None) -> Curve:
    r"""The series of one variable along the run: a curve as it is, or the mean over modules.

    Every module weighs the same. A module that is undefined at all steps is left out; a step at which
    any other module is missing or bad is left out whole, because a mean over a changing set of
    modules would jump without any change in the run.

    Where a budget left M - m of M modules unvisited, `stderr` is that of the mean of a simple random sample
    without replacement, :math:`s \sqrt{(1 - m/M)/m}` (cochran1977sampling, theorem 2.2), with s over the m
    modules at that step. It does not shrink along the run: the same modules are missing everywhere.

    Parameters
    ----------
    ds : xarray.Dataset
        From `opalesce.measure`.
    name : str
        Variable.
    modules : str, optional
        Shell pattern on module names, e.g. "*.qk". None takes single tensors (not groups, which
        would count them twice), or the whole-model value where there is no other.

    Returns
    -------
    Curve
        Steps with a value only; `name` carries the pattern, as in "stable_rank[*.qk]".

    Raises
    ------
    InputError
        No such variable, no matching module, a vector-valued variable, or no step left.
    """
    if name not in ds:
        raise InputError(
            f"{name!r} was not measured", expected=f"one of {sorted(map(str, ds.data_vars))}", got=name
        )
    variable = ds[name]
    steps = np.asarray(ds["step"].values, float)
    if variable.dims == ("step",):
        y = np.asarray(variable.values, float)
        error = ds[f"{name}_stderr"].values if f"{name}_stderr" in ds else None
        label = name
    elif variable.dims == ("step", "module"):
        y, error = _mean(ds, name, modules)
        label = f"{name}[{modules}]" if modules else name
    else:
        raise InputError(f"{name!r} is not one number per module", got=f"dimensions {variable.dims}")
    keep = np.isfinite(y)
    if not keep.any():
        raise InputError(f"{name!r} has no step with all modules", fix=f"read the reasons in {name}_status")
    return Curve(
        name=label,
        x=steps[keep],
        y=y[keep],
        stderr=None if error is None else np.asarray(error, float)[keep],
        complete=variable.attrs.get("complete", "unknown"),
        lineage=variable.attrs.get("lineage", "other"),
        continuous=bool(variable.attrs.get("continuous", 1)),
        unit=variable.attrs.get("units", "1"),
        source=variable.attrs.get("source", ""),
    )


def _mean(ds: xr.Dataset, name: str, pattern: str | None) -> tuple[Floats, Floats | None]:
    values = np.asarray(ds[name].values, float)
    defined = np.isfinite(values).any(axis=0)
    skipped = (ds[f"{name}_status"].values == SKIPPED).any(axis=0) & ~defined
    names = [str(m) for m in ds["module"].values]
    kinds = [str(k) for k in ds["kind"].values]
    if pattern is not None:
        chosen = np.array([fnmatchcase(m, pattern) for m in names])
        if not chosen.any():
            raise InputError(f"no module matches {pattern!r}", expected=f"a pattern for {names}", got=pattern)
    else:
        chosen = np.array([k == "tensor" for k in kinds])
        if not (chosen & defined).any():
            chosen = np.array([k == "model" for k in kinds])
    missed = int((chosen & skipped).sum())
    chosen &= defined
    if not chosen.any():
        raise InputError(f"{name!r} is undefined everywhere", fix=f"read the reasons in {name}_status")
    of = values[:, chosen]
    m = of.shape[1]
    if not missed:
        return np.asarray(of.mean(axis=1)), None
    spread = of.std(axis=1, ddof=1) if m > 1 else np.full(len(of), np.inf)
    return np.asarray(of.mean(axis=1)), np.asarray(spread * np.sqrt((1 - m / (m + missed)) / m))


def sampled_means(ds: xr.Dataset, level: float = 0.9) -> list[dict[str, Any]]:
    """Means over modules at the last step that a budget left as samples, with intervals widened for it.

    The interval is the t interval of a simple random sample without replacement (see `aggregate`): m - 1
    degrees of freedom. Empty where every module was visited.
    """
    out = []
    for name in map(str, ds.data_vars):
        if f"{name}_status" not in ds or ds[name].dims != ("step", "module"):
            continue
        skipped = (ds[f"{name}_status"].values == SKIPPED).any(axis=0)
        visited = np.isfinite(ds[name].values).any(axis=0) & (ds["kind"].values == "tensor")
        missed = int((skipped & ~visited & (ds["kind"].values == "tensor")).sum())
        if not missed or not visited.any():
            continue
        curve = aggregate(ds, name)
        m = int(visited.sum())
        error = np.inf if curve.stderr is None else float(curve.stderr[-1])
        half = float(t.ppf((1 + level) / 2, m - 1)) * error if m > 1 else np.inf
        mean = float(curve.y[-1])
        out.append(
            {"name": name, "step": float(curve.x[-1]), "visited": m, "modules": m + missed, "mean": mean,
             "low": mean - half, "high": mean + half, "level": level}
        )  # fmt: skip
    return out
