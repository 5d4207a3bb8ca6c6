"""opalesce audit: text, JSON and page of a file and a folder, activations, bad words."""

from __future__ import annotations

import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opalesce import cli
from opalesce.cli.typed import seconds as seconds_of
from opalesce.errors import InputError
from opalesce.runs.safetensors import write
from tests.report.conftest import HOSTILE

from .conftest import Command

MODULE = import_module("opalesce.cli.audit")  # the function of that name hides it


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"model.embed_tokens.weight": (50, 24), "model.norm.weight": (24,)}
    for i in range(2):
        p = f"model.layers.{i}."
        shapes |= {p + f"self_attn.{k}_proj.weight": (24, 24) for k in "qkvo"}
        shapes |= {p + "mlp.up_proj.weight": (64, 24), p + "mlp.down_proj.weight": (24, 64)}
    return {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    write(tmp_path / "m.safetensors", arrays())
    return tmp_path / "m.safetensors"


def said(capsys, *words: str | Path) -> dict[str, Any]:
    assert cli.main(["audit", *map(str, words), "--json"]) == 0

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} in the document")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_text_ends_with_the_share_of_parameters_seen(checkpoint: Path, capsys):
    assert cli.main(["audit", str(checkpoint)]) == 0
    lines = capsys.readouterr().out.splitlines()
    total = sum(w.size for w in arrays().values())
    seen = total - 24
    assert lines[-1].startswith(
        f"seen {100 * seen / total:.1f} % of {total:,} parameters (13 of 13 matrices)"
    )
    assert "up: 2 matrices, 3,072 parameters" in lines
    rank = next(x for x in lines[lines.index("up: 2 matrices, 3,072 parameters") :] if "stable_rank" in x)
    assert "null 9.232" in rank  # 24 / (1 + (24/64)^(1/2))^2
    assert "(Marchenko-Pastur)" in rank
    assert any(x.startswith("network: paper_alpha0") for x in lines)


def test_the_document(checkpoint: Path, tmp_path: Path, capsys):
    found = said(capsys, checkpoint, "--seed", "3")
    assert found["schema"] == "opalesce.audit/1"
    assert found["seed"] == 3
    cover = found["coverage"]
    assert (cover["matrices"], cover["matrices_all"]) == (13, 13)
    assert cover["share"] == pytest.approx(cover["seen"] / cover["parameters"])
    assert found["skipped"] == {}
    row = next(r for r in found["rows"] if r["part"] == "down" and r["name"] == "stable_rank")
    assert row["shape"] == [24, 64]
    s = np.linalg.svd(arrays()[row["module"]], compute_uv=False)
    assert row["value"] == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-4)
    other = said(capsys, checkpoint, "--seed", "3")
    assert other["rows"] == found["rows"]
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "step10.safetensors", arrays())
    folder = said(capsys, tmp_path / "run", "--seed", "3")
    assert folder["rows"] == found["rows"]
    assert folder["step"] == 10


def test_out_writes_a_page_and_the_document(checkpoint: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    found = said(capsys, checkpoint, "--out", out)
    assert found["page"] == str(out / "audit-figures.html")
    kept = json.loads((out / "audit.json").read_text())
    assert kept == {k: v for k, v in found.items() if k != "page"}
    figures = json.loads((out / "audit-figures.json").read_text())
    assert [e["id"] for e in figures["exhibits"]] == ["spectra", "neurons", "map"]
    assert found["coverage"]["matrices"] == 13
    assert "13 of 13 matrices" in Path(found["page"]).read_text()


def test_a_zero_matrix_is_drawn_as_nothing(tmp_path: Path, capsys):
    write(tmp_path / "m.safetensors", {"layers.0.q.weight": np.zeros((12, 9), np.float32)})
    found = said(capsys, tmp_path / "m.safetensors", "--out", tmp_path / "out")
    assert all(r["value"] is None for r in found["rows"])
    assert cli.main(["audit", str(tmp_path / "m.safetensors")]) == 0
    assert "tail_alpha               none: fewer than two" in capsys.readouterr().out


def test_a_bad_tensor_is_named_and_the_rest_is_seen(tmp_path: Path, capsys):
    bad = arrays()
    bad["model.layers.1.mlp.up_proj.weight"][0, 0] = np.inf
    write(tmp_path / "m.safetensors", bad)
    assert cli.main(["audit", str(tmp_path / "m.safetensors")]) == 0
    text = capsys.readouterr().out
    assert "not seen: model.layers.1.mlp.up_proj.weight: " in text
    assert "(12 of 13 matrices)" in text


def test_a_budget_is_kept_and_what_it_left_out_is_said(checkpoint: Path, monkeypatch, capsys):
    monkeypatch.setattr(MODULE, "STARTED", time.monotonic() - 100)
    assert cli.main(["audit", str(checkpoint), "--budget", "30s"]) == 0
    text = capsys.readouterr().out
    assert "seen 0.0 % of" in text
    assert "not seen: 8 more (all with --json)" in text
    assert len(said(capsys, checkpoint, "--budget", "30s")["skipped"]) == 13
    assert len(said(capsys, checkpoint, "--budget", "10m")["skipped"]) == 0


def test_with_nothing_audited_there_is_no_page(checkpoint: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(MODULE, "STARTED", time.monotonic() - 100)
    assert cli.main(["audit", str(checkpoint), "--budget", "30s", "--out", str(tmp_path / "o")]) == 2
    assert "larger --budget" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "value"), [("60", 60), ("60s", 60), ("2m", 120), (" 1.5h ", 5400)])
def test_times(text, value):
    assert seconds_of(text) == value


@pytest.mark.parametrize("text", ["", "0", "-5", "5 d", "nan", "inf", "1e3", "s", "60s60s"])
def test_bad_times(checkpoint: Path, text, capsys):
    with pytest.raises(InputError, match="no such budget"):
        seconds_of(text)
    assert cli.main(["audit", str(checkpoint), f"--budget={text}"]) == 2
    assert "60s" in capsys.readouterr().err


def test_bad_words_are_named(checkpoint: Path, tmp_path: Path, capsys):
    empty, pickle, logs = tmp_path / "empty", tmp_path / "pickle", tmp_path / "logs"
    for folder in (empty, pickle, logs):
        folder.mkdir()
    (pickle / "pytorch_model.bin").write_bytes(b"PK")
    (logs / "log.jsonl").write_text('{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\n')
    (tmp_path / "torn.safetensors").write_bytes(checkpoint.read_bytes()[:500])
    for words in (
        [tmp_path / "nowhere.safetensors"],
        [empty],
        [pickle],
        [logs],
        [tmp_path / "torn.safetensors"],
        [checkpoint, "--seed", "-1"],
        [checkpoint, "--step", "7"],
        [checkpoint, "--out", checkpoint],
        [checkpoint, "--prompts", tmp_path / "p.txt"],
    ):
        assert cli.main(["audit", *map(str, words)]) == 2, words
        err = capsys.readouterr().err
        assert "expected" in err, words
        assert "Traceback" not in err


def test_a_process_of_its_own_prints_nothing_else(opalesce: Command, checkpoint: Path):
    done = opalesce("audit", checkpoint, "--budget", "5m", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["coverage"]["matrices"] == 13


def test_activations_beside_random_weights(tmp_path: Path, capsys):
    pytest.importorskip("torch")
    from opalesce.measure.decoder import Decoder, Sizes
    from opalesce.measure.words import Words

    folder = tmp_path / "model"
    Decoder(Sizes(20, 16, 24, 3, 2), 1).save(folder)
    Words({f"w{i}": i for i in range(20)}).save(folder)
    rng = np.random.default_rng(0)
    prompts = tmp_path / "p.txt"
    prompts.write_text("\n".join(" ".join(f"w{i}" for i in rng.integers(0, 20, 12)) for _ in range(30)))
    words = [str(folder), "--prompts", str(prompts), "--out", str(tmp_path / "o")]
    assert cli.main(["audit", *words]) == 0
    text = capsys.readouterr().out
    assert "activations: 30 prompts, layers 0 to 3; null: the same model, random weights" in text
    rank = next(x for x in text.splitlines() if x.strip().startswith("rankme"))
    assert len(rank.split()) == 1 + 4
    found = said(capsys, *words)["activations"]
    assert found["gamma"] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    curve = found["curves"]["rankme"]
    assert len(curve["mean"]) == len(curve["controls"]["random weights"]) == 4
    assert all(1 <= v <= 16 for v in curve["mean"])
    assert curve["mean"] != curve["controls"]["random weights"]
    figures = json.loads((tmp_path / "o" / "audit-figures.json").read_text())
    assert figures["exhibits"][-1]["id"] == "depth"
    (tmp_path / "p.txt").write_text("\n")
    assert cli.main(["audit", *words]) == 2
    assert "expected" in capsys.readouterr().err


def hostile(path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = [h.encode("utf-8", "replace").decode() for h in HOSTILE]
    names = [f"layers.{i}.{n}.q_proj.weight" for i, n in enumerate(names)] + names
    write(path, {n: rng.standard_normal((20, 14)).astype(np.float32) for n in names})
    return path


def test_hostile_names_do_no_harm_in_a_terminal(tmp_path: Path, capsys):
    path = hostile(tmp_path / "m.safetensors")
    assert cli.main(["audit", str(path), "--budget", "10h"]) == 0
    text = capsys.readouterr().out
    assert "‮" not in text
    assert "\x00" not in text
    assert len({r["module"] for r in said(capsys, path)["rows"]}) == 16
