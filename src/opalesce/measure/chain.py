r"""The network of neurons in a checkpoint: which matrices lead from which hidden vector to which.

Per block, as the release of NeuroMFA chains GPT-NeoX: stream -> Q, K, V -> (attention) -> output -> stream
-> MLP -> stream. **For all other models this is a reconstruction**: separate Q, K, V stand side by side (key
heads as many as there are), gate and up projections of a gated MLP both lead to the hidden neurons, each
expert is an MLP of its own, and matrices that belong to no block are chained in the order of their names
where their sizes fit (a plain MLP). In convolutions a neuron is a channel and the weight of an edge the
root of the sum of squares of its kernel. Of an encoder and a decoder the encoder's blocks come first, and
attention across is left out; so is attention whose projections are made in two steps (multi-head latent
attention). Biases, norms, embeddings and unembeddings are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.measure.cut import MAX_EXPERTS
from opalesce.measure.roles import Role, inputs_first, is_input_first, role_of
from opalesce.observables.neurons import Link, LinkPart, Neurons
from opalesce.runs.run import TensorInfo

_STEPS: tuple[tuple[LinkPart, tuple[str, ...]], ...] = (
    ("qkv", ("qkv", "q", "k", "v")),
    ("out", ("out",)),
    ("up", ("gate_up", "gate", "up")),
    ("down", ("down",)),
)


@dataclass(frozen=True)
class ChainLink:
    """One step of the chain: its tensors stand side by side along the targets.

    `slab` is the number of the expert in a stack of three dimensions. `inputs_first` says that a tensor is
    stored (sources, targets).
    """

    part: LinkPart
    tensors: tuple[str, ...]
    sizes: tuple[int, ...]  # targets of each tensor
    sources: int
    inputs_first: bool = False
    slab: int | None = None


def chain(tensors: Mapping[str, TensorInfo], config: Mapping[str, object]) -> tuple[ChainLink, ...]:
    """Links in the order of the forward pass; empty where names say nothing and sizes do not fit."""
    conv1d = inputs_first(tensors)
    blocks: dict[tuple[bool, int], dict[tuple[int | None, str], TensorInfo]] = {}
    for name, info in tensors.items():
        role = role_of(name)
        if role.block is None or role.part == "other" or role.cross:
            continue
        if len(info.shape) in (2, 3) and _floating(info):
            place = (role.stack == "decoder", role.block)  # the encoder of a pair comes first
            blocks.setdefault(place, {})[_key(role)] = info
    links = [link for b in sorted(blocks) for link in _block(blocks[b], conv1d)]
    return tuple(links) if links else _plain(tensors)


def _key(role: Role) -> tuple[int | None, str]:
    return role.expert, role.part


def _floating(info: TensorInfo) -> bool:
    return info.dtype.upper().startswith(("F", "BF")) and min(info.shape, default=0) > 0


def _block(found: Mapping[tuple[int | None, str], TensorInfo], conv1d: bool) -> list[ChainLink]:
    out: list[ChainLink] = []
    experts = sorted({e for e, _ in found}, key=lambda e: -1 if e is None else e)
    width = 0  # of the stream, where attention tells it
    for part, names in _STEPS:
        if part == "out" and not out:
            continue  # projections in two steps (multi-head latent attention): attention is left out
        for e in experts:
            infos = [found[e, n] for n in names if (e, n) in found]
            stacks = [i for i in infos if len(i.shape) == 3]
            if stacks and stacks[0].shape[0] > MAX_EXPERTS:
                continue
            if stacks:
                first = _stacked_inputs_first(part, stacks[0].shape, width)
                out += [_link(part, stacks, first, slab=k) for k in range(stacks[0].shape[0])]
            elif infos:
                out.append(_link(part, infos, is_input_first(infos[0].name, conv1d)))
        width = out[0].sources if out and not width else width
    return out


def _stacked_inputs_first(part: LinkPart, shape: tuple[int, ...], width: int) -> bool:
    """Whether experts are stacked (experts, in, out): told by the side that is the stream's, if one is.

    Some libraries stack (experts, out, in). Where the sizes cannot tell, the former.
    """
    stream_in = part != "down"
    if width in shape[1:] and shape[1] != shape[2]:
        return (shape[1] == width) == stream_in
    return True


def _link(part: LinkPart, infos: list[TensorInfo], first: bool, slab: int | None = None) -> ChainLink:
    shapes = [i.shape[-2:] for i in infos]
    source, target = (0, 1) if first else (1, 0)
    same = [k for k, s in enumerate(shapes) if s[source] == shapes[0][source]]
    return ChainLink(
        part,
        tuple(infos[k].name for k in same),
        tuple(shapes[k][target] for k in same),
        shapes[0][source],
        first,
        slab,
    )


def _plain(tensors: Mapping[str, TensorInfo]) -> tuple[ChainLink, ...]:
    """The longest chain of matrices or kernels in the order of names, inputs of one the outputs before it."""
    order = sorted(tensors, key=lambda n: [(int(p) if p.isdigit() else -1, p) for p in re.split(r"(\d+)", n)])
    chains: list[list[ChainLink]] = []
    for name in order:
        info = tensors[name]
        usable = len(info.shape) in (2, 4) and _floating(info) and role_of(name).part == "other"
        if usable:
            open_ = next((c for c in chains if c[-1].sizes[0] == info.shape[1]), None)
            if open_ is None:
                chains.append(open_ := [])
            open_.append(ChainLink("plain", (name,), (info.shape[0],), info.shape[1]))
    return tuple(sorted(chains, key=len)[-1]) if chains else ()


def as_links(w: NDArray[Any]) -> NDArray[Any]:
    """A stored tensor as a matrix (out, in): kernels become their root of the sum of squares."""
    if w.ndim <= 2:
        return w
    top = float(np.abs(w).max()) or 1.0
    return np.asarray(top * np.sqrt(((w / top) ** 2).sum(axis=tuple(range(2, w.ndim)))))


def neurons(
    links: tuple[ChainLink, ...],
    read: Callable[..., NDArray[Any]],
    rows: Callable[[str, NDArray[np.intp]], NDArray[Any]] | None = None,
) -> Neurons:
    """The view of a chain; `read(name, slab)` gives a stored tensor, `rows(name, index)` some of its rows."""

    def reader(link: ChainLink) -> Callable[[], NDArray[Any]]:
        def matrix() -> NDArray[Any]:
            parts = [as_links(read(name, link.slab)) for name in link.tensors]
            parts = parts if link.inputs_first else [w.T for w in parts]
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

        return matrix

    def taker(link: ChainLink) -> Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[Any]] | None:
        if rows is None or link.part == "plain":  # kernels are not stored as matrices
            return None

        def submatrix(sources: NDArray[np.intp], targets: NDArray[np.intp]) -> NDArray[Any]:
            parts, at = [], 0
            for name, size in zip(link.tensors, link.sizes, strict=True):
                mine = targets[(targets >= at) & (targets < at + size)] - at
                at += size
                if link.inputs_first:
                    parts.append(rows(name, sources + (link.slab or 0) * link.sources)[:, mine])
                else:
                    parts.append(rows(name, mine)[:, sources].T)
            return np.concatenate(parts, axis=1)

        return submatrix

    return Neurons(tuple(Link(c.part, c.sources, c.sizes, reader(c), taker(c)) for c in links))


def neurons_of(name: str, weight: NDArray[Any], tensors: Mapping[str, TensorInfo]) -> Neurons:
    """The view of one matrix: its inputs are the sources."""
    first = is_input_first(name, inputs_first(tensors))
    w = weight if first else weight.T
    return Neurons((Link("plain", w.shape[0], (w.shape[1],), lambda: w),))
