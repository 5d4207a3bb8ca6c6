"""What the B-layer and its baselines say about families of models that they were not fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from opalesce.errors import InputError
from opalesce.theory.npm.fit import Models
from opalesce.theory.npm.likelihood import RANGES, Link, check, minimise, residual_of


def family_errors(
    models: Models,
    families: Sequence[str],
    rng: np.random.Generator,
    floor: float = 0.25,
    link: Link = "saturating",
    starts: int = 12,
) -> dict[str, float]:
    """Root mean square error on families left out, of the model and its baselines, in units of the score.

    Baselines are straight lines of the score in the logarithms of tokens (N), parameters (P), their product,
    and the product and the breadth; "constant" is the mean of the others.

    Raises
    ------
    InputError
        One family per model, two or more; as `fit_scores`.
    """
    check(models, 0.9)
    label = np.asarray(families)
    if label.shape != models.score.shape or len(set(families)) < 2:
        raise InputError(
            "one family per model, two or more", expected=str(models.score.shape), got=str(label.shape)
        )
    n, p, one = np.log(models.tokens), np.log(models.params), np.ones(len(label))
    designs = {
        "constant": [one],
        "N": [one, n],
        "P": [one, p],
        "N P": [one, n + p],
        "N P, breadth": [one, n + p, models.breadth],
    }
    error = {name: np.zeros(len(label)) for name in ("model", *designs)}
    low, high = np.log(np.array(RANGES)).T
    for family in sorted(set(families)):
        out = label == family
        kept = _subset(models, ~out)
        _, at = minimise(residual_of(kept, floor, link), rng.uniform(low, high, (starts, 4)), low, high)
        error["model"][out] = residual_of(models, floor, link)(at)[out]
        for name, columns in designs.items():
            x = np.column_stack(columns)
            w = np.linalg.lstsq(x[~out], models.score[~out], rcond=None)[0]
            error[name][out] = (x @ w - models.score)[out]
    return {name: float(np.sqrt((e**2).mean())) for name, e in error.items()}


def _subset(models: Models, keep: ArrayLike) -> Models:
    i = np.flatnonzero(np.asarray(keep))
    names = tuple(models.names[j] for j in i)
    return Models(names, models.tokens[i], models.breadth[i], models.params[i], models.score[i])
