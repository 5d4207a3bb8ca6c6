"""Order parameters along the depth of a model, each beside its controls.

After "Latent Object Permanence" (Alpay and Kilictas 2026), of which only the abstract could be read: Omega is
the source's, all else **a reconstruction**. A change along depth counts only if it outlives the controls:
without the first token, without massive coordinates, in a rotated basis, with random weights, on shuffled
tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from opalesce.errors import InputError
from opalesce.measure.depth_sums import (
    CURVES,
    OF_INTEGRITY,
    STREAMS,
    Batch,
    Plan,
    Sums,
    from_model,
    from_shards,
    massive_coordinates,
)
from opalesce.measure.models import random_weights, shuffled_tokens
from opalesce.measure.record import open_shards

Array = NDArray[np.float64]
Progress = Callable[[str], None]
CONTROLS = ("random_weights", "shuffled_tokens")
GROUPS = 16  # of prompts, for the jackknife of covariances
RATIO = 100.0  # medians of |h| above which a coordinate is masked


def depth(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    seed: int = 0,
    batch: int = 8,
    drop_positions: Sequence[int] = (0,),
    sketch: int = 256,
    controls: Sequence[str] = CONTROLS,
    ratio: float = RATIO,
    progress: Progress | None = None,
) -> Any:
    """Order parameters of the residual stream, layer by layer.

    Parameters
    ----------
    model : torch.nn.Module
        A causal language model; called as `model(tokens)`.
    prompts : sequence of sequences of int
        Token ids; a prompt is the unit of all intervals.
    seed : int
        Of the rotation, the projection and the controls.
    batch : int
        Prompts of one length run at once.
    drop_positions : sequence of int
        Positions left out of the stream "dropped"; the first token carries massive activations of its own.
    sketch : int
        Wider streams are projected on so many random orthonormal directions before covariances are taken.
        Omega always sees the whole stream.
    controls : sequence of str
        Any of "random_weights" (every matrix redrawn at its own size), "shuffled_tokens".
    ratio : float
        Medians of \\|h\\| above which a coordinate counts as massive and is masked in all layers.

    Returns
    -------
    xarray.Dataset
        Dims layer, stream, prompt, group, control; coordinate gamma = l / L. For every curve c: c (stream,
        layer) with c_low, c_high (90 % over prompts or groups), c_by_prompt or c_by_group, and c_control
        (control, layer) with its c_control_low, c_control_high.

    Raises
    ------
    InputError
        Fewer than two prompts, a prompt below two tokens, an id outside the vocabulary, an unknown control,
        no batch without NaN.
    """
    _check(model, prompts, controls)
    rng = np.random.default_rng(seed)

    def runs(net: Any, ids: Sequence[Sequence[int]]) -> Callable[[], Iterator[Batch]]:
        return lambda: from_model(net, ids, batch)

    others: dict[str, Callable[[], Callable[[], Iterator[Batch]]]] = {
        "random_weights": lambda: runs(random_weights(model, seed), prompts),
        "shuffled_tokens": lambda: runs(model, shuffled_tokens(prompts, np.random.default_rng([seed, 1]))),
    }
    return _measured(
        runs(model, prompts),
        {name: others[name] for name in controls},
        len(prompts),
        rng,
        tuple(drop_positions),
        sketch,
        ratio,
        _centred(model),
        progress,
    )


def depth_of_shards(
    path: Path,
    *,
    seed: int = 0,
    drop_positions: Sequence[int] = (0,),
    sketch: int = 256,
    ratio: float = RATIO,
    progress: Progress | None = None,
) -> Any:
    """The same of activations in files (`measure.record.open_shards`); without the controls of a model.

    Where files hold (tokens, d), runs of tokens stand for prompts and positions cannot be dropped.

    Raises
    ------
    InputError
        From `open_shards`; fewer than two prompts; no part without NaN.
    """
    shards = open_shards(path)
    prompts = len(shards.shape) == 3
    units = shards.shape[0] if prompts else min(GROUPS, shards.shape[0])
    if units < 2 or len(shards.layers) < 2:
        raise InputError("too little to compare", expected="2 layers and 2 prompts", got=str(shards.shape))
    return _measured(
        lambda: from_shards(shards, 8, units),
        {},
        units,
        np.random.default_rng(seed),
        tuple(drop_positions) if prompts else (),
        sketch,
        ratio,
        False,
        progress,
    )


def _check(model: Any, prompts: Sequence[Sequence[int]], controls: Sequence[str]) -> None:
    short = [i for i, p in enumerate(prompts) if len(p) < 2]
    if len(prompts) < 2 or short:
        raise InputError(
            "too little to read",
            expected="2 or more prompts of 2 or more tokens",
            got=f"{len(prompts)} prompts" + (f", number {short[0]} too short" if short else ""),
        )
    unknown = set(controls) - set(CONTROLS)
    if unknown:
        raise InputError("no such control", expected=", ".join(CONTROLS), got=", ".join(sorted(unknown)))
    sizes = [m.num_embeddings for m in model.modules() if hasattr(m, "num_embeddings")]
    top = max(max(p) for p in prompts)
    if sizes and top >= max(sizes):
        raise InputError("a token is not in the vocabulary", expected=f"ids below {max(sizes)}", got=str(top))


def _centred(model: Any) -> bool:
    return any(type(m).__name__ == "LayerNorm" for m in model.modules())


def _measured(
    runs: Callable[[], Iterator[Batch]],
    controls: dict[str, Callable[[], Callable[[], Iterator[Batch]]]],
    units: int,
    rng: np.random.Generator,
    drop: tuple[int, ...],
    sketch: int,
    ratio: float,
    centre: bool,
    progress: Progress | None,
) -> Any:
    tell = progress or (lambda _: None)
    tell("looking for massive coordinates")
    massive = massive_coordinates(runs(), 64, ratio)
    width = _width(runs())
    q, r = np.linalg.qr(rng.standard_normal((width, width)))
    turn = q * np.sign(np.diag(r))
    project = turn[:, :sketch] if width > sketch else None
    streams = tuple(s for s in STREAMS if s != "dropped" or drop)
    group = rng.permutation(np.arange(units) % min(GROUPS, units))
    plan = Plan(group, drop, massive, turn, project, centre, streams)
    found = _pass(plan, runs(), units, "model", tell)
    beside = {}
    for name, make in controls.items():
        only = Plan(group, drop, massive, None, project, centre, ("raw",))
        beside[name] = _pass(only, make()(), units, name.replace("_", " "), tell)
    return _dataset(found, beside)


def _width(runs: Iterator[Batch]) -> int:
    for _, run in runs:
        try:
            return int(run(lambda _l, h: h.shape[2])[0])
        except InputError as error:
            if "NaN" not in error.what:
                raise
    raise InputError("no batch without NaN", fix="look at the weights: opalesce check RUN --full")


def _pass(plan: Plan, runs: Iterator[Batch], units: int, what: str, tell: Progress) -> Sums:
    sums, done = Sums(plan), 0
    for which, run in runs:
        sums.add((which, run))
        done += len(which)
        tell(f"{what}: {done} of {units}")
    if not sums.groups:
        raise InputError(f"{what}: no batch without NaN", got=sums.left[0])
    return sums


def _interval(by: Array) -> tuple[Array, Array, Array]:
    """Mean over units and its 90 % interval, by layer (Student)."""
    n = np.isfinite(by).sum(axis=0)
    safe = np.maximum(n, 1)
    mean = np.where(n > 0, np.nansum(by, axis=0) / safe, np.nan)
    spread = np.nansum((by - mean) ** 2, axis=0) / np.maximum(n - 1, 1)
    half = np.where(n > 1, student.ppf(0.95, np.maximum(n - 1, 1)) * np.sqrt(spread / safe), np.nan)
    return mean, mean - half, mean + half


def _curves(sums: Sums, streams: Sequence[str]) -> dict[str, tuple[str, dict[str, tuple[Array, Array]]]]:
    """name -> (what the units are, stream -> (curve, values by unit))."""
    out: dict[str, tuple[str, dict[str, tuple[Array, Array]]]] = {}
    omega = {
        s: (np.asarray(_interval(sums.integrity[s])[0]), sums.integrity[s])
        for s in streams
        if s in sums.integrity
    }
    out["object_integrity"] = ("prompt", omega)
    for name in CURVES:
        cloud = [s for s in streams if any(k[0] == s for k in sums.groups)]
        cloud = [s for s in cloud if s != "normed" or name not in OF_INTEGRITY]
        out[name] = ("group", {s: sums.curve(name, s) for s in cloud})
    out["gride_dimension"] = ("group", {"raw": sums.dimension()})
    return out


def _dataset(found: Sums, beside: dict[str, Sums]) -> Any:
    import xarray as xr

    last = found.layers - 1
    streams = list(found.plan.streams)
    data: dict[str, Any] = {}
    mine = _curves(found, streams)
    theirs = {name: _curves(s, ["raw"]) for name, s in beside.items()}
    for name, (unit, by_stream) in mine.items():
        units = max(len(v) for _, v in by_stream.values())
        values = np.full((len(streams), units, found.layers), np.nan)
        curve, low, high = (np.full((len(streams), found.layers), np.nan) for _ in range(3))
        for stream, (line, by) in by_stream.items():
            i = streams.index(stream)
            curve[i], values[i] = line, by
            mean, low[i], high[i] = _interval(by)
            low[i], high[i] = low[i] - mean + line, high[i] - mean + line
        data[name] = (("stream", "layer"), curve)
        data[f"{name}_low"], data[f"{name}_high"] = (("stream", "layer"), low), (("stream", "layer"), high)
        data[f"{name}_by_{unit}"] = (("stream", unit, "layer"), values)
        if theirs:
            lines = [t[name][1]["raw"] for t in theirs.values()]
            data[f"{name}_control"] = (("control", "layer"), np.array([line for line, _ in lines]))
            bands = [_interval(by) for _, by in lines]
            for k, side in ((1, "low"), (2, "high")):
                shifted = [b[k] - b[0] + line for b, (line, _) in zip(bands, lines, strict=True)]
                data[f"{name}_control_{side}"] = (("control", "layer"), np.array(shifted))
            data[f"{name}_control_by_{unit}"] = (
                ("control", unit, "layer"),
                np.array([by for _, by in lines]),
            )
    coords = {
        "layer": np.arange(found.layers),
        "gamma": ("layer", np.arange(found.layers) / max(last, 1)),
        "stream": streams,
    }
    if beside:
        coords["control"] = list(beside)
    attrs = {
        "width": found.width,
        "tokens": found.tokens,
        "prompts": len(found.plan.group),
        "massive": found.plan.massive.tolist(),
        "dropped": list(found.plan.drop),
        "sketch": 0 if found.plan.sketch is None else found.plan.sketch.shape[1],
        "left": found.left + [f"{name}: {line}" for name, s in beside.items() for line in s.left],
        "source": "alpay2026latent; a reconstruction beyond object integrity",
    }
    return xr.Dataset(data, coords, attrs)
