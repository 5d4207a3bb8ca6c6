"""percolate-data on real files, good and bad."""

from __future__ import annotations

import json

import numpy as np
import pytest

from opalesce import cli
from opalesce.runs.safetensors import write


@pytest.fixture
def cloud():
    rng = np.random.default_rng(3)
    return (rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6))).astype(np.float32)


@pytest.mark.parametrize("kind", ["npy", "csv", "tsv", "safetensors"])
def test_every_kind_of_file_gives_the_same_answer(tmp_path, cloud, kind, capsys):
    path = tmp_path / f"x.{kind}"
    source = str(path)
    if kind == "npy":
        np.save(path, cloud)
    elif kind == "safetensors":
        write(path, {"emb": cloud})
        source += "::emb"
    else:
        sep = "\t" if kind == "tsv" else ","
        np.savetxt(path, cloud, delimiter=sep, header=sep.join("abcdef"), comments="", fmt="%.9g")
    assert cli.main(["percolate-data", source, "--json", "--sweeps", "20"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "opalesce.percolate-data/1"
    assert said["points"] == 300
    assert len(said["null"]) == 3
    # two dimensions hidden in six connect at shorter lengths than their shuffled columns
    assert said["data"]["critical_length"] < min(n["critical_length"] for n in said["null"])


def test_a_page_is_written(tmp_path, cloud, capsys):
    np.save(tmp_path / "x.npy", cloud)
    words = ["percolate-data", str(tmp_path / "x.npy"), "--out", str(tmp_path / "o"), "--sweeps", "20"]
    assert cli.main(words) == 0
    assert "times above" in (said := capsys.readouterr().out) or "do not connect" in said
    assert (tmp_path / "o" / "data.html").stat().st_size > 1e6
    assert json.loads((tmp_path / "o" / "data.json").read_text())["schema"] == "opalesce.figures/1"


@pytest.mark.parametrize("make", ["missing", "pickle", "text", "three", "nan", "noname", "ending"])
def test_bad_files_are_named(tmp_path, make, capsys):
    path = tmp_path / "x.npy"
    source = str(path)
    if make == "pickle":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif make == "text":
        path = tmp_path / "x.csv"
        path.write_text("a,b\n1,two\n")
        source = str(path)
    elif make == "three":
        np.save(path, np.zeros((4, 4, 4)))
    elif make == "nan":
        np.save(path, np.full((50, 3), np.nan))
    elif make == "noname":
        write(tmp_path / "x.safetensors", {"emb": np.zeros((4, 4), np.float32)})
        source = str(tmp_path / "x.safetensors")
    elif make == "ending":
        (tmp_path / "x.parquet").write_bytes(b"")
        source = str(tmp_path / "x.parquet")
    assert cli.main(["percolate-data", source]) == 2
    assert "expected" in capsys.readouterr().err
