"""The contract: every registered observable, third-party ones included, goes through all of this."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from opalesce.cite import cite, key_of, references
from opalesce.errors import InputError
from opalesce.observables import registry
from opalesce.observables.attention import Attention
from opalesce.observables.circuits import Circuit
from opalesce.observables.moments import Moments
from opalesce.observables.neurons import Neurons
from opalesce.observables.norms import History
from opalesce.observables.percolation import WeightGraph
from opalesce.observables.registry import VIEWS, Observable
from opalesce.observables.spectra import spectrum
from opalesce.theory.multifractal.neurons import gaussian_alpha0
from opalesce.theory.percolation.exact import layered_giant
from opalesce.theory.random_matrix import marchenko_pastur_cdf, marchenko_pastur_edges

ALL = sorted(registry.load().values(), key=lambda o: o.name)
each = pytest.mark.parametrize("item", ALL, ids=[o.name for o in ALL])
N, M = 24, 16
Rng = np.random.Generator


# ---- raw inputs (what a symmetry acts on) and the views made of them ----------------------------


def raw(on: str, r: Rng, dtype: Any = np.float64, shape: tuple[int, int] = (N, M)) -> Any:
    if on in ("weight", "singular_values", "graph", "neurons"):
        return r.standard_normal(shape).astype(dtype)
    if on == "neurons_pair":
        return tuple(r.standard_normal(shape).astype(dtype) for _ in range(2))
    if on == "weight_pair":
        return tuple(r.standard_normal(shape).astype(dtype) for _ in range(3))
    if on == "circuit":
        q, k, v = (r.standard_normal((2, 3, 12, 4)).astype(dtype) for _ in range(3))
        o = r.standard_normal((2, 3, 4, 12)).astype(dtype)
        return Circuit(r.standard_normal((10, 12)).astype(dtype), q, k, v, o)
    if on == "attention":
        a = np.tril(r.random((5, 3, 14, 14)) + 1e-3)
        return Attention((a / a.sum(-1, keepdims=True)).astype(dtype), r.integers(3, 9, 5))
    if on in ("activations", "moments"):
        return r.standard_normal((60, 40) if shape == (N, M) else shape).astype(dtype)
    if on == "curve":
        return r.standard_normal(30).astype(dtype)
    raise AssertionError(f"the contract does not know how to make the view {on!r}")


def view(on: str, x: Any) -> Any:
    if on == "singular_values":
        return spectrum(x)
    if on == "graph":
        return WeightGraph(x)
    if on == "neurons":
        return Neurons.of(x)
    if on == "moments":
        return Moments.of(x)
    if on == "neurons_pair":
        return tuple(map(Neurons.of, x))
    return History(*x) if on == "weight_pair" else x


def value(item: Observable, x: Any) -> Any:
    return np.asarray(item.function(view(item.on, x), **item.parameters), float)


# ---- symmetries: (view family, name) -> transformed input and the factor the value must take ------


def orthogonal(r: Rng, n: int) -> np.ndarray:
    return np.linalg.qr(r.standard_normal((n, n)))[0]


def _times(r: Rng) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    c = float(np.exp(r.normal(0, 3)))
    return (lambda w: c * w), c


def _rotation(r: Rng) -> Callable[[np.ndarray], np.ndarray]:
    left, right = orthogonal(r, N), orthogonal(r, M)
    return lambda w: left @ w @ right


def _permutation(r: Rng) -> Callable[[np.ndarray], np.ndarray]:
    rows, columns = r.permutation(N), r.permutation(M)
    return lambda w: w[rows][:, columns]


def _entries(r: Rng) -> Callable[[np.ndarray], np.ndarray]:
    order = r.permutation(N * M)
    return lambda w: w.ravel()[order].reshape(w.shape)


def _heads(c: Circuit, r: Rng) -> Circuit:
    order = [r.permutation(c.q.shape[1]) for _ in range(2)]
    return Circuit(c.embed, *(np.stack([x[i][p] for i, p in enumerate(order)]) for x in (c.q, c.k, c.v, c.o)))


def _head_scale(c: Circuit, r: Rng) -> Circuit:
    s = np.exp(r.normal(size=(4, 2, 3, 1, 1)))
    return Circuit(c.embed, *(x * f for x, f in zip((c.q, c.k, c.v, c.o), s, strict=True)))


def _residual(c: Circuit, r: Rng) -> Circuit:
    q = orthogonal(r, c.embed.shape[1])
    return Circuit(c.embed @ q, q.T @ c.q, q.T @ c.k, q.T @ c.v, c.o @ q)


def _attention_heads(a: Attention, r: Rng) -> Attention:
    return replace(a, patterns=a.patterns[:, r.permutation(a.patterns.shape[1])])


def _batch(a: Attention, r: Rng) -> Attention:
    p = r.permutation(len(a.period))
    return Attention(a.patterns[p], a.period[p])


MATRIX: dict[str, Callable[[Rng], tuple[Callable[[np.ndarray], np.ndarray], float]]] = {
    "scale": lambda r: (_times(r)[0], 1.0),
    "homogeneous": lambda r: _times(r),
    "rotation": lambda r: (_rotation(r), 1.0),
    "permutation": lambda r: (_permutation(r), 1.0),
    "entry_permutation": lambda r: (_entries(r), 1.0),
    "sign": lambda r: (lambda w: -w, 1.0),
    "transpose": lambda r: (lambda w: w.T, 1.0),
}
MATRIX_VIEWS = ("weight", "singular_values", "weight_pair", "graph", "neurons", "neurons_pair")
OTHER: dict[tuple[str, str], Callable[[Any, Rng], Any]] = {
    ("circuit", "head_permutation"): _heads,
    ("circuit", "head_scale"): _head_scale,
    ("circuit", "residual_rotation"): _residual,
    ("circuit", "token_permutation"): lambda c, r: replace(c, embed=r.permutation(c.embed)),
    ("circuit", "embed_scale"): lambda c, r: replace(c, embed=c.embed * np.exp(r.normal())),
    ("activations", "scale"): lambda x, r: x * float(np.exp(r.normal(0, 3))),
    ("activations", "rotation"): lambda x, r: x @ orthogonal(r, x.shape[1]),
    ("activations", "token_permutation"): lambda x, r: r.permutation(x),
    ("activations", "channel_permutation"): lambda x, r: x[:, r.permutation(x.shape[1])],
    ("attention", "head_permutation"): _attention_heads,
    ("attention", "batch_permutation"): _batch,
}


def transformed(item: Observable, symmetry: str, x: Any, r: Rng) -> tuple[Any, float]:
    cloud = ("activations" if item.on == "moments" else item.on, symmetry)
    if cloud in OTHER:
        return OTHER[cloud](x, r), 1.0
    if symmetry in MATRIX and item.on in MATRIX_VIEWS:
        f, factor = MATRIX[symmetry](r)
        return (tuple(map(f, x)) if item.on.endswith("_pair") else f(x)), factor
    pytest.fail(f"{item.name} declares {symmetry!r}, which the contract does not know for view {item.on!r}")


@each
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_declared_symmetries_hold(item: Observable, seed: int):
    for symmetry in item.symmetries:
        r = np.random.default_rng(seed)
        x = raw(item.on, r)
        y, factor = transformed(item, symmetry, x, r)
        assert value(item, y) == pytest.approx(factor * value(item, x), rel=1e-7), symmetry


def test_the_symmetry_check_can_fail():
    norm = registry.get("norm")
    x = raw("weight", np.random.default_rng(0))
    y, factor = transformed(norm, "scale", x, np.random.default_rng(1))
    assert value(norm, y) != pytest.approx(factor * value(norm, x), rel=1e-3)


# ---- null values: (input drawn from the null, expected value, relative tolerance) ----------------

C = 0.5  # M / N of the noise matrix
NOISE = (800, 400)
GRID = np.linspace(*marchenko_pastur_edges(C), 20001)
QUANTILES = np.interp((np.arange(4000) + 0.5) / 4000, marchenko_pastur_cdf(GRID, C), GRID)
ERG = float((np.cumsum(np.log(QUANTILES[::-1])) >= 0).mean())  # share of the law with product one
GIANT = layered_giant(NOISE, 2 / np.sqrt(800 * 400))
NULLS: dict[str, tuple[float, float]] = {
    "spectral_norm": (np.sqrt(800) + np.sqrt(400), 0.02),
    "stable_rank": (400 / (1 + np.sqrt(C)) ** 2, 0.03),
    "participation_ratio": (800 * 400 / 1200, 0.01),
    "entropy_effective_rank": (400 * np.exp(-C / 2), 0.01),
    "mp_outliers": (0.0, 0.0),
    "mp_soft_rank": (1.0, 0.05),
    "spacing_ratio": (0.5307, 0.08),  # standard error 0.27 / sqrt(400), 2.5 %
    "log_norm": (np.log10(800 * 400), 0.001),
    "spectral_entropy": (1 - C / 2 / np.log(400), 0.005),
    "detx_num": (400 * ERG, 0.02),
    "correlation_traps": (0.0, 0.0),
    "abs_mean": (np.sqrt(2 / np.pi), 0.01),
    "abs_cv": (np.sqrt(np.pi / 2 - 1), 0.01),
    "gini": (np.sqrt(2) - 1, 0.01),
    "weibull_shape": (1.205435, 0.01),
    "weibull_scale": (0.887487, 0.01),
    "percolation_ratio": (1.08, 0.25),  # finite size: mean 1.08, standard deviation 0.08
    "giant_share": ((800 * GIANT[0] + 400 * GIANT[1]) / 1200, 0.06),  # s.d. 0.017
    "median_breakthrough": (1.0, 0.1),
    "resistance_excess": (1.0, 0.02),
    "multifractal_alpha0": (gaussian_alpha0(400), 0.02),  # s.d. 0.007
}
CLOUDS: dict[str, tuple[float, float, tuple[int, int]]] = {  # value, relative tolerance, (points, channels)
    "two_nn_dimension": (5.0, 0.06, (4000, 5)),  # s.d. 1.6 %, saturation 2 %
    "local_mle_dimension": (5.0, 0.08, (4000, 5)),
    "gride_dimension": (5.0, 0.08, (4000, 5)),
    "rankme": (824.0, 0.01, (1024, 1024)),
    "alpha_req": (0.0, 0.05, (40000, 60)),
    "anisotropy": (0.0, 1e-3, (2000, 40)),  # s.d. sqrt(2/d)/n = 1.1e-4
    "anisotropy_centred": (-1 / 2000, 1e-3, (2000, 40)),
    "largest_channel_share": (1 / 40, 0.03 * 4, (2000, 40)),  # s.d. of one channel 3 %
    "object_integrity": (1 - np.sqrt(2 / np.pi), 0.008, (4000, 300)),  # s.d. 2e-4, finite d 7e-4
    "integrity_susceptibility": (1 - 3 / np.pi, 0.09, (4000, 300)),  # s.d. 2 %, finite d 2 %
    "integrity_binder": (0.0, 0.15, (4000, 300)),  # x is skewed by 1/sqrt(d)
    "residual_effective_rank": (300 * np.exp(-300 / 8000), 0.01, (4000, 300)),
    "residual_participation_ratio": (300.0, 0.01, (4000, 300)),
    "residual_stable_rank": (300 / (1 + np.sqrt(300 / 4000)) ** 2, 0.03, (4000, 300)),
    "tail_fraction": (0.9, 0.01, (40000, 100)),
    "tail_slope": (0.0, 0.08, (40000, 100)),  # the bulk is 10 % wide
    "residual_outliers": (0.0, 0.0, (4000, 300)),
    "marchenko_pastur_distance": (0.0, 0.02, (4000, 300)),
    "spectral_gap": (0.0, 0.03, (4000, 300)),
    "mean_share": (1 / 4000, 0.3, (4000, 300)),
    "giant_cluster_radius": (1.16, 0.06, (500, 5)),  # simulated, s.d. 0.02
    "magnitude_spread": (np.log2(norm.isf(0.005) / norm.isf(0.25)), 0.065, (4000, 60)),  # a bin is 0.125
    "massive_ratio": (norm.isf(0.5 / (2000 * 40)) / 0.6745, 0.15, (2000, 40)),  # s.d. of a maximum 6 %
}
CLOSED = {"marchenko_pastur", "half_normal", "uniform_order"}  # nulls with a formula
KNOWN_NULLS = CLOSED | {"isotropic_normal", "twin", "random_orientation", "shuffle"}


@each
def test_null_value(item: Observable):
    assert item.null in KNOWN_NULLS
    if item.null == "random_orientation":  # best pair of random heads: near its baseline, never far above
        scores = [float(value(item, raw(item.on, np.random.default_rng(s)))) for s in range(40)]
        assert 0 < np.mean(scores) < 12**-0.5
    if item.null == "isotropic_normal":
        assert item.name in CLOUDS, "add its null value to CLOUDS, with the shape of the cloud"
        expected, tolerance, shape = CLOUDS[item.name]
        got = float(value(item, raw(item.on, np.random.default_rng(20), shape=shape)))
        assert got == pytest.approx(expected, rel=tolerance, abs=tolerance if abs(expected) < 0.01 else 0)
    if item.null in CLOSED:
        assert item.name in NULLS, "add its null value to NULLS, with the formula of its docstring"
        expected, tolerance = NULLS[item.name]
        got = value(item, raw(item.on, np.random.default_rng(20), shape=NOISE))
        assert float(got) == pytest.approx(expected, rel=tolerance, abs=1e-12)


# ---- degenerate input ------------------------------------------------------------------------------


def poisoned(on: str, bad: float) -> Any:
    x = raw(on, np.random.default_rng(0))
    target = {
        "weight_pair": lambda: x[0],
        "neurons_pair": lambda: x[0],
        "circuit": lambda: x.q,
        "attention": lambda: x.patterns,
    }
    target.get(on, lambda: x)().flat[3] = bad
    return replace(x) if on in ("circuit", "attention") else x  # replace() runs the checks again


def degenerate(on: str, n: int) -> Any:
    """The same view with sides of length n: 0 (empty) or 1 (one element)."""
    z = np.full((n, n), 0.7)
    if on.endswith("_pair"):
        return (z, z, z)[: 2 if on == "neurons_pair" else 3]
    if on == "circuit":
        one = np.full((2, 1, n, n), 0.7)
        return Circuit(z, one, one, one, one)
    if on == "attention":
        return Attention(np.full((1, 1, n, n), 0.7), np.array([1]))
    return z[0] if on == "curve" and n else (np.empty(0) if on == "curve" else z)


@each
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_input_is_refused(item: Observable, bad: float):
    with pytest.raises(InputError):
        value(item, poisoned(item.on, bad))


@each
def test_empty_input_is_refused(item: Observable):
    with pytest.raises(InputError):
        value(item, degenerate(item.on, 0))


ONE = {
    "norm": 0.7,
    "spectral_norm": 0.7,
    "stable_rank": 1.0,
    "log_norm": np.log10(0.49),
    "participation_ratio": 1.0,
    "entropy_effective_rank": 1.0,
    "abs_mean": 0.7,
    "massive_ratio": 1.0,
    "mean_share": 1.0,
    "largest_channel_share": 1.0,
    "rankme": np.exp(-(1 + 1e-7) * np.log1p(1e-7)),
    "distance_from_initialisation": 0.0,
    "distance_from_previous": 0.0,
    "logged": 0.7,
    "q_composition": 0.0,
    "k_composition": 0.0,
    "v_composition": 0.0,
}


@each
def test_one_element_is_right_or_nan_or_refused(item: Observable):
    try:
        got = value(item, degenerate(item.on, 1))
    except InputError:
        return
    if item.name in ONE:
        assert got == pytest.approx(ONE[item.name], abs=1e-12)
    else:
        assert np.isnan(got).all(), "a number from one element: state the right one in ONE, or return NaN"


# ---- plain duties ------------------------------------------------------------------------------------


@each
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_finite_pure_and_the_same_in_float32(item: Observable, seed: int):
    x = raw(item.on, np.random.default_rng(seed))
    first, again = value(item, x), value(item, x)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    narrow = value(item, raw(item.on, np.random.default_rng(seed), np.float32))
    slack = 0.15 if item.name in ("token_match", "mp_outliers") else 1e-4  # shares and counts may flip one
    assert narrow == pytest.approx(first, rel=slack, abs=slack)


@each
def test_metadata_and_docstring(item: Observable):
    doc = inspect.getdoc(item.function) or ""
    assert item.on in VIEWS
    assert item.version >= 1
    assert item.lineage in ("loss", "activations", "weights", "evals", "other")
    assert item.unit
    assert "math:" in doc or item.on == "curve", "the docstring gives no formula"
    assert "Raises" in doc
    assert len(item.summary) < 120
    assert key_of(item.source) in references(), "its source is not in references.bib"
    assert cite(item.name).startswith("@")


@each
def test_signature_takes_arrays_only(item: Observable):
    parameters = list(inspect.signature(item.function).parameters.values())
    assert len(parameters) >= 1
    assert all(p.default is not p.empty or p.name == "rng" for p in parameters[1:])
