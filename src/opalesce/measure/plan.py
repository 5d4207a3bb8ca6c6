"""What is to be computed: modules of a run, and which observables apply to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from opalesce.errors import FormatError, InputError
from opalesce.observables.registry import Observable, load
from opalesce.runs.run import Checkpoint, Run, TensorInfo

Kind = Literal["tensor", "group", "model"]
TENSOR_VIEWS = ("weight", "singular_values", "weight_pair", "graph")
_QK = re.compile(r"^(?P<head>.*?)(?P<which>[qk])(?P<tail>(_proj)?(\.weight)?)$")


@dataclass(frozen=True)
class Module:
    """A part of the model that one number describes.

    `tensor`: one matrix. `group`: several, stacked by rows (`layer0.qk`: Q over K). `model`: all that
    a circuit view needs.
    """

    name: str
    kind: Kind
    tensors: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Everything a sweep needs to know before it reads a tensor."""

    modules: tuple[Module, ...]
    observables: tuple[Observable, ...]
    curves: tuple[str, ...]

    def of(self, module: Module) -> tuple[Observable, ...]:
        """Observables that apply to `module`."""
        views = ("circuit",) if module.kind == "model" else TENSOR_VIEWS
        return tuple(o for o in self.observables if o.on in views)


def _is_matrix(info: TensorInfo) -> bool:
    return len(info.shape) >= 2 and min(info.shape) > 0 and info.dtype.upper().startswith(("F", "BF"))


def qk_groups(tensors: Mapping[str, TensorInfo]) -> list[Module]:
    """One group per layer that has separate Q and K matrices of equal width, in (out, in) form.

    Recognised by name: `layer0.q.weight` with `layer0.k.weight`, `...q_proj.weight` with
    `...k_proj.weight`. Fused projections are left alone: their rows are interleaved head by head.
    """
    groups = []
    for name, info in tensors.items():
        m = _QK.match(name)
        if not m or m["which"] != "q" or (m["head"] and m["head"][-1] not in "._"):
            continue
        other = f"{m['head']}k{m['tail']}"
        if other in tensors and len(info.shape) == 2 and tensors[other].shape[1:] == info.shape[1:]:
            groups.append(Module(f"{m['head']}qk", "group", (name, other)))
    return groups


def circuit_tensors(tensors: Iterable[str], config: Mapping[str, object]) -> tuple[str, ...] | None:
    """Names of the tensors of an attention-only model, or None when this is not known to be one.

    The config must state `system: induction` (or `attention_only: true`) and `heads`; the tensors
    are `embed.weight` and `layer<i>.<q|k|v|o>.weight`.
    """
    if config.get("system") != "induction" and config.get("attention_only") is not True:
        return None
    names = set(tensors)
    layers = sum(f"layer{i}.q.weight" in names for i in range(len(names)))
    wanted = ("embed.weight", *(f"layer{i}.{m}.weight" for i in range(layers) for m in "qkvo"))
    ok = layers >= 2 and isinstance(config.get("heads"), int) and names.issuperset(wanted)
    return wanted if ok else None


def modules(checkpoints: Sequence[Checkpoint], config: Mapping[str, object]) -> tuple[Module, ...]:
    """All modules that appear in any readable checkpoint, in the order of their names.

    A broken checkpoint adds none; its cells get a status later.
    """
    seen: dict[str, TensorInfo] = {}
    for checkpoint in checkpoints:
        try:
            headers = checkpoint.tensors()
        except (FormatError, OSError):
            continue
        for name, info in headers.items():
            if name not in seen and _is_matrix(info):
                seen[name] = info
    found = [Module(name, "tensor", (name,)) for name in seen]
    found += qk_groups(seen)
    wanted = circuit_tensors(seen, config)
    if wanted:
        found.append(Module("model", "model", wanted))
    return tuple(sorted(found, key=lambda m: (("tensor", "group", "model").index(m.kind), _natural(m.name))))


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)


def plan(run: Run, observables: Sequence[str] | None) -> Plan:
    """Resolve names to curves and observables of the registry; None means all that apply.

    A name that is a column of the run means that column, also when an observable has the same name.

    Raises
    ------
    InputError
        Unknown name, or an observable whose view this run cannot give.
    """
    registry = load()
    parts = modules(run.checkpoints, run.config)
    views = {v for m in parts for v in (("circuit",) if m.kind == "model" else TENSOR_VIEWS)}
    if observables is None:
        chosen = tuple(o for o in registry.values() if o.on in views and o.name not in run.curves)
        return Plan(parts, chosen, tuple(run.curves))
    if isinstance(observables, str):
        raise InputError("observables is one string", expected="a list of names", fix=f"[{observables!r}]")
    picked: dict[str, Observable] = {}
    curves: dict[str, None] = {}
    for name in observables:
        if name in run.curves:
            curves[name] = None
        elif name == "logged":
            curves |= dict.fromkeys(run.curves)
        elif name in registry:
            _applies(registry[name], views, run)
            picked[name] = registry[name]
        else:
            raise _unknown(name, run, registry)
    return Plan(parts, tuple(picked.values()), tuple(curves))


def _applies(item: Observable, views: set[str], run: Run) -> None:
    if item.on not in views:
        raise InputError(
            f"{item.name} cannot be measured on run {run.name!r}",
            expected=f"a run that gives the view {item.on!r}, or a logged column {item.name!r}",
            got=f"views {sorted(views) or 'none'} and columns {sorted(run.curves) or 'none'}",
            fix="leave it out, or log it during training",
        )


def _unknown(name: str, run: Run, registry: Mapping[str, Observable]) -> InputError:
    near = get_close_matches(name, [*registry, *run.curves], 3)
    return InputError(
        f"{name!r} is neither a column of run {run.name!r} nor an observable",
        expected=f"one of {len(registry)} observables or a column ({', '.join(run.curves) or 'none'})",
        got=name,
        fix=f"did you mean {' or '.join(near)}?" if near else "list them with: opalesce observables",
    )
