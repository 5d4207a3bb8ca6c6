"""Training of small decoders on corpora that are made here; what comes out is a run like any other.

A run folder holds `step<n>.safetensors` and `config.json` in LLaMA's format, `tokenizer.json`,
`prompts.jsonl` (held-out sequences) and `log.jsonl` (one line per checkpoint).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.measure.decoder import Decoder, Sizes
from opalesce.measure.words import Words
from opalesce.runs.safetensors import write

Tokens = NDArray[np.int64]
INIT, TRAIN, EVAL = range(3)  # independent random streams of one seed


class Corpus(Protocol):
    """A source of sequences whose truth is known."""

    name: str
    length: int

    def words(self) -> list[str]:
        """Vocabulary, in the order of token ids."""
        ...

    def sample(self, rng: np.random.Generator, n: int, null: bool) -> tuple[Tokens, NDArray[np.bool_]]:
        """Sequences (n, length) and which of their tokens are to be predicted (never the first)."""
        ...

    def scores(self, model: Any, tokens: Tokens, scored: NDArray[np.bool_]) -> Mapping[str, float]:
        """What the log says of a model on held-out sequences, with `_stderr`."""
        ...


@dataclass(frozen=True)
class Training:
    """Numbers of a training; `marks` are the steps of its checkpoints."""

    steps: int = 4000
    batch: int = 64
    learning_rate: float = 2e-3
    warmup: int = 200
    weight_decay: float = 0.01
    held_out: int = 512
    checkpoints: int = 12

    def marks(self) -> list[int]:
        """0 and log-spaced steps up to the last."""
        grid = np.geomspace(max(1, self.steps // 100), self.steps, max(self.checkpoints - 1, 1))
        return sorted({0, *(round(x) for x in grid)})


def log_likelihoods(model: Any, tokens: Tokens, device: str = "cpu", block: int = 128) -> NDArray[np.float64]:
    """Log probability of each token given those before it, nats: shape (n, length), column 0 is 0."""
    import torch

    out = np.zeros(tokens.shape)
    with torch.no_grad():
        for at in range(0, len(tokens), block):
            batch = torch.from_numpy(tokens[at : at + block]).to(device)
            logp = torch.log_softmax(model(batch)[:, :-1].float(), -1)
            out[at : at + block, 1:] = logp.gather(2, batch[:, 1:, None])[..., 0].double().cpu().numpy()
    return out


def mean_and_error(x: NDArray[np.generic], name: str) -> dict[str, float]:
    """Mean of one number per sequence and its standard error, under the names of the log."""
    a = np.asarray(x, float)
    error = float(a.std(ddof=1) / np.sqrt(a.size)) if a.size > 1 else float("nan")
    return {name: float(a.mean()) if a.size else float("nan"), f"{name}_stderr": error}


def train(
    out: Path | str,
    corpus: Corpus,
    sizes: Sizes,
    training: Training | None = None,
    seed: int = 0,
    null: bool = False,
    device: str = "cpu",
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Train one decoder on one corpus and write its run.

    Parameters
    ----------
    out : path
        New or empty folder.
    corpus : Corpus
    sizes : Sizes
        Of the decoder; the vocabulary must be that of the corpus.
    training : Training, optional
    seed : int
        Drives initial weights, training and held-out sequences.
    null : bool
        Train the twin: the same model and sequences with nothing to learn.
    device : str
        "cpu" or "cuda"; the same bits only on the same device.

    Raises
    ------
    InputError
        The folder is not empty; the vocabulary does not fit.
    """
    import torch

    folder, plan = Path(out), training or Training()
    words = corpus.words()
    if sizes.vocab_size != len(words):
        raise InputError(
            "the model does not fit the corpus",
            expected=f"vocab_size {len(words)}",
            got=str(sizes.vocab_size),
        )
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty", expected="a new folder", fix="choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    model = Decoder(sizes, seed=int(np.random.SeedSequence([seed, INIT]).generate_state(1)[0])).to(device)
    held, scored = corpus.sample(np.random.default_rng([seed, EVAL]), plan.held_out, null)
    facts = {"system": corpus.name, "seed": seed, "null": null, "steps": plan.steps}
    facts["parameters"] = sum(p.numel() for p in model.parameters())
    (folder / "config.json").write_text(json.dumps({**model.config(), **facts}, indent=1) + "\n")
    Words({w: i for i, w in enumerate(words)}).save(folder)
    lines = (json.dumps({"tokens": row.tolist()}) for row in held)
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the order of sums, and so the bits, depends on it
    try:
        _train(
            folder,
            corpus,
            model,
            plan,
            np.random.default_rng([seed, TRAIN]),
            null,
            (held, scored),
            device,
            progress,
        )
    finally:
        torch.set_num_threads(threads)
    return folder


def _train(
    folder: Path,
    corpus: Corpus,
    model: Any,
    plan: Training,
    rng: np.random.Generator,
    null: bool,
    held: tuple[Tokens, NDArray[np.bool_]],
    device: str,
    progress: Callable[[int, int], object] | None,
) -> None:
    import torch

    optimiser = torch.optim.AdamW(
        model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay
    )
    marks = set(plan.marks())
    with (folder / "log.jsonl").open("w") as log:
        for step in range(plan.steps + 1):
            if step in marks:
                model.eval()
                logp = log_likelihoods(model, held[0], device)
                row = {"step": step, **mean_and_error(-(logp * held[1]).sum(1) / held[1].sum(1), "loss")}
                row |= corpus.scores(model, *held)
                log.write(json.dumps(row) + "\n")
                log.flush()
                write(folder / f"step{step:06d}.safetensors", model.arrays())
                model.train()
                if progress is not None:
                    progress(step, plan.steps)
            if step == plan.steps:
                break
            tokens, scored = corpus.sample(rng, plan.batch, null)
            batch, mask = torch.from_numpy(tokens).to(device), torch.from_numpy(scored[:, 1:]).to(device)
            logits = model(batch[:, :-1])
            nll = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none")
            loss = (nll * mask).sum() / mask.sum()
            for group in optimiser.param_groups:
                group["lr"] = plan.learning_rate * min(1.0, (step + 1) / max(plan.warmup, 1))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
