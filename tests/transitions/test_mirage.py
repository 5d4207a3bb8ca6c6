"""The mirage court on runs whose truth is made here, and on the public Pythia evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.runs.open import open as open_run
from opalesce.runs.run import Axis, Curve, Run
from opalesce.theory.metrics import brier, edit_distance, exact_match, token_probability
from opalesce.theory.sampling import binomial_interval
from opalesce.transitions.mirage import mirage
from opalesce.transitions.onset import change, noise_of

X = np.array([0, *2.0 ** np.arange(0, 18)])
U = np.log10(1 + X)


def made(soft, p, n=1000, seed=0, task="copy", x=X):
    """A run with a log-perplexity `soft` and a score of n trials with success p."""
    rng = np.random.default_rng(seed)
    y = rng.binomial(n, p) / n
    hard = Curve(f"{task}/acc", x, y, None, "complete", "evals", False, "1", "", f"{task}/log_ppl", n)
    se = np.full(len(x), 0.05)
    noisy = soft + se * rng.standard_normal(len(x))
    other = Curve(f"{task}/log_ppl", x, noisy, se, "complete", "evals", True, "nats")
    return Run("made", curves={hard.name: hard, other.name: other}, axis=Axis())


def rise(centre, width, u=U):
    return 1 / (1 + np.exp(-(u - centre) * 4.394 / width))


@pytest.mark.parametrize("seed", range(5))
def test_a_smooth_change_seen_through_a_threshold(seed):
    soft = 8.0 - 7.0 * rise(2.6, 2.5)  # two and a half decades wide
    run = made(soft, exact_match(token_probability(np.maximum(soft - 1, 0)), 2), seed=seed)
    (row,) = mirage(run, chance={"copy": 0.0})
    assert row.verdict == "metric artefact", row.reason
    assert row.metrics["copy/log_ppl"].onset.value < row.metrics["copy/acc"].onset.value
    assert row.zero_below == pytest.approx(3.7e-3, rel=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_a_jump_of_both_metrics_is_real(seed):
    x = np.r_[0.0, np.geomspace(1, 1e5, 51)]  # ten checkpoints a decade: a width needs two spacings
    jump = rise(3.0, 0.1, np.log10(1 + x))
    (row,) = mirage(made(8.0 - 7.0 * jump, 0.9 * jump, seed=seed, x=x), chance={"copy": 0.0})
    assert row.verdict == "real", row.reason


def test_a_sharp_metric_that_comes_later_is_no_witness():
    x = np.r_[0.0, np.geomspace(1, 1e5, 51)]
    u = np.log10(1 + x)
    run = made(8.0 - 7.0 * rise(4.0, 0.1, u), 0.9 * rise(2.5, 0.1, u), x=x)
    (row,) = mirage(run, chance={"copy": 0.0})
    assert row.verdict == "cannot tell"
    assert "before its continuous metric" in row.reason


def test_nothing_happens_is_rarely_a_verdict():
    # 60 tasks at chance with flat perplexity: a false verdict needs two false onsets in a row
    rows = [mirage(made(np.full(len(X), 5.0), 0.25, seed=s), chance={"copy": 0.25})[0] for s in range(60)]
    assert {r.verdict for r in rows} == {"cannot tell"}


def test_a_bias_of_answers_is_no_ability():
    p = np.where(X < 1000, 0.30, 0.25)  # it shifts for good, from one bias to chance
    (row,) = mirage(made(np.full(len(X), 5.0), p, n=5000), chance={"copy": 0.25})
    assert row.verdict == "cannot tell"
    assert row.p_above_chance > 0.05


def test_without_a_continuous_metric_nobody_can_tell():
    run = made(np.full(len(X), 5.0), 0.9 * rise(3.0, 0.1))
    alone = {k: Curve(k, X, c.y, None, "complete", "evals", False, n_trials=1000)
             for k, c in run.curves.items() if k.endswith("acc")}  # fmt: skip
    (row,) = mirage(Run("alone", curves=alone, axis=Axis()), chance={"copy": 0.0})
    assert row.verdict == "cannot tell"
    assert "no continuous metric" in row.reason


def test_onset_of_a_step_and_its_bracket():
    y = np.where(X < 100, 0.0, 0.5)
    c = Curve("t/acc", X, y, None, "complete", "evals", False, n_trials=500)
    got = change(c, U, np.random.default_rng(0))
    assert (got.onset.value, got.onset.low, got.onset.high) == (128, 64, 128)


def test_zero_of_n_is_an_interval():
    assert binomial_interval(0, 1000)[1] == pytest.approx(1 - 0.025**1e-3, rel=1e-9)
    assert binomial_interval(1000, 1000)[0] == pytest.approx(0.025**1e-3, rel=1e-9)
    c = Curve("t/acc", X, np.zeros(len(X)), np.zeros(len(X)), "complete", "evals", False, n_trials=1000)
    assert (noise_of(c) > 0).all()


def test_metrics_of_the_source():
    # schaeffer2023mirage with the constants of kaplan2020scaling, 1e9 and 1e11 parameters
    for size, ce, p, fifth in [(1e9, 2.3756, 0.0930, 6.94e-6), (1e11, 1.6741, 0.1875, 2.32e-4)]:
        cross = (8.8e13 / size) ** 0.076
        got = token_probability(cross)
        assert cross == pytest.approx(ce, abs=1e-4)
        assert got == pytest.approx(p, abs=1e-4)
        assert exact_match(got, 5) == pytest.approx(fifth, rel=2e-3)
        assert edit_distance(got, 5) == pytest.approx(5 * (1 - p), abs=1e-3)
        assert brier(got) == pytest.approx((1 - p) ** 2, abs=1e-3)
    with pytest.raises(InputError, match="probability"):
        exact_match(1.2, 5)
    with pytest.raises(InputError, match="length"):
        edit_distance(0.5, 0)
    with pytest.raises(InputError, match="cross entropy"):
        token_probability(-1.0)


def test_a_run_without_scores(tmp_path):
    run = made(np.full(len(X), 5.0), 0.5)
    soft = {k: c for k, c in run.curves.items() if c.continuous}
    with pytest.raises(InputError, match="thresholded"):
        mirage(Run("soft", curves=soft, axis=Axis()))


@pytest.mark.parametrize("size", ["70m", "1.4b"])
def test_lambada_left_its_start_before_its_accuracy(data: Path, size):
    run = open_run(data / "pythia_evals" / f"pythia-{size}")
    rows = {r.task: r for r in mirage(run)}
    row = rows["lambada_openai/acc"]
    soft = row.metrics["lambada_openai/log_ppl"]
    assert row.verdict == "metric artefact"
    assert row.metrics["lambada_openai/acc"].onset.value == 1000
    assert 64 <= soft.onset.value <= 128
    assert 1.2 < soft.width.value < 1.6
    mmlu = [r for r in rows.values() if r.task.startswith("hendrycks") and r.task.endswith("/acc")]
    assert len(mmlu) == 57
    assert {r.verdict for r in mmlu} == {"cannot tell"}
