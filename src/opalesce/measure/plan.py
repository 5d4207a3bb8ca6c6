"""What is to be computed: modules of a run, and which observables apply to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from opalesce.errors import InputError
from opalesce.measure.chain import chain
from opalesce.measure.cut import Cut, cuts
from opalesce.measure.layer_views import depth_of, prompts_of
from opalesce.measure.packed import packed
from opalesce.measure.roles import bare
from opalesce.measure.tied import tied
from opalesce.observables import FAMILIES, GROUPS
from opalesce.observables.registry import Observable, load
from opalesce.runs.run import Checkpoint, Run, TensorInfo

Kind = Literal["tensor", "group", "network", "model", "layer"]
KINDS: tuple[Kind, ...] = ("tensor", "group", "network", "model", "layer")
VIEWS_OF: dict[Kind, tuple[str, ...]] = {
    "tensor": ("weight", "singular_values", "weight_pair", "graph", "neurons", "neurons_pair"),
    "group": ("weight", "singular_values", "weight_pair", "graph"),
    "network": ("neurons", "neurons_pair"),
    "model": ("circuit",),
    "layer": ("activations", "moments"),
}
_QK = re.compile(r"^(?P<head>.*?)(?P<which>[qk])(?P<tail>(_proj)?(\.weight)?)$")


@dataclass(frozen=True)
class Module:
    """A part of the model that one number describes.

    `tensor`: one matrix, or the part of a stored tensor that `cut` takes (`...query_key_value.weight#q`).
    `group`: several, stacked by rows (`layer0.qk`: Q over K). `network`: all matrices that lead from neurons
    to neurons, block by block. `model`: all that a circuit view needs. `layer`: the residual stream after
    block number `layer`, on the prompts of the run. `why` says why it is not measured (packed integers).
    """

    name: str
    kind: Kind
    tensors: tuple[str, ...]
    cut: Cut | None = None
    layer: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything a sweep needs to know before it reads a tensor."""

    modules: tuple[Module, ...]
    observables: tuple[Observable, ...]
    curves: tuple[str, ...]

    def of(self, module: Module) -> tuple[Observable, ...]:
        """Observables that apply to `module`."""
        return tuple(o for o in self.observables if o.on in VIEWS_OF[module.kind])


def _is_matrix(info: TensorInfo) -> bool:
    sides = bare(info.shape)
    return len(sides) >= 2 and min(sides) > 0 and info.dtype.upper().startswith(("F", "BF"))


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

    A broken checkpoint adds none; its cells get a status later. Of tied weights the first stays. Packed
    integers become modules that say why they are not measured.
    """
    seen: dict[str, TensorInfo] = {}
    refused: dict[str, Module] = {}
    for checkpoint in checkpoints:
        try:
            headers = checkpoint.tensors()
        except (InputError, OSError):
            continue
        codes = packed(headers, config)
        refused |= {n: Module(n, "tensor", (n,), why=c.why) for n, c in codes.items() if c.parameters}
        for name, info in headers.items():
            if name not in seen and name not in codes and _is_matrix(info):
                seen[name] = info
    for name in tied(checkpoints, seen, config):
        del seen[name]
    found = [m for info in seen.values() for m in _parts(info, config)] + list(refused.values())
    found += qk_groups(seen)
    links = chain(seen, config)
    if links:
        found.append(
            Module("network", "network", tuple(dict.fromkeys(t for link in links for t in link.tensors)))
        )
    wanted = circuit_tensors(seen, config)
    if wanted:
        found.append(Module("model", "model", wanted))
    return tuple(sorted(found, key=lambda m: (KINDS.index(m.kind), _natural(m.name))))


def _parts(info: TensorInfo, config: Mapping[str, object]) -> list[Module]:
    found = cuts(info, config)
    if not found:
        return [Module(info.name, "tensor", (info.name,))]
    return [Module(f"{info.name}#{part}", "tensor", (info.name,), cut) for part, cut in found.items()]


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"(\d+)", name)
    return tuple((1, int(p), "") if p.isdigit() else (0, 0, p) for p in parts)


def plan(run: Run, observables: Sequence[str] | None) -> Plan:
    """Resolve names to curves, observables and families of the registry; None means all that apply.

    A name that is a column of the run means that column, also when an observable has the same name.

    Raises
    ------
    InputError
        Unknown name, or an observable whose view this run cannot give.
    """
    registry = load()
    parts = modules(run.checkpoints, run.config)
    if observables is not None and prompts_of(run) is not None and not isinstance(observables, str):
        parts += tuple(Module(f"layer {i}", "layer", (), layer=i) for i in range(depth_of(run)))
    views = {v for m in parts for v in VIEWS_OF[m.kind]}
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
        elif name in FAMILIES or name in GROUPS:
            picked |= _family(name, registry, views, run)
        else:
            raise _unknown(name, run, registry)
    return Plan(parts, tuple(picked.values()), tuple(curves))


def _family(
    name: str, registry: Mapping[str, Observable], views: set[str], run: Run
) -> dict[str, Observable]:
    """All observables of a family (`spectra`, `multifractal`) whose view this run gives."""
    homes = {f"opalesce.observables.{family}" for family in GROUPS.get(name, (name,))}
    of = {k: o for k, o in registry.items() if o.function.__module__ in homes}
    found = {k: o for k, o in of.items() if o.on in views}
    if not found:
        _applies(next(iter(of.values())), views, run)
    return found


def _applies(item: Observable, views: set[str], run: Run) -> None:
    if item.on not in views:
        raise InputError(
            f"{item.name} cannot be measured on run {run.name!r}",
            expected=f"a run that gives the view {item.on!r}, or a logged column {item.name!r}",
            got=f"views {sorted(views) or 'none'} and columns {sorted(run.curves) or 'none'}",
            fix=(
                "put prompts.jsonl beside LLaMA checkpoints, or: opalesce depth MODEL --prompts FILE"
                if item.on in ("activations", "moments")
                else "leave it out, or log it during training"
            ),
        )


def _unknown(name: str, run: Run, registry: Mapping[str, Observable]) -> InputError:
    near = get_close_matches(name, [*registry, *run.curves], 3)
    return InputError(
        f"{name!r} is neither a column of run {run.name!r} nor an observable",
        expected=f"one of {len(registry)} observables or a column ({', '.join(run.curves) or 'none'})",
        got=name,
        fix=f"did you mean {' or '.join(near)}?" if near else "list them with: opalesce observables",
    )
