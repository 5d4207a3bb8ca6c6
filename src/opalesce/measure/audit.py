"""`audit`: one checkpoint, all structure that a time budget allows, and how much of it was seen.

Matrices are visited in a stratified order: in turn from each kind of matrix (Q, K, V, output, up, down,
embedding ...), and within a kind from blocks spread over the depth, so that a short audit sees a bit of
everything. A matrix whose predicted time does not fit what is left is passed over, not started.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from opalesce.errors import InputError, OpalesceError
from opalesce.measure.audit_matrix import STREAM, Audited, Line, matrix_lines, streamed_lines, work
from opalesce.measure.budget import stratified
from opalesce.measure.cells import one_line
from opalesce.measure.chain import chain, neurons
from opalesce.measure.plan import Module, modules
from opalesce.measure.roles import bare, inputs_first, is_input_first, role_of
from opalesce.measure.views import Views
from opalesce.observables.neurons import paper_spectra
from opalesce.runs.run import Checkpoint, Run, TensorInfo
from opalesce.theory.multifractal.exponents import legendre
from opalesce.theory.multifractal.neurons import paper_exponents


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    step : float
        Of the checkpoint.
    matrices : tuple of Audited
        In the order of their visit.
    network : tuple of Line
        Of the whole network: published alpha_0 and width of 10 sampled networks, each beside normal weights
        of the same sizes.
    parameters, seen : int
        Parameters in all tensors; in matrices whose spectra were taken.
    matrices_all : int
        Matrices there were.
    seconds : float
    skipped : mapping of str to str
        Matrices left out, and why.
    """

    step: float
    matrices: tuple[Audited, ...]
    network: tuple[Line, ...]
    parameters: int
    seen: int
    matrices_all: int
    seconds: float
    skipped: Mapping[str, str]

    @property
    def coverage(self) -> str:
        """One sentence: share of parameters, matrices and time."""
        share = 100 * self.seen / max(self.parameters, 1)
        return (
            f"seen {share:.1f} % of {self.parameters:,} parameters "
            f"({len(self.matrices)} of {self.matrices_all} matrices) in {self.seconds:.0f} s"
        )


def audit(
    run: Run,
    step: float | None = None,
    budget: float | None = None,
    seed: int = 0,
    started: float | None = None,
    progress: Callable[[str], object] | None = None,
) -> Audit:
    """Audit one checkpoint.

    Parameters
    ----------
    run : Run
    step : float, optional
        Which checkpoint; the last by default.
    budget : float, optional
        Seconds, counted from `started` (a `time.monotonic()` value; now by default). None: all matrices.
    seed : int
        Of the shuffled copies and sampled entries.
    progress : callable, optional
        Called with a line of text.

    Raises
    ------
    InputError
        No checkpoint, or none with a matrix.
    """
    start = time.monotonic() if started is None else started
    if not run.checkpoints:
        raise InputError("there are no weights to audit", expected="a .safetensors file", got=run.name)
    checkpoint = run.checkpoints[-1] if step is None else run.checkpoint(step)
    tensors = checkpoint.tensors()
    todo = stratified([m for m in modules([checkpoint], run.config) if m.kind == "tensor"])
    if not todo:
        raise InputError(
            "there is no matrix to audit", expected="a tensor of two sides", got=f"{len(tensors)} tensors"
        )
    conv1d = inputs_first(tensors)
    done: list[Audited] = []
    skipped: dict[str, str] = {}
    with threadpool_limits(limits=1):
        rate = _rate() if budget is not None else float("inf")
        network = _network(checkpoint, tensors, run.config, seed)
        for k, module in enumerate(todo):
            if module.why:
                skipped[module.name] = module.why
                continue
            shape = _shape(module, tensors)
            left = float("inf") if budget is None else budget - (time.monotonic() - start)
            if 1.2 * work(shape) / rate > left:
                skipped[module.name] = f"about {work(shape) / rate:.0f} s, {max(left, 0.0):.0f} s left"
                continue
            if progress is not None:
                progress(f"auditing {k + 1} of {len(todo)}: {module.name}")
            began = time.monotonic()
            try:
                rng = np.random.default_rng([seed, k])
                found = _one(checkpoint, run.config, module, shape, conv1d, rng)
            except (OpalesceError, np.linalg.LinAlgError) as error:
                skipped[module.name] = one_line(error)
                continue
            took = time.monotonic() - began
            if budget is not None and work(shape) > 1e10:  # smaller ones are mostly overhead
                rate = 0.5 * (rate + work(shape) / took)
            done.append(replace(found, seconds=took))
    whole = sum(int(np.prod(t.shape)) for t in tensors.values())
    seen = sum(a.parameters for a in done)
    return Audit(
        checkpoint.step, tuple(done), network, whole, seen, len(todo), time.monotonic() - start, skipped
    )


def _rate(side: int = 768) -> float:
    """Operations per second of this machine, on a matrix of noise, after what is compiled on first use."""
    noise = np.random.default_rng(0).standard_normal((side, side))
    matrix_lines(noise[:64, :64], 0, np.random.default_rng(0))
    began = time.monotonic()
    matrix_lines(noise, 0, np.random.default_rng(0))
    return work(noise.shape) / (time.monotonic() - began)


def _shape(module: Module, tensors: Mapping[str, TensorInfo]) -> tuple[int, int]:
    shape, cut = bare(tensors[module.tensors[0]].shape), module.cut
    if cut is not None:
        if cut.rule == "slab":
            return int(shape[1]), int(shape[2])
        if cut.rule == "columns":
            return int(shape[0]), cut.stop - cut.start
        return (int(shape[0]) // 3 if cut.rule == "interleaved" else cut.stop - cut.start), int(shape[1])
    return int(shape[0]), int(np.prod(shape[1:]))


def _one(
    checkpoint: Checkpoint,
    config: Mapping[str, object],
    module: Module,
    shape: tuple[int, int],
    conv1d: bool,
    rng: np.random.Generator,
) -> Audited:
    role = role_of(module.tensors[0])
    part = module.name.rpartition("#")[2] if module.cut and module.cut.rule != "slab" else role.part
    rows_first = is_input_first(module.tensors[0], conv1d) or (
        module.cut is not None and module.cut.rule == "slab"
    )
    stored = checkpoint.tensors()[module.tensors[0]].shape
    streams = hasattr(checkpoint, "stream") and stored == shape and shape[0] >= shape[1]
    if shape[0] * shape[1] > STREAM and streams:
        lines, s, exponents = streamed_lines(checkpoint, module, shape, rng)
    else:
        w = Views(module, checkpoint, config=config).weight
        lines, s, exponents = matrix_lines(w, 0 if rows_first else 1, rng)
    tau = np.empty(0) if exponents is None else exponents.tau
    return Audited(module.name, part, role.block, shape, tuple(lines), 0.0, s.values, tau)


def _network(
    checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo], config: Mapping[str, object], seed: int
) -> tuple[Line, ...]:
    """Published analysis of 10 sampled networks, and of normal weights of the same sizes in their place."""
    links = chain(tensors, config)
    if not links:
        return (Line("paper_alpha0", float("nan"), status="no network of neurons is known by these names"),)

    def read(name: str, slab: int | None = None) -> Any:
        return checkpoint.read(name, slab)

    view = neurons(links, read, getattr(checkpoint, "rows", None))
    try:
        taken: list[list[Any]] = []
        found = paper_spectra(view, keep=taken)
        rng = np.random.default_rng([seed, len(links)])
        noise = [
            legendre(
                paper_exponents(
                    [rng.standard_normal(w.shape) * float(w.std(dtype=np.float64)) for w in sample]
                ),
                "backward",
            )
            for sample in taken
        ]
    except OpalesceError as error:
        return (Line("paper_alpha0", float("nan"), status=one_line(error)),)
    out = []
    for name, key in (("paper_alpha0", "alpha0"), ("paper_width", "width")):
        mine, null = ([getattr(s, key) for s in spectra] for spectra in (found, noise))
        spread = float(np.std(mine, ddof=1) / np.sqrt(len(mine)))
        out.append(
            Line(name, float(np.mean(mine)), float(np.mean(null)), "normal weights of equal sizes", spread)
        )
    return tuple(out)
