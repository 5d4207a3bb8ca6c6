r"""B-layer of the neural percolation model: from tokens and breadth of the data to capability.

.. math::

    V = e^{\alpha\sigma}, \quad \rho = N_B / V, \quad \rho_c = k\,\sigma^{\delta}\,\tau, \quad C_n =
    \rho/\rho_c

N_B training tokens in billions, sigma in (0, 1] breadth of the data, tau >= 1 reasoning depth of the task
(ding2026percolation, section "B-Layer Equations", eqs density, critical, ceff, pmin). Its author labels the
concept volume heuristic. The density law has its home here.

The exponent beta was fitted to benchmark scores and so contains whatever monotone map leads from capability
to score; it is not an order-parameter exponent and must not be compared with one (0.41 in three dimensions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.theory.checks import numbers

Floats = NDArray[np.float64]
Form = Literal["reduced", "raw"]


@dataclass(frozen=True)
class Constants:
    """alpha (concept volume), beta (capability), delta and k (critical density, 1e9 tokens) of the B-layer.

    The published values. They are not identifiable from the 14 models they were fitted to: see
    `fit.identifiability`.
    """

    alpha: float = 0.57
    beta: float = 0.068
    delta: float = 2.76
    k: float = 68.5


PUBLISHED = Constants()


def _breadth(breadth: ArrayLike) -> Floats:
    out = numbers(breadth, "breadth")
    if (out <= 0).any() or (out > 1).any():
        raise InputError("breadth is out of range", expected="0 < breadth <= 1", got=f"{out.min():g}")
    return out


def concept_volume(breadth: ArrayLike, c: Constants = PUBLISHED) -> Floats:
    r"""Volume of concept space, :math:`e^{\alpha\sigma}`, dimensionless, shape of `breadth`.

    Raises
    ------
    InputError
        Breadth outside (0, 1].
    """
    return np.exp(c.alpha * _breadth(breadth))


def density(tokens: ArrayLike, breadth: ArrayLike, c: Constants = PUBLISHED) -> Floats:
    r"""Density of the data, :math:`\rho = N_B e^{-\alpha\sigma}`, in 1e9 tokens (eq. density).

    Parameters
    ----------
    tokens : array_like
        Training tokens (a count, not billions).
    breadth : array_like
        In (0, 1]; broadcast against `tokens`.

    Raises
    ------
    InputError
        Negative or non-finite tokens; breadth outside (0, 1].
    """
    return numbers(tokens, "tokens", 0.0) / 1e9 / concept_volume(breadth, c)


def critical_density(breadth: ArrayLike, depth: ArrayLike = 1.0, c: Constants = PUBLISHED) -> Floats:
    r"""Critical density, :math:`\rho_c = k\sigma^{\delta}\tau`, in 1e9 tokens (eq. critical).

    The published code drops tau in its main class; depth = 1 is that version.

    Raises
    ------
    InputError
        Breadth outside (0, 1], depth below 1.
    """
    return c.k * _breadth(breadth) ** c.delta * numbers(depth, "depth", 1.0)


def connectivity(
    tokens: ArrayLike, breadth: ArrayLike, depth: ArrayLike = 1.0, c: Constants = PUBLISHED
) -> Floats:
    r"""Connectivity number :math:`C_n = \rho/\rho_c`: below 1 fragmented, far above 1 connected.

    Raises
    ------
    InputError
        As `density` and `critical_density`.
    """
    return density(tokens, breadth, c) / critical_density(breadth, depth, c)


def tokens_at(
    connectivity_number: ArrayLike, breadth: ArrayLike, depth: ArrayLike = 1.0, c: Constants = PUBLISHED
) -> Floats:
    r"""Tokens at which the connectivity number is reached, :math:`10^9 C_n\rho_c e^{\alpha\sigma}`.

    Raises
    ------
    InputError
        A negative connectivity number; as `critical_density`.
    """
    cn = numbers(connectivity_number, "connectivity number", 0.0)
    return 1e9 * cn * critical_density(breadth, depth, c) * concept_volume(breadth, c)


def capability(
    rho: ArrayLike, rho_c: ArrayLike, beta: float = PUBLISHED.beta, form: Form = "reduced"
) -> Floats:
    r"""Capability: a power law above a hard threshold, 0 up to it (eq. ceff).

    .. math::

        C = ((\rho-\rho_c)/\rho_c)^{\beta} \;\text{(reduced, default)}, \qquad C = (\rho-\rho_c)^{\beta}
        \;\text{(raw)}

    The paper has the raw form, whose value depends on the unit of tokens; the reduced one is the author's
    own from the follow-up on. Dimensionless (reduced), shape of rho and rho_c broadcast.

    Raises
    ------
    InputError
        Negative densities, a critical density of 0, beta not positive, another form.
    """
    r, c = numbers(rho, "density", 0.0), numbers(rho_c, "critical density", np.nextafter(0, 1))
    if form not in ("reduced", "raw"):
        raise InputError("no such form", expected="reduced or raw", got=repr(form))
    if not (np.isfinite(beta) and beta > 0):
        raise InputError("beta is out of range", expected="a positive number", got=repr(beta))
    over = np.maximum(r - c, 0.0) / (c if form == "reduced" else 1.0)
    return np.where(over > 0, over**beta, 0.0)


def local_exponent(rho: ArrayLike, rho_c: ArrayLike, beta: float = PUBLISHED.beta) -> Floats:
    r"""Slope of ln C on ln N at fixed breadth, :math:`\beta\rho/(\rho-\rho_c)`; NaN up to the threshold.

    Why the slope 0.076 of the published fit is its input: it was a target of the fit, and beta = 0.068 is
    that target shrunk by the mean of :math:`\rho/(\rho-\rho_c)` (ours).

    Raises
    ------
    InputError
        Negative densities.
    """
    r, c = numbers(rho, "density", 0.0), numbers(rho_c, "critical density", np.nextafter(0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(r > c, beta * r / (r - c), np.nan)


def interaction_floor(breadth: ArrayLike, c: Constants = PUBLISHED) -> Floats:
    r"""Interaction floor :math:`W_c = \sigma^{\delta/2}` of the published code; the paper does not have it.

    Raises
    ------
    InputError
        Breadth outside (0, 1].
    """
    return _breadth(breadth) ** (c.delta / 2)


def diffusion(effective: ArrayLike, breadth: ArrayLike, c: Constants = PUBLISHED) -> Floats:
    r"""Effective diffusion :math:`D = C\,W^2` with :math:`W = W_c` (`interaction_floor`), dimensionless.

    Raises
    ------
    InputError
        A negative capability, breadth outside (0, 1].
    """
    return numbers(effective, "capability", 0.0) * interaction_floor(breadth, c) ** 2


def min_layers(breadth: ArrayLike, depth: ArrayLike = 1.0, c: Constants = PUBLISHED) -> NDArray[np.int64]:
    r"""Layers that are needed, :math:`\lceil 10\,\alpha\,\sigma^{\alpha}\tau \rceil` (eq. lmin; heuristic).

    Raises
    ------
    InputError
        Breadth outside (0, 1], depth below 1.
    """
    value = 10 * c.alpha * _breadth(breadth) ** c.alpha * numbers(depth, "depth", 1.0)
    return np.ceil(value).astype(np.int64)


def min_params(tokens: ArrayLike, breadth: ArrayLike, c: Constants = PUBLISHED) -> Floats:
    r"""Parameters that are needed, :math:`P = N\sigma^{\alpha}` (eq. pmin): a count.

    Seventeen times too many: at breadth 0.75 this is 0.849 parameters a token where compute-optimal
    training takes 0.05 (hoffmann2022training).

    Raises
    ------
    InputError
        Negative tokens, breadth outside (0, 1].
    """
    return numbers(tokens, "tokens", 0.0) * _breadth(breadth) ** c.alpha


def identity(c: Constants = PUBLISHED) -> dict[str, Any]:
    """The constants by name, for documents and frozen predictions."""
    return {"alpha": c.alpha, "beta": c.beta, "delta": c.delta, "k": c.k}
