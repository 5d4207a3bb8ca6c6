"""How the magnitudes of single entries are distributed, whatever their place in the tensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite
from opalesce.observables.registry import observable

ENTRY = frozenset({"permutation", "entry_permutation", "sign", "transpose"})


def _magnitudes(w: ArrayLike) -> NDArray[np.float64]:
    """|w|, flat, float64."""
    return np.asarray(np.abs(finite(w, "the weight")).ravel(), np.float64)


@observable(
    on="weight",
    unit="weight",
    symmetries={*ENTRY, "homogeneous"},
    null="half_normal",
    source="ding2026weibull",
)
def abs_mean(w: ArrayLike) -> float:
    r"""Mean magnitude of the entries.

    .. math:: \langle |w| \rangle

    In the units of the weights; null :math:`\sigma\sqrt{2/\pi}` for normal entries.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    return float(_magnitudes(w).mean())


@observable(on="weight", unit="1", symmetries={*ENTRY, "scale"}, null="half_normal", source="ding2026weibull")
def abs_cv(w: ArrayLike) -> float:
    r"""Coefficient of variation of the magnitudes.

    .. math:: \mathrm{sd}(|w|) / \langle |w| \rangle

    Null :math:`\sqrt{\pi/2 - 1} = 0.75551` for normal entries. Pooling tensors of different scale
    raises it without any change inside one: take it tensor by tensor. NaN for a zero tensor and for
    a single entry.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    x = _magnitudes(w)
    top = x.max()
    if x.size < 2 or top == 0.0:
        return float("nan")
    x = x / top
    return float(x.std() / x.mean())


@observable(
    on="weight",
    unit="1",
    symmetries={*ENTRY, "scale"},
    null="half_normal",
    source="hurley2009comparing, table I (Gini index)",
)
def gini(w: ArrayLike) -> float:
    r"""Gini coefficient of the magnitudes: 0 for equal ones, towards 1 when few carry all.

    .. math:: \frac{2\sum_i i\,|w|_{(i)}}{n\sum_i |w|_{(i)}} - \frac{n+1}{n}

    with magnitudes in ascending order. Null :math:`\sqrt 2 - 1` for normal entries. NaN for a zero
    tensor and for a single entry.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    x = np.sort(_magnitudes(w))
    n = x.size
    if n < 2 or x[-1] == 0.0:
        return float("nan")
    x = x / x[-1]
    return float(2 * (np.arange(1, n + 1) @ x) / (n * x.sum()) - (n + 1) / n)


def weibull_fit(w: ArrayLike, low: float = 0.1, high: float = 0.9) -> tuple[float, float]:
    r"""Weibull shape k and scale lambda of the magnitudes by probability plot.

    Least squares of :math:`\ln(-\ln(1-F))` on :math:`\ln |w|` over the entries with
    :math:`low \le F \le high`, where F = (rank - 1/2)/n; k is the slope and
    :math:`\lambda = \exp(-\mathrm{intercept}/k)`. Trimming both tails by 10 % is what makes the fit
    insensitive to exact zeros and to a few giants. This is the limit of thin bins of the published
    histogram rule. (NaN, NaN) below 100 entries, or when the kept ones are all equal or zero.

    Raises
    ------
    InputError
        Empty or non-finite input, or not 0 < low < high < 1.
    """
    if not 0 < low < high < 1:
        raise InputError("no such trim", expected="0 < low < high < 1", got=f"{low:g}, {high:g}")
    x = np.sort(_magnitudes(w))
    share = (np.arange(x.size) + 0.5) / x.size
    keep = (share >= low) & (share <= high)
    x, share = x[keep], share[keep]
    if share.size < 80 or x[0] == 0.0 or x[0] == x[-1]:
        return float("nan"), float("nan")
    centre = np.log(x[x.size // 2])
    u, v = np.log(x) - centre, np.log(-np.log1p(-share))
    du, dv = u - u.mean(), v - v.mean()
    k = float((du @ dv) / (du @ du))
    intercept = float(v.mean() - k * u.mean())
    return k, float(np.exp(centre - intercept / k))


@observable(
    on="weight",
    unit="1",
    symmetries={*ENTRY, "scale"},
    null="half_normal",
    source="ding2026weibull, middle-80 % rule",
)
def weibull_shape(w: ArrayLike) -> float:
    r"""Weibull shape k of the magnitudes: slope of the probability plot over the middle 80 %.

    .. math:: \ln(-\ln(1-F)) = k \ln|w| - k \ln\lambda, \quad 0.1 \le F \le 0.9

    Null 1.2054 for normal entries (maximum likelihood on all entries would give 1.2616). NaN below
    100 entries. See `weibull_fit`.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    return weibull_fit(w)[0]


@observable(
    on="weight",
    unit="weight",
    symmetries={*ENTRY, "homogeneous"},
    null="half_normal",
    source="ding2026weibull, middle-80 % rule",
)
def weibull_scale(w: ArrayLike) -> float:
    r"""Weibull scale lambda of the magnitudes, in the units of the weights.

    .. math:: \lambda = \exp(-\mathrm{intercept} / k)

    of the probability plot of `weibull_shape`. Null :math:`0.8875\,\sigma` for normal entries. NaN
    below 100 entries.

    Raises
    ------
    InputError
        Empty or non-finite input.
    """
    return weibull_fit(w)[1]
