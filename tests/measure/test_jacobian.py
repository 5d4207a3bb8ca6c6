"""Products with Jacobians on maps whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from opalesce.errors import InputError

torch = pytest.importorskip("torch")
jacobian = pytest.importorskip("opalesce.measure.jacobian")
fisher = pytest.importorskip("opalesce.measure.fisher")
D = 12


def orthogonal(seed: int, d: int = D) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(seed)).double())[0]


def linear(matrix: torch.Tensor):
    return lambda h: h @ matrix.T


def test_transverse_factor_and_the_tail_it_leaves():
    """A map that keeps k directions and shrinks the rest by 0.8: kappa = 0.8, tails fall by 0.64 a layer."""
    k, q = 3, orthogonal(0)
    scale = torch.cat([torch.linspace(1.5, 1.1, k), torch.full((D - k,), 0.8)]).double()
    matrix = q @ torch.diag(scale) @ q.T
    out = jacobian.outside(q[:, :k])
    x = torch.randn(D, generator=torch.Generator().manual_seed(1)).double()
    assert jacobian.contraction(linear(matrix), x, out, out) == pytest.approx(0.8, rel=1e-6)
    assert jacobian.contraction(linear(matrix), x) == pytest.approx(1.5, rel=1e-4)
    h = torch.randn(4000, D, generator=torch.Generator().manual_seed(2)).double()
    tails = []
    for _ in range(5):
        covariance = np.cov(h.numpy().T)
        vectors = np.linalg.eigh(covariance)[1][:, ::-1].copy()
        outside = jacobian.outside(jacobian.leading(vectors, k))
        tails.append(float((outside(h - h.mean(0)) ** 2).sum()))
        h = linear(matrix)(h)
    assert np.array(tails[2:]) / np.array(tails[1:-1]) == pytest.approx(0.64, rel=0.01)


def test_coupling_leaves_a_floor():
    """With a coupling eps from the kept to the transverse block, kappa stays, and the tail stops falling."""
    matrix = torch.diag(torch.tensor([1.0, 0.8, 0.8]).double())
    matrix[1, 0] = 0.05
    out = jacobian.outside(torch.eye(3).double()[:, :1])
    assert jacobian.contraction(linear(matrix), torch.ones(3).double(), out, out) == pytest.approx(0.8)
    back = matrix.clone()
    back[0, 1] = 5  # from the transverse block into the kept one: not transverse growth
    assert jacobian.contraction(linear(back), torch.ones(3).double(), out, out) == pytest.approx(0.8)
    h = torch.randn(20000, 3, generator=torch.Generator().manual_seed(3)).double()
    for _ in range(60):
        h = linear(matrix)(h)
    tail = float((h[:, 1:] ** 2).mean(0).sum() / (h[:, 0] ** 2).mean())
    assert tail == pytest.approx((0.05 / (1 - 0.8)) ** 2, rel=1e-3)  # fixed point of t -> 0.8 t + 0.05
    assert tail < 0.05**2 / (1 - 0.8) ** 2 * 1.01


def test_nonlinear_contraction_is_the_matrix_norm():
    w = orthogonal(4) * 1.7
    f = lambda h: torch.tanh(h @ w.T) + h  # noqa: E731
    x = torch.randn(D, generator=torch.Generator().manual_seed(5)).double()
    explicit = torch.autograd.functional.jacobian(f, x)
    assert jacobian.contraction(f, x, steps=2000, tolerance=1e-12) == pytest.approx(
        float(torch.linalg.matrix_norm(explicit, 2)), rel=1e-6
    )


def test_lyapunov_exponents_of_one_matrix_and_of_a_product():
    """Diagonal in one basis: exponents are ln of the entries, to the 1/L of the random first frame."""
    q, rates = orthogonal(6), torch.tensor([1.8, 1.2, 0.7, 0.3]).double()
    q4 = orthogonal(6, 4)
    matrix = q4 @ torch.diag(rates) @ q4.T
    found = jacobian.lyapunov([linear(matrix)] * 400, torch.zeros(4).double() + 1e-30, 4)
    assert found == pytest.approx(np.log(rates.numpy()), abs=0.01)
    maps = [orthogonal(s) @ torch.diag(torch.linspace(1.5, 0.4, D).double()) for s in range(10, 16)]
    total = torch.eye(D).double()
    for m in maps:
        total = m @ total
    x = torch.ones(D).double()
    exact = torch.linalg.svdvals(total).numpy()
    assert jacobian.product_singular_values([linear(m) for m in maps], x, 3, 200) == pytest.approx(
        exact[:3], rel=1e-4
    )
    full = jacobian.lyapunov([linear(m) for m in maps], x, D)
    assert full.sum() * 6 == pytest.approx(np.log(exact).sum(), abs=1e-9)  # volumes grow exactly
    assert q.shape == (D, D)


def test_perturbation_ratio():
    x = torch.ones(D).double()
    assert jacobian.perturbation_ratio([linear(0.8 * orthogonal(7))] * 3, x) == pytest.approx(0.8, rel=1e-9)
    scale = torch.diag(torch.linspace(0.1, 2, D).double())
    expected = float((scale**2).sum() / D) ** 0.5  # of squares; the mean length is a little less
    got = jacobian.perturbation_ratio([linear(scale)], x, pairs=4000)[0]
    assert expected * 0.95 < got < expected


def readout(w: torch.Tensor):
    return lambda h: torch.tanh(h) @ w.T


def test_fisher_form_is_the_explicit_matrix():
    w = torch.randn(9, 5, generator=torch.Generator().manual_seed(8)).double()
    h, a, b = (torch.randn(5, generator=torch.Generator().manual_seed(s)).double() for s in (1, 2, 3))
    j = torch.autograd.functional.jacobian(readout(w), h)
    p = readout(w)(h).softmax(-1)
    g = j.T @ (torch.diag(p) - torch.outer(p, p)) @ j
    assert fisher.fisher_form(readout(w), h, a, b) == pytest.approx(float(a @ g @ b), rel=1e-12)
    assert fisher.fisher_form(readout(w), h, a, a) == pytest.approx(float(a @ g @ a), rel=1e-12)


def test_small_steps_have_the_divergence_of_their_length():
    w = torch.randn(9, 5, generator=torch.Generator().manual_seed(9)).double()
    h = torch.randn(5, generator=torch.Generator().manual_seed(1)).double()
    step = 1e-3 * torch.randn(5, generator=torch.Generator().manual_seed(2)).double()
    p, q = (readout(w)(x).log_softmax(-1) for x in (h, h + step))
    kl = float((p.exp() * (p - q)).sum())
    path = fisher.fisher_path([h, h + step], [readout(w)])
    assert float(path.length[0]) ** 2 / 2 == pytest.approx(kl, rel=2e-3)  # third order: relative 1e-3


def test_straight_path_has_no_angle_and_a_way_back_has_pi():
    w = torch.randn(9, 5, generator=torch.Generator().manual_seed(9)).double()
    line = linear(w)
    h, d = torch.randn(6, 5, generator=torch.Generator().manual_seed(1)).double(), torch.ones(6, 5).double()
    path = fisher.fisher_path([h, h + d, h + 2 * d, h + d], [line] * 3)
    assert path.angle[0] == pytest.approx(0, abs=1e-6)
    assert path.angle[1] == pytest.approx(np.pi, abs=1e-6)
    assert path.total.shape == (6,)
    assert np.isnan(fisher.fisher_path([h, h, h], [line] * 2).angle).all()


def test_a_block_of_the_decoder():
    decoder = pytest.importorskip("opalesce.measure.decoder")
    net = decoder.Decoder(decoder.Sizes(20, 8, 12, 2, 2), 0).double().eval()
    x = net.model.embed_tokens(torch.tensor([[1, 2, 3]])).detach()
    block = net.model.layers[0]
    explicit = torch.autograd.functional.jacobian(block, x).reshape(24, 24)
    found = jacobian.contraction(block, x, steps=3000, tolerance=1e-13)
    assert found == pytest.approx(float(torch.linalg.matrix_norm(explicit, 2)), rel=1e-5)


def test_refusals():
    x = torch.ones(3).double()
    for call in (
        lambda: jacobian.lyapunov([], x, 1),
        lambda: jacobian.lyapunov([lambda h: h], x, 4),
        lambda: jacobian.contraction(lambda h: h * float("nan"), x),
        lambda: jacobian.contraction(lambda h: h[:2], x),
        lambda: jacobian.perturbation_ratio([lambda h: h], 0 * x),
        lambda: fisher.fisher_path([x], []),
        lambda: jacobian.leading(np.eye(3), 4),
    ):
        with pytest.raises(InputError):
            call()
