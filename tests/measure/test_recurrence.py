"""Iterated blocks on maps whose fixed points are known."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError

torch = pytest.importorskip("torch")
from opalesce.measure.recurrence import alike, recurrence  # noqa: E402


def test_an_affine_map_settles_at_its_fixed_point():
    b = torch.tensor([1.0, -2.0]).double()
    found = recurrence(lambda x: 0.8 * x + b, torch.zeros(2).double() + 0.1)
    assert found.settled
    assert found.rate == pytest.approx(0.8, rel=1e-3)
    once = 0.08 + b
    assert found.distance == pytest.approx(float((5 * b - once).norm() / once.norm()), rel=1e-4)


def test_a_drift_does_not_settle_though_its_steps_get_small():
    found = recurrence(lambda x: x + 1.0, torch.ones(3).double() * 1e5)
    assert found.step[-1] < 1e-4
    assert not found.settled


def test_a_rotation_does_not_settle():
    turn = torch.tensor([[0.0, -1], [1, 0]]).double()
    found = recurrence(lambda x: x @ turn, torch.ones(2).double())
    assert not found.settled
    assert found.rate == pytest.approx(1)


def test_alike_blocks():
    q, r = torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).double())
    w = q * r.diagonal().sign()  # Haar: its trace has s.d. 1
    h = torch.randn(50, 64, generator=torch.Generator().manual_seed(1)).double()
    found = alike([lambda x: 2 * x, lambda x: 3 * x, lambda x: x + x @ w], [h] * 3)
    assert found[0, 1] == pytest.approx(1)
    assert np.diag(found) == pytest.approx(1)
    assert abs(found[0, 2]) < 0.07  # mean of 50 cosines of s.d. 1/8, and trace(w)/64


def test_refusals():
    x = torch.ones(2)
    for call in (
        lambda: recurrence(lambda v: v, x, 3),
        lambda: recurrence(lambda v: v * 1e30, x),
        lambda: recurrence(lambda v: v[:1], x),
        lambda: alike([], []),
    ):
        with pytest.raises(InputError):
            call()
