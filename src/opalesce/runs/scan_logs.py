"""Files that hold no weights: which reader takes which, and what is joined after the last one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from opalesce.errors import FormatError, InputError, OpalesceError
from opalesce.runs import lm_eval
from opalesce.runs.bounded import read_json
from opalesce.runs.csv import read_csv
from opalesce.runs.events import config_events, load_events
from opalesce.runs.inspect_log import is_inspect, read_archive, read_log
from opalesce.runs.jsonl import from_rows, numbers, read_jsonl
from opalesce.runs.long_scores import is_long
from opalesce.runs.npz import read_npz
from opalesce.runs.scan_weights import PICKLES
from opalesce.runs.series import axis_column
from opalesce.runs.text_log import read_text
from opalesce.runs.tfevents import read_events
from opalesce.runs.trainer_state import is_state, read_state
from opalesce.runs.trainer_state import join as join_states
from opalesce.runs.wandb_file import read_wandb
from opalesce.runs.yaml_config import read_yaml

if TYPE_CHECKING:
    from opalesce.runs.scan import Scanner

_SOUND = (
    "control axis",
    "no scalar",
    "no history",
    "no training log",
    "did not finish",
    "without a step",
    "without scores",
)
_PICKLE = "pickle: not opened by default (--allow-pickle, for .pt, .pth, .bin and .ckpt that you trust)"
_CONFIGS = {"config.json", "trainer_config.json", "training_args.json", "run_config.json", "args.json"}


def one(path: Path, s: Scanner) -> None:
    """Give a file that holds no weights to its reader."""
    readers: list[tuple[Callable[[Path], bool], Callable[[Path, Scanner], None]]] = [
        (lambda p: p.suffix in PICKLES, lambda p, s: s.leave(p, _PICKLE)),
        (lambda p: p.name.startswith("samples_") and p.suffix == ".jsonl", _samples),
        (lambda p: p.name in ("events.json", "events.csv"), _events),
        (lambda p: p.suffix == ".jsonl", _jsonl),
        (lambda p: p.name.endswith((".csv", ".csv.gz")), _csv),
        (lambda p: p.suffix == ".json", _json),
        (lambda p: ".tfevents." in p.name, _tfevents),
        (lambda p: p.suffix == ".wandb", _wandb),
        (lambda p: p.suffix == ".eval", _inspect),
        (lambda p: p.suffix in (".npz", ".npy"), _npz),
        (lambda p: p.name in ("hparams.yaml", "config.yaml"), _yaml),
        (lambda p: p.suffix in (".txt", ".log"), _text),
    ]
    for suits, reader in readers:
        if suits(path):
            try:
                return reader(path, s)
            except FormatError as error:
                # a table without a step column is no fault; a file that is not what it says is one
                return s.leave(path, error.what.removeprefix(f"{path}: "), error if _broken(error) else None)
            except (OSError, InputError) as error:
                what = error.what if isinstance(error, OpalesceError) else str(error)
                return s.leave(path, what)
    s.leave(path, f"no reader for {path.suffix or 'a file without a suffix'}")
    return None


def _samples(path: Path, s: Scanner) -> None:
    s.leave(path, "answers to single documents: not read yet")


def _jsonl(path: Path, s: Scanner) -> None:
    s.logs.append((path, read_jsonl(path)))
    s.take(path, "JSONL log")


def _csv(path: Path, s: Scanner) -> None:
    if is_long(path):
        return s.leave(path, "a long table of scores: open this file alone")
    s.logs.append((path, read_csv(path)))
    return s.take(path, "CSV log")


def _events(path: Path, s: Scanner) -> None:
    s.events.extend(load_events(path))
    s.take(path, "events")


def _json(path: Path, s: Scanner) -> None:
    content = read_json(path)
    if lm_eval.is_lm_eval(content):
        s.evals.append(lm_eval.read_file(content, path, s.root))
        return s.take(path, "lm-evaluation-harness results")
    if is_inspect(content):
        s.evals.append(read_log(content, path, s.root))
        return s.take(path, "Inspect log")
    if is_state(content):
        s.states.append(read_state(content, path))
        return None
    if path.name == "wandb-summary.json":
        return s.leave(path, "the last values only: the history is in run-*.wandb")
    rows = _rows(content)
    if rows:
        s.logs.append((path, from_rows(rows, str(path), [])))
        return s.take(path, "JSON history")
    if path.name in _CONFIGS and isinstance(content, dict):
        if any(reader == "config" and Path(p).name == path.name for p, reader in s.took):
            return s.leave(path, f"another {path.name} was taken")
        s.config.update(content)
        s.events.extend(config_events(content, str(path)))
        return s.take(path, "config")
    return s.leave(path, "no reader for this kind of JSON")


def _rows(content: object) -> list[dict[str, float]]:
    """Rows of a history: a list of objects, or an object of columns (`DataFrame.to_json`); else none."""
    if isinstance(content, list):
        rows = [numbers(r) for r in content if isinstance(r, dict)]
    elif isinstance(content, dict) and content and all(isinstance(c, dict) for c in content.values()):
        if axis_column([str(n) for n in content]) is None:
            return []
        table: dict[str, dict[str, object]] = {}
        for name, column in content.items():
            for key, value in column.items():
                table.setdefault(str(key), {})[str(name)] = value
        rows = [numbers(r) for r in table.values()]
    else:
        return []
    return rows if axis_column(list(dict.fromkeys(n for r in rows for n in r))) else []


def _text(path: Path, s: Scanner) -> None:
    s.logs.append((path, read_text(path)))
    s.take(path, "text log")


def _npz(path: Path, s: Scanner) -> None:
    s.logs.append((path, read_npz(path)))
    s.take(path, "numpy arrays")


def _wandb(path: Path, s: Scanner) -> None:
    s.logs.append((path, read_wandb(path)))
    s.take(path, "W&B offline run")


def _yaml(path: Path, s: Scanner) -> None:
    content = read_yaml(path)
    s.config.update({k: v for k, v in content.items() if k not in s.config})
    s.events.extend(config_events(content, str(path)))
    s.take(path, "config")


def _tfevents(path: Path, s: Scanner) -> None:
    s.event_files.setdefault(path.parent, []).append(path)


def _inspect(path: Path, s: Scanner) -> None:
    s.evals.append(read_archive(path, s.root))
    s.take(path, "Inspect log")


def finish(s: Scanner) -> None:
    """Join the files that make one log: event files of a folder, trainer states of a run."""
    for folder, files in s.event_files.items():
        try:
            # a folder is one log; where one file was opened, its name is that of the log
            s.logs.append((folder if s.root.is_dir() else s.root, read_events(files, folder)))
        except (OSError, InputError) as error:
            for path in files:
                s.leave(path, str(getattr(error, "what", error)), error if _broken(error) else None)
            continue
        for path in files:
            s.take(path, "TensorBoard events")
    if not s.states:
        return
    try:
        parsed, used, left = join_states(s.states)
    except FormatError as error:
        for state in s.states:
            s.leave(state.path, error.what)
        return
    s.logs.insert(0, (used[0], parsed))  # its names stay as they are
    for path in used:
        s.take(path, "trainer state")
    for path, why in left:
        s.leave(path, why)


def _broken(error: Exception) -> TypeGuard[FormatError]:
    """True unless the file is sound and only holds nothing for a run."""
    return isinstance(error, FormatError) and not any(w in error.what for w in _SOUND)
