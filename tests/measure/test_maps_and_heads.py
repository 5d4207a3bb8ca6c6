"""Real models as maps, and their heads as Boltzmann laws."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError

torch = pytest.importorskip("torch")
from opalesce.measure.decoder import Decoder, Sizes  # noqa: E402
from opalesce.measure.heads import attention_energy  # noqa: E402
from opalesce.measure.maps import flow, orbit  # noqa: E402
from tests.measure.library import library_model  # noqa: E402

SIZES = Sizes(20, 16, 24, 3, 2)
TOKENS = [1, 5, 3, 7, 2]


def net() -> Decoder:
    return Decoder(SIZES, 0).double().eval()


def test_an_orbit_is_what_the_model_does():
    way, model = orbit(net(), TOKENS), net()
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS]))
        for f, before, after in zip(way.maps, way.states[:-1], way.states[1:], strict=True):
            assert torch.allclose(f(before), after)
        for readout, state in zip(way.readouts, way.states, strict=True):
            assert torch.allclose(readout(state), logits)
            assert not torch.allclose(readout(state + 0.1 * torch.randn_like(state)), logits)


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "llama"])
def test_an_orbit_of_the_librarys_models(kind):
    model = library_model(kind)
    way = orbit(model, TOKENS)
    with torch.no_grad():
        logits = model(torch.tensor([TOKENS])).logits
        for f, before, after in zip(way.maps, way.states[:-1], way.states[1:], strict=True):
            assert torch.allclose(f(before), after, atol=1e-5)
        for readout, state in zip(way.readouts, way.states, strict=True):
            assert torch.allclose(readout(state), logits, atol=1e-5)
    assert np.isfinite(flow(model, TOKENS).exponents).all()


def test_flow_of_a_small_decoder():
    eye = [np.eye(16)] * 4
    found = flow(net(), TOKENS, eye, k=4)
    assert found.kappa.shape == found.stretch.shape == found.ratio.shape == (3,)
    assert (found.kappa <= found.stretch * 1.001).all()
    assert (found.stretch >= found.ratio * 0.999).all()  # no difference grows faster than the norm
    assert found.path.length.shape == (3, 1, 5)
    assert np.isnan(flow(net(), TOKENS).kappa).all()
    with pytest.raises(InputError, match="basis"):
        flow(net(), TOKENS, eye[:2])
    with pytest.raises(InputError, match="empty"):
        orbit(net(), [])


def test_heads():
    """Scores of 0 (no queries): entropy is that of equal keys, and nothing varies."""
    model = net()
    prompts = [TOKENS, TOKENS[::-1], [1, 2, 3]]
    found = attention_energy(model, prompts, 2)
    assert dict(found.sizes) == {"prompt": 3, "layer": 3, "head": 2}
    assert np.isfinite(found.to_array().values).all()
    assert (found.heat_capacity > 0).all()
    with torch.no_grad():
        for block in model.model.layers:
            block.self_attn.q_proj.weight.zero_()
    flat = attention_energy(model, prompts)
    assert flat.entropy_share.values == pytest.approx(1)
    assert flat.heat_capacity.values == pytest.approx(0)
    assert flat.effective_keys.sel(prompt=0).values == pytest.approx(np.mean([2, 3, 4, 5]))
    assert flat.free_energy.sel(prompt=0).values == pytest.approx(-np.mean(np.log([2, 3, 4, 5])))


def test_models_without_scores_are_refused():
    with pytest.raises(InputError, match="attention scores"):
        attention_energy(torch.nn.Linear(2, 2), [TOKENS])
    with pytest.raises(InputError, match="short"):
        attention_energy(net(), [[1]])
