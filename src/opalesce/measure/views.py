"""Lazy views of one module at one checkpoint: each is computed once and shared by observables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.chain import chain, neurons, neurons_of
from opalesce.measure.layer_views import LayerViews
from opalesce.measure.plan import VIEWS_OF, Module
from opalesce.measure.roles import bare
from opalesce.observables.circuits import Circuit
from opalesce.observables.neurons import Neurons
from opalesce.observables.norms import History
from opalesce.observables.percolation import WeightGraph
from opalesce.observables.spectra import Spectrum, spectrum
from opalesce.runs.run import Checkpoint


def as_matrix(w: NDArray[Any]) -> NDArray[Any]:
    """A tensor as (first dimension, all others): what a convolution kernel does to a patch.

    Leading sides of one are dropped first.
    """
    w = w.reshape(bare(w.shape))
    return w.reshape(w.shape[0], -1)


def _stack(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """By rows; a single tensor is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _take(module: Module, checkpoint: Checkpoint, name: str) -> NDArray[Any]:
    """The part of a stored tensor that a module is made of."""
    cut = module.cut
    if cut is None:
        return checkpoint.read(name)
    return cut.of(checkpoint.read(name, cut.start if cut.rule == "slab" else None))


class _Past(History):
    """A history that holds one of its pasts at a time: three states of a large tensor need not fit."""

    _sources: tuple[Module, Checkpoint | None, Checkpoint | None]

    def __init__(
        self, weight: NDArray[Any], module: Module, first: Checkpoint | None, before: Checkpoint | None
    ) -> None:
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "_sources", (module, first, before))

    def _read(self, which: Literal[1, 2]) -> NDArray[Any] | None:
        module = self._sources[0]
        checkpoint = self._sources[which]
        if checkpoint is None:
            return None
        return _stack([as_matrix(_take(module, checkpoint, name)) for name in module.tensors])

    @property
    def initial(self) -> NDArray[Any] | None:
        """Value at the first checkpoint."""
        return self._read(1)

    @property
    def previous(self) -> NDArray[Any] | None:
        """Value at the checkpoint before."""
        return self._read(2)


class Views:
    """Views of `module` at `checkpoint`; `initial` and `previous` give its past.

    `digests` collects the blake2b of every tensor read, taken in the same pass.
    """

    def __init__(
        self,
        module: Module,
        checkpoint: Checkpoint,
        initial: Checkpoint | None = None,
        previous: Checkpoint | None = None,
        config: Mapping[str, object] | None = None,
        layers: LayerViews | None = None,
    ) -> None:
        self.module, self.checkpoint = module, checkpoint
        self.initial, self.previous = initial, previous
        self.config = config or {}
        self.layers = layers
        self.digests: dict[str, str] = {}

    def get(self, view: str) -> Any:
        """The view called `view`.

        Raises
        ------
        InputError
            When a module has no such view.
        """
        if view not in VIEWS_OF[self.module.kind]:
            raise InputError(f"no view {view!r} is made from weights")
        if self.module.layer is not None:
            assert self.layers is not None  # the plan makes layers only where there are prompts
            return self.layers.get(view, self.module.layer)
        return getattr(self, view)

    def _read(self, name: str, slab: int | None = None) -> NDArray[Any]:
        w = _take(self.module, self.checkpoint, name) if slab is None else self.checkpoint.read(name, slab)
        digest = hashlib.blake2b(np.ascontiguousarray(w).view(np.uint8).data, digest_size=16)
        self.digests[name] = digest.hexdigest()
        return w

    @cached_property
    def weight(self) -> NDArray[Any]:
        """The tensor, or the group's tensors stacked by rows, as a matrix."""
        return _stack([as_matrix(self._read(name)) for name in self.module.tensors])

    @cached_property
    def singular_values(self) -> Spectrum:
        """Singular values by the Gram route."""
        return spectrum(self.weight)

    @cached_property
    def weight_pair(self) -> History:
        """The weight beside its value at the first checkpoint and at the one before, each read when used."""
        return _Past(self.weight, self.module, self.initial, self.previous)

    @cached_property
    def graph(self) -> WeightGraph:
        """Rows and columns as nodes, entries as edges."""
        return WeightGraph(self.weight)

    @cached_property
    def neurons(self) -> Neurons:
        """Neurons and their outgoing weights: of this matrix, or of the network, read link by link."""
        if self.module.kind == "network":
            links = chain(self.checkpoint.tensors(), self.config)
            return neurons(links, self._read, getattr(self.checkpoint, "rows", None))
        return neurons_of(self.module.tensors[0], self.weight, self.checkpoint.tensors())

    @cached_property
    def neurons_pair(self) -> tuple[Neurons, Neurons]:
        """Neurons now, and at the first checkpoint."""
        if self.initial is None:
            raise InputError("there is no first checkpoint to compare with")
        if self.initial is self.checkpoint:
            return self.neurons, self.neurons
        first = Views(self.module, self.initial, config=self.config)
        return self.neurons, first.neurons

    @cached_property
    def circuit(self) -> Circuit:
        """Per-head matrices in rows-times-matrix form; stored projections are (out, in)."""
        heads = self.config.get("heads")
        assert isinstance(heads, int)  # the plan made this module only because it is
        tensors = {name: self._read(name) for name in self.module.tensors}
        layers = (len(tensors) - 1) // 4

        def into(m: str) -> NDArray[Any]:  # (out, in) -> (heads, in, dh)
            return np.stack(
                [split(tensors[f"layer{i}.{m}.weight"]).transpose(0, 2, 1) for i in range(layers)]
            )

        def split(w: NDArray[Any]) -> NDArray[Any]:  # (heads dh, d) -> (heads, dh, d)
            if w.shape[0] % heads:
                raise InputError(
                    "heads do not divide the projection", got=f"{w.shape[0]} rows, {heads} heads"
                )
            return w.reshape(heads, -1, w.shape[1])

        back = np.stack([split(tensors[f"layer{i}.o.weight"].T) for i in range(layers)])
        return Circuit(tensors["embed.weight"], into("q"), into("k"), into("v"), back)
