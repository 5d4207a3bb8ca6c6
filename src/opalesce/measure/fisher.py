r"""How far a layer moves the answer: lengths in the pull-back Fisher metric of the output (reconstruction).

.. math:: G(h) = J^T (\mathrm{diag}\,p - p p^T) J, \quad p = \mathrm{softmax}(z(h)), \quad J = dz/dh

Only the quadratic form is computed, through one product with J. A step of Fisher length s changes the answer
by a divergence of about s^2/2 (Amari 1998). Which metric the source had in mind is unknown (Alpay and
Kilictas 2026, abstract); this one is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.jacobian import Map, jvp

Array = NDArray[np.float64]


def fisher_form(readout: Map, h: Any, a: Any, b: Any) -> Array:
    r"""a^T G(h) b for each row of h.

    .. math:: a^T G b = \sum_i p_i (Ja)_i (Jb)_i - \Big(\sum_i p_i (Ja)_i\Big)\Big(\sum_i p_i (Jb)_i\Big)

    Parameters
    ----------
    readout : map
        h (..., d) -> logits (..., vocabulary): the rest of the model.
    h, a, b : tensors of one shape

    Returns
    -------
    array, shape (...,)

    Raises
    ------
    InputError
        Logits that are not finite.
    """
    logits, ja = jvp(readout, h, a)
    jb = ja if b is a else jvp(readout, h, b)[1]
    if not bool(logits.isfinite().all()):
        raise InputError("the readout gives NaN", expected="finite logits")
    p = logits.detach().double().softmax(-1)
    x, y = ja.detach().double(), jb.detach().double()
    x, y = x - (p * x).sum(-1, keepdim=True), y - (p * y).sum(-1, keepdim=True)
    return np.asarray((p * x * y).sum(-1).cpu().numpy())


@dataclass(frozen=True)
class FisherPath:
    """Steps of the residual stream in the metric of the answer.

    Attributes
    ----------
    length : array, shape (layers, ...)
        Fisher length of each step, nats^(1/2).
    angle : array, shape (layers - 1, ...)
        Angle between a step and the next, radians, both taken at the layer between them; 0 straight on.
        NaN where a step has no length.
    """

    length: Array
    angle: Array

    @property
    def total(self) -> Array:
        """Length of the whole path."""
        return np.asarray(self.length.sum(axis=0))


def fisher_path(states: Sequence[Any], readouts: Sequence[Map]) -> FisherPath:
    r"""Length and turning of a path h_0, h_1, ..., h_L.

    .. math:: s_l = \sqrt{\Delta_l^T G_l(h_l) \Delta_l}, \quad \Delta_l = h_{l+1} - h_l

    Parameters
    ----------
    states : sequence of tensors (..., d)
        h_0 to h_L.
    readouts : sequence of maps
        `readouts[l]` takes h_l to logits: the rest of the model after layer l, at least L of them.

    Raises
    ------
    InputError
        Fewer than two states, or too few readouts.
    """
    if len(states) < 2 or len(readouts) < len(states) - 1:
        raise InputError(
            "no path",
            expected="2 states and a readout for each but the last",
            got=f"{len(states)}, {len(readouts)}",
        )
    steps = [b - a for a, b in pairwise(states)]
    own = [fisher_form(r, h, d, d) for r, h, d in zip(readouts, states, steps, strict=False)]
    angles = []
    for i in range(1, len(steps)):
        cross = fisher_form(readouts[i], states[i], steps[i - 1], steps[i])
        before = fisher_form(readouts[i], states[i], steps[i - 1], steps[i - 1])
        scale = np.sqrt(np.maximum(before, 0) * np.maximum(own[i], 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = np.where(scale > 0, cross / scale, np.nan)
        angles.append(np.arccos(np.clip(cosine, -1, 1)))
    length = np.sqrt(np.maximum(np.array(own), 0))
    return FisherPath(length, np.array(angles).reshape(len(steps) - 1, *length.shape[1:]))
