"""The registry: a plain function of arrays, with what one must know about it beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar

from opalesce.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")

VIEWS = (
    "weight",
    "singular_values",
    "weight_pair",
    "graph",
    "neurons",
    "neurons_pair",
    "circuit",
    "curve",
    "activations",
    "moments",
    "attention",
)


@dataclass(frozen=True)
class Observable:
    """One observable: the function and its metadata.

    `on` names the lazily computed view that is the function's first argument; `dim` names the
    dimension of a vector result; `version` is bumped whenever numbers change.
    """

    name: str
    function: Callable[..., Any]
    on: str
    unit: str
    symmetries: frozenset[str]
    null: str
    source: str
    lineage: str = "weights"
    version: int = 1
    dim: str | None = None
    summary: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


REGISTRY: dict[str, Observable] = {}


def observable(
    *,
    on: str,
    unit: str,
    null: str,
    source: str,
    symmetries: Iterable[str] = (),
    lineage: str = "weights",
    version: int = 1,
    dim: str | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function as an observable; the plain function stays callable.

    Raises
    ------
    InputError
        When the view is unknown, the name is taken, or the docstring is missing.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__
        if on not in VIEWS:
            raise InputError(f"observable {name}: unknown view", expected=f"one of {VIEWS}", got=repr(on))
        if name in REGISTRY and REGISTRY[name].function.__module__ != function.__module__:
            raise InputError(f"two observables are called {name!r}", fix="rename one of them")
        if not function.__doc__:
            raise InputError(f"observable {name} has no docstring", expected="formula, units, source")
        summary = function.__doc__.strip().splitlines()[0]
        REGISTRY[name] = Observable(
            name, function, on, unit, frozenset(symmetries), null, source, lineage, version, dim, summary
        )
        return function

    return decorate


def get(name: str) -> Observable:
    """The observable called `name`; third parties add theirs by the entry-point group."""
    load()
    if name not in REGISTRY:
        near = get_close_matches(name, REGISTRY, 3)
        raise InputError(
            f"no observable is called {name!r}",
            expected=f"one of {len(REGISTRY)} registered names",
            got=name,
            fix=f"did you mean {' or '.join(near)}?" if near else "list them with: opalesce observables",
        )
    return REGISTRY[name]


def load() -> dict[str, Observable]:
    """Import the built-in families and the entry points; return the registry."""
    from importlib import import_module
    from importlib.metadata import entry_points

    from opalesce.observables import FAMILIES

    for family in FAMILIES:
        import_module(f"opalesce.observables.{family}")
    for point in entry_points(group="opalesce.observables"):
        point.load()
    return REGISTRY
