"""compare: known dates, known order; pairs; and what cannot be compared."""

from __future__ import annotations

import json
from math import log10
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.cli import main
from opalesce.errors import InputError
from opalesce.transitions.compare import compare


def run(place: float, seed: int, noise: float = 0.1, height: float = 2.0, name: str = "loss") -> pd.DataFrame:
    """A loss that falls by `height` at `place`, 0.3 decades wide, at 80 steps from 10 to 1e5."""
    x = np.unique(np.round(np.geomspace(10, 1e5, 80)))
    fall = height / (1 + np.exp(-(np.log10(x / place)) * 4.394 / 0.3))
    return pd.DataFrame({"step": x, name: 4 - fall + noise * np.random.default_rng(seed).normal(size=len(x))})


def test_a_known_shift_between_two_runs():
    (c,) = compare(run(1000, 0), run(2000, 1))
    assert c.shift.low < log10(2) < c.shift.high
    assert c.factor.value == pytest.approx(2, rel=0.15)
    assert c.first == "A"
    (back,) = compare(run(2000, 1), run(1000, 0))
    assert back.first == "B"
    assert back.shift.value == pytest.approx(-c.shift.value)


def test_pairs_of_seeds_give_a_t_interval():
    jitter = np.array([0.8, 1.0, 1.3])
    a = [run(1000 * j, 10 + i, 0.05) for i, j in enumerate(jitter)]
    b = [run(1500 * j, 20 + i, 0.05) for i, j in enumerate(jitter)]
    (c,) = compare(a, b, level=0.99)
    assert c.shift.n == 3
    assert "3 pairs" in c.shift.method
    # the seeds move the date by a factor 1.6, which pairing takes out
    assert c.shift.low < log10(1.5) < c.shift.high
    assert c.shift.high - c.shift.low < log10(1.3 / 0.8)
    assert c.first == "A"


def test_more_witnesses_widen_each_interval():
    one = compare(run(1000, 0), run(2000, 1))[0]
    a, b = (run(p, s).assign(grad_norm=run(p, s + 5)["loss"]) for p, s in ((1000, 0), (2000, 1)))
    two = next(c for c in compare(a, b) if c.witness == "loss")
    assert two.shift.level == pytest.approx(0.95)
    assert two.shift.high - two.shift.low > one.shift.high - one.shift.low


def test_what_did_not_change_has_no_date():
    (c,) = compare(run(1000, 0), run(1000, 1, height=0.0))
    assert c.first == "cannot tell"
    assert "no change beyond noise" in c.why
    assert np.isnan(c.shift.value)


def test_refusals():
    with pytest.raises(InputError, match="in pairs"):
        compare([run(1000, 0)], [run(1000, 1), run(1000, 2)])
    with pytest.raises(InputError, match="no witness"):
        compare(run(1000, 0), run(1000, 1, name="reward"))
    with pytest.raises(InputError, match="confidence level"):
        compare(run(1000, 0), run(1000, 1), level=90)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = []
    for i, place in enumerate((1000, 2000)):
        files.append(str(tmp_path / f"log{i}.csv"))
        run(place, i).to_csv(files[-1], index=False)
    assert main(["compare", *files]) == 0
    assert "loss: A changed first" in capsys.readouterr().out
    assert main(["compare", *files, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["witnesses"][0]["first"] == "A"
    assert main(["compare", files[0]]) == 2


@pytest.mark.validate
def test_coverage_and_false_orders():
    """60 pairs each: 90 % intervals hold the true shift, equal dates are not put in order.

    With 60 pairs the rate of a 90 % interval has a standard error of 0.039; three of them are allowed.
    """
    n, slack = 60, 3 * np.sqrt(0.9 * 0.1 / 60)
    apart = [compare(run(1000, 2 * k), run(1500, 2 * k + 1))[0] for k in range(n)]
    alike = [compare(run(1000, 500 + 2 * k), run(1000, 501 + 2 * k))[0] for k in range(n)]
    assert np.mean([c.shift.low <= log10(1.5) <= c.shift.high for c in apart]) > 0.9 - slack
    assert np.mean([c.first != "cannot tell" for c in alike]) < 0.1 + slack
    assert np.mean([c.first == "A" for c in apart]) > 0.8  # and a factor 1.5 is seen
