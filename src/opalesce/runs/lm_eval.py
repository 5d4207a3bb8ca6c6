"""lm-evaluation-harness result files, old format and new (>= 0.4): one file = one step."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import FormatError
from opalesce.runs.run import Curve, Fault
from opalesce.runs.series import Parsed
from opalesce.runs.steps import parse_path, parse_step

# thresholded metrics; everything else is continuous
_HARD = re.compile(
    r"^(?:acc|acc_norm|acc_\w+|accuracy|exact_match|exact|em|mcc|f1|pct_\w+|pass@\d+|mc1|prompt_level_\w+)$"
)
_SOFT = ("log_ppl", "bits_per_byte", "word_perplexity", "byte_perplexity", "logprob", "likelihood_difference")
_POSITIVE = re.compile(r"^(?:ppl|perplexity|word_perplexity|byte_perplexity)$")
_NOT_METRIC = {"alias", "name", "samples", "sample_len", "sample_count"}


@dataclass(frozen=True)
class EvalFile:
    """One result file: `values[task, metric] = (value, stderr, n)`, NaN and None where not stated."""

    path: Path
    step: float
    model: str
    shots: str
    values: Mapping[tuple[str, str], tuple[float, float, int | None]]


def is_score(metric: str) -> bool:
    """True for thresholded metrics: accuracies, exact matches ..."""
    return bool(_HARD.match(metric.split("@")[0]))


def is_metric(name: str) -> bool:
    """True for names of metrics that are known here, thresholded or continuous."""
    if name.endswith("_stderr"):
        return False
    return is_score(name) or name in _SOFT or bool(_POSITIVE.match(name))


def is_lm_eval(content: object) -> bool:
    """True for the top level of a result file of either format."""
    results = content.get("results") if isinstance(content, dict) else None
    return isinstance(results, dict) and bool(results) and all(isinstance(v, dict) for v in results.values())


def read_file(content: Mapping[str, Any], path: Path, root: Path) -> EvalFile:
    """One result file. The step comes from the revision, else from the file or folder names.

    Raises
    ------
    FormatError
        When no step is stated anywhere, or the file is not a result file.
    """
    if not is_lm_eval(content):
        raise FormatError(
            f"{path}: not a result file of lm-evaluation-harness", expected='{"results": {...}}'
        )
    config = content.get("config")
    config = config if isinstance(config, dict) else {}
    model, step = _identity(content, config)
    step = step_of(
        path, root, step, "revision=stepN in model_args, or stepN in the file's or a folder's name",
        f"rename it to step<N>_{path.name}",
    )  # fmt: skip
    shots = _shots(content, config)
    return EvalFile(path, step, model, shots, _values(content))


def step_of(path: Path, root: Path, step: float | None, expected: str, fix: str) -> float:
    """The step that a result file states, else that of its name or folder.

    Raises
    ------
    FormatError
        None is stated anywhere.
    """
    if step is None:
        tag = parse_path(path, root)
        step = tag.step if tag else None
    if step is None:
        raise FormatError(f"{path}: an evaluation without a step", expected=expected, fix=fix)
    return step


def _identity(content: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, float | None]:
    args = config.get("model_args", "")
    if isinstance(args, dict):
        pairs = {str(k): str(v) for k, v in args.items()}
    else:
        pairs = dict(p.split("=", 1) for p in str(args).split(",") if "=" in p)
    model = pairs.get("pretrained") or str(content.get("model_name") or "")
    for text in (pairs.get("revision"), config.get("model_revision"), model, content.get("model_name")):
        tag = parse_step(str(text).rsplit("/", 1)[-1]) if text else None
        if tag:
            break
    if tag and parse_step(model.rsplit("/", 1)[-1]):
        model = ""  # a local folder per step is not the model's name
    return model, tag.step if tag else None


def _shots(content: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    shots = config.get("num_fewshot", content.get("n-shot"))
    if isinstance(shots, dict):
        kinds = {str(v) for v in shots.values()}
        return kinds.pop() if len(kinds) == 1 else ""
    return "" if shots is None else str(shots)


def _values(content: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float, int | None]]:
    samples = content.get("n-samples")
    samples = samples if isinstance(samples, dict) else {}
    out: dict[tuple[str, str], tuple[float, float, int | None]] = {}
    for task, metrics in content["results"].items():
        count = samples.get(task)
        stated = count.get("effective") if isinstance(count, dict) else None
        for key, value in metrics.items():
            metric, _, kind = str(key).partition(",")
            if metric in _NOT_METRIC or metric.endswith("_stderr") or not _number(value):
                continue
            error = metrics.get(f"{metric}_stderr" + (f",{kind}" if kind else ""))
            se = float(error) if _number(error) else math.nan
            n = int(stated) if isinstance(stated, int) else trials(float(value), se)
            label = metric if kind in ("", "none") else f"{metric}@{kind}"
            out[str(task), label] = (float(value), se, n if _HARD.match(metric) else None)
    return out


def trials(p: float, stderr: float) -> int | None:
    """Number of trials behind a mean of zeros and ones: n = p (1 - p) / stderr^2 + 1, rounded.

    The harness states the standard error of the mean with n - 1. None where p is 0 or 1, or where
    the result is no whole number (to 1 %), so that the metric was no such mean.
    """
    if not (0 < p < 1 and stderr > 0):
        return None
    n = p * (1 - p) / stderr**2 + 1
    return round(n) if n < 1e9 and abs(n - round(n)) < 0.01 * max(1.0, n / 1000) else None


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def assemble(files: list[EvalFile], root: Path) -> Parsed:
    """Curves `task/metric` of result files of one model, with `task/log_ppl` beside each perplexity.

    log_ppl = ln ppl, with standard error stderr(ppl) / ppl. Two files that state different values
    for the same metric and step are reported; the later file name counts.
    """
    faults: list[Fault] = []
    many = len({f.shots for f in files}) > 1
    table: dict[tuple[str, str], dict[float, tuple[float, float, int | None, Path]]] = {}
    for f in sorted(files, key=lambda f: (f.step, str(f.path))):
        for (task, metric), (value, se, n) in f.values.items():
            name = f"{task}({f.shots}-shot)" if many and f.shots else task
            old = table.setdefault((name, metric), {}).get(f.step)
            if old and old[0] != value:
                seen = f"{name}/{metric} is {old[0]:g} in {old[3].name} and {value:g} in {f.path.name}"
                faults.append(
                    Fault(
                        "repeated step", str(f.path), seen, "one value a step", "remove one file", (f.step,)
                    )
                )
            table[name, metric][f.step] = (value, se, n, f.path)
            if _POSITIVE.match(metric.split("@")[0]) and value > 0:
                log = metric.replace("perplexity", "ppl").replace("ppl", "log_ppl")
                table.setdefault((name, log), {})[f.step] = (math.log(value), se / value, None, f.path)
    curves = [_curve(task, metric, points, table, root) for (task, metric), points in table.items()]
    return Parsed(sorted(curves, key=lambda c: c.name), "step", faults)


def _curve(
    task: str,
    metric: str,
    points: Mapping[float, tuple[float, float, int | None, Path]],
    table: Mapping[tuple[str, str], object],
    root: Path,
) -> Curve:
    x = np.array(sorted(points), float)
    y = np.array([points[s][0] for s in x.tolist()])
    se = np.array([points[s][1] for s in x.tolist()])
    counts = [n for n in (points[s][2] for s in x.tolist()) if n]
    hard = bool(_HARD.match(metric.split("@")[0]))
    soft = [m for m in _SOFT if (task, m) in table] if hard else []
    return Curve(
        f"{task}/{metric}",
        x,
        y,
        None if np.isnan(se).all() else se,
        "complete",
        "evals",
        continuous=not hard,
        unit="nats" if "log_ppl" in metric else "1",
        source=str(root),
        pair=f"{task}/{soft[0]}" if soft else None,
        n_trials=max(set(counts), key=counts.count) if counts else None,
    )
