"""Layers of a run's own prompts: recorded once a checkpoint, beside a recording by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from opalesce import measure
from opalesce.errors import InputError
from opalesce.observables.moments import Moments
from opalesce.observables.order import object_integrity, residual_participation_ratio

torch = pytest.importorskip("torch")
decoder = pytest.importorskip("opalesce.measure.decoder")

PROMPTS = np.random.default_rng(0).integers(0, 20, (40, 9))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    for step in (0, 10):
        decoder.Decoder(decoder.Sizes(20, 32, 48, 2, 2), seed=step).save(folder, f"step{step}.safetensors")
    lines = (json.dumps({"tokens": row.tolist()}) for row in PROMPTS)
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def by_hand(folder: Path, step: float, layer: int) -> np.ndarray:
    """Residual stream (tokens, d), first position left out, without any hook."""
    net = decoder.load(folder, step)
    with torch.no_grad():
        x = net.model.embed_tokens(torch.from_numpy(PROMPTS))
        for block in net.model.layers[:layer]:
            x = block(x)
    return x[:, 1:].reshape(-1, 32).double().numpy()


def test_layers_are_those_of_the_forward_pass(run: Path):
    ds = measure(run, ["object_integrity", "residual_participation_ratio", "stable_rank"])
    for step in (0, 10):
        for layer in (0, 1, 2):
            m = Moments.of(by_hand(run, step, layer))
            at = ds.sel(step=step, module=f"layer {layer}")
            assert float(at["object_integrity"]) == pytest.approx(object_integrity(m), rel=1e-6)
            expected = residual_participation_ratio(m)
            assert float(at["residual_participation_ratio"]) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(ds["stable_rank"].sel(module="layer 1")).all()


def test_families_and_groups_name_many_observables(run: Path):
    ds = measure(run, ["depth", "multifractal"])
    assert {"object_integrity", "two_nn_dimension", "anisotropy", "multifractal_alpha0"} <= set(ds)
    assert "stable_rank" not in ds
    assert "tail_alpha" in measure(run, ["spectra"])


def test_a_store_tells_other_prompts(run: Path, tmp_path: Path):
    first = measure(run, ["object_integrity"], out=tmp_path / "store")
    again = measure(run, ["object_integrity"], out=tmp_path / "store")
    assert first["object_integrity"].equals(again["object_integrity"])
    lines = (json.dumps({"tokens": row[::-1].tolist()}) for row in PROMPTS[:5])
    (run / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    other = measure(run, ["object_integrity"], out=tmp_path / "store")
    assert not np.allclose(first["object_integrity"], other["object_integrity"], equal_nan=True)


def test_without_prompts_the_error_says_what_to_do(run: Path):
    (run / "prompts.jsonl").unlink()
    with pytest.raises(InputError, match=r"prompts\.jsonl"):
        measure(run, ["object_integrity"])


def test_bad_prompts_are_a_status_and_the_rest_is_measured(run: Path):
    (run / "prompts.jsonl").write_text('{"tokens": []}\n')
    ds = measure(run, ["object_integrity", "stable_rank"])
    assert "no prompt" in str(ds["object_integrity_status"].sel(step=0, module="layer 1").values)
    assert np.isfinite(ds["stable_rank"]).any()


def test_a_checkpoint_that_makes_no_model_is_a_status(run: Path):
    (run / "config.json").write_text(
        json.dumps(json.loads((run / "config.json").read_text()) | {"intermediate_size": 40})
    )
    ds = measure(run, ["object_integrity"])
    assert "does not fit" in str(ds["object_integrity_status"].sel(step=0, module="layer 1").values)
