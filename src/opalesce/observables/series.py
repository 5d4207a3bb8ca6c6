"""Observables that were logged during training: they are passed through, not recomputed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable


@observable(
    on="curve",
    unit="as logged",
    null="twin",
    source="wei2022emergent, section 2",
    lineage="other",
    dim="step",
)
def logged(values: ArrayLike) -> NDArray[np.float64]:
    """Any logged or evaluated column, unchanged: y(step) as the run's files state it.

    Any column of a run is asked for by its own name ("loss"); its unit, lineage and standard errors
    are those of the curve. Shape (n,).

    Raises
    ------
    InputError
        Empty column, or NaN or infinite values in it.
    """
    return finite(values, "the logged column", ndim=1).astype(np.float64)
