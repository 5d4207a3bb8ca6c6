"""Long tables of scores: pooled by hand, broken on purpose, and the public arithmetic of Pythia."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import opalesce
from opalesce.errors import InputError, OpalesceError
from opalesce.runs.long_scores import is_long, read_long
from opalesce.runs.open import open_all

HEAD = "model,checkpoint,task,fewshot,acc,acc_stderr"
BIG = "EleutherAI/pythia-13b-deduped"


def error(p: float, n: int = 50) -> float:
    return float(np.sqrt(p * (1 - p) / (n - 1)))


def lines(scores: dict[tuple[str, int, str], float], shots: str = "0") -> list[str]:
    return [HEAD] + [f"{m},{s},{t},{shots},{p},{error(p)}" for (m, s, t), p in scores.items()]


def table(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two models, six checkpoints, addition in three strata of 50 questions and one task alone."""
    scores = {}
    for m, lift in (("a", 0.0), ("b", 0.1)):
        for s in range(1, 7):
            for k in range(3):
                scores[m, 1000 * s, f"add_{k}"] = 0.1 * s + 0.1 * k + lift
            scores[m, 1000 * s, "word"] = 0.5
    return table(tmp_path / "scores.csv", lines(scores))


def test_strata_are_pooled_by_hand(two: Path) -> None:
    runs = open_all(two)
    assert [r.name for r in runs] == ["a", "b"]
    curve = runs[1].curves["add/acc"]
    np.testing.assert_allclose(curve.y, [0.1 * s + 0.2 for s in range(1, 7)])
    by_hand = np.sqrt(sum(error(0.1 + 0.1 * k + 0.1) ** 2 for k in range(3))) / 3
    assert curve.stderr is not None
    assert curve.stderr[0] == pytest.approx(by_hand)
    assert curve.n_trials == 150
    assert runs[1].curves["word/acc"].n_trials == 50
    assert curve.lineage == "evals"
    assert not curve.continuous
    assert not runs[1].scan.faults


def test_the_error_of_strata_is_at_most_the_binomial_one() -> None:
    # p_i of the strata scatter: sum p_i (1 - p_i) <= m p (1 - p), so that n_trials errs to the wide side
    p = np.random.default_rng(2).uniform(0, 1, 40)
    strata = np.sqrt((p * (1 - p) / 49).sum()) / 40
    assert strata <= np.sqrt(p.mean() * (1 - p.mean()) / (40 * 50 - 1))


def test_a_model_is_named_and_several_are_refused(two: Path) -> None:
    assert opalesce.open(two, name="b").curves["add/acc"].y[0] == pytest.approx(0.3)
    with pytest.raises(InputError, match="more than one run"):
        opalesce.open(two)
    with pytest.raises(InputError, match="more than one run"):
        opalesce.open(two, name="c")


def test_one_model_opens_as_it_stands_also_gzipped(tmp_path: Path) -> None:
    rows = lines({("m", s, "t"): 0.2 for s in range(1, 5)})
    path = tmp_path / "one.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))
    assert is_long(path)
    run = opalesce.open(path, name="mine")
    assert run.name == "mine"
    assert list(run.curves) == ["t/acc"]


def test_shots_are_tasks_apart(tmp_path: Path) -> None:
    rows = lines({("m", s, "t"): 0.2 for s in range(1, 5)}, "0")
    rows += lines({("m", s, "t"): 0.4 for s in range(1, 5)}, "16")[1:]
    run = opalesce.open(table(tmp_path / "s.csv", rows))
    assert run.curves["t(16-shot)/acc"].y[0] == 0.4
    assert run.curves["t(0-shot)/acc"].y[0] == 0.2


def test_a_continuous_metric_of_the_table_is_its_pair(tmp_path: Path) -> None:
    rows = ["step,task,acc,log_ppl"] + [f"{s},t,0.{s},{9 - s}" for s in range(1, 6)]
    run = opalesce.open(table(tmp_path / "soft.csv", rows))
    assert run.curves["t/acc"].pair == "t/log_ppl"
    assert run.curves["t/log_ppl"].continuous


def test_what_is_broken_is_said_and_survived(two: Path) -> None:
    rows = two.read_text().splitlines()
    rows[3] = "a,1000,add_2,0,1.7,0.05"  # no share
    rows += ["a,soon,add_0,0,0.1,0.04", "b,1000,add_0,0,0.9,0.04"]
    table(two, rows)
    models, faults = read_long(two)
    kinds = sorted(f.kind for f in faults)
    assert kinds == ["malformed line", "malformed line", "missing scores", "repeated step"]
    first = next(f for f in models["a"] if f.step == 1000)
    assert first.values["add", "acc"][0] == pytest.approx(0.15)  # the two strata that all checkpoints have


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "model,step,task\nm,1,t\n", "step,acc\n1,0.5\n"])
def test_other_tables_are_not_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert not is_long(path)
    with pytest.raises(OpalesceError, match="not a long table"):
        read_long(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(b"\x1f\x8bnot gzip")
    assert not is_long(path)
    path = tmp_path / "y.csv"
    path.write_bytes(HEAD.encode() + b"\nm,1,\xff\xfe,0,0.1,0.1\n")
    with pytest.raises(OpalesceError, match="not a CSV file"):
        opalesce.open(path)
    path.write_text(HEAD + "\nm,1,t,0,n/a,\n")
    with pytest.raises(OpalesceError, match="no row"):
        opalesce.open(path)


def test_in_a_folder_it_is_left_with_the_reason(two: Path) -> None:
    (two.parent / "log.csv").write_text("step,loss\n1,2\n2,1\n")
    run = opalesce.open(two.parent)
    assert [item.why for item in run.scan.left] == ["a long table of scores: open this file alone"]


def test_arithmetic_of_pythia_moves_late_and_nobody_can_tell_why(data: Path) -> None:
    path = data / "pythia_evals" / "pythia_term_frequency_arithmetic.csv.gz"
    run = opalesce.open(path, name=BIG)
    curve = run.curves["num_reasoning_arithmetic_addition(16-shot)/acc"]
    # reference 03-scaling.md, C2
    np.testing.assert_allclose(curve.y, [0.029, 0.100, 0.333, 0.688, 0.847, 0.874], atol=6e-4)
    np.testing.assert_array_equal(curve.x, [13e3, 39e3, 65e3, 91e3, 117e3, 143e3])
    assert curve.n_trials == 5000  # 100 numbers of 50 questions, by the stated errors
    rows = [r for r in opalesce.mirage(path) if "addition(16-shot)" in r.task]
    assert len({r.run for r in rows}) == 7
    assert {r.verdict for r in rows} == {"cannot tell"}
    big = next(r for r in rows if r.run == BIG)
    onset = big.metrics[big.task].onset
    assert (onset.value, onset.low, onset.high) == (39e3, 13e3, 39e3)
    assert "no continuous metric" in big.reason
    small = next(r for r in rows if "125m" in r.run)
    assert np.isnan(small.metrics[small.task].onset.value)
