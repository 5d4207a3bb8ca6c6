"""A two-layer attention-only transformer that forms induction heads, and its null twin.

Task: a block of p random tokens (p drawn per sequence) is tiled to the sequence length. From the
second copy on the next token is known to whoever finds the previous occurrence of the current one;
a fixed p would be solved by position alone. In the twin all tokens are independent: same model, same
optimiser, same loss positions, nothing to learn.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError, MissingExtra
from opalesce.observables.attention import Attention, attention_entropy, prefix_matching, row_entropy
from opalesce.runs.safetensors import write

Tokens = NDArray[np.int64]
INIT, TRAIN, EVAL, EVAL_NULL = range(4)  # independent random streams of one seed


@dataclass(frozen=True)
class Induction:
    """Sizes and training numbers of the system; the defaults are the reference setting."""

    vocab: int = 64
    length: int = 48
    width: int = 64
    heads: int = 4
    layers: int = 2
    block_low: int = 12
    block_high: int = 24
    batch: int = 64
    eval_batch: int = 256
    learning_rate: float = 2e-3
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if self.width % self.heads or not 1 <= self.block_low <= self.block_high < self.length - 1:
            raise InputError(
                "these sizes make no induction system",
                expected="width a multiple of heads, 1 <= block_low <= block_high < length - 1",
                got=str(self),
            )

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Tensor names and shapes; projections are stored (out, in), heads along `out` of q, k, v."""
        d = self.width
        square = {f"layer{i}.{m}.weight": (d, d) for i in range(self.layers) for m in "qkvo"}
        return {
            "embed.weight": (self.vocab, d),
            "position.weight": (self.length, d),
            **square,
            "unembed.weight": (self.vocab, d),
        }

    def init(self, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Normal entries: sd 0.3 in the two embeddings, 1/sqrt(width) elsewhere."""
        sd = {"embed.weight": 0.3, "position.weight": 0.3}
        return {
            name: (rng.standard_normal(shape) * sd.get(name, self.width**-0.5)).astype(np.float32)
            for name, shape in self.shapes().items()
        }

    def sample(self, rng: np.random.Generator, n: int, null: bool) -> tuple[Tokens, Tokens]:
        """`n` sequences, shape (n, length), and the period of each, shape (n,).

        The twin draws all tokens independently and keeps the periods, so that its loss is taken
        on the same positions.
        """
        period = rng.integers(self.block_low, self.block_high + 1, n)
        tokens = rng.integers(0, self.vocab, (n, self.length))
        if not null:
            tokens = np.take_along_axis(tokens, np.arange(self.length) % period[:, None], axis=1)
        return tokens, period


def stream(seed: int, kind: int) -> np.random.Generator:
    """Generator number `kind` of `seed`; a run and its twin of one seed share their initial weights."""
    return np.random.default_rng(np.random.SeedSequence([seed, kind]))


def scored(period: Tokens, length: int) -> NDArray[np.bool_]:
    """Queries t = 0..length-2 whose target, token t + 1, enters the loss: t + 1 >= p.

    Shape (n, length - 1). Targets beyond p are known from the past: the current token has an
    earlier occurrence at t - p, followed by the answer. The target at p itself is not (nothing
    before it says that the second copy begins); it is kept, as a constant floor of about 0.1 nat.
    """
    return np.arange(1, length) >= period[:, None]


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    return torch


def forward(weights: dict[str, Any], tokens: Any, system: Induction) -> tuple[Any, list[Any]]:
    """Logits (n, T, V) and attention patterns, one (n, heads, T, T) per layer. Torch tensors."""
    torch = _torch()
    n, t = tokens.shape
    h, dh = system.heads, system.width // system.heads
    future = torch.full((t, t), float("-inf")).triu(1)
    x = weights["embed.weight"][tokens] + weights["position.weight"][:t]
    patterns = []
    for i in range(system.layers):
        q, k, v = ((x @ weights[f"layer{i}.{m}.weight"].T).view(n, t, h, dh).transpose(1, 2) for m in "qkv")
        a = torch.softmax(q @ k.transpose(2, 3) * dh**-0.5 + future, dim=-1)
        patterns.append(a)
        x = x + (a @ v).transpose(1, 2).reshape(n, t, h * dh) @ weights[f"layer{i}.o.weight"].T
    return x @ weights["unembed.weight"].T, patterns


def per_sequence_loss(logits: Any, tokens: Any, mask: Any) -> Any:
    """Cross-entropy in nats, mean over the scored queries of each sequence; shape (n,)."""
    torch = _torch()
    nll = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    return (nll * mask).sum(1) / mask.sum(1)


def _error(x: NDArray[np.float64]) -> float:
    return float(x.std(ddof=1) / np.sqrt(x.size)) if x.size > 1 else float("nan")


@dataclass(frozen=True)
class EvalSet:
    """Sequences held out from training, the same at all steps: errors are those of the sample,
    common to all steps of the run."""

    tokens: Tokens
    period: Tokens

    def loss(self, weights: dict[str, Any], system: Induction) -> dict[str, float]:
        """Loss in nats and its standard error over sequences."""
        torch = _torch()
        tokens, mask = torch.from_numpy(self.tokens), torch.from_numpy(scored(self.period, system.length))
        with torch.no_grad():
            each = per_sequence_loss(forward(weights, tokens, system)[0], tokens, mask).double().numpy()
        return {"loss": float(each.mean()), "loss_stderr": _error(each)}

    def attention(self, weights: dict[str, Any], system: Induction) -> Attention:
        """Recorded patterns, heads of all layers side by side."""
        torch = _torch()
        with torch.no_grad():
            patterns = forward(weights, torch.from_numpy(self.tokens), system)[1]
        return Attention(torch.cat(patterns, dim=1).numpy(), self.period)

    def scores(self, weights: dict[str, Any], system: Induction) -> dict[str, float]:
        """Induction score of the best head and attention entropy, with standard errors."""
        record = self.attention(weights, system)
        prefix = prefix_matching(record)
        best = prefix[:, prefix.mean(axis=0).argmax()]
        return {
            "induction_score": float(best.mean()),
            "induction_score_stderr": _error(best),
            "attention_entropy": attention_entropy(record),
            "attention_entropy_stderr": _error(row_entropy(record).mean(axis=1)),
        }


def train(
    out: Path | str,
    seed: int,
    null: bool = False,
    steps: int = 600,
    every: int = 10,
    switch_at: int | None = None,
    lr_event: tuple[int, float] | None = None,
    progress: Callable[[int, int], object] | None = None,
    system: Induction | None = None,
) -> Path:
    """Train one seed and write a run folder; the same arguments give the same bytes.

    Parameters
    ----------
    out : path
        New or empty folder. Gets `config.json`, `log.jsonl` (one line per checkpoint: step, loss on
        held-out sequences in nats, induction score, attention entropy, each with `_stderr`) and
        `step000010.safetensors` and so on, step 0 included.
    seed : int
        Drives initial weights, training and held-out sequences. One seed is one independent unit.
    null : bool
        Train the twin: independent tokens. Its loss is taken on held-out independent tokens, its
        induction score on repeated blocks, where it must stay flat.
    steps, every : int
        Number of optimiser steps, and steps between checkpoints.
    switch_at : int, optional
        Train on the twin's data before this step and on repeated blocks from it on.
    lr_event : (step, factor), optional
        Multiply the learning rate by `factor` from `step` on, and say so in the config's events.
    progress : callable, optional
        Called with (step, steps) at each checkpoint.
    system : Induction, optional
        Other sizes than the reference ones.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MissingExtra
        Without torch.
    InputError
        When the folder already holds a run, or null and switch_at are given together.
    """
    torch = _torch()
    system = system or Induction()
    folder = Path(out)
    _prepare(folder, null, switch_at, steps, every)
    config = _config(system, seed, null, steps, every, switch_at, lr_event)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums, and so the bits, depends on it
    try:
        _train(folder, system, config, progress)
    finally:
        torch.set_num_threads(threads)
    return folder


def _prepare(folder: Path, null: bool, switch_at: int | None, steps: int, every: int) -> None:
    if null and switch_at is not None:
        raise InputError("a twin has no switch to real data", fix="give null=True or switch_at, not both")
    if steps < 0 or every < 1:
        raise InputError("cannot train so", expected="steps >= 0, every >= 1", got=f"{steps}, {every}")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty", expected="a new folder", fix="choose another folder")
    folder.mkdir(parents=True, exist_ok=True)


def _config(
    system: Induction,
    seed: int,
    null: bool,
    steps: int,
    every: int,
    switch_at: int | None,
    lr_event: tuple[int, float] | None,
) -> dict[str, Any]:
    events = []
    if lr_event is not None:
        events.append({"x": lr_event[0], "kind": "learning rate", "label": f"times {lr_event[1]:g}"})
    return {
        "system": "induction",
        **asdict(system),
        "parameters": sum(a * b for a, b in system.shapes().values()),
        "seed": seed,
        "null": null,
        "steps": steps,
        "every": every,
        "switch_at": switch_at,
        "learning_rate_event": list(lr_event) if lr_event else None,
        "events": events,
    }


def _train(
    folder: Path, system: Induction, config: dict[str, Any], progress: Callable[[int, int], object] | None
) -> None:
    torch = _torch()
    seed, null, steps = config["seed"], config["null"], config["steps"]
    start = system.init(stream(seed, INIT))
    weights = {name: torch.from_numpy(w).requires_grad_() for name, w in start.items()}
    optimiser = torch.optim.AdamW(
        list(weights.values()),
        lr=system.learning_rate,
        betas=(system.beta1, system.beta2),
        weight_decay=system.weight_decay,
    )
    repeated = EvalSet(*system.sample(stream(seed, EVAL), system.eval_batch, null=False))
    own = EvalSet(*system.sample(stream(seed, EVAL_NULL), system.eval_batch, null=True)) if null else repeated
    rng = stream(seed, TRAIN)
    with (folder / "log.jsonl").open("w") as log:
        for step in range(steps + 1):
            if step % config["every"] == 0 or step == steps:
                row = {"step": step, **own.loss(weights, system), **repeated.scores(weights, system)}
                log.write(json.dumps(row) + "\n")
                log.flush()
                arrays = {name: w.detach().numpy() for name, w in weights.items()}
                write(folder / f"step{step:06d}.safetensors", arrays)
                if progress is not None:
                    progress(step, steps)
            if step == steps:
                break
            if config["learning_rate_event"] and step == config["learning_rate_event"][0]:
                for group in optimiser.param_groups:
                    group["lr"] *= config["learning_rate_event"][1]
            twin = null or (config["switch_at"] is not None and step < config["switch_at"])
            tokens, period = system.sample(rng, system.batch, twin)
            mask = torch.from_numpy(scored(period, system.length))
            batch = torch.from_numpy(tokens)
            loss = per_sequence_loss(forward(weights, batch, system)[0], batch, mask).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
