"""opalesce theory brill: figures that need no simulation, and what is refused."""

from __future__ import annotations

import json

import pytest

from opalesce import cli


@pytest.mark.parametrize("figure", [1, 2, 3, 4])
def test_figures_are_made_and_written(tmp_path, figure, capsys):
    assert cli.main(["theory", "brill", "--figure", str(figure), "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "opalesce.brill/1"
    page = json.loads((tmp_path / "brill.json").read_text())
    assert page["exhibits"][0]["id"] == f"brill-{figure}"
    assert len(page["exhibits"][0]["plates"]) >= 2


def test_figure_ten_takes_a_table(tmp_path, capsys):
    table = tmp_path / "models.csv"
    params = [1e7 * 4**i for i in range(8)]
    rows = "\n".join(f"{p:g},{0.5 * p**0.4:g}" for p in params)
    table.write_text("params,d_model\n" + rows + "\n")
    words = ["theory", "brill", "--figure", "10", "--table", str(table), "--out", str(tmp_path), "--json"]
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["10"]["exponent"] == pytest.approx(0.4, abs=1e-4)


@pytest.mark.parametrize(
    "words",
    [["--figure", "11"], ["--figure", "10"], ["--seeds", "1"], ["--figure", "10", "--table", "nowhere.csv"]],
)
def test_what_cannot_be_drawn(words, tmp_path, capsys):
    assert cli.main(["theory", "brill", *words, "--out", str(tmp_path)]) == 2
    assert "expected" in capsys.readouterr().err
