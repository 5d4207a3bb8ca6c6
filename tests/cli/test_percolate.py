"""percolate on lattices, graphs and matrices, good and bad."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.sparse import csr_array, save_npz

from opalesce import cli
from opalesce.cli.graphs import load_graph
from opalesce.runs.safetensors import write


def said(capsys, *words):
    assert cli.main(["percolate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def edges():
    out = np.random.default_rng(0).integers(0, 298, (700, 2))
    out[-1] = 298, 299  # a piece of its own
    return out


def test_a_matrix_meets_its_nulls(tmp_path, capsys):
    rng = np.random.default_rng(1)
    w = rng.standard_normal((60, 90)) * np.exp(1.5 * rng.standard_normal((60, 1)))
    np.save(tmp_path / "w.npy", w)
    write(tmp_path / "m.safetensors", {"w": w.astype(np.float32)})
    a = said(capsys, str(tmp_path / "w.npy"))
    b = said(capsys, f"{tmp_path / 'm.safetensors'}::w")
    assert a["threshold"] == b["threshold"]
    assert a["threshold"]["exact_null"] == pytest.approx(1 / np.sqrt(60 * 90))
    assert a["nulls"]["shuffled or Gaussian"]["z"] < -2
    assert abs(a["nulls"]["equal strengths"]["z"]) < 4
    assert cli.main(["percolate", str(tmp_path / "w.npy")]) == 0
    assert "times 1/sqrt(NM)" in capsys.readouterr().out


def test_equal_entries_are_said_not_crashed_on(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.ones((5, 6)))
    found = said(capsys, str(tmp_path / "w.npy"))
    assert found["threshold"]["value"] is None
    assert any("no threshold" in n for n in found["notes"])


def test_a_graph_in_every_form_is_the_same(tmp_path, edges, capsys):
    np.savetxt(tmp_path / "g.csv", edges, "%d,%d", header="from,to", comments="")
    np.savetxt(tmp_path / "g.tsv", edges, "n%d\tn%d")
    a, b = (said(capsys, str(tmp_path / f"g.{k}"), "--sweeps", "50") for k in ("csv", "tsv"))
    assert a["threshold"] == b["threshold"]
    assert a["edges"] == 700
    assert any("self-loops" in n for n in a["notes"])
    assert any("pieces" in n for n in a["notes"])
    # G(n, m): threshold at mean degree 1, m = n / 2; the peak of S2 lies above it by about n^(-1/3)
    assert a["nodes"] / 2 / 700 < a["threshold"]["value"] < 1.6 * a["nodes"] / 2 / 700
    site = said(capsys, str(tmp_path / "g.csv"), "--sweeps", "50", "--site")
    assert site["threshold"]["value"] > 0


def test_sparse_matrices(tmp_path, edges):
    u, v = edges.T
    graph = csr_array((np.ones(len(u)), (u, v)), shape=(300, 300))
    save_npz(tmp_path / "half.npz", csr_array(graph + graph.T))
    save_npz(tmp_path / "all.npz", graph)
    save_npz(tmp_path / "two.npz", csr_array(graph[:100]))
    half, every, two = (load_graph(tmp_path / f"{k}.npz") for k in ("half", "all", "two"))
    assert half.n == every.n == 300
    assert len(half.edges) == len(np.unique(np.sort(edges, axis=1), axis=0))
    assert len(every.edges) == len(np.unique(edges, axis=0))
    assert two.n == 400
    assert two.edges[:, 1].min() >= 100


def test_weights_along_a_path_are_judged_against_random_orders(tmp_path, capsys):
    """Two cliques and one bridge, the bridge last: the gap comes at the very end."""
    pairs = [(i, j) for i in range(20) for j in range(i)]
    rows = (
        [(i, j, 2 + i / 50) for i, j in pairs]
        + [(i + 20, j + 20, 2 + j / 50) for i, j in pairs]
        + [(0, 20, 1)]
    )
    np.savetxt(tmp_path / "g.csv", rows, "%d,%d,%g", header="a,b,weight", comments="")
    found = said(capsys, str(tmp_path / "g.csv"), "--sweeps", "100")
    assert found["weights"]["largest_gap"] == 1.0
    assert found["weights"]["gap_z"] > 1.5  # in random orders the bridge comes anywhere: sd 0.29


def test_a_lattice_finds_its_threshold_and_a_page_is_written(tmp_path, capsys):
    found = said(capsys, "lattice:square:32", "--sweeps", "400", "--out", str(tmp_path / "o"))
    t = found["threshold"]
    assert abs(t["value"] - 0.5) < 4 * (t["high"] - t["low"]) / 3.29 + 2e-4  # bond p_c = 1/2; shift L^-2.75
    assert found["exponents"]["1/nu"]["value"] == pytest.approx(0.75, abs=0.2)
    assert (tmp_path / "o" / "percolation.html").stat().st_size > 1e6
    assert json.loads((tmp_path / "o" / "percolate.json").read_text())["schema"] == "opalesce.percolate/1"
    assert cli.main(["percolate", "lattice:cubic:16", "--site", "--sweeps", "40"]) == 0
    assert "published: 0.3116" in capsys.readouterr().out


BAD = {
    "nan": ("g.csv", "1,2,0.5\n2,3,nan\n"),
    "words": ("g.csv", "1,2,0.5\n2,3,two\n4,5,six\n"),
    "columns": ("g.csv", "1,2,3,4\n"),
    "half": ("g.csv", "1,2\n3,\n"),
    "empty": ("g.csv", ""),
    "binary": ("g.npz", "PK"),
    "ending": ("g.parquet", ""),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_named(tmp_path, kind, capsys):
    name, text = BAD[kind]
    (tmp_path / name).write_text(text)
    assert cli.main(["percolate", str(tmp_path / name)]) == 2
    assert "expected" in capsys.readouterr().err


def test_a_pickle_is_not_opened(tmp_path, capsys):
    np.savez(tmp_path / "g.npz", a=np.array([{}], dtype=object))
    assert cli.main(["percolate", str(tmp_path / "g.npz")]) == 2
    assert "expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["lattice:square"],
        ["lattice:moebius:32"],
        ["lattice:square:0"],
        ["lattice:square:8"],
        ["lattice:square:100000"],
        ["nowhere.csv"],
        ["lattice:square:32", "--sweeps", "1"],
        ["lattice:square:32", "--seed", "-1"],
    ],
)
def test_bad_words_are_named(words, capsys):
    assert cli.main(["percolate", *words]) == 2
    assert "expected" in capsys.readouterr().err


def test_one_node_and_one_row(tmp_path, capsys):
    (tmp_path / "g.csv").write_text("1,1\n1,1\n")
    found = said(capsys, str(tmp_path / "g.csv"), "--sweeps", "20")
    assert found["nodes"] == 1
    np.save(tmp_path / "w.npy", np.ones((1, 6)))
    assert cli.main(["percolate", str(tmp_path / "w.npy")]) == 2
    assert cli.main(["percolate", str(tmp_path / "w.npy"), "--site"]) == 2
