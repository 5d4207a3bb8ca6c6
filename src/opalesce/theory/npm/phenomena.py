"""The table of phenomena that the neural percolation model explains, with what can be tested of each.

The paper speaks of seventeen; its table has sixteen rows in both languages, and the seventeenth was not
found. Status: *falsifiable* names a measurement that could go the other way and an experiment here; *analogy*
restates what is known in the words of porous media; *not confirmed* was tested by the author or here and did
not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["falsifiable", "analogy", "not confirmed"]


@dataclass(frozen=True)
class Phenomenon:
    """One row: what is observed, what the B-layer says, status, and the experiment here (or none)."""

    group: str
    name: str
    says: str
    status: Status
    experiment: str = ""


PHENOMENA = (
    Phenomenon(
        "data",
        "specialists are much smaller",
        "narrow breadth, high density at the same tokens",
        "falsifiable",
        "breadth",
    ),
    Phenomenon(
        "data",
        "quality over quantity",
        "noise thins the density: onset later by 1/(1 - share)",
        "falsifiable",
        "noise",
    ),
    Phenomenon(
        "data", "multilingual models are larger", "greater breadth, higher critical density", "analogy"
    ),
    Phenomenon(
        "architecture", "depth over width", "L_min grows as breadth^alpha times depth of the task", "analogy"
    ),
    Phenomenon(
        "architecture",
        "attention works",
        "conductances that change with the input; rows sum to 1, which "
        "is a Markov kernel, not conservation of flow",
        "analogy",
    ),
    Phenomenon("architecture", "residual connections", "a bypass that keeps a least flux", "analogy"),
    Phenomenon("architecture", "multi-head attention", "conductors in parallel add up", "analogy"),
    Phenomenon(
        "emergence",
        "emergence is gradual",
        "many thresholds, one for each capability",
        "falsifiable",
        "order",
    ),
    Phenomenon(
        "emergence", "emergence has a stable order", "ranked by critical density", "falsifiable", "order"
    ),
    Phenomenon(
        "emergence",
        "growth after emergence is sub-linear",
        "beta below 1; beta absorbs the unknown map from capability to score",
        "analogy",
    ),
    Phenomenon(
        "operations",
        "fine-tuning needs little data",
        "local density only has to close the gap to critical",
        "falsifiable",
        "fine_tuning",
    ),
    Phenomenon(
        "operations",
        "retrieval helps just below the threshold",
        "an inverted U in C_n in one section, "
        "larger gains for higher thresholds in another: the two disagree",
        "analogy",
    ),
    Phenomenon(
        "operations",
        "distillation has limits",
        "capabilities of the highest threshold go first",
        "falsifiable",
        "distillation",
    ),
    Phenomenon(
        "operations",
        "quantisation hurts reasoning first",
        "paths of the highest threshold go first",
        "not confirmed",
        "quantisation",
    ),
    Phenomenon(
        "operations",
        "feedback reduces hallucination",
        "contaminated conduits are repaired; wrong data do "
        "more harm than contradictory, these more than noise",
        "falsifiable",
        "harm",
    ),
    Phenomenon("operations", "curricula", "density in stages", "analogy"),
)
