"""The weights in a folder: which files make up one state, and which reader takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opalesce.errors import FormatError
from opalesce.runs.flax_file import FlaxCheckpoint
from opalesce.runs.orbax import OrbaxCheckpoint
from opalesce.runs.run import Checkpoint
from opalesce.runs.safetensors import SafetensorsCheckpoint
from opalesce.runs.shards import INDEX, shards_of
from opalesce.runs.steps import parse_path, parse_step
from opalesce.runs.torch_file import TorchCheckpoint

if TYPE_CHECKING:
    from opalesce.runs.scan import Scanner

PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
_TORCH = {".bin", ".pt", ".pth", ".ckpt"}
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.(?:safetensors|bin|pt|pth)$")
# what trainers save beside a model
_BESIDE = re.compile(
    r"^(?:optim|sched|rng_state|training_args|scaler|random_states|zero_pp_rank)", re.IGNORECASE
)
_ITEMS = ("default", "params", "model", "state")  # of several items of one Orbax step, the weights
_MAIN = ("model", "pytorch_model", "flax_model")


@dataclass(frozen=True)
class Kind:
    """A format of weights: its name for people, its index, and the class that reads it."""

    name: str
    index: str
    suits: Callable[[Path], bool]
    make: Callable[[float, tuple[Path, ...], float | None], Checkpoint]


SAFE = Kind(
    "safetensors",
    INDEX,
    lambda p: p.suffix == ".safetensors" or p.name.endswith(".safetensors.index.json"),
    SafetensorsCheckpoint,
)
TORCH = Kind(
    "torch pickle",
    "pytorch_model.bin.index.json",
    lambda p: p.suffix in _TORCH or p.name.endswith(".bin.index.json"),
    TorchCheckpoint,
)
FLAX = Kind("Flax msgpack", "", lambda p: p.suffix == ".msgpack", FlaxCheckpoint)


def gather(files: Sequence[Path], s: Scanner) -> set[Path]:
    """Place the weights among `files`; the files that were taken or left here.

    Of one folder the first format counts: safetensors, then Flax, then (where allowed) torch pickles.
    """
    kinds = (SAFE, FLAX, TORCH) if s.allow_pickle else (SAFE, FLAX)
    groups: dict[Path, dict[str, list[Path]]] = {}
    done: set[Path] = set()
    for path in files:
        kind = next((k for k in kinds if k.suits(path)), None)
        if kind is None:
            continue
        done.add(path)
        if kind is TORCH and _BESIDE.match(path.name):
            s.leave(path, "what a trainer saves beside the model: not weights")
        else:
            groups.setdefault(path.parent, {}).setdefault(kind.name, []).append(path)
    for members in groups.values():
        first, *others = (k for k in kinds if k.name in members)
        _folder(first, members[first.name], s)
        for kind in others:
            for path in members[kind.name]:
                s.leave(path, f"beside {first.name} weights")
    return done


def _folder(kind: Kind, members: list[Path], s: Scanner) -> None:
    index = [p for p in members if p.name.endswith(".index.json")]
    shards = [p for p in members if _SHARD.search(p.name)]
    rest = [p for p in members if p not in index and p not in shards]
    main = [p for p in index if p.name == kind.index] or index
    if main:
        _indexed(kind, main[0], s)
        for path in index:
            if path != main[0]:
                s.leave(path, f"{main[0].name} was taken")
    elif shards:
        place(kind, shards[0], tuple(shards), s, f"{kind.name} shards without an index")
    steps = {p: parse_path(p, s.root) for p in rest}
    if len(rest) > 1 and len({t.step for t in steps.values() if t}) <= 1:
        # several files of one state: the model, its optimizer, an adapter ...
        first = next((p for p in rest if p.name.startswith(_MAIN)), rest[0])
        for path in rest:
            if path != first:
                s.leave(path, f"beside {first.name}, and not named as another step")
        rest = [first]
    for path in rest:
        if main or shards:
            s.leave(path, "beside a sharded checkpoint")
        else:
            place(kind, path, (path,), s, kind.name)


def _indexed(kind: Kind, index: Path, s: Scanner) -> None:
    try:
        place(kind, index, shards_of(index), s, f"{kind.name} index")
    except FormatError as error:
        s.leave(index, error.what, error)


def place(kind: Kind, path: Path, paths: tuple[Path, ...], s: Scanner, reader: str) -> None:
    """One state at the step that its name, or a folder above it, states."""
    tag = parse_path(path, s.root)
    if tag is None and s.root.is_dir() and path.parent != s.root:
        s.leave(path, "no step in its name or in a folder above it")
        return
    step = tag.step if tag else -1.0  # a lone state without a step; see `open`
    s.checkpoints.append(kind.make(step, paths, tag.tokens if tag else None))
    for p in dict.fromkeys((path, *paths)):
        s.take(p, reader)


def place_trees(s: Scanner) -> None:
    """Orbax folders: the step is in the name of the folder, or of the one that holds the items."""
    at: dict[float, list[Path]] = {}
    for folder in s.trees:
        near = (folder, folder.parent) if folder != s.root else (folder,)
        if any(".orbax-checkpoint-tmp" in p.name for p in near):
            s.leave(folder, "saving was not finished")
            continue
        step = next((t for p in near if (t := _step_of(p.name)) is not None), None)
        if step is None and len(s.trees) > 1:
            s.leave(folder, "no step in its name or in that of the folder above it")
        else:
            at.setdefault(-1.0 if step is None else step, []).append(folder)
    for step, folders in at.items():
        first = next((f for f in folders if f.name in _ITEMS), folders[0])
        for folder in folders:
            if folder == first or folder.parent != first.parent:
                s.checkpoints.append(OrbaxCheckpoint(step, (folder,)))
                s.take(folder, "Orbax checkpoint")
            else:
                s.leave(folder, f"beside {first.name}")


def _step_of(name: str) -> float | None:
    tag = parse_step(name)
    return float(name) if name.isdecimal() and name.isascii() else tag.step if tag else None
