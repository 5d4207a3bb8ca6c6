"""Logs, tables, evaluations and events, each against files written by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.errors import FormatError
from opalesce.runs.csv import read_csv
from opalesce.runs.events import config_events, load_events
from opalesce.runs.jsonl import read_jsonl
from opalesce.runs.lm_eval import trials
from opalesce.runs.open import open
from opalesce.runs.run import Event
from opalesce.runs.series import completeness, lineage_of
from opalesce.runs.table import read_table


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_jsonl(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "log.jsonl",
        {"_meta": {"lr": 0.1, "warmup_steps": 10}},
        {"step": 0, "loss": 4.0, "eval": {"acc": 0.1, "loss": 5.0}, "note": "hi", "ok": True},
        "",
        "{broken",
        "[1, 2]",
        {"step": 2, "loss": float("nan")},
        {"step": 1, "loss": 3.0, "loss_stderr": 0.5},
        {"step": 3, "loss": "Infinity"},
        {"loss": 1.0},
        {"_summary": {"x": 1}},
    )
    parsed = read_jsonl(path)
    curves = {c.name: c for c in parsed.curves}
    assert set(curves) == {"loss", "eval/acc", "eval/loss"}
    loss = curves["loss"]
    assert loss.x.tolist() == [0, 1, 2, 3]
    assert np.array_equal(loss.y, [4, 3, np.nan, np.inf], equal_nan=True)
    assert loss.stderr is not None
    assert np.array_equal(loss.stderr, [np.nan, 0.5, np.nan, np.nan], equal_nan=True)
    assert curves["eval/acc"].x.tolist() == [0]
    assert (curves["eval/acc"].continuous, curves["eval/acc"].pair) == (False, "eval/loss")
    assert parsed.config["lr"] == 0.1
    assert [f.file.rsplit(":", 1)[-1] for f in parsed.faults[:2]] == ["4", "5"]
    assert "1 of 5 rows" in parsed.faults[2].seen
    # the log goes back from 2 to 1
    assert [(e.x, e.kind) for e in parsed.events] == [(1.0, "restart")]


def test_a_step_logged_twice_counts_once(tmp_path: Path) -> None:
    rows = [{"step": s, "loss": float(10 - s)} for s in (0, 1, 2, 3)]
    again = [{"step": s, "loss": 5.0} for s in (2, 3)]
    parsed = read_jsonl(lines(tmp_path / "a.jsonl", *rows, *again))
    assert parsed.curves[0].y.tolist() == [10, 9, 5, 5]
    (fault,) = parsed.faults
    assert (fault.kind, fault.x) == ("repeated step", (2.0, 3.0))


@pytest.mark.parametrize("packed", [False, True])
def test_csv(tmp_path: Path, packed: bool) -> None:
    text = (
        "Global_Step,loss,loss_stderr,name,lr\n"
        "0,4.0,0.1,a,1e-3\n10,,0.1,b,1e-3\n20,nan,,c,1e-3\n30,x,0.1,d,1e-3\n40,2.0\n50,1.0,0.2,e,1e-3\n"
    )
    path = tmp_path / ("log.csv.gz" if packed else "log.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    parsed = read_csv(path)
    curves = {c.name: c for c in parsed.curves}
    assert set(curves) == {"loss", "lr"}
    assert curves["loss"].x.tolist() == [0, 20, 50]
    assert np.array_equal(curves["loss"].y, [4, np.nan, 1], equal_nan=True)
    assert np.array_equal(curves["loss"].stderr, [0.1, np.nan, 0.2], equal_nan=True)
    assert curves["lr"].x.tolist() == [0, 10, 20, 30, 50]
    assert sorted(f.file.rsplit(":", 1)[-1] for f in parsed.faults) == ["5", "6"]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"", b"\xff\xfe\x00\x01", b"step,a,a\n1,2,3\n"])
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        read_csv(path)


def test_broken_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"step,loss\n" + b"1,2\n" * 1000)[:-20])
    with pytest.raises(FormatError, match="not a CSV"):
        read_csv(path)


def test_table() -> None:
    frame = pd.DataFrame({"tokens": [0, 10, 20], "loss": [3.0, np.nan, 1.0], "who": list("abc")})
    parsed = read_table(frame)
    assert parsed.axis == "tokens"
    (loss,) = parsed.curves
    assert loss.x.tolist() == [0, 20]
    indexed = pd.DataFrame({"loss": [1.0, 2.0]}, index=pd.Index([5, 7], name="step"))
    assert read_table(indexed).curves[0].x.tolist() == [5, 7]
    with pytest.raises(FormatError, match="control axis"):
        read_table(pd.DataFrame({"loss": [1.0]}))
    run = open(frame, name="t")
    assert (run.name, run.axis.name, run.axis.unit) == ("t", "tokens", "tokens")


@pytest.mark.parametrize(
    ("name", "lineage"),
    [
        ("train_loss", "loss"),
        ("eval/nll", "loss"),
        ("ppl", "loss"),
        ("induction_score", "activations"),
        ("attention_entropy", "activations"),
        ("weight_norm", "weights"),
        ("wn_total", "weights"),
        ("stable_rank_mean", "weights"),
        ("token_match", "weights"),
        ("grad_norm", "other"),
        ("weight_decay", "other"),
        ("lr", "other"),
        ("accuracy", "other"),
    ],
)
def test_lineage(name: str, lineage: str) -> None:
    assert lineage_of(name) == lineage


def test_completeness() -> None:
    rng = np.random.default_rng(0)
    assert completeness(np.arange(0, 5000, 5.0), 1000) == "complete"
    for rows in (500, 1000, 10_000):
        x = np.sort(rng.choice(200_000, rows, replace=False)).astype(float)
        assert completeness(x, rows) == "sampled"
        assert completeness(x[:-1], rows - 1) == "unknown"
    assert completeness(np.array([0, 1, 2, 3, 5, 6, 7, 8.0]), 8) == "unknown"


def test_grokking_log(data: Path) -> None:
    run = open(data / "training_logs" / "grokking_modular_addition.jsonl")
    assert run.curves["train_acc"].pair == "train_loss"
    assert run.curves["test_loss"].lineage == "loss"
    assert run.curves["wn_total"].lineage == "weights"
    assert run.curves["train_loss"].y[0] == 4.612076759338379  # first line of the file
    assert run.config["p"] == 97
    assert run.scan.faults == ()
    assert run.check() == []


def test_mamba_log(data: Path) -> None:
    run = open(data / "training_logs" / "mamba3b_loss_gradnorm.csv.gz")
    assert run.name == "mamba3b_loss_gradnorm"
    assert run.curves["loss"].y[0] == 21.7835  # first line of the file
    kinds = {(f.kind, f.x) for f in run.check()}
    # gaps of the file: 4 (to 8000) then 40, but 8 across step 8000 and 44 before 167048
    assert kinds == {("missing steps", (8000.0,)), ("uneven steps", (167_048.0,))}


# --- evaluations -----------------------------------------------------------------------------------


def test_old_format(data: Path) -> None:
    run = open(data / "pythia_evals" / "pythia-160m")
    assert len(run.scan.took) == 27
    assert run.scan.left == ()
    assert len(run.curves) == 173  # 172 metrics of the files, and log_ppl
    acc = run.curves["lambada_openai/acc"]
    assert (acc.lineage, acc.complete, acc.continuous) == ("evals", "complete", False)
    assert acc.pair == "lambada_openai/log_ppl"
    assert acc.n_trials == 5153  # size of the LAMBADA test set
    assert run.curves["arc_challenge/acc"].n_trials == 1172  # size of the ARC challenge test set
    assert run.curves["hendrycksTest-college_mathematics/acc"].n_trials == 100
    ppl, log = run.curves["lambada_openai/ppl"], run.curves["lambada_openai/log_ppl"]
    assert np.allclose(np.exp(log.y), ppl.y)
    assert log.stderr is not None
    assert ppl.stderr is not None
    assert np.allclose(log.stderr * ppl.y, ppl.stderr)
    assert log.continuous
    assert (
        run.curves["crows_pairs_english/pct_stereotype"].pair == "crows_pairs_english/likelihood_difference"
    )
    raw = json.loads((data / "pythia_evals" / "pythia-160m" / "160m_step3000.json").read_text())
    k = acc.x.tolist().index(3000)
    assert acc.y[k] == raw["results"]["lambada_openai"]["acc"]
    assert run.axis.scale == "log"


def new_format(step: int, revision: str | None = None) -> dict[str, object]:
    args = "pretrained=org/m" + (f",revision={revision}" if revision else "")
    return {
        "results": {
            "lambada": {
                "alias": "lambada",
                "acc,none": 0.5,
                "acc_stderr,none": 0.05,
                "perplexity,none": 10.0 + step,
                "perplexity_stderr,none": "N/A",
            },
            "gsm8k": {
                "exact_match,strict-match": 0.25,
                "exact_match_stderr,strict-match": 0.01,
                "exact_match,flexible-extract": 0.5,
            },
        },
        "n-samples": {"gsm8k": {"original": 1319, "effective": 100}},
        "config": {"model": "hf", "model_args": args},
    }


def test_new_format(tmp_path: Path) -> None:
    for step in (0, 100, 200):
        folder = tmp_path / f"step{step}"
        folder.mkdir()
        lines(folder / "results_2025-01-01T00-00-00.json", new_format(step))
        lines(folder / "samples_gsm8k_2025.jsonl", {"doc_id": 0})
    run = open(tmp_path)
    assert set(run.curves) == {
        "lambada/acc",
        "lambada/perplexity",
        "lambada/log_ppl",
        "gsm8k/exact_match@strict-match",
        "gsm8k/exact_match@flexible-extract",
    }
    assert run.curves["lambada/acc"].n_trials == 101  # 0.25 / 0.05^2 + 1
    assert run.curves["gsm8k/exact_match@strict-match"].n_trials == 100
    assert run.curves["lambada/perplexity"].stderr is None
    assert run.curves["lambada/perplexity"].y.tolist() == [10, 110, 210]
    assert run.curves["lambada/acc"].pair == "lambada/log_ppl"
    assert len(run.scan.left) == 3


def test_the_revision_goes_before_the_name(tmp_path: Path) -> None:
    lines(tmp_path / "a.json", new_format(1, "step1000"))
    lines(tmp_path / "b_step5.json", new_format(2, "step2000"))
    assert open(tmp_path).curves["lambada/acc"].x.tolist() == [1000, 2000]


def test_evaluation_without_a_step_is_left(tmp_path: Path) -> None:
    lines(tmp_path / "b_step5.json", new_format(2))
    lines(tmp_path / "a.json", new_format(1))
    run = open(tmp_path)
    assert run.curves["lambada/acc"].x.tolist() == [5]
    assert "without a step" in run.scan.left[0].why


@pytest.mark.parametrize(("p", "n"), [(0.5, 101), (0.1, 5153), (0.93, 17)])
def test_trials_from_the_standard_error(p: float, n: int) -> None:
    assert trials(p, np.sqrt(p * (1 - p) / (n - 1))) == n


def test_trials_unknown() -> None:
    assert trials(0.0, 0.0) is None
    assert trials(0.3, float("nan")) is None
    assert trials(0.3, 0.1234) is None


# --- events ----------------------------------------------------------------------------------------


def test_events_files(tmp_path: Path) -> None:
    want = (Event(10, "warm-up end"), Event(500, "decay start", "cosine"))
    raw = [{"x": 500, "kind": "decay start", "label": "cosine"}, {"x": 10, "kind": "warm-up end"}]
    (tmp_path / "e.json").write_text(json.dumps({"events": raw}))
    (tmp_path / "e.csv").write_text("x,kind,label\n500,decay start,cosine\n10,warm-up end,\n")
    assert load_events(tmp_path / "e.json") == load_events(tmp_path / "e.csv") == want
    (tmp_path / "bad.json").write_text('[{"x": "soon", "kind": "a"}]')
    with pytest.raises(FormatError, match="malformed"):
        load_events(tmp_path / "bad.json")


def test_events_of_a_trainer() -> None:
    config = {
        "optimizer": {"warmup_steps": 100, "lr": 1e-3},
        "decay_start_step": 900,
        "data_change_steps": [300, 400],
        "max_steps": 1000,
        "warmup_ratio": 0.05,
        "events": [{"x": 7, "kind": "restart", "label": "node died"}],
    }
    got = [(e.x, e.kind) for e in config_events(config)]
    assert got == [
        (7, "restart"),
        (50, "warm-up end"),
        (100, "warm-up end"),
        (300, "data change"),
        (400, "data change"),
        (900, "decay start"),
    ]
    assert config_events({"warmup_steps": 0, "warmup": True}) == ()
