"""How large a weight is, and how far it has moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite, largest, pieces
from opalesce.observables.registry import observable


@dataclass(frozen=True)
class History:
    """View `weight_pair`: a weight beside its own past.

    Attributes
    ----------
    weight : array
        The tensor at this checkpoint.
    initial : array or None
        The same tensor at the first checkpoint of the run.
    previous : array or None
        The same tensor at the checkpoint before; None at the first.
    """

    weight: NDArray[np.floating]
    initial: NDArray[np.floating] | None = None
    previous: NDArray[np.floating] | None = None


def frobenius(w: NDArray[np.floating]) -> float:
    """Root of the sum of squares in float64, safe against overflow and underflow."""
    top = largest(w)
    if top == 0.0:
        return 0.0
    total = 0.0
    for (x,) in pieces(w):
        x /= top
        total += float(x @ x)
    return top * float(np.sqrt(total))


@observable(
    on="weight",
    unit="weight",
    symmetries={"homogeneous", "rotation", "permutation", "entry_permutation", "sign", "transpose"},
    null="twin",
    source="golub2013matrix, eq. 2.3.1",
    version=2,
)
def norm(w: ArrayLike) -> float:
    r"""Frobenius norm of a tensor.

    .. math:: \|W\|_F = \Big(\sum_{ij} W_{ij}^2\Big)^{1/2}

    In the units of the weights, any shape. It grows with the number of entries: divide by its root
    to compare tensors of different size.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    return frobenius(finite(w, "the weight"))


def _distance(history: History, other: NDArray[np.floating] | None) -> float:
    w = finite(history.weight, "the weight")
    if other is None:
        return float("nan")
    reference = finite(other, "the earlier weight")
    if w.shape != reference.shape:
        raise InputError(
            "a weight changed its shape along the run",
            expected=f"shape {reference.shape}, as before",
            got=str(w.shape),
            fix="opalesce check RUN names the step",
        )
    top = max((largest(x - y) for x, y in pieces(w, reference)), default=0.0)
    if top == 0.0:
        return 0.0
    total = 0.0
    for x, y in pieces(w, reference):
        x -= y
        x /= top
        total += float(x @ x)
    return top * float(np.sqrt(total))


@observable(
    on="weight_pair",
    unit="weight",
    symmetries={"homogeneous", "rotation", "permutation", "sign"},
    null="twin",
    source="nagarajan2019generalization, section 3",
    version=2,
)
def distance_from_initialisation(history: History) -> float:
    r"""Frobenius distance of a tensor from its value at the first checkpoint of the run.

    .. math:: \|W_t - W_0\|_F

    In the units of the weights. It grows in any training, with or without something to learn: only
    its excess over a twin speaks. NaN when there is no first checkpoint.

    Raises
    ------
    InputError
        Empty or non-finite input, or a changed shape.
    """
    return _distance(history, history.initial)


@observable(
    on="weight_pair",
    unit="weight",
    symmetries={"homogeneous", "rotation", "permutation", "sign"},
    null="twin",
    source="nagarajan2019generalization, section 3",
    version=2,
)
def distance_from_previous(history: History) -> float:
    r"""Frobenius distance of a tensor from its value at the checkpoint before.

    .. math:: \|W_t - W_{t-1}\|_F

    In the units of the weights, per checkpoint interval and not per step: unevenly spaced
    checkpoints give steps in this curve that training did not make. NaN at the first checkpoint.

    Raises
    ------
    InputError
        Empty or non-finite input, or a changed shape.
    """
    return _distance(history, history.previous)
