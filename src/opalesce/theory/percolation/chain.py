"""A chain of weight matrices between its inputs and its outputs: drainage and flow in five numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.percolation.flow import layered_flow
from opalesce.theory.percolation.invasion import Invasion, invade
from opalesce.theory.percolation.weighted import layer_widths, weight_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Chain:
    """Numbers of a chain, none of which changes when hidden units are permuted or all weights rescaled.

    Attributes
    ----------
    breakthrough : float
        Share of weights kept, the largest first, when the first input is joined to an output: the
        breakthrough pressure on the scale of ranks.
    saturation : float
        Share of units invaded from the inputs at breakthrough.
    trapped : float
        Share of units that the invader encloses.
    conductance : float
        Effective conductance over that of a chain whose matrices are all equal to their own mean
        magnitude; at most 1, because conductance is a concave function of its parts (Rayleigh).
    participation : float
        `Flow.participation`.
    """

    breakthrough: float
    saturation: float
    trapped: float
    conductance: float
    participation: float


def drain_layers(matrices: Sequence[ArrayLike], trapping: bool = True) -> Invasion:
    """Invasion of a chain from all units of the first layer, entry pressures 1/|w|, outlets in the last.

    Raises
    ------
    InputError
        As `weighted.layer_widths`.
    """
    widths = layer_widths(matrices)
    first = np.concatenate([[0], np.cumsum(widths)])
    edges, pressure = [], []
    for i, w in enumerate(matrices):
        size = np.abs(np.asarray(w, np.float64))
        row, column = np.nonzero(size)
        edges.append(np.stack([first[i] + row, first[i + 1] + column], axis=1))
        pressure.append(1.0 / size[row, column])
    return invade(
        int(first[-1]),
        np.concatenate(edges),
        np.concatenate(pressure),
        np.arange(widths[0]),
        np.arange(first[-2], first[-1]),
        trapping=trapping,
    )


def chain(matrices: Sequence[ArrayLike]) -> Chain:
    """Breakthrough, saturation, trapping, conductance and participation of a chain [R].

    Parameters
    ----------
    matrices : sequence of at least two arrays, shapes (n_0, n_1), (n_1, n_2), ...
        One matrix has nothing between inlet and outlet: every entry breaks through by itself.

    Raises
    ------
    InputError
        Fewer than two matrices; as `flow.layered_flow`.
    """
    widths = layer_widths(matrices)
    if len(widths) < 3:
        raise InputError("one matrix is no chain", expected="two matrices or more", got="1")
    drained, flow = drain_layers(matrices), layered_flow(matrices)
    mean = [float(np.abs(np.asarray(w, np.float64)).mean()) for w in matrices]
    even = 1 / sum(1 / (g * a * b) for g, (a, b) in zip(mean, pairwise(widths), strict=True))
    return Chain(
        weight_curve(matrices).connects(),
        drained.breakthrough_saturation,
        float(drained.trapped.mean()),
        flow.conductance / even,
        flow.participation,
    )
