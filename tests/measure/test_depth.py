"""Order parameters along depth: against a slow twin, with controls, with bad batches, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.observables.moments import Moments, integrity_of
from opalesce.observables.order import residual_effective_rank, residual_participation_ratio

torch = pytest.importorskip("torch")
from opalesce.measure.decoder import Decoder, Sizes  # noqa: E402
from opalesce.measure.depth import depth, depth_of_shards  # noqa: E402
from opalesce.measure.depth_sums import Plan, Sums  # noqa: E402
from opalesce.measure.record import record  # noqa: E402
from tests.measure.library import library_model  # noqa: E402

SIZES = Sizes(20, 16, 24, 3, 2)


def prompts(n: int = 24, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 20, int(rng.choice([5, 8]))).tolist() for _ in range(n)]


def everything(model, ids) -> list[list[np.ndarray]]:
    """Layer -> prompts -> (t, d), all kept: the slow twin."""
    each = [record(model, [p], lambda layer, h: h[0].copy()) for p in ids]
    return [[e[layer] for e in each] for layer in range(4)]


def test_against_everything_kept():
    model, ids = Decoder(SIZES, 0).eval(), prompts()
    ds = depth(model, ids, controls=())
    states = everything(model, ids)
    for layer, h in enumerate(states):
        raw, dropped = np.concatenate(h), np.concatenate([x[1:] for x in h])
        at = {"layer": layer}
        m = Moments.of(raw)
        by_prompt = [integrity_of(x).mean() for x in h]
        assert ds.object_integrity.sel(stream="raw", **at) == pytest.approx(np.mean(by_prompt), rel=1e-6)
        assert ds.object_integrity_by_prompt.sel(stream="raw", **at).values == pytest.approx(
            by_prompt, rel=1e-6
        )
        assert ds.residual_effective_rank.sel(stream="raw", **at) == pytest.approx(
            residual_effective_rank(m), rel=1e-6
        )
        assert ds.residual_participation_ratio.sel(stream="dropped", **at) == pytest.approx(
            residual_participation_ratio(Moments.of(dropped)), rel=1e-6
        )
        unit = raw / np.sqrt((raw**2).mean(1, keepdims=True))
        assert ds.residual_effective_rank.sel(stream="normed", **at) == pytest.approx(
            residual_effective_rank(Moments.of(unit)), rel=1e-6
        )
        chi = 16 * integrity_of(raw).var(ddof=1)
        assert ds.integrity_susceptibility.sel(stream="raw", **at) == pytest.approx(chi, rel=1e-6)
    assert ds.gamma.values == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert ds.attrs["tokens"] == sum(map(len, ids))


def test_pseudo_values_of_groups_have_the_jackknife_error():
    ds = depth(Decoder(SIZES, 0).eval(), prompts(64), controls=())
    by = ds.residual_effective_rank_by_group.sel(stream="raw").values
    line = ds.residual_effective_rank.sel(stream="raw").values
    assert by.mean(0) == pytest.approx(line)
    half = (ds.residual_effective_rank_high - ds.residual_effective_rank_low).sel(stream="raw").values / 2
    assert half == pytest.approx(1.753 * by.std(0, ddof=1) / 4, rel=1e-3)  # t of 15 degrees of freedom


def test_pseudo_values_are_those_of_the_jackknife():
    parts = [np.random.default_rng(s).standard_normal((30, 6)) * [3, 1, 1, 1, 1, 1] for s in range(5)]
    sums = Sums(Plan(np.arange(5)), layers=1, width=6)
    sums.groups = {("raw", 0, g): Moments.of(x) for g, x in enumerate(parts)}
    line, by = sums.curve("residual_effective_rank", "raw")
    without = [
        residual_effective_rank(Moments.of(np.concatenate(parts[:g] + parts[g + 1 :]))) for g in range(5)
    ]
    error = np.sqrt(4 / 5 * ((without - np.mean(without)) ** 2).sum())
    assert by.mean() == pytest.approx(line[0])
    assert by.std(ddof=1) / np.sqrt(5) == pytest.approx(error)


def test_order_of_prompts_and_size_of_batches_do_not_matter():
    model, ids = Decoder(SIZES, 0).eval(), prompts()
    a, b = depth(model, ids, controls=(), batch=1), depth(model, ids, controls=(), batch=7)
    for name in ("object_integrity", "residual_effective_rank", "mean_share"):
        assert a[name].values == pytest.approx(b[name].values, rel=1e-5, nan_ok=True)


def test_a_massive_coordinate_is_masked_and_its_token_dropped():
    """One coordinate of the first token is huge from layer 1 on, as in trained models."""
    model = Decoder(Sizes(20, 64, 24, 3, 2), 0).eval()
    ids = [[0, *p] for p in prompts(24)]

    def inflate(_m, _a, out):
        out = out.clone()
        out[:, 0, 11] = 1000.0
        return out

    model.model.layers[0].register_forward_hook(inflate)
    ds = depth(model, ids, controls=())
    omega = ds.object_integrity
    assert ds.attrs["massive"] == [11]
    jump = omega.sel(stream="raw").diff("layer").sel(layer=1)
    assert jump > 0.05
    for stream in ("masked", "dropped"):
        assert abs(omega.sel(stream=stream).diff("layer").sel(layer=1)) < 0.02, stream
    assert omega.sel(stream="rotated", layer=1) < 0.25


def test_controls():
    ds = depth(Decoder(SIZES, 0).eval(), prompts(), seed=3)
    assert ds.control.values.tolist() == ["random_weights", "shuffled_tokens"]
    raw = ds.object_integrity.sel(stream="raw")
    shuffled = ds.object_integrity_control.sel(control="shuffled_tokens")
    assert shuffled.sel(layer=0) == pytest.approx(float(raw.sel(layer=0)))  # the same words
    assert shuffled.sel(layer=3) != pytest.approx(float(raw.sel(layer=3)), abs=1e-9)
    again = depth(Decoder(SIZES, 0).eval(), prompts(), seed=3)
    assert again.identical(ds)


def test_a_bad_prompt_is_left_out_whole():
    model = Decoder(SIZES, 0).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight[19] = float("nan")
    good = [[min(t, 18) for t in p] for p in prompts()]
    mixed = [*good[:5], [19, 1, 1], *good[5:]]
    bad, clean = (depth(model, p, controls=(), batch=1) for p in (mixed, good))
    assert bad.object_integrity.values == pytest.approx(clean.object_integrity.values, nan_ok=True, abs=0.01)
    assert np.isfinite(bad.residual_effective_rank.sel(stream="raw").values).all()
    assert np.isnan(bad.object_integrity_by_prompt.sel(prompt=5, stream="raw").values).all()
    assert len(bad.attrs["left"]) == 1
    assert "prompts 5 left out" in bad.attrs["left"][0]
    with pytest.raises(InputError, match="no batch"):
        depth(model, [[19, 19], [19, 19]], controls=())


def test_a_wide_stream_is_projected():
    model, ids = Decoder(SIZES, 0).eval(), prompts(64)
    whole, small = (depth(model, ids, controls=(), sketch=k) for k in (256, 12))
    assert small.attrs["sketch"] == 12
    assert small.object_integrity.values == pytest.approx(whole.object_integrity.values, nan_ok=True)
    assert small.integrity_susceptibility.values == pytest.approx(
        whole.integrity_susceptibility.values, rel=1e-9, nan_ok=True
    )
    assert (small.residual_effective_rank.sel(stream="raw") < 12).all()


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama"])
def test_the_librarys_models(kind):
    ds = depth(library_model(kind), prompts())
    assert ds.sizes["layer"] == 4
    assert np.isfinite(ds.object_integrity.values).all()
    assert np.isfinite(ds.residual_effective_rank_control.values).all()


def test_shards_are_the_same_numbers(tmp_path: Path):
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal((20, 6, 10)) * (1 + k) for k in range(3)]
    for k, h in enumerate(layers):
        np.save(tmp_path / f"layer{k}.npy", h)
    ds = depth_of_shards(tmp_path)
    for k, h in enumerate(layers):
        omega = integrity_of(h.reshape(-1, 10)).reshape(20, 6).mean(1)
        assert ds.object_integrity_by_prompt.sel(stream="raw", layer=k).values == pytest.approx(omega)
        assert ds.residual_effective_rank.sel(stream="raw", layer=k) == pytest.approx(
            residual_effective_rank(Moments.of(h.reshape(-1, 10)))
        )
    flat = tmp_path / "flat"
    flat.mkdir()
    for k, h in enumerate(layers):
        np.save(flat / f"layer{k}.npy", h.reshape(-1, 10))
    tokens = depth_of_shards(flat)
    assert tokens.attrs["prompts"] == 16
    assert "dropped" not in tokens.stream.values
    assert tokens.residual_effective_rank.sel(stream="raw").values == pytest.approx(
        ds.residual_effective_rank.sel(stream="raw").values
    )


def test_refusals():
    model = Decoder(SIZES, 0).eval()
    for ids, controls in (
        ([[1, 2]], ()),
        ([[1, 2], [1]], ()),
        ([[1, 2], [1, 20]], ()),
        (prompts(), ("unknown",)),
    ):
        with pytest.raises(InputError):
            depth(model, ids, controls=controls)
