"""Five capabilities with thresholds of their own, and what bad data do to the density they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opalesce.errors import InputError
from opalesce.theory.npm.blayer import PUBLISHED, Constants, tokens_at

Kind = Literal["noise", "wrong", "contradiction"]


@dataclass(frozen=True)
class Threshold:
    """A capability and the connectivity number at which it appears; `analogue` in a pore network."""

    name: str
    connectivity: float
    analogue: str


# ding2026percolation, table of capability thresholds; the paper calls them "to be validated"
CAPABILITIES = (
    Threshold("factual retrieval", 1.0, "short paths, local connectivity"),
    Threshold("translation and summary", 1.3, "spanning across domains"),
    Threshold("code", 1.8, "chains of logic"),
    Threshold("complex reasoning", 2.5, "paths of many hops"),
    Threshold("mathematical proof", 4.0, "global spanning, deep paths"),
)


def onset_tokens(breadth: float, c: Constants = PUBLISHED) -> dict[str, float]:
    r"""Tokens at which each capability appears, :math:`10^9\,C_{n,f}\,k\sigma^{\delta}e^{\alpha\sigma}`.

    The number of parameters does not enter: by the published law a small network gets every capability at
    the same token as a large one.

    Raises
    ------
    InputError
        Breadth outside (0, 1].
    """
    return {t.name: float(tokens_at(t.connectivity, breadth, c=c)) for t in CAPABILITIES}


def clean_share(noise: float = 0.0, wrong: float = 0.0, contradiction: float = 0.0) -> float:
    r"""Data quality :math:`\eta = \rho_{eff}/\rho = (1-s_{noise})(1-s_{wrong})(1-s_{contradiction})`.

    The paper names the product of three efficiencies; that each is one minus the share of such data is
    our reading.

    Raises
    ------
    InputError
        A share outside [0, 1).
    """
    eta = 1.0
    for name, share in (("noise", noise), ("wrong", wrong), ("contradiction", contradiction)):
        if not 0 <= share < 1:
            raise InputError(
                f"the share of {name} is out of range", expected="0 <= share < 1", got=repr(share)
            )
        eta *= 1 - share
    return eta


def onset_shift(share: float) -> float:
    r"""Factor by which a share of noise delays every onset, :math:`1/\eta = 1/(1-s)`.

    Raises
    ------
    InputError
        A share outside [0, 1).
    """
    return 1 / clean_share(noise=share)


def drive(kind: Kind, share: float) -> float:
    r"""Net drive along a path whose data are corrupted with probability `share`, 1 when clean.

    Noise dilutes, :math:`1-s`; contradictory data oppose an equal number of right ones, so that the share s
    of paths carries nothing, :math:`1-s`; wrong data drive the share s backwards, :math:`1-2s`. Noise is
    spread over all paths and can be outvoted, so it does least harm: the order noise < contradiction <
    wrong. A reconstruction: the paper names the three mechanisms and gives no formula.

    Raises
    ------
    InputError
        Another kind, a share outside [0, 1).
    """
    if kind not in ("noise", "wrong", "contradiction"):
        raise InputError("no such data", expected="noise, wrong or contradiction", got=repr(kind))
    if not 0 <= share < 1:
        raise InputError("the share is out of range", expected="0 <= share < 1", got=repr(share))
    return 1 - 2 * share if kind == "wrong" else 1 - share
