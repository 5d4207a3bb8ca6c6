"""Files that hold no weights: which reader takes which, and what is joined after the last one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from opalesce.errors import FormatError, InputError, OpalesceError
from opalesce.runs import lm_eval
from opalesce.runs.csv import read_csv
from opalesce.runs.events import config_events, load_events
from opalesce.runs.jsonl import from_rows, numbers, read_jsonl
from opalesce.runs.long_scores import is_long
from opalesce.runs.scan_weights import PICKLES

if TYPE_CHECKING:
    from opalesce.runs.scan import Scanner

MAX_JSON = 200_000_000
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
    ]
    for suits, reader in readers:
        if suits(path):
            try:
                return reader(path, s)
            except FormatError as error:
                # a table without a step column is no fault; a file that is not what it says is one
                broken = error if "control axis" not in error.what else None
                return s.leave(path, error.what.removeprefix(f"{path}: "), broken)
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
    if path.stat().st_size > MAX_JSON:
        return s.leave(path, f"larger than {MAX_JSON} bytes")
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON", expected="a JSON document", got=str(error)[:80]) from error
    if lm_eval.is_lm_eval(content):
        s.evals.append(lm_eval.read_file(content, path, s.root))
        return s.take(path, "lm-evaluation-harness results")
    if isinstance(content, dict) and isinstance(content.get("log_history"), list):
        s.states.append((float(content.get("global_step") or 0), path, content))
        return None
    if path.name in _CONFIGS and isinstance(content, dict):
        if any(reader == "config" and Path(p).name == path.name for p, reader in s.took):
            return s.leave(path, f"another {path.name} was taken")
        s.config.update(content)
        s.events.extend(config_events(content, str(path)))
        return s.take(path, "config")
    return s.leave(path, "no reader for this kind of JSON")


def finish(s: Scanner) -> None:
    """Of several trainer states the last one holds the whole history."""
    for i, (_, path, content) in enumerate(sorted(s.states, key=lambda t: (-t[0], str(t[1])))):
        if i:
            s.leave(path, "an earlier trainer state")
            continue
        rows = [numbers(r) for r in content["log_history"] if isinstance(r, dict)]
        try:
            s.logs.append((path, from_rows(rows, str(path), [])))
            s.take(path, "trainer state")
        except FormatError as error:
            s.leave(path, error.what)
