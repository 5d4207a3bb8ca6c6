"""Measuring for a limited time: modules in a fixed order in which every beginning is a fair sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opalesce.measure.cells import Results, Task
from opalesce.measure.plan import Module
from opalesce.measure.roles import role_of
from opalesce.measure.store import Result

SKIPPED = "the budget ended before this module was measured at every state"


def visiting(modules: Sequence[Module]) -> list[tuple[Module, ...]]:
    """Units of work in the order of a visit: one module each, all layers of activations together.

    Strata are the kinds of modules and, among tensors, their roles (q, up, embed ...). Within a stratum
    modules are visited in the order of the radical inverse (van der Corput) of their place in depth, so that
    any beginning is spread over the depth; strata take turns. The order depends on names only.
    """
    strata: dict[tuple[str, str, str], list[Module]] = {}
    layers = tuple(m for m in modules if m.kind == "layer")
    for m in modules:
        if m.kind != "layer":
            role = role_of(m.tensors[0]).part if m.kind == "tensor" else ""
            part = m.name.partition("#")[2].rstrip("0123456789")
            strata.setdefault((m.kind, role, part), []).append(m)
    queues = [[group[i] for i in spread(len(group))] for _, group in sorted(strata.items())]
    turns = max((len(q) for q in queues), default=0)
    order = [(q[i],) for i in range(turns) for q in queues if i < len(q)]
    return ([layers] if layers else []) + order


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
        if len(got) < len(part):
            why = {m.name: {o.name: Result(float("nan"), SKIPPED) for o in items[m]} for m in unit}
            got = [why] * len(part)
        for i, one in zip(tasks, got, strict=True):
            rows[i] |= one
        if progress is not None:
            progress(k + 1, len(units))
    return rows
