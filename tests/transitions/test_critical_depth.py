"""Critical depth: a planted step is found and placed; smooth curves raise no alarm; artefacts are named."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from opalesce.errors import InputError
from opalesce.transitions.critical_depth import critical_depth
from opalesce.transitions.depth_verdict import judge_depth
from opalesce.transitions.verdict import Verdict

L = 32
GAMMA = np.linspace(0, 1, L + 1)
PLANTED = 1 / (1 + np.exp(-(GAMMA - 0.42) / 0.02))
SMOOTH = {"ramp": GAMMA, "tanh": np.tanh((GAMMA - 0.5) / 0.2), "quadratic": 4 * (GAMMA - 0.4) ** 2}


def prompts(curve: np.ndarray, seed: int, noise: float = 0.3, n: int = 200) -> np.ndarray:
    """Noise of every prompt and layer, and a level of every prompt."""
    rng = np.random.default_rng(seed)
    return curve + noise * rng.standard_normal((n, len(curve))) + 0.3 * rng.standard_normal((n, 1))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_step_is_found_and_placed(seed):
    """gamma_c = 0.42, w = 0.02 with 33 layers and 200 prompts: standard error of the place 0.0013."""
    found = critical_depth(prompts(PLANTED, seed), rng=np.random.default_rng(seed), draws=100)
    assert found.verdict is Verdict.TRANSITION
    assert abs(found.place.value - 0.42) <= 0.01
    assert found.width.value == pytest.approx(0.02, abs=0.006)
    assert found.height.value == pytest.approx(1, abs=0.15)
    assert found.place.low <= found.place.value <= found.place.high
    assert found.jump_at in (12, 13)
    assert min(found.bic, key=found.bic.get) == "logistic"
    assert found.cross_validation["logistic"] < found.cross_validation["linear"]


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_curves_are_no_discontinuity(name):
    """At level 0.05 five of 5 seeds alarm with probability below 1e-6; two or more with 2 %."""
    found = [
        critical_depth(prompts(SMOOTH[name], s), rng=np.random.default_rng(s), draws=50) for s in range(5)
    ]
    assert sum(f.verdict is Verdict.TRANSITION for f in found) <= 1
    assert all(f.verdict is not Verdict.NOT_SUPPORTED for f in found)


@pytest.mark.validate
def test_false_alarms_on_a_ramp():
    """200 seeds at a level of 5 %: more than 17 have probability 2 %."""
    found = [critical_depth(prompts(GAMMA, s), rng=np.random.default_rng(s), draws=50) for s in range(200)]
    assert sum(f.p_sharp <= 0.05 for f in found) <= 17
    assert sum(f.verdict is Verdict.TRANSITION for f in found) <= 10


def test_noise_alone_is_not_supported_and_wide_steps_are_crossovers():
    flat = [critical_depth(prompts(0 * GAMMA, s), rng=np.random.default_rng(s), draws=100) for s in range(4)]
    assert sum(f.verdict is Verdict.NOT_SUPPORTED for f in flat) >= 3  # each fails with 5 to 10 %
    wide = 1 / (1 + np.exp(-(GAMMA - 0.42) / 0.045))
    found = critical_depth(prompts(wide, 0, 0.05), rng=np.random.default_rng(0), draws=50)
    assert found.verdict is Verdict.CROSSOVER
    assert found.place.value == pytest.approx(0.42, abs=0.01)


@pytest.mark.parametrize(("width", "verdict"), [(0.01, Verdict.TRANSITION), (0.08, Verdict.CROSSOVER)])
def test_a_step_on_a_bent_slope_is_judged_beside_it(width, verdict):
    curve = 3 * GAMMA**2 + 1 / (1 + np.exp(-np.clip((GAMMA - 0.42) / width, -700, 700)))
    found = critical_depth(prompts(curve, 3, 0.1), rng=np.random.default_rng(3), draws=100)
    assert found.verdict is verdict
    if verdict is Verdict.TRANSITION:
        assert "spline" in found.place.method
        assert found.place.value == pytest.approx(0.42, abs=0.01)
        assert found.height.value == pytest.approx(1, abs=0.1)


def test_a_pure_step_lies_somewhere_between_two_layers():
    """After layer 13 of 32, exact place unknowable: the interval holds all of [13/32, 14/32]."""
    found = critical_depth(
        prompts((GAMMA > 0.41).astype(float), 0, 0.1), rng=np.random.default_rng(0), draws=100
    )
    assert found.verdict is Verdict.TRANSITION
    assert found.place.low <= 13 / 32
    assert found.place.high >= 14 / 32
    assert found.place.high - found.place.low < 1.5 / 32
    resolved = critical_depth(prompts(PLANTED, 0, 0.1), rng=np.random.default_rng(0), draws=100)
    assert resolved.place.high - resolved.place.low < 0.3 / 32


def test_few_layers_cannot_tell_but_say_where():
    curve = 1 / (1 + np.exp(-(np.linspace(0, 1, 7) - 0.42) / 0.05))
    found = critical_depth(prompts(curve, 0), rng=np.random.default_rng(0), draws=50)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.place.value == pytest.approx(0.42, abs=0.05)
    assert np.isnan(found.p_sharp)
    assert "7 layers" in found.reason


def test_units_do_not_matter_and_curves_without_noise_are_read():
    y = prompts(PLANTED, 1)
    a, b = (critical_depth(c * y + 5, rng=np.random.default_rng(0), draws=50) for c in (1, -1000))
    assert (a.verdict, a.p_sharp) == (b.verdict, b.p_sharp)
    assert a.place.value == pytest.approx(b.place.value)
    assert a.height.value == pytest.approx(-b.height.value / 1000)
    exact = critical_depth(np.tile(PLANTED, (3, 1)), rng=np.random.default_rng(0), draws=20)
    assert exact.place.value == pytest.approx(0.42, abs=0.002)


def test_refusals():
    good = prompts(PLANTED, 0, n=4)
    nan = good.copy()
    nan[1, 2] = np.nan
    for bad in (good[0], good[:1], nan, good[:, :2]):
        with pytest.raises(InputError):
            critical_depth(bad, rng=np.random.default_rng(0))
    with pytest.raises(InputError):
        critical_depth(good, GAMMA[::-1], rng=np.random.default_rng(0))
    with pytest.raises(InputError):
        judge_depth(xr.Dataset(), rng=np.random.default_rng(0))


# ---- with controls --------------------------------------------------------------------------------------


def dataset(**curves: np.ndarray) -> xr.Dataset:
    """object_integrity with the given curves as streams, and two controls; by default no step but in raw."""
    plain = SMOOTH["ramp"]
    streams = ["raw", "dropped", "masked", "rotated"]
    controls = ["random_weights", "shuffled_tokens"]
    default = {"raw": PLANTED, "dropped": PLANTED, "masked": PLANTED} | curves
    made = {k: prompts(default.get(k, plain), i, n=60) for i, k in enumerate([*streams, *controls])}
    return xr.Dataset(
        {
            "object_integrity_by_prompt": (
                ("stream", "prompt", "layer"),
                np.array([made[s] for s in streams]),
            ),
            "object_integrity": (("stream", "layer"), np.array([made[s].mean(0) for s in streams])),
            "object_integrity_control_by_prompt": (
                ("control", "prompt", "layer"),
                np.array([made[c] for c in controls]),
            ),
        },
        {"stream": streams, "control": controls, "gamma": ("layer", GAMMA)},
    )


@pytest.mark.parametrize(
    ("curves", "verdict", "word"),
    [
        ({}, Verdict.TRANSITION, "width"),
        ({"masked": GAMMA}, Verdict.METRIC_ARTEFACT, "massive"),
        ({"dropped": GAMMA}, Verdict.METRIC_ARTEFACT, "first token"),
        ({"rotated": PLANTED}, Verdict.METRIC_ARTEFACT, "sparsity"),
        ({"random_weights": PLANTED}, Verdict.METRIC_ARTEFACT, "random weights"),
        (
            {"random_weights": 1 / (1 + np.exp(-(GAMMA - 0.7) / 0.02))},
            Verdict.TRANSITION,
            "width",
        ),  # elsewhere
        ({"shuffled_tokens": PLANTED}, Verdict.TRANSITION, "of the words"),
        ({"raw": GAMMA}, Verdict.CROSSOVER, "smooth"),
    ],
)
def test_controls_decide(curves, verdict, word):
    (found,) = judge_depth(dataset(**curves), rng=np.random.default_rng(0), draws=50)
    assert (found.verdict, word in found.reason) == (verdict, True), found.reason


def test_a_prompt_that_was_left_out_is_left_out():
    ds = dataset()
    ds["object_integrity_by_prompt"][:, 7] = np.nan
    (found,) = judge_depth(ds, rng=np.random.default_rng(0), draws=50)
    assert found.found is not None
    assert found.found.prompts == 59
