"""The residual stream of any model made of blocks, layer by layer, by plain forward hooks; or from files.

Layer 0 is what enters the first block (the embedding), layer l what leaves block l. Nothing is cached: each
layer of each batch is handed to a function and let go. A batch with one bad number contributes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import FormatError, InputError, MissingExtra

Array = NDArray[np.float64]
T = TypeVar("T")
NUMBER = re.compile(r"(\d+)(?!.*\d)")


def blocks_of(model: Any) -> list[Any]:
    """The blocks that make the depth of a model: of all module lists, the one that holds most parameters.

    Ties go to the outermost.

    Raises
    ------
    InputError
        No module list, or nothing in it.
    """
    try:
        from torch import nn
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    lists = [
        (sum(p.numel() for p in m.parameters()), -name.count("."), m)
        for name, m in model.named_modules()
        if isinstance(m, nn.ModuleList) and len(m)
    ]
    if not lists:
        raise InputError(
            "no blocks found in this model",
            expected="a ModuleList of layers",
            got=type(model).__name__,
            fix="name them: blocks=[...]",
        )
    return list(max(lists, key=lambda x: x[:2])[2])


def _tensor(held: Any) -> Any:
    return held[0] if isinstance(held, tuple | list) else held


def record(model: Any, tokens: Any, take: Callable[[int, Array], T], blocks: Sequence[Any] = ()) -> list[T]:
    """Run one batch and return take(layer, h) for layers 0..L, h of shape (n, t, d) in float64.

    Parameters
    ----------
    model : torch.nn.Module
        Called as `model(tokens)` without gradients.
    tokens : array of int or tensor, shape (n, t)
        One length, so that nothing is padded.
    take : function
        Called while the model runs, once a layer, in order.
    blocks : sequence of torch.nn.Module, optional
        By default those of `blocks_of`.

    Raises
    ------
    InputError
        A layer holds NaN or infinity (its number is named), or its output is not (n, t, d).
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    chosen = list(blocks) or blocks_of(model)
    batch = torch.as_tensor(np.asarray(tokens))
    if batch.ndim != 2 or 0 in batch.shape:
        raise InputError("tokens have the wrong shape", expected="(n, t)", got=str(tuple(batch.shape)))
    out: list[T] = []

    def see(held: Any) -> None:
        h = _tensor(held)
        shape = tuple(getattr(h, "shape", ()))
        if len(shape) != 3 or shape[:2] != tuple(batch.shape):
            raise InputError(
                f"layer {len(out)} does not give a residual stream",
                expected=f"({batch.shape[0]}, {batch.shape[1]}, d)",
                got=str(shape),
            )
        values = h.detach().to("cpu", torch.float64).numpy()
        bad = values.size - int(np.isfinite(values).sum())
        if bad:
            raise InputError(
                f"layer {len(out)} holds NaN or infinite entries",
                expected="finite numbers",
                got=f"{bad} of {values.size} entries are not",
                fix="leave these prompts out, or load the weights in float32",
            )
        out.append(take(len(out), values))

    def enters(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        see(args[0] if args else kwargs["hidden_states"])

    hooks = [chosen[0].register_forward_pre_hook(enters, with_kwargs=True)]
    hooks += [b.register_forward_hook(lambda _m, _a, result: see(result)) for b in chosen]
    try:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        with torch.no_grad():
            model(batch.to(device))
    finally:
        for hook in hooks:
            hook.remove()
    if len(out) != len(chosen) + 1:
        raise InputError(
            "not every block ran once", expected=f"{len(chosen) + 1} layers", got=f"{len(out)} layers"
        )
    return out


def batches(prompts: Sequence[Sequence[int]], size: int) -> Iterator[NDArray[np.intp]]:
    """Numbers of prompts of one length, at most `size` at a time, so that no batch is padded."""
    length = np.array([len(p) for p in prompts])
    for t in np.unique(length):
        same = np.flatnonzero(length == t)
        yield from (same[i : i + size] for i in range(0, len(same), size))


class Reservoir:
    """A uniform sample of at most `size` rows of a stream whose length nobody knows (Vitter 1985, R)."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size, self.rng, self.seen = size, rng, 0
        self.rows: list[Array] = []
        self.labels: list[int] = []

    def add(self, rows: Array, labels: Sequence[int]) -> None:
        """Offer rows (n, d), each with a label (the number of its prompt)."""
        for row, label in zip(rows, labels, strict=True):
            self.seen += 1
            if len(self.rows) < self.size:
                self.rows.append(row.copy())
                self.labels.append(label)
                continue
            at = int(self.rng.integers(self.seen))
            if at < self.size:
                self.rows[at], self.labels[at] = row.copy(), label

    @property
    def points(self) -> Array:
        """The sample, (rows, d)."""
        return np.array(self.rows)


def normed(h: Array, centre: bool = False, eps: float = 1e-12) -> Array:
    """The stream as the next norm sees it, without its gain: rows over their rms (centred for LayerNorm)."""
    x = h - h.mean(axis=-1, keepdims=True) if centre else h
    return np.asarray(x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps))


# ---- activations that somebody else wrote ---------------------------------------------------------------


@dataclass(frozen=True)
class Shards:
    """Activations in files, one array a layer, opened when read.

    Attributes
    ----------
    layers : tuple of int
        Numbers of the layers, ascending.
    shape : tuple
        (tokens, d) or (prompts, tokens, d), the same for all.
    """

    layers: tuple[int, ...]
    shape: tuple[int, ...]
    _open: tuple[Callable[[], NDArray[Any]], ...]

    def read(self, layer: int, prompts: slice = slice(None)) -> Array:
        """One layer (some rows of it), float64.

        Raises
        ------
        InputError
            NaN or infinite entries.
        """
        values = np.asarray(self._open[self.layers.index(layer)]()[prompts], np.float64)
        bad = values.size - int(np.isfinite(values).sum())
        if bad:
            raise InputError(
                f"layer {layer} holds NaN or infinite entries",
                expected="finite numbers",
                got=f"{bad} of {values.size} entries are not",
                fix="write these activations again; nothing of this part was counted",
            )
        return values


def open_shards(path: Path) -> Shards:
    """Activations from a folder of `.npy`, one file a layer, or from `.safetensors`, one tensor a layer.

    The last number in a name is the number of its layer: `layer_07.npy`, `residual.12`. Files are mapped, not
    loaded, and pickles are refused.

    Raises
    ------
    FormatError, InputError
        Nothing found; no or a repeated number; shapes that differ or are not (tokens, d) or (prompts,
        tokens, d).
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found: list[tuple[str, tuple[int, ...], Callable[[], NDArray[Any]]]] = []
    for f in files:
        if f.suffix == ".npy":
            found.append(_npy(f))
        elif f.suffix == ".safetensors":
            found += _safetensors(f)
    if not found:
        raise InputError("no activations here", expected="layer_NN.npy files, or .safetensors", got=str(path))
    by_layer: dict[int, tuple[str, tuple[int, ...], Callable[[], NDArray[Any]]]] = {}
    for name, shape, opened in found:
        number = NUMBER.search(Path(name).stem if name.endswith(".npy") else name)
        if number is None or int(number[1]) in by_layer:
            raise InputError(
                f"which layer is {name!r}?",
                expected="a name that ends in the number of the layer, once each",
                got=name,
            )
        by_layer[int(number[1])] = (name, shape, opened)
    shapes = {s for _, s, _ in by_layer.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) not in (2, 3) or 0 in next(iter(shapes)):
        raise InputError(
            "layers cannot be compared",
            expected="one shape, (tokens, d) or (prompts, tokens, d)",
            got=", ".join(f"{n} {s}" for n, s, _ in list(by_layer.values())[:4]),
        )
    order = tuple(sorted(by_layer))
    return Shards(order, next(iter(shapes)), tuple(by_layer[k][2] for k in order))


def _npy(path: Path) -> tuple[str, tuple[int, ...], Callable[[], NDArray[Any]]]:
    try:
        held = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(
            f"{path.name} is not a plain array", expected="a .npy of numbers", got=str(error)
        ) from error
    if held.dtype.kind not in "fiu":
        raise FormatError(f"{path.name} is not a real array", expected="real numbers", got=str(held.dtype))
    shape = tuple(int(n) for n in held.shape)
    return path.name, shape, lambda: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _safetensors(path: Path) -> list[tuple[str, tuple[int, ...], Callable[[], NDArray[Any]]]]:
    from functools import partial

    from opalesce.runs.safetensors import checkpoint

    held = checkpoint(path, 0.0)
    return [(name, tuple(info.shape), partial(held.read, name)) for name, info in held.tensors().items()]
