"""Every reader of logs and evaluations: name -> callable(path); each raises OpalesceError or returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError
from opalesce.runs import inspect_log, lm_eval, trainer_state
from opalesce.runs.bounded import read_json
from opalesce.runs.csv import read_csv
from opalesce.runs.events import load_events
from opalesce.runs.jsonl import read_jsonl
from opalesce.runs.long_scores import read_long
from opalesce.runs.npz import read_npz
from opalesce.runs.scan import scan
from opalesce.runs.text_log import read_text
from opalesce.runs.tfevents import read_events
from opalesce.runs.wandb_file import read_wandb
from opalesce.runs.yaml_config import read_yaml


def _json(path: Path) -> Any:
    return read_json(path)


def _trainer(path: Path) -> object:
    content = _json(path)
    if not trainer_state.is_state(content):
        raise FormatError("no trainer state")
    return trainer_state.join([trainer_state.read_state(content, path)])


def _lm_eval(path: Path) -> object:
    content = _json(path)
    return lm_eval.read_file(content if isinstance(content, dict) else {}, path, path.parent)


# the suffix of a name is that of its file
READERS: dict[str, Callable[[Path], object]] = {
    "jsonl log.jsonl": read_jsonl,
    "csv log.csv": read_csv,
    "csv packed.csv.gz": read_csv,
    "long scores.csv": read_long,
    "events events.json": load_events,
    "trainer state trainer_state.json": _trainer,
    "lm-eval results_step3.json": _lm_eval,
    "inspect step3.eval": lambda p: inspect_log.read_archive(p, p.parent),
    "inspect step3.json": lambda p: inspect_log.read_log(_json(p), p, p.parent),
    "tensorboard events.out.tfevents.1": lambda p: read_events([p]),
    "wandb run-1.wandb": read_wandb,
    "arrays a.npz": read_npz,
    "arrays a.npy": read_npz,
    "text log.txt": read_text,
    "yaml hparams.yaml": read_yaml,
    "scan log.json": scan,  # whatever the JSON is
}


def file_of(name: str, folder: Path) -> Path:
    """Where a file for the reader of this name lies."""
    return folder / name.split()[-1]
