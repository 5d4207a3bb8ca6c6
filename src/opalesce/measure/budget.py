"""Measuring for a limited time: modules in a fixed order in which every beginning is a fair sample."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opalesce.measure.cells import Results, Task
from opalesce.measure.plan import Module
from opalesce.measure.roles import role_of
from opalesce.measure.store import Result

LOGGER = logging.getLogger(__name__)
SKIPPED = "the budget ended before this module was measured at every state"


def visiting(modules: Sequence[Module]) -> list[tuple[Module, ...]]:
    """Units of work in the order of a visit: all layers of activations together, then one module each."""
    layers = tuple(m for m in modules if m.kind == "layer")
    rest = stratified([m for m in modules if m.kind != "layer"])
    return ([layers] if layers else []) + [(m,) for m in rest]


def stratified(modules: Sequence[Module]) -> list[Module]:
    """Modules in turn from each stratum, so that every beginning is a fair sample.

    Strata are the roles of tensors (q, up, embed ...) and the other kinds of modules; within one, depth is
    visited in bit-reversed order. The order depends on names only.
    """
    strata: dict[str, list[tuple[int, Module]]] = {}
    for m in modules:
        role = role_of(m.tensors[0])
        part = m.name.rpartition("#")[2] if m.cut and m.cut.rule != "slab" else role.part
        strata.setdefault(part if m.kind == "tensor" else f" {m.kind}", []).append((role.block or 0, m))
    queues = []
    for kind in sorted(strata):
        found = sorted(strata[kind], key=lambda pair: pair[0])
        queues.append([found[i][1] for i in spread(len(found))])
    return [q[i] for i in range(max(map(len, queues), default=0)) for q in queues if i < len(q)]


def spread(n: int) -> list[int]:
    """0 ... n - 1 in the order of the base-2 radical inverse: 0, n/2, n/4, 3n/4 ..."""
    bits = max(n - 1, 1).bit_length()
    reverse = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(2**bits))
    return [i for i in reverse if i < n]


def within(
    tasks: Mapping[int, Task],
    work: Callable[[Sequence[Task]], Iterator[Results]],
    seconds: float,
    progress: Callable[[int, int], Any] | None = None,
) -> dict[int, Results]:
    """Results of as many whole modules as the time allows, by checkpoint; the first is always finished.

    A module that is not finished at every checkpoint when the time is over counts as not visited: a mean over
    a changing set of modules would jump. What was measured of it is in the store.
    """
    begun = time.monotonic()
    rows: dict[int, Results] = {i: {} for i in tasks}
    items = dict(next(iter(tasks.values())).wanted) if tasks else {}
    units = visiting(list(items))
    over = False
    for k, unit in enumerate(units):
        part = [replace(t, wanted=tuple((m, items[m]) for m in unit)) for t in tasks.values()]
        got: list[Results] = []
        if not over:
            for one in work(part):
                got.append(one)
                over = time.monotonic() - begun > seconds
                if over and k:
                    break
        LOGGER.info(
            "%s: %s", ", ".join(m.name for m in unit), "measured" if len(got) == len(part) else "skipped"
        )
        if len(got) < len(part):
            why = {m.name: {o.name: Result(float("nan"), SKIPPED) for o in items[m]} for m in unit}
            got = [why] * len(part)
        for i, one in zip(tasks, got, strict=True):
            rows[i] |= one
        if progress is not None:
            progress(k + 1, len(units))
    return rows
