"""The over-training law on the source's own runs, and on runs that are its law exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.errors import InputError
from opalesce.laws.overtraining import overtraining

SMALL = (10569312, 78914048, 153677376, 411616256)
LARGE, LARGEST = 1439795200, 6889410560
# the 17 tasks of the source's average, from its repository
TASKS = """
    arc_easy bigbench_cs_algorithms bigbench_dyck_languages bigbench_novel_concepts bigbench_operators
    bigbench_qa_wikidata boolq commonsense_qa copa coqa hellaswag hellaswag_zeroshot lambada_openai piqa
    pubmed_qa_labeled squad winograd
""".split()  # noqa: SIM905


def runs(data: Path, corpus: str) -> pd.DataFrame:
    folder = data / "gadre_scaling"
    table = pd.read_csv(folder / "losses_long.csv.gz")
    table = table[table.val_path.str.contains("c4_val") & (table.dataset == corpus)].copy()
    tasks = pd.read_csv(folder / "downstream_long.csv.gz")
    accuracy = tasks[tasks.task.isin(TASKS)].groupby("name").accuracy.mean()
    table["error"] = 1 - table.name.map(accuracy)
    return table


def as_source(table: pd.DataFrame, draws: int = 0):
    """Four small runs at M = 20 and the smallest at M = 320 for the loss; the 1.4B too for the error."""
    usual = table.chinchilla_multiplier == 1
    loss = (usual & table.params.isin(SMALL)) | (
        (table.params == SMALL[0]) & (table.chinchilla_multiplier == 16)
    )
    part = table[loss | (usual & (table.params == LARGE))]
    chosen = part.params.isin(SMALL)
    return overtraining(
        part.params, 20 * part.chinchilla_multiplier * part.params, part.loss, part.error,
        loss_runs=chosen, draws=draws,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("corpus", "h", "limit"),
    [("c4_original", -0.24247, 1.5083), ("rpj", -0.27285, 1.8366), ("rw_original", -0.25439, 1.7345)],
)
def test_numbers_of_the_source(data, corpus, h, limit):
    # gadre2024language: its own code run on its runs (reference 03, B6), printed to five digits
    got = as_source(runs(data, corpus))
    assert -2 * got.params["eta"] == pytest.approx(h, abs=1e-5)
    assert got.params["E"] == pytest.approx(limit, abs=1e-4)


def test_error_law_and_predictions_of_the_source(data):
    table = runs(data, "rpj")
    got = as_source(table, draws=40)
    assert got.params["k"] == pytest.approx(2.2065, abs=1e-4)
    assert got.params["gamma"] == pytest.approx(0.7146, abs=1e-4)
    assert got.params["eps"] == pytest.approx(0.8570, abs=1e-4)
    # relative errors of the source's notebook: loss .71 % and .73 %, error 3.64 % and .05 %
    for size, times, loss, error in ((LARGE, 32, 0.0071, 0.0364), (LARGEST, 1, 0.0073, 0.0005)):
        row = table[(table.params == size) & (table.chinchilla_multiplier == times)].iloc[0]
        out = got.predict(size, 20 * times * size)
        assert abs(out["loss"].median[0] / row.loss - 1) == pytest.approx(loss, abs=5e-5)
        assert abs(out["error"].median[0] / row.error - 1) == pytest.approx(error, abs=5e-5)
    # five runs and four parameters: many resamples say nothing, and the interval admits it
    assert "too few different runs" in got.intervals["E"].status
    assert got.intervals["exponent"].low < -0.27285 < got.intervals["exponent"].high


def law(n, d, e=1.7, a=80.0, b=120.0, eta=0.12):
    c, m = 6 * n * d, d / n
    return e + (a * m**eta + b * m**-eta) * c**-eta


def grid(sizes=(1e7, 5e7, 2e8, 1e9), ratios=(5, 20, 80, 320)):
    n = np.repeat(sizes, len(ratios))
    return n, n * np.tile(ratios, len(sizes))


def test_exact_runs_give_their_constants_back():
    n, d = grid()
    loss = law(n, d)
    got = overtraining(n, d, loss, 0.85 - 2.2 * np.exp(-0.7 * loss), draws=0)
    want = {"E": 1.7, "a": 80.0, "b": 120.0, "eta": 0.12, "eps": 0.85, "k": 2.2, "gamma": 0.7}
    assert got.params == pytest.approx(want, rel=1e-5)
    assert got.predict(1e10, 1e12)["loss"].median[0] == pytest.approx(law(1e10, 1e12), rel=1e-8)


def test_intervals_over_runs_cover():
    # 16 runs with noise .004 (about that of real replicates); 30 sets, 90 % intervals of E and h.
    # A true coverage of .9 gives 30 x .9 = 27 +- 1.6; 22 is three standard errors below.
    n, d = grid()
    inside = np.zeros(2, int)
    for seed in range(30):
        noise = 0.004 * np.random.default_rng([7, seed]).normal(size=len(n))
        got = overtraining(n, d, law(n, d) + noise, draws=60, seed=seed)
        for i, (name, true) in enumerate((("E", 1.7), ("exponent", -0.24))):
            inside[i] += got.intervals[name].low <= true <= got.intervals[name].high
    assert inside.min() >= 22, inside


def test_bad_input():
    n, d = grid()
    y = law(n, d)
    for bad in (np.full(16, -1.0), y[:5], np.where(np.arange(16) == 2, np.nan, y)):
        with pytest.raises(InputError):
            overtraining(n, d, bad)
    with pytest.raises(InputError, match="too few runs for the law of the loss"):
        overtraining(n[:3], d[:3], y[:3])
    with pytest.raises(InputError, match="too few runs for the law of the error"):
        overtraining(n, d, y, np.where(np.arange(16) < 2, 0.5, np.nan))
    with pytest.raises(InputError, match="top-1 error"):
        overtraining(n, d, y, np.full(16, 50.0))
    with pytest.raises(InputError, match="level"):
        overtraining(n, d, y, level=90)
