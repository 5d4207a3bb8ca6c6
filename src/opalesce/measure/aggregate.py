"""One series per run from a measured Dataset: what a witness is made of."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import xarray as xr

from opalesce.errors import InputError
from opalesce.runs.run import Curve


def aggregate(ds: xr.Dataset, name: str, modules: str | None = None) -> Curve:
    """The series of one variable along the run: a curve as it is, or the mean over modules.

    Every module weighs the same. A module that is undefined at all steps is left out; a step at which
    any other module is missing or bad is left out whole, because a mean over a changing set of
    modules would jump without any change in the run.

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
        y, error = _mean(ds, name, modules), None
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


def _mean(ds: xr.Dataset, name: str, pattern: str | None) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = np.asarray(ds[name].values, float)
    defined = np.isfinite(values).any(axis=0)
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
    chosen &= defined
    if not chosen.any():
        raise InputError(f"{name!r} is undefined everywhere", fix=f"read the reasons in {name}_status")
    return np.asarray(values[:, chosen].mean(axis=1))
