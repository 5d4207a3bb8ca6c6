"""Logs of Inspect (`.eval` archives and `.json`): scores with their standard errors, one log = one step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError
from opalesce.runs.archive import Archive
from opalesce.runs.bounded import parse_json
from opalesce.runs.lm_eval import EvalFile, is_score, step_of
from opalesce.runs.steps import parse_step

_ERRORS = ("stderr", "std_err", "bootstrap_stderr")
_NO_SCORES = {*_ERRORS, "std", "var"}
_STEPS = ("step", "global_step", "checkpoint", "revision", "iteration")


def is_inspect(content: object) -> bool:
    """True for the top level of a log of Inspect."""
    said = content.get("eval") if isinstance(content, dict) else None
    return isinstance(said, dict) and "task" in said and "model" in said


def read_archive(path: Path, root: Path) -> EvalFile:
    """The log in an `.eval` archive; only its header is unpacked, in memory.

    Raises
    ------
    FormatError
        When the archive is broken or hostile, or the evaluation did not finish; see `read_log`.
    """
    with Archive(path) as archive:
        if "header.json" not in archive.infos:
            raise FormatError(
                f"{path}: an evaluation that did not finish", expected="a member header.json with results",
                got=", ".join(list(archive.infos)[:5])[:200], fix="inspect eval-retry",
            )  # fmt: skip
        data = archive.read("header.json")
    return read_log(parse_json(data, f"{path}: header.json"), path, root)


def read_log(content: object, path: Path, root: Path) -> EvalFile:
    """One log. The step is that of its metadata, model arguments or model name, else of the file or folder.

    Raises
    ------
    FormatError
        When it is no log of Inspect, did not finish, or states no step and no score.
    """
    if not isinstance(content, dict) or not is_inspect(content):
        raise FormatError(f"{path}: not a log of Inspect", expected='{"eval": {"task": ..., "model": ...}}')
    if content.get("status") not in ("success", None):
        status = str(content.get("status"))[:40]
        raise FormatError(f"{path}: an evaluation that did not finish", expected="status success", got=status)
    said, results = content["eval"], content.get("results")
    model, step = _identity(said)
    step = step_of(
        path,
        root,
        step,
        "stepN in the name of the model, file or folder",
        "inspect eval ... --metadata step=N",
    )
    values = _values(str(said["task"]).rsplit("/", 1)[-1], results if isinstance(results, dict) else {})
    if not values:
        raise FormatError(f"{path}: an evaluation without scores", expected="results with metrics")
    return EvalFile(path, step, model, "", values)


def _identity(said: Mapping[str, Any]) -> tuple[str, float | None]:
    """Model without its provider (empty where the name is that of one step), and the step."""
    name = str(said["model"])
    parts = name.split("/")
    model = "/".join(parts[1:]) if len(parts) > 2 else name
    step = None
    for key in ("metadata", "model_args", "task_args"):
        found = said.get(key)
        for word in _STEPS if isinstance(found, dict) and step is None else ():
            if step is None and found is not None:
                step = _step(found.get(word))
    tag = parse_step(parts[-1].replace("@", "-"))
    if tag:
        model = ""
    return model, step if step is not None else tag.step if tag else None


def _step(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < 1e18 else None
    if isinstance(value, str):
        tag = parse_step(value)
        plain = value.isascii() and value.isdecimal() and len(value) < 18
        return tag.step if tag else float(value) if plain else None
    return None


def _values(task: str, results: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float, int | None]]:
    out: dict[tuple[str, str], tuple[float, float, int | None]] = {}
    scores = results.get("scores")
    scores = [s for s in scores if isinstance(s, dict)] if isinstance(scores, list) else []
    for score in scores:
        metrics = score.get("metrics")
        metrics = metrics if isinstance(metrics, dict) else {}
        plain = {str(k): _value(v) for k, v in metrics.items()}
        error = next((v for k in _ERRORS if (v := plain.get(k)) is not None), math.nan)
        done = score.get("scored_samples", results.get("completed_samples"))
        n = done if isinstance(done, int) and not isinstance(done, bool) and done > 0 else None
        for metric, value in plain.items():
            if value is None or metric in _NO_SCORES:
                continue
            label = metric if len(scores) == 1 else f"{metric}@{score.get('name', 'score')}"
            out[task, label] = (value, error, n if is_score(metric) else None)
    return out


def _value(metric: object) -> float | None:
    value = metric.get("value") if isinstance(metric, dict) else metric
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
