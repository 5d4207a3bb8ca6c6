"""Fitted exponents of language models against the model's bounds (brill2024neural, eq. 14, figure 10)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import curve_fit

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.theory.brill.exponents import limit_exponent
from opalesce.theory.checks import Array, numbers, positive

NORMAL_90 = 1.6448536269514722  # two-sided 90 % point of the normal distribution


def width_fit(
    params: ArrayLike, width: ArrayLike, space: Literal["linear", "log"] = "linear"
) -> dict[str, Estimate]:
    r"""Power law :math:`d_{model} = a P^b` by least squares.

    The paper fits in linear space, unweighted; in logarithms the same 50 models of hoffmann2022training
    (table A9) give 0.394 in place of 0.387, more than the standard error of either.

    Parameters
    ----------
    params : array_like, shape (n,)
        Parameters P.
    width : array_like, shape (n,)
        d_model.
    space : {"linear", "log"}

    Returns
    -------
    dict
        "coefficient" a and "exponent" b, with 90 % intervals from the curvature.

    Raises
    ------
    InputError
        Fewer than 4 pairs, numbers that are not positive, unknown space.
    """
    tiny = np.nextafter(0, 1)
    p, w = numbers(params, "params", tiny).ravel(), numbers(width, "width", tiny).ravel()
    if p.size != w.size or p.size < 4:
        raise InputError("no width fit", expected="4 or more pairs", got=f"{p.size} and {w.size}")
    if space not in ("linear", "log"):
        raise InputError("unknown space of the fit", expected="'linear' or 'log'", got=repr(space))
    log_p = np.log(p)
    (slope, start), cov = np.polyfit(log_p, np.log(w), 1, cov=True)
    a, b = float(np.exp(start)), float(slope)
    se_a, se_b = float(a * np.sqrt(cov[1, 1])), float(np.sqrt(cov[0, 0]))
    if space == "linear":
        middle = float(log_p.mean())  # centred: a and b are nearly collinear otherwise

        def law(x: Array, height: float, power: float) -> Array:
            return height * np.exp(power * (x - middle))

        (height, power), cov = curve_fit(law, log_p, w, p0=(a * np.exp(b * middle), b))
        a, b = float(height * np.exp(-power * middle)), float(power)
        grad = np.array([a / height, -middle * a])
        se_a, se_b = float(np.sqrt(grad @ cov @ grad)), float(np.sqrt(cov[1, 1]))
    return {
        name: Estimate(
            v, v - NORMAL_90 * se, v + NORMAL_90 * se, p.size, method=f"least squares, {space} space"
        )
        for name, v, se in (("coefficient", a, se_a), ("exponent", b, se_b))
    }


def against_bounds(
    exponent: float,
    stderr: float,
    kind: Literal["model", "data"],
    alpha: float = 1.0,
    dof_per_param: float = 1.0,
    manifold: float = 4.0,
) -> Estimate:
    r"""A fitted scaling exponent beside what the model allows.

    The loss falls at most as :math:`P^{-g\alpha}` with the model, where :math:`N \propto P^g` (g = 1, or
    0.387 if N grows as the width), and as :math:`n^{-\alpha/(1+\alpha)}` with the data. Below that the
    manifold limits, and the exponent reads g c/D. Above, the model with this alpha is contradicted.

    Parameters
    ----------
    exponent, stderr : float
    kind : {"model", "data"}
    alpha : float
        1 for d >= 6.
    dof_per_param : float
        g; not used for data.
    manifold : float
        c, for the dimension D that is implied.

    Returns
    -------
    Estimate
        The implied dimension D = g c / exponent with its 90 % interval; NaN where the exponent contradicts
        the bound. `status` says on which side it lies; `method` how it was read.

    Raises
    ------
    InputError
        A number that is not positive, unknown kind.
    """
    value, error = positive(exponent, "exponent"), positive(stderr, "stderr")
    growth = positive(dof_per_param, "dof_per_param") if kind == "model" else 1.0
    c = positive(manifold, "manifold constant c")
    bound = growth * limit_exponent(kind, alpha, 1e9)
    low, high = value - NORMAL_90 * error, value + NORMAL_90 * error
    method = f"bound {bound:.3g} on the {kind} exponent at alpha {alpha:g}, N ~ P^{growth:g}, c = {c:g}"
    if low > bound:
        return Estimate(
            np.nan,
            method=method,
            status=f"expected an exponent of at most {bound:.3g}, got {value:.3g} [{low:.3g}, {high:.3g}]: "
            f"the model with alpha {alpha:g} is contradicted; try another alpha or another measure of N",
        )
    top = growth * c / low if low > 0 else np.inf
    side = (
        ""
        if high < bound
        else f"the interval reaches the bound {bound:.3g}: the quanta may limit, D is only bounded"
    )
    return Estimate(growth * c / value, growth * c / high, top, method=method, status=side)
