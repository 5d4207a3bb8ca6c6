"""One control axis for logs along several: steps, tokens, FLOPs and epochs turned into one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from opalesce.runs.run import Fault
from opalesce.runs.series import Parsed

if TYPE_CHECKING:
    from opalesce.runs.scan import Scanner

Pairs = Sequence[tuple[float, float]]
_RATE = 1e-3  # a rate that varies less than this over all pairs is one rate, and holds beyond them
_TOKENS = ("tokens_per_step", "tokens_per_batch", "batch_size_in_tokens", "global_batch_size_in_tokens")
_FLOPS = ("flops_per_step",)


@dataclass(frozen=True)
class Scale:
    """How one axis is counted on another, from pairs that a log or a name states. `source` says which."""

    here: NDArray[np.float64]
    there: NDArray[np.float64]
    source: str

    def to(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """`x` on the other axis, and where that is known: between the pairs, or anywhere at one rate."""
        here = np.concatenate([[0.0], self.here]) if self.here[0] > 0 else self.here
        there = np.concatenate([[0.0], self.there]) if self.here[0] > 0 else self.there
        rate = self.there[self.here > 0] / self.here[self.here > 0]
        if rate.size and np.ptp(rate) <= _RATE * rate.mean():
            return x * float(rate[-1]), np.isfinite(x)
        return np.interp(x, here, there), (x >= here[0]) & (x <= here[-1])


def scale(pairs: Pairs, source: str) -> Scale | None:
    """A scale from (here, there), or None where they do not grow together.

    Of several places there at one place here the last counts: an epoch ends with its last step.
    """
    table = np.array([p for p in pairs if np.all(np.isfinite(p)) and min(p) >= 0], float).reshape(-1, 2)
    last: dict[float, float] = {}
    for here, there in table[np.lexsort((table[:, 1], table[:, 0]))].tolist():
        last[here] = there
    here, there = np.array(sorted(last)), np.array([last[h] for h in sorted(last)])
    if not here.size or here[-1] <= 0 or np.any(np.diff(there) <= 0):
        return None
    return Scale(here, there, source)


def scales(
    axis: str, logs: Sequence[tuple[str, Parsed]], tokens: Pairs, config: Mapping[str, Any]
) -> dict[str, Scale]:
    """For every other axis the scale that turns it into `axis`, by what the run itself states.

    In order: columns of a log that has both; names of checkpoints with both step and tokens; a number of
    tokens or FLOPs a step in the configuration.
    """
    out: dict[str, Scale] = {}
    found: list[tuple[str, Pairs, str]] = []  # other axis, (other, this), source
    for name, parsed in logs:
        for other, pairs in parsed.also.items():
            if parsed.axis == axis:
                found.append((other, [(b, a) for a, b in pairs], name))
            elif other == axis:
                found.append((parsed.axis, pairs, name))
    if axis == "step":
        found.append(("tokens", [(t, s) for s, t in tokens], "the names of checkpoints"))
    elif axis == "tokens":
        found.append(("step", tokens, "the names of checkpoints"))
    for other, keys in (("tokens", _TOKENS), ("flops", _FLOPS)):
        key = next((k for k in keys if _positive(config.get(k))), None)
        if key and axis == "step":
            found.append((other, [(float(config[key]), 1.0)], f"{key} of the configuration"))
        elif key and axis == other:
            found.append(("step", [(1.0, float(config[key]))], f"{key} of the configuration"))
    for other, known, source in found:
        made = scale(known, source) if known else None
        if made and (other not in out or made.here.size > out[other].here.size):
            out[other] = made
    return out


def convert(parsed: Parsed, axis: str, by: Scale) -> tuple[Parsed, int]:
    """The curves along `axis`, and how many points were left because no pair tells where they lie."""
    curves, lost = [], 0
    for c in parsed.curves:
        x, sure = by.to(c.x)
        whole = np.round(x)
        x = np.where(np.abs(x - whole) < 1e-6 * np.maximum(1, whole), whole, x)  # a step is a whole number
        known = np.flatnonzero(sure)
        known = known[np.append(np.diff(x[known]) > 0, True)[: known.size]]
        lost += x.size - known.size
        stderr = None if c.stderr is None else c.stderr[known]
        if known.size:
            curves.append(replace(c, x=x[known], y=c.y[known], stderr=stderr))
    events = []
    for e in parsed.events:
        at, there = by.to(np.array([e.x]))
        if there[0]:
            events.append(replace(e, x=float(at[0])))
    return replace(parsed, curves=curves, axis=axis, events=events), lost


def moved(found: Scanner, path: Path, parsed: Parsed, axis: str, by: Mapping[str, Scale]) -> Parsed | None:
    """A log of another axis, turned to that of the run; None, and left, where nothing states how."""
    name, how = found.name(path), by.get(parsed.axis)
    took = [(n, r) for n, r in found.took if n == name or Path(n).parent == Path(name)]
    turned, lost = convert(parsed, axis, how) if how else (None, 0)
    if turned is None or how is None or not turned.curves:
        why = "nothing states how one is counted on the other" if how is None else f"beyond {how.source}"
        found.leave(path, f"logged along {parsed.axis}, while the run goes along {axis}, and {why}")
        found.took[:] = [t for t in found.took if t not in took]
        return None
    if lost:
        found.faults.append(
            Fault("points left", str(path), f"{lost} points lie beyond what {how.source} says",
                  f"{axis} for every {parsed.axis}", severity="note")
        )  # fmt: skip
    told = f", its {parsed.axis} turned into {axis} by {how.source}"
    found.took[:] = [(n, r + told) if (n, r) in took else (n, r) for n, r in found.took]
    return turned


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
