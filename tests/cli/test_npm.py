"""opalesce npm: predictions, the fit, pores, flow, phenomena; good input and bad."""

from __future__ import annotations

import json

import numpy as np
import pytest

from opalesce import cli
from opalesce.runs.safetensors import write


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_predict(capsys):
    words = ["npm", "predict", "--tokens", "3e11", "--breadth", "0.7", "--params", "6.9e9", "--json"]
    assert cli.main(words) == 0
    d = said(capsys)
    assert d["schema"] == "opalesce.npm/1"
    assert d["connectivity"] == pytest.approx(7.87, rel=1e-2)  # reference 01, A3
    assert [c["there"] for c in d["capabilities"]] == [True] * 5
    assert any("not identifiable" in line for line in d["identifiable"])
    assert cli.main(["npm", "predict", "--tokens", "2e10", "--breadth", "0.7"]) == 0
    assert "fragmented" in capsys.readouterr().out


def test_predict_from_a_run(tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text("".join(f'{{"step": {i}, "loss": {3 - i / 9}}}\n' for i in range(5)))
    (tmp_path / "config.json").write_text('{"num_tokens": 3e11, "breadth": 0.7}')
    assert cli.main(["npm", "predict", str(tmp_path), "--json"]) == 0
    assert said(capsys)["tokens"] == 3e11
    (tmp_path / "config.json").write_text("{}")
    assert cli.main(["npm", "predict", str(tmp_path)]) == 2
    assert "--tokens" in capsys.readouterr().err


def test_fit_refuses_the_constants(data, capsys):
    assert cli.main(["npm", "fit", str(data / "npm_models" / "npm_14_models.csv"), "--json"]) == 0
    d = said(capsys)
    assert d["spearman"] == pytest.approx(0.6987, abs=5e-4)
    assert d["slope"] == pytest.approx(0.095, abs=5e-4)
    assert d["constants"] is None
    assert "not identifiable" in d["constants_status"]
    assert d["baselines"]["tokens x params"] == pytest.approx(0.890, abs=1e-3)


def test_pores_of_every_checkpoint(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for step in (0, 10):
        w = {"a.weight": rng.normal(size=(60, 70)).astype(np.float32), "b": np.ones(3, np.float32)}
        write(tmp_path / f"step{step}.safetensors", w)
    assert cli.main(["npm", "pores", str(tmp_path), "--json"]) == 0
    rows = said(capsys)["rows"]
    assert [r["step"] for r in rows] == [0, 10]
    for r in rows:
        assert r["pooled"]["cv"] == pytest.approx(0.7555, abs=0.05)  # half-normal; 4 s.e. of 4200 values
        assert r["weibull"]["a.weight"] == pytest.approx(1.205, abs=0.08)


def test_flow_of_layers_and_of_attention(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    np.save(tmp_path / "b.npy", np.ones((4, 3)))
    assert cli.main(["npm", "flow", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--json"]) == 0
    d = said(capsys)["flow"]
    # 2 inlets, 3 hidden, 4 outlets, unit conductances: hidden potential 1/3, G = 2 * 3 * 2/3
    assert d["effective conductance"] == pytest.approx(4.0)
    assert d["conservation residual"] < 1e-12
    p = np.random.default_rng(1).random((5, 5))
    np.save(tmp_path / "p.npy", p / p.sum(axis=1, keepdims=True))
    assert cli.main(["npm", "flow", str(tmp_path / "p.npy"), "--json"]) == 0
    d = said(capsys)["attention"]
    assert d["largest error of a row sum"] < 1e-12
    assert d["entropy production"] > 0


def test_phenomena_are_listed(capsys):
    assert cli.main(["npm", "phenomena", "--json"]) == 0
    d = said(capsys)
    assert len(d["phenomena"]) == 16
    assert d["judged"] == []


@pytest.mark.parametrize(
    "words",
    [
        ["predict"],
        ["predict", "--tokens", "1e9"],
        ["predict", "--tokens", "1e9", "--breadth", "2"],
        ["predict", "--tokens", "-1", "--breadth", "0.5"],
        ["fit", "nowhere.csv"],
        ["pores", "nowhere"],
        ["flow", "nowhere.npy"],
        ["phenomena", "--run", "--seeds", "1"],
    ],
)
def test_bad_input(words, capsys):
    assert cli.main(["npm", *words]) == 2
    assert capsys.readouterr().err


def test_a_table_without_columns(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("model,score\na,1\n")
    assert cli.main(["npm", "fit", str(tmp_path / "t.csv")]) == 2
    assert "tokens" in capsys.readouterr().err
