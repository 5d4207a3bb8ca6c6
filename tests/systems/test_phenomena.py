"""The operations of the phenomena do to data and weights what they say."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.systems.concepts.models import Learner, fit
from opalesce.systems.concepts.phenomena import corrupted, quantise
from opalesce.systems.concepts.world import Capability, World

SMALL = (Capability(8, 30), Capability(16, 60))


@pytest.fixture
def world() -> World:
    return World.draw(np.random.default_rng(7), SMALL)


def test_quantisation_has_its_levels_and_its_error():
    w = np.random.default_rng(0).normal(size=(40, 50))
    for levels in (1, 4, 16):
        q = quantise(w, levels)
        assert len(np.unique(q)) <= 2 * levels + 1
        assert np.abs(q - w).max() <= np.abs(w).max() / levels / 2 + 1e-12
    assert (quantise(np.zeros((2, 2)), 4) == 0).all()


def test_noise_replaces_properties_from_anywhere(world: World):
    clean, noisy = world.seen(600), corrupted(world, 600, "noise", 0.3, np.random.default_rng(1))
    kept = (clean & noisy).sum() / 600
    n = 600
    assert abs(kept - 0.7) < 4 * np.sqrt(0.21 / n) + 0.02  # a few replacements are right by chance


def test_wrong_data_names_the_mirror_family_and_nothing_else(world: World):
    wrong = corrupted(world, 600, "wrong", 0.4, np.random.default_rng(2))
    e, k = np.nonzero(wrong)
    f, g = world.entity_family[e], world.property_family[k]
    assert set((g[g != f] ^ 1).tolist()) <= set(f.tolist())
    assert (f // 2 == g // 2).all()
    by_entity = {int(i): set((g == f)[e == i].tolist()) for i in np.unique(e)}
    assert all(len(v) == 1 for v in by_entity.values())  # an entity is right or wrong throughout


def test_contradiction_keeps_what_is_right_and_adds_its_mirror(world: World):
    clean = world.seen(600)
    both = corrupted(world, 600, "contradiction", 0.4, np.random.default_rng(3))
    assert (both >= clean).all()
    added = both & ~clean
    e, k = np.nonzero(added)
    assert len(e) > 50
    assert (world.property_family[k] == world.entity_family[e] ^ 1).all()


def test_unknown_corruption(world: World):
    with pytest.raises(InputError):
        corrupted(world, 100, "dust", 0.1, np.random.default_rng(0))


@pytest.mark.torch
def test_training_goes_on_from_weights_and_takes_soft_targets(world: World):
    pytest.importorskip("torch")
    seen = world.seen(500)
    weights, scores, loss = fit(seen, Learner(steps=150), 1)
    again = fit(seen, Learner(steps=50), 1, weights)
    assert again[2] < loss  # it starts where it stopped
    soft = 1 / (1 + np.exp(-8 * scores.astype(float) + 3))
    student = fit(soft, Learner(steps=300), 2)[1]
    assert np.corrcoef(student.ravel(), scores.ravel())[0, 1] > 0.5
    with pytest.raises(InputError):
        fit(soft * 2, Learner(), 1)
    with pytest.raises(InputError):
        fit(soft, Learner("transformer", 16), 1)
