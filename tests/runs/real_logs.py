"""Real files by the real libraries, written in a process of its own: `python real_logs.py KIND FOLDER`.

The libraries warn, start threads and take seconds to import, so a test starts this and waits.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STEPS = 40


def write(kind: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start writing; the caller waits, and checks the exit code."""
    return subprocess.Popen([sys.executable, "-W", "ignore", __file__, kind, str(folder)])


def trainer(folder: Path) -> None:
    """A tiny GPT-2, really trained by transformers' Trainer: checkpoints, trainer states, evaluations."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    config.bos_token_id = config.eos_token_id = None
    ids = torch.randint(0, 32, (64, 8)).repeat(1, 2)
    data = [{"input_ids": row, "labels": row} for row in ids]
    args = TrainingArguments(
        str(folder), max_steps=STEPS, per_device_train_batch_size=8, logging_steps=2, eval_strategy="steps",
        eval_steps=10, save_steps=10, save_strategy="steps", report_to=[],
        include_num_input_tokens_seen="all",
        learning_rate=1e-2, warmup_steps=4, use_cpu=True, disable_tqdm=True, seed=0,
    )  # fmt: skip
    Trainer(GPT2LMHeadModel(config), args, train_dataset=data, eval_dataset=data[:16]).train()


def lightning(folder: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(str(folder), name="lightning_logs")
    logger.log_hyperparams({"lr": 0.1, "warmup_steps": 10})
    for step in range(0, STEPS, 2):
        logger.log_metrics({"train_loss_step": 4 - 0.05 * step, "epoch": step // 20}, step=step)
        if step % 10 == 8:
            logger.log_metrics({"val_loss": 3 - 0.01 * step, "epoch": step // 20}, step=step)
    logger.finalize("success")


def tensorboard(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step in range(STEPS):
            writer.add_scalar("grad_norm", 1 / (1 + step), step)
            writer.add_scalar("new/loss", 2.0 - 0.01 * step, step, new_style=True)
        writer.add_text("note", "not a curve", 0)


def wandb(folder: Path) -> None:
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(console="off", silent=True, x_disable_stats=True, x_disable_meta=True)
    run = wandb.init(
        mode="offline",
        project="p",
        dir=str(folder),
        settings=quiet,
        config={"lr": 0.1, "opt": {"warmup_steps": 6}},
    )
    for step in range(0, STEPS * 5, 5):
        run.log({"loss": 4 - 0.01 * step, "eval": {"acc": step / 400}, "note": "x" * 1000}, step=step)
    run.finish()


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
