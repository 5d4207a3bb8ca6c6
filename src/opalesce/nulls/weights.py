"""What a weight would look like if its entries, or only its size, were left."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.observables.inputs import finite


def shuffled(w: ArrayLike, rng: np.random.Generator) -> NDArray[np.floating]:
    """Same entries, random places: keeps every statistic of single entries, destroys all structure.

    A spectral outlier that survives is made by heavy-tailed entries, not by correlations between
    them (the randomised matrix of Martin and Mahoney 2021).

    Parameters
    ----------
    w : array, any shape
        Weight.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    array
        Same shape and dtype.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    a = finite(w, "the weight")
    return rng.permutation(a.ravel()).reshape(a.shape)


def matched_gaussian(w: ArrayLike, rng: np.random.Generator) -> NDArray[np.floating]:
    """Independent normal entries of the same mean and standard deviation, shape and dtype.

    Keeps the size, destroys both structure and the shape of the distribution: the null in which
    random-matrix formulas are exact.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    a = finite(w, "the weight")
    mean, sd = float(a.mean(dtype=np.float64)), float(a.std(dtype=np.float64))
    return rng.normal(mean, sd, a.shape).astype(a.dtype)
