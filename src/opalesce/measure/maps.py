"""Blocks of a model as maps of its residual stream: what Jacobians and iterations are taken of.

A block of most models needs more than the stream (positions, masks). What a real pass gives it is caught and
given again, so the map takes the stream alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.fisher import FisherPath, fisher_path
from opalesce.measure.jacobian import Map, contraction, leading, lyapunov, outside, perturbation_ratio
from opalesce.measure.record import blocks_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Orbit:
    """One prompt's way through a model.

    Attributes
    ----------
    states : list of tensors (1, t, d)
        What enters block 0, 1, ..., and what leaves the last.
    maps : list of maps
        One a block.
    readouts : list of maps
        `readouts[l]` takes states[l] to logits: all that comes after.
    """

    states: list[Any]
    maps: list[Map]
    readouts: list[Map]


def orbit(model: Any, tokens: Sequence[int], blocks: Sequence[Any] = ()) -> Orbit:
    """Run one prompt and keep its states, its blocks as maps, and the rest of the model after each.

    Raises
    ------
    InputError
        From `record.blocks_of`; fewer than one token; a block that ran more or less than once.
    """
    import torch

    if not len(tokens):
        raise InputError("an empty prompt", expected="one token or more")
    chosen = list(blocks) or blocks_of(model)
    seen: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
    ends: list[Any] = []

    def enters(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        first = args[0] if args else kwargs["hidden_states"]
        rest = {k: v for k, v in kwargs.items() if k != "hidden_states"}
        seen.append((first.detach(), args[1:], rest))

    hooks = [b.register_forward_pre_hook(enters, with_kwargs=True) for b in chosen]
    hooks.append(chosen[-1].register_forward_hook(lambda _m, _a, y: ends.append(_first(y).detach())))
    batch = torch.as_tensor(np.asarray(tokens))[None]
    try:
        with torch.no_grad():
            model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if len(seen) != len(chosen) or len(ends) != 1:
        raise InputError("not every block ran once", expected=str(len(chosen)), got=str(len(seen)))
    states = [s for s, _, _ in seen] + ends

    def block(i: int) -> Map:
        _, args, kwargs = seen[i]
        return lambda h: _first(chosen[i](h, *args, **kwargs))

    def after(i: int) -> Map:
        return lambda h: _rest(model, batch, chosen, i, h)

    count = len(chosen)
    return Orbit(states, [block(i) for i in range(count)], [after(i) for i in range(count + 1)])


def _first(y: Any) -> Any:
    return y[0] if isinstance(y, tuple | list) else y


def _rest(model: Any, batch: Any, blocks: Sequence[Any], i: int, h: Any) -> Any:
    """Logits of the model with the state before block i (or after the last) replaced by h."""

    def replace(
        _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((h, *args[1:]), kwargs) if args else ((), {**kwargs, "hidden_states": h})

    def swap(_m: Any, _a: Any, y: Any) -> Any:
        return (h, *y[1:]) if isinstance(y, tuple) else h

    if i < len(blocks):
        hook = blocks[i].register_forward_pre_hook(replace, with_kwargs=True)
    else:
        hook = blocks[-1].register_forward_hook(swap)
    try:
        out = model(batch)
    finally:
        hook.remove()
    return out if not hasattr(out, "logits") else out.logits


@dataclass(frozen=True)
class Flow:
    """What the blocks do to small differences along one prompt (reconstruction).

    Attributes
    ----------
    kappa : array, shape (L,)
        Largest stretch outside the leading k directions of the covariances (`jacobian.contraction`).
    stretch : array, shape (L,)
        Largest stretch of all.
    ratio : array, shape (L,)
        Mean growth of random small differences.
    exponents : array, shape (m,)
        Largest Lyapunov exponents of depth, nats a layer.
    path : FisherPath
        Lengths and angles in the metric of the answer, by position.
    """

    kappa: Array
    stretch: Array
    ratio: Array
    exponents: Array
    path: FisherPath


def flow(
    model: Any,
    tokens: Sequence[int],
    eigenvectors: Sequence[Array] = (),
    k: int = 8,
    exponents: int = 4,
    seed: int = 0,
) -> Flow:
    """Contraction, growth and Fisher lengths along one prompt.

    Parameters
    ----------
    eigenvectors : sequence of arrays (d, d), optional
        Of the covariance of each layer 0..L, by falling eigenvalue (columns). Without them `kappa` is NaN.
    k : int
        Leading directions that are left out.

    Raises
    ------
    InputError
        From `orbit` and `jacobian`; not one basis a layer.
    """
    way = orbit(model, tokens)
    if len(eigenvectors) not in (0, len(way.states)):
        raise InputError("one basis a layer", expected=str(len(way.states)), got=str(len(eigenvectors)))
    kappa = np.full(len(way.maps), np.nan)
    if eigenvectors:
        q = [outside(leading(np.asarray(v), k).to(way.states[0])) for v in eigenvectors]
        for i, (f, h) in enumerate(zip(way.maps, way.states, strict=False)):
            kappa[i] = contraction(f, h, q[i], q[i + 1], seed=seed)
    stretch = [contraction(f, h, seed=seed) for f, h in zip(way.maps, way.states, strict=False)]
    return Flow(
        kappa,
        np.array(stretch),
        perturbation_ratio(way.maps, way.states[0], seed=seed),
        lyapunov(way.maps, way.states[0], exponents, seed),
        fisher_path(way.states, way.readouts),
    )
