"""How the magnitudes of single entries are distributed, whatever their place in the tensor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opalesce.errors import InputError
from opalesce.observables.inputs import finite, largest, pieces
from opalesce.observables.registry import observable

ENTRY = frozenset({"permutation", "entry_permutation", "sign", "transpose"})


def _magnitudes(w: ArrayLike) -> NDArray[np.floating]:
    """|w|, flat, a copy of its own; sums over it are taken in float64."""
    return np.asarray(np.abs(finite(w, "the weight")).ravel())


@observable(
    on="weight",
    unit="weight",
    symmetries={*ENTRY, "homogeneous"},
    null="half_normal",
    source="ding2026weibull",
    version=2,
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
    return float(np.abs(finite(w, "the weight")).mean(dtype=np.float64))


@observable(
    on="weight",
    unit="1",
    symmetries={*ENTRY, "scale"},
    null="half_normal",
    source="ding2026weibull",
    version=2,
)
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
    a = finite(w, "the weight")
    top = largest(a)
    if a.size < 2 or top == 0.0:
        return float("nan")
    mean = sum(float(np.abs(x).sum()) for (x,) in pieces(a)) / a.size / top
    squares = sum(float(((np.abs(x) / top - mean) ** 2).sum()) for (x,) in pieces(a))
    return float(np.sqrt(squares / a.size) / mean)


@observable(
    on="weight",
    unit="1",
    symmetries={*ENTRY, "scale"},
    null="half_normal",
    source="hurley2009comparing, table I (Gini index)",
    version=2,
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
    x = _magnitudes(w)
    x.sort()
    n, top = x.size, float(x[-1])
    if n < 2 or top == 0.0:
        return float("nan")
    total = ranked = 0.0
    first = 1
    for (part,) in pieces(x):
        part /= top
        total += float(part.sum())
        ranked += float(np.arange(first, first + part.size) @ part)
        first += part.size
    return float(2 * ranked / (n * total) - (n + 1) / n)


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
    x = _magnitudes(w)
    x.sort()
    n = x.size
    ends = np.ceil(low * n - 0.5), np.floor(high * n - 0.5)
    first, last = (int(np.clip(e, 0, n - 1)) for e in ends)
    x = x[first : last + 1]
    if x.size < 80 or x[0] == 0.0 or x[0] == x[-1]:
        return float("nan"), float("nan")
    centre = float(np.log(np.float64(x[x.size // 2])))

    def points() -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        at = first
        for (part,) in pieces(x):
            share = (np.arange(at, at + part.size) + 0.5) / n
            at += part.size
            yield np.log(part) - centre, np.log(-np.log1p(-share))

    u_mean, v_mean = (sum(float(p[i].sum()) for p in points()) / x.size for i in (0, 1))
    uu = uv = 0.0
    for u, v in points():
        du = u - u_mean
        uu += float(du @ du)
        uv += float(du @ (v - v_mean))
    k = uv / uu
    intercept = v_mean - k * u_mean
    return k, float(np.exp(centre - intercept / k))


@observable(
    on="weight",
    unit="1",
    symmetries={*ENTRY, "scale"},
    null="half_normal",
    source="ding2026weibull, middle-80 % rule",
    version=2,
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
    version=2,
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
