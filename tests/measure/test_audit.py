"""The audit of one checkpoint: order of visits, budget, streaming, cuts, known answers, bad tensors."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.measure import audit_matrix
from opalesce.measure.audit import Audit, audit
from opalesce.measure.audit_matrix import Line, matrix_lines, streamed_lines
from opalesce.measure.budget import stratified
from opalesce.measure.plan import Module
from opalesce.measure.roles import role_of
from opalesce.measure.views import Views
from opalesce.runs.open import open as open_run
from opalesce.runs.safetensors import write

NEOX = {"model_type": "gpt_neox", "num_attention_heads": 4, "hidden_size": 32}


def write_bf16(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A safetensors file of the upper halves of float32 numbers; what it holds, as float32."""
    header: dict[str, object] = {}
    at, parts, kept = 0, [], {}
    for name, w in arrays.items():
        half = (np.ascontiguousarray(w, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        header[name] = {"dtype": "BF16", "shape": list(w.shape), "data_offsets": [at, at + half.nbytes]}
        at += half.nbytes
        parts.append(half.tobytes())
        kept[name] = (half.astype(np.uint32) << 16).view(np.float32)
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"".join(parts))
    return kept


def neox(blocks: int = 3, width: int = 32, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"gpt_neox.embed_in.weight": (60, width)}
    for i in range(blocks):
        p = f"gpt_neox.layers.{i}."
        shapes[p + "attention.query_key_value.weight"] = (3 * width, width)
        shapes[p + "attention.dense.weight"] = (width, width)
        shapes[p + "mlp.dense_h_to_4h.weight"] = (4 * width, width)
        shapes[p + "mlp.dense_4h_to_h.weight"] = (width, 4 * width)
    return {n: 0.1 * rng.standard_normal(s) for n, s in shapes.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bf16(tmp_path / "model.safetensors", neox())
    (tmp_path / "config.json").write_text(json.dumps(NEOX))
    return tmp_path


def by_name(lines: tuple[Line, ...] | list[Line]) -> dict[str, Line]:
    return {x.name: x for x in lines}


def numbers(found: Audit) -> list[object]:
    """Everything but times; repr, for NaN is not equal to itself."""
    return [(m.module, repr(m.lines), m.singular_values.tolist()) for m in found.matrices] + [
        repr(found.network)
    ]


# ---- the order of visits -----------------------------------------------------------------------------


def named(*names: str) -> list[Module]:
    return [Module(n, "tensor", (n,)) for n in names]


def test_every_role_is_seen_before_any_twice_and_blocks_are_spread():
    tails = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj")
    parts = named(*(f"model.layers.{i}.{t}.weight" for i in range(8) for t in tails), "model.embed.weight")
    order = stratified(parts)
    assert sorted(m.name for m in order) == sorted(m.name for m in parts)
    roles = [role_of(m.name).part for m in order]
    assert set(roles[:5]) == {"q", "out", "up", "down", "embed"}
    for k in range(1, 8):
        assert set(roles[5 + 4 * (k - 1) : 5 + 4 * k]) == {"q", "out", "up", "down"}
    blocks = [role_of(m.name).block for m in order if ".q_proj" in m.name]
    assert blocks == [0, 4, 2, 6, 1, 5, 3, 7]  # the numbers of three bits, read backwards


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
def test_no_block_is_lost_or_met_twice(n):
    parts = named(*(f"layers.{i}.q.weight" for i in range(n)))
    assert sorted(m.name for m in stratified(parts)) == sorted(m.name for m in parts)
    assert stratified([]) == []


# ---- budget ------------------------------------------------------------------------------------------


def test_without_a_budget_all_is_seen(folder: Path):
    found = audit(open_run(folder))
    assert found.skipped == {}
    assert found.matrices_all == len(found.matrices) == 1 + 3 * 6
    assert found.seen == found.parameters == sum(w.size for w in neox().values())
    assert found.coverage.startswith(
        f"seen 100.0 % of {found.parameters:,} parameters (19 of 19 matrices) in"
    )
    assert all(m.seconds > 0 for m in found.matrices)


def test_after_the_budget_nothing_is_started(folder: Path):
    told: list[str] = []
    found = audit(open_run(folder), budget=5.0, started=time.monotonic() - 60, progress=told.append)
    assert told == []
    assert found.matrices == ()
    assert len(found.skipped) == found.matrices_all == 19
    assert all("0 s left" in why for why in found.skipped.values())
    assert found.coverage.startswith("seen 0.0 % of ")
    assert "(0 of 19 matrices)" in found.coverage
    assert found.seconds > 60


def test_a_matrix_that_does_not_fit_is_passed_over_and_a_later_one_is_not(tmp_path: Path):
    """Some 30 s of work on any machine that exists, and 8 s to do it in."""
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((1, 5000)).astype(np.float32)
    arrays = {"a.layers.0.mlp.down_proj.weight": np.tile(wide, (5000, 1))}
    arrays["a.layers.0.self_attn.q_proj.weight"] = rng.standard_normal((30, 40)).astype(np.float32)
    write_bf16(tmp_path / "m.safetensors", arrays)
    found = audit(open_run(tmp_path / "m.safetensors"), budget=8.0)
    assert [m.module for m in found.matrices] == ["a.layers.0.self_attn.q_proj.weight"]
    assert set(found.skipped) == {"a.layers.0.mlp.down_proj.weight"}
    assert "s left" in found.skipped["a.layers.0.mlp.down_proj.weight"]
    assert found.seen == 1200
    share = 100 * 1200 / (1200 + 5000**2)
    assert f"seen {share:.1f} % of 25,001,200 parameters (1 of 2 matrices)" in found.coverage


# ---- streaming ---------------------------------------------------------------------------------------

EXACT = ("stable_rank", "participation_ratio", "entropy_effective_rank", "mp_outliers", "tail_alpha")
EXACT += ("tail_distance", "multifractal_alpha0", "multifractal_width", "multifractal_r2")
EXACT += ("percolation_ratio",)  # at most 512 rows and columns: the block is the matrix


@pytest.mark.parametrize("kind", ["BF16", "F32"])
def test_in_pieces_the_same_numbers_come_out(tmp_path: Path, monkeypatch, kind):
    w = np.random.default_rng(2).standard_t(5, (301, 40)).astype(np.float32)
    path = tmp_path / "m.safetensors"
    if kind == "BF16":
        w = write_bf16(path, {"layers.0.q.weight": w})["layers.0.q.weight"]
    else:
        write(path, {"layers.0.q.weight": w})
    checkpoint = open_run(path).checkpoints[0]
    module = Module("layers.0.q.weight", "tensor", ("layers.0.q.weight",))
    monkeypatch.setattr(audit_matrix, "PIECE", 1000)  # 13 pieces, the last a short one
    lines, s, exponents = streamed_lines(checkpoint, module, w.shape, np.random.default_rng(0))
    plain, s0, exponents0 = matrix_lines(w, 1, np.random.default_rng(0))
    assert s.values == pytest.approx(s0.values, rel=1e-9)
    assert exponents.tau == pytest.approx(exponents0.tau, rel=1e-9, abs=1e-12)
    mine, theirs = by_name(lines), by_name(plain)
    assert mine.keys() == theirs.keys()
    for name in EXACT:
        assert mine[name].value == pytest.approx(theirs[name].value, rel=1e-8), name
    for name in ("stable_rank", "participation_ratio", "entropy_effective_rank", "multifractal_alpha0"):
        assert mine[name].null == theirs[name].null
    for name in ("abs_cv", "gini"):  # a sample of 2^20 entries with replacement: 0.1 % each
        assert mine[name].value == pytest.approx(theirs[name].value, rel=0.01)
    assert np.isnan(mine["multifractal_width"].null)  # no shuffled copy is made
    assert mine["tail_alpha"].kind == ""


def test_large_matrices_are_streamed_and_kernels_are_not(tmp_path: Path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {"conv1.weight": rng.standard_normal((90, 4, 3, 3)), "fc.weight": rng.standard_normal((90, 30))}
    write(tmp_path / "m.safetensors", {k: v.astype(np.float32) for k, v in arrays.items()})
    run = open_run(tmp_path / "m.safetensors")
    whole = {m.module: by_name(m.lines) for m in audit(run).matrices}
    for there in ("audit", "audit_matrix"):
        monkeypatch.setattr(f"opalesce.measure.{there}.STREAM", 1000)
    parts = {m.module: by_name(m.lines) for m in audit(run).matrices}
    assert parts["fc.weight"]["tail_alpha"].kind == ""
    assert whole["fc.weight"]["tail_alpha"].kind == "shuffled entries"
    assert repr(parts["conv1.weight"]) == repr(whole["conv1.weight"])
    for name in EXACT:
        assert parts["fc.weight"][name].value == pytest.approx(whole["fc.weight"][name].value, rel=1e-8)


def test_work_of_a_streamed_matrix_has_no_shuffled_copy():
    assert audit_matrix.work((8192, 4096)) > 1.9 * audit_matrix.work((8193, 4096))
    assert audit_matrix.work((10, 20)) == audit_matrix.work((20, 10)) == audit_matrix.work((10, 5, 4))


# ---- bad tensors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [False, True])
def test_a_tensor_with_nan_enters_no_number(tmp_path: Path, monkeypatch, pieces):
    good = {k: v.astype(np.float32) for k, v in neox().items()}
    bad = {k: v.copy() for k, v in good.items()}
    name = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"
    bad[name][100, 3] = np.nan
    (tmp_path / "config.json").write_text(json.dumps(NEOX))
    write(tmp_path / "model.safetensors", bad)
    if pieces:
        monkeypatch.setattr("opalesce.measure.audit.STREAM", 1000)
        monkeypatch.setattr(audit_matrix, "PIECE", 500)
    found = audit(open_run(tmp_path))
    assert set(found.skipped) == {name}
    assert "NaN" in found.skipped[name]
    assert found.seen == found.parameters - bad[name].size
    assert "(18 of 19 matrices)" in found.coverage
    write(tmp_path / "model.safetensors", good)
    whole = {m.module: repr(m.lines) for m in audit(open_run(tmp_path)).matrices}
    assert {m.module: repr(m.lines) for m in found.matrices} == {k: v for k, v in whole.items() if k != name}
    assert all(np.isnan(x.value) or np.isfinite(x.value) for x in found.network)
    assert found.network[0].status == "" or "NaN" in found.network[0].status


def test_zero_constant_and_thin_matrices_get_a_reason_not_a_number(tmp_path: Path):
    ones = np.ones((12, 9), np.float32)
    arrays = {"a.weight": 0 * ones, "b.weight": ones, "c.weight": ones[:, :1], "d.weight": ones[:1]}
    write(tmp_path / "m.safetensors", arrays)
    found = audit(open_run(tmp_path / "m.safetensors"))
    assert found.skipped == {}
    for m in found.matrices:
        lines = by_name(m.lines)
        assert np.isnan(lines["multifractal_alpha0"].value)
        assert lines["multifractal_alpha0"].status
        assert lines["tail_alpha"].status
    zero = by_name(next(m.lines for m in found.matrices if m.module == "a.weight"))
    assert all(np.isnan(x.value) for x in zero.values())


def test_nothing_to_audit(tmp_path: Path):
    write(tmp_path / "m.safetensors", {"bias": np.ones(5, np.float32), "n": np.ones((3, 3), np.int64)})
    with pytest.raises(InputError, match="no matrix to audit"):
        audit(open_run(tmp_path / "m.safetensors"))
    (tmp_path / "log.csv").write_text("step,loss\n1,2\n2,1\n")
    with pytest.raises(InputError, match="no weights to audit"):
        audit(open_run(tmp_path / "log.csv"))


def test_a_step_can_be_chosen(tmp_path: Path):
    rng = np.random.default_rng(0)
    for step in (0, 10):
        write(tmp_path / f"step{step}.safetensors", {"a.weight": rng.normal(size=(20, 12)).astype("f4")})
    assert audit(open_run(tmp_path)).step == 10
    assert audit(open_run(tmp_path), step=0).step == 0
    with pytest.raises(InputError):
        audit(open_run(tmp_path), step=5)


# ---- parts of stored tensors -------------------------------------------------------------------------


def test_fused_qkv_is_split_and_each_part_is_its_own(folder: Path):
    found = {m.module: m for m in audit(open_run(folder)).matrices}
    name = "gpt_neox.layers.1.attention.query_key_value.weight"
    assert name not in found
    w = open_run(folder).checkpoints[0].read(name).reshape(4, 3, 8, 32)
    for i, part in enumerate("qkv"):
        m = found[f"{name}#{part}"]
        assert (m.part, m.block, m.shape) == (part, 1, (32, 32))
        s = np.linalg.svd(w[:, i].reshape(32, 32).astype(float), compute_uv=False)
        assert m.singular_values == pytest.approx(s, rel=1e-5, abs=1e-6 * s[0])


def test_experts_of_a_stack_are_split(tmp_path: Path):
    w = np.random.default_rng(0).standard_normal((3, 24, 40)).astype(np.float32)
    name = "model.layers.0.mlp.experts.down_proj"
    write(tmp_path / "m.safetensors", {name: w})
    found = audit(open_run(tmp_path / "m.safetensors"))
    assert {m.module: m.shape for m in found.matrices} == {f"{name}#expert{i}": (24, 40) for i in range(3)}
    assert {m.part for m in found.matrices} == {"down"}
    for m in found.matrices:
        s = np.linalg.svd(w[int(m.module[-1])].astype(float), compute_uv=False)
        assert m.singular_values == pytest.approx(s, rel=1e-5)
        a = by_name(m.lines)["multifractal_alpha0"]
        assert a.null == pytest.approx(audit_matrix._gaussian(40))  # stored (in, out): 40 targets
    assert found.seen == found.parameters == w.size


def test_neurons_are_inputs_in_either_way_of_storing():
    w = np.random.default_rng(0).standard_t(4, (50, 30))
    rows, _, _ = matrix_lines(w, 0, np.random.default_rng(0))
    columns, _, _ = matrix_lines(w.T.copy(), 1, np.random.default_rng(0))
    for name in ("multifractal_alpha0", "multifractal_width", "multifractal_r2"):
        assert by_name(rows)[name].value == pytest.approx(by_name(columns)[name].value, rel=1e-12)


# ---- known answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("spikes", [0, 1, 3])
def test_planted_spikes_are_counted(spikes):
    """Strength 3 to 3.6 in units of sigma sqrt(N), far above the threshold c^(1/4) = 0.84."""
    rng = np.random.default_rng(5)
    w = rng.standard_normal((200, 100))
    u, v = (np.linalg.qr(rng.standard_normal((n, 3)))[0] for n in (200, 100))
    w += sum((3 + 0.3 * k) * np.sqrt(200) * np.outer(u[:, k], v[:, k]) for k in range(spikes))
    lines = by_name(matrix_lines(w, 1, rng)[0])
    assert lines["mp_outliers"].value == spikes
    assert lines["mp_outliers"].null == 0


def test_of_noise_every_number_is_its_null():
    rng = np.random.default_rng(1)
    found = [by_name(matrix_lines(rng.standard_normal((300, 200)), 1, rng)[0]) for _ in range(6)]
    for name, error in {
        "stable_rank": 0.035,  # the mean of Tracy-Widom, -1.2 scales, is 1.9 % of the edge here
        "participation_ratio": 0.01,
        "entropy_effective_rank": 0.01,
        "abs_cv": 0.02,
        "gini": 0.02,
        "multifractal_alpha0": 0.02,
    }.items():
        mean = np.mean([f[name].value for f in found])
        assert mean == pytest.approx(found[0][name].null, rel=error), name
    widths = np.array([[f["multifractal_width"].value, f["multifractal_width"].null] for f in found])
    stated = np.mean([f["multifractal_width"].stderr for f in found])
    assert abs(np.diff(widths.mean(axis=0))[0]) < 4 * stated
    alphas = np.array([f["multifractal_alpha0"].value for f in found])
    stated = np.mean([f["multifractal_alpha0"].stderr for f in found])
    assert stated / 4 < alphas.std(ddof=1) < 4 * stated  # the bootstrap knows how much it moves
    tails = np.array([[f["tail_alpha"].value, f["tail_alpha"].null] for f in found])
    assert abs(np.diff(np.median(tails, axis=0))[0]) < 4 * tails.std()
    assert abs(np.mean([f["percolation_z"].value for f in found])) < 4 / np.sqrt(6)
    assert all(f["mp_outliers"].value <= 1 for f in found)


def test_a_scale_changes_nothing():
    w = np.random.default_rng(3).standard_t(4, (60, 40))
    one, other = (by_name(matrix_lines(f * w, 1, np.random.default_rng(0))[0]) for f in (1, 2.0**40))
    for name, x in one.items():
        assert (x.value, x.null) == pytest.approx(
            (other[name].value, other[name].null), rel=1e-9, nan_ok=True
        ), name


def test_the_same_seed_gives_the_same_numbers(folder: Path):
    a, b, c = (audit(open_run(folder), seed=s) for s in (1, 1, 2))
    assert numbers(a) == numbers(b)
    assert numbers(a)[:-1] != numbers(c)[:-1]  # shuffled copies
    assert numbers(a)[-1] != numbers(c)[-1]  # sampled networks


def test_values_are_those_of_the_observables(folder: Path):
    from opalesce.observables.spectra import spectrum, stable_rank

    run = open_run(folder)
    m = audit(run).matrices[0]
    module = Module(m.module, "tensor", (m.module,))
    w = Views(module, run.checkpoints[0], config=run.config).weight
    assert by_name(m.lines)["stable_rank"].value == stable_rank(spectrum(w))
