"""opalesce fit, forecast, allocate and mirage: text, JSON, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opalesce.cli import main

from .conftest import Command


@pytest.fixture
def curve(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, 30)
    path = tmp_path / "curve.csv"
    y = (0.2 + 2 * x**-0.4) * np.exp(0.01 * rng.standard_normal(30))
    pd.DataFrame({"tokens": x, "loss": y}).to_csv(path, index=False)
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7, 10, 60), 10 ** rng.uniform(9, 11.5, 60)
    loss = (1.8 + 480 * n**-0.35 + 2100 * d**-0.37) * np.exp(0.003 * rng.standard_normal(60))
    path = tmp_path / "runs.csv"
    pd.DataFrame({"N": n, "D": d, "C": 6 * n * d, "loss": loss}).to_csv(path, index=False)
    return path


def test_fit_as_document(opalesce: Command, curve: Path):
    done = opalesce("fit", curve, "--x", "tokens", "--y", "loss", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["schema"] == "opalesce.fit/1"
    assert found["params"]["c0"] == pytest.approx(0.4, abs=0.05)
    assert found["intervals"]["c0"]["low"] < 0.4 < found["intervals"]["c0"]["high"]


def test_fit_of_two_inputs(runs: Path, capsys):
    assert main(["fit", str(runs), "--x", "N,D", "--y", "loss", "--law", "chinchilla"]) == 0
    out, err = capsys.readouterr()
    assert "alpha" in out
    assert "Huber delta 0.001" in out
    assert "no groups given" in err


def test_forecast(curve: Path, capsys):
    line = ["forecast", str(curve), "--x", "tokens", "--y", "loss", "--to", "2e4,1e6"]
    assert main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    near, far = found["rows"]
    assert near["lower"] < near["median"] < near["upper"]
    assert far["median"] is None  # no bare number beyond one decade
    assert main(line) == 0
    assert "a sharp break" in capsys.readouterr().out


def test_forecast_from_the_other_runs(tmp_path: Path, capsys):
    rng = np.random.default_rng(0)
    x = np.geomspace(10, 1000, 20)
    rows = ["run,step,loss"]
    for i in range(5):
        kept = x[:14] if i == 0 else x
        rows += [f"r{i},{t},{(2 + i) * t ** -(0.1 + 0.02 * i) * np.exp(0.01 * rng.normal())}" for t in kept]
    table = tmp_path / "runs.csv"
    table.write_text("\n".join(rows))
    line = ["forecast", str(table), "--x", "step", "--y", "loss", "--to", "1000", "--group", "run"]
    assert main([*line, "--run", "r0", "--json", "--out", str(tmp_path / "page")]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert row["lower"] < 2 * 1000**-0.1 < row["upper"]
    assert found["weights"] == {"family": 1.0}
    assert main([*line, "--run", "r9"]) != 0
    assert "r0, r1" in capsys.readouterr().err
    assert main(line) != 0
    assert "--group and --run" in capsys.readouterr().err


def test_allocate(runs: Path, capsys):
    assert main(["allocate", str(runs), "--compute", "1e21", "--c", "C", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["exponent"]["value"] == pytest.approx(0.51, abs=0.05)
    assert main(["allocate", str(runs), "--compute", "1e26"]) == 0
    assert "decades beyond the largest budget" in capsys.readouterr().out


def test_mirage(data: Path, capsys):
    assert main(["mirage", str(data / "pythia_evals" / "pythia-160m")]) == 0
    out = capsys.readouterr().out
    assert "metric artefact  lambada_openai/acc" in out
    assert out.rstrip().endswith("cannot tell")


def test_compressed_and_json_lines(curve: Path, tmp_path: Path, capsys):
    frame = pd.read_csv(curve)
    packed = tmp_path / "curve.csv.gz"
    packed.write_bytes(gzip.compress(curve.read_bytes()))
    lines = tmp_path / "curve.jsonl"
    frame.to_json(lines, orient="records", lines=True, double_precision=15)
    found = []
    for path in (packed, lines):
        assert main(["fit", str(path), "--x", "tokens", "--y", "loss", "--law", "M1", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["params"]["c0"])
    assert found[0] == pytest.approx(found[1], rel=1e-9)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "CURVE", "--x", "token", "--y", "loss"], "no column 'token'"),
        (["fit", "CURVE", "--x", "tokens", "--y", "loss", "--law", "powr"], "no law"),
        (["fit", "CURVE", "--x", "tokens", "--y", "loss", "--breaks", "x"], "auto"),
        (["fit", "nothing.csv", "--x", "a", "--y", "b"], "not there"),
        (["forecast", "CURVE", "--x", "tokens", "--y", "loss", "--to", "soon"], "--to takes numbers"),
        (["allocate", "CURVE", "--compute", "1e20"], "no column"),
        (["mirage", "CURVE"], "thresholded"),
    ],
)
def test_refused_with_a_way_out(words, told, curve: Path, capsys):
    line = [str(curve) if w == "CURVE" else w for w in words]
    assert main(line) == 2
    assert told in capsys.readouterr().err


def test_text_in_a_column(tmp_path: Path, capsys):
    path = tmp_path / "bad.csv"
    path.write_text("x,y\n1,2\n2,n/a?\n3,1\n4,1\n")
    assert main(["fit", str(path), "--x", "x", "--y", "y"]) == 2
    assert "row 1" in capsys.readouterr().err


def test_a_page_beside_the_same_numbers(curve: Path, runs: Path, data: Path, tmp_path: Path, capsys):
    long = data / "pythia_evals" / "pythia_term_frequency_arithmetic.csv.gz"
    calls = {
        "fit": [str(curve), "--x", "tokens", "--y", "loss"],
        "forecast": [str(curve), "--x", "tokens", "--y", "loss", "--to", "2e4"],
        "allocate": [str(runs), "--compute", "1e21"],
        "mirage": [str(long)],
    }
    for verb, words in calls.items():
        assert main([verb, *words, "--json"]) == 0
        plain = json.loads(capsys.readouterr().out)
        out = tmp_path / verb
        assert main([verb, *words, "--out", str(out), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        page = Path(said.pop("page"))
        assert said == plain
        assert page == out / f"{verb}.html"
        assert json.loads((out / f"{verb}.json").read_text()) == plain
        assert {p.name for p in out.iterdir()} == {f"{verb}.html", f"{verb}.json", f"{verb}-figures.json"}
        text = page.read_text()
        assert "cite: @" in text
        assert "<script src" not in text
    assert len({r["run"] for r in plain["rows"]}) == 7
    assert all("score" not in r and "soft" not in r for r in plain["rows"])


def test_a_page_says_the_warnings(curve: Path, tmp_path: Path, capsys):
    assert main(["fit", str(curve), "--x", "tokens", "--y", "loss", "--out", str(tmp_path / "f")]) == 0
    assert capsys.readouterr().out.rstrip().endswith("fit.html")
    assert "warning: no groups given" in (tmp_path / "f" / "fit.html").read_text()


def test_a_folder_that_cannot_be_made(curve: Path, tmp_path: Path, capsys):
    (tmp_path / "file").write_text("x")
    line = ["fit", str(curve), "--x", "tokens", "--y", "loss", "--out", str(tmp_path / "file" / "f")]
    assert main(line) == 2
    assert "cannot write" in capsys.readouterr().err
