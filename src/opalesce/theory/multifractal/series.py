r"""Multifractal analysis of a series: box sums, MFDFA and wavelet p-leaders, with intervals.

All three answer with generalised Hurst exponents: moments of what is seen at scale s go as
:math:`s^{q h(q)}`. For the running sum of a measure :math:`q h(q) = \tau(q) + 1`.

**Scales are dyadic and windows do not overlap.** On a cascade whose ratio is 2 the windows then fall on its
cells, and the peers' error of 0.06 to 0.08 (from windows that straddle cells, and from lags in between) is
gone; on other data it remains, see the docs. Intervals come from a bootstrap of stretches of the series, of
the size of the largest window or more; they say how h varies between stretches, not how far from a power law
the data are: look at `r2`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opalesce.errors import InputError
from opalesce.theory.multifractal.exponents import MassExponents, slopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

MOMENTS = np.round(np.arange(-12, 13) / 4, 2)  # -3 ... 3 in steps of 1/4


@dataclass(frozen=True)
class Hurst:
    """Generalised Hurst exponents.

    Attributes
    ----------
    q, h, low, high : arrays, shape (K,)
        Moments, exponents and their 90 % bootstrap interval.
    r2 : array, shape (K,)
        R^2 of each line.
    scales : array
        Window lengths of the fit, in samples.
    stretches : int
        Pieces that the bootstrap resampled.
    method : str
    """

    q: Array
    h: Array
    low: Array
    high: Array
    r2: Array
    scales: Array
    stretches: int
    method: str

    def exponents(self) -> MassExponents:
        """tau(q) = q h(q) - 1, for a Legendre transform."""
        window = (float(self.scales[0]), float(self.scales[-1]))
        return MassExponents(self.q, self.q * self.h - 1, self.r2, window, self.stretches)


def mfdfa(
    x: ArrayLike,
    q: ArrayLike = MOMENTS,
    scales: Sequence[int] | None = None,
    order: int = 1,
    draws: int = 200,
    rng: np.random.Generator | None = None,
) -> Hurst:
    r"""Multifractal detrended fluctuation analysis of a noise (a series of increments).

    .. math:: F_q(s) = \Big\langle F^2(v, s)^{q/2} \Big\rangle_v^{1/q} \sim s^{h(q)}

    :math:`F^2(v, s)` is the mean square of the running sum in window v after the least-squares polynomial of
    degree `order` is taken off; q = 0 is the geometric mean (Kantelhardt et al. 2002, eqs. 1-5).

    Short windows miss what happens below one sample: on a cascade h comes out low by 0.036 with windows
    from 16 samples on, by 0.017 from 64 on. Hence the default.

    Parameters
    ----------
    x : array, shape (n,)
    scales : list of int, optional
        Window lengths; default 64, 128, ... up to n / 8 (from n / 256, at least 16, for short series).
    draws : int
        Bootstrap replicates.

    Raises
    ------
    InputError
        Too short, non-finite, constant in every window; scales that do not ascend or do not fit.
    """
    a, moments = _series(x), np.asarray(q, float)
    sizes = _scales(a.size, scales, max(2 * (order + 2), min(64, max(16, a.size // 256))), 8, order + 3)
    profile = np.cumsum(a - a.mean())
    logs = []
    for s in sizes:
        t = np.linspace(-1, 1, s)
        basis = np.linalg.qr(np.vander(t, order + 1))[0]
        windows = profile[: a.size // s * s].reshape(-1, s)
        windows = windows - windows.mean(axis=1, keepdims=True)  # keeps the squares below from cancelling
        left = windows - (windows @ basis) @ basis.T
        logs.append(0.5 * _log((left**2).mean(axis=1)))
    return _hurst(logs, sizes, a.size, moments, draws, rng, f"MFDFA of order {order}")


def box_hurst(
    mass: ArrayLike,
    q: ArrayLike = MOMENTS,
    scales: Sequence[int] | None = None,
    draws: int = 200,
    rng: np.random.Generator | None = None,
) -> Hurst:
    r"""Box sums of a positive measure: :math:`\sum_B \mu_B^q \sim s^{\tau(q)}`, h = (tau + 1)/q.

    Exact, level by level, on a dyadic cascade (Halsey et al. 1986, eq. 1.4). Default scales 1, 2, ... n / 8.

    Raises
    ------
    InputError
        As `mfdfa`; masses that are negative. Empty boxes are left out, as the sum over the support has it.
    """
    a, moments = _series(mass), np.asarray(q, float)
    if not (a >= 0).all() or a.sum() == 0.0:
        raise InputError("a measure has no negative mass, and some mass", got=f"least {a.min():g}")
    sizes = _scales(a.size, scales, 1, 8)
    logs = [_log(a[: a.size // s * s].reshape(-1, s).sum(axis=1)) for s in sizes]
    return _hurst(logs, sizes, a.size, moments, draws, rng, "box sums")


def p_leaders(
    x: ArrayLike,
    q: ArrayLike = MOMENTS,
    p: float = 2.0,
    scales: Sequence[int] | None = None,
    draws: int = 200,
    rng: np.random.Generator | None = None,
) -> Hurst:
    r"""Wavelet p-leaders of the running sum of a series.

    .. math::

        \ell_{j,k} = \Big(\sum_{\lambda' \subset 3\lambda_{j,k}} 2^{j'-j} |d_{\lambda'}|^p\Big)^{1/p},
        \quad \langle \ell_{j,k}^q \rangle_k \sim 2^{j q h(q)}

    d are coefficients of Daubechies' wavelet with three vanishing moments, scaled so that they do not depend
    on the sampling (L1); the sum runs over the cell, its two neighbours and all finer cells in them (Jaffard,
    Melot, Leonarduzzi et al. 2016, eq. 12). Defined for negative q because a leader is never small by
    accident. Default scales 8, 16, ... n / 16.

    Raises
    ------
    InputError
        As `mfdfa`; p that is not positive; scales that are no powers of 2.
    """
    if not p > 0:
        raise InputError("p must be positive", got=f"{p:g}")
    a, moments = _series(x), np.asarray(q, float)
    sizes = _scales(a.size, scales, 8, 16, 2)
    if any(s & (s - 1) for s in sizes):
        raise InputError("p-leaders live on powers of 2", got=str(sizes))
    rough = np.cumsum(a - a.mean())
    sums: Array | None = None  # of 2^j |d|^p over each cell and all finer ones in it
    logs = {}
    for j in range(1, int(np.log2(sizes[-1])) + 1):
        rough, detail = _daubechies(rough)
        size = 2.0**j * np.abs(detail * 2.0 ** (-j / 2)) ** p
        below = 0.0 if sums is None else sums[: 2 * size.size].reshape(-1, 2).sum(axis=1)
        sums = size[: None if sums is None else len(below)] + below  # type: ignore[arg-type]
        if 2**j in sizes:
            three = sums[:-2] + sums[1:-1] + sums[2:]
            logs[2**j] = _log(three * 2.0**-j) / p
    return _hurst([logs[s] for s in sizes], sizes, a.size, moments, draws, rng, f"wavelet {p:g}-leaders")


def _daubechies(x: Array) -> tuple[Array, Array]:
    """One level of the periodic orthonormal transform with db3: (approximation, detail)."""
    a, b = np.sqrt(10.0), np.sqrt(5 + 2 * np.sqrt(10.0))
    low = np.array(
        [1 + a + b, 5 + a + 3 * b, 10 - 2 * a + 2 * b, 10 - 2 * a - 2 * b, 5 + a - 3 * b, 1 + a - b]
    )
    low /= 16 * np.sqrt(2.0)
    high = low[::-1] * np.array([1, -1, 1, -1, 1, -1])
    even = x[: x.size // 2 * 2]
    at = (np.arange(0, even.size, 2)[:, None] + np.arange(-2, 4)) % even.size
    return even[at] @ low, even[at] @ high


def _series(x: ArrayLike) -> Array:
    a = np.asarray(x, float)
    if a.ndim != 1 or a.size < 128 or not np.isfinite(a).all():
        raise InputError(
            "this series cannot be analysed", expected="128 or more finite numbers", got=f"shape {a.shape}"
        )
    return a


def _scales(n: int, scales: Sequence[int] | None, low: int, pieces: int, least: int = 1) -> list[int]:
    if scales is None:
        sizes = [2**j for j in range(int(np.log2(n)) + 1) if low <= 2**j <= n // pieces]
    else:
        sizes = [int(s) for s in scales]
    if len(sizes) < 3 or sizes[0] < least or sizes[-1] > n // 4 or (np.diff(sizes) <= 0).any():
        raise InputError(
            "these scales cannot be fitted",
            expected=f"3 or more, ascending, {least} to {n // 4}",
            got=str(sizes),
        )
    return sizes


def _log(x: Array) -> Array:
    """ln x, -inf where x is 0."""
    return np.log(x, out=np.full(x.shape, -np.inf), where=x > 0)


def _hurst(
    logs: list[Array],
    sizes: list[int],
    n: int,
    q: Array,
    draws: int,
    rng: np.random.Generator | None,
    method: str,
) -> Hurst:
    """h(q) from the logarithm of what each window of each scale shows."""
    stretches = max(4, min(32, n // sizes[-1]))
    terms = np.stack([_by_stretch(v, q, stretches) for v in logs])  # (scales, stretches, K + 1), log sums
    whole = np.ones(stretches)
    x = np.log(np.array(sizes, float))
    if not np.isfinite(terms[:, :, -1].max(axis=1)).all():
        raise InputError("a scale shows nothing", expected="a series that varies in every window length")
    h, r2 = _lines(terms, whole, q, x)
    r = np.random.default_rng(0) if rng is None else rng
    again = np.array(
        [
            _lines(terms, r.multinomial(stretches, whole / stretches).astype(float), q, x)[0]
            for _ in range(draws)
        ]
    )
    low, high = np.nanquantile(again, [0.05, 0.95], axis=0) if draws else np.full((2, q.size), np.nan)
    return Hurst(q, h, low, high, r2, np.array(sizes, float), stretches, method)


def _by_stretch(v: Array, q: Array, stretches: int) -> Array:
    """ln of the sum of e^(q v) over the windows of each stretch; for q = 0 their mean log; last their number.

    Windows that show nothing (v = -inf) are left out.
    """
    out = np.full((stretches, q.size + 1), -np.inf)
    for k, part in enumerate(np.array_split(v, stretches)):
        seen = part[np.isfinite(part)]
        if not seen.size:
            continue
        for m, moment in enumerate(q):
            out[k, m] = seen.mean() if moment == 0 else np.logaddexp.reduce(moment * seen)
        out[k, -1] = np.log(seen.size)
    return out


def _lines(terms: Array, weight: Array, q: Array, x: Array) -> tuple[Array, Array]:
    log_w = np.log(weight, out=np.full(weight.shape, -np.inf), where=weight > 0)[None, :, None]
    number = np.logaddexp.reduce(terms[:, :, -1:] + log_w, axis=1)
    mean = np.logaddexp.reduce(terms[:, :, :-1] + log_w, axis=1) - number
    zero = np.flatnonzero(q == 0)
    if zero.size:
        share = np.exp(terms[:, :, -1:] + log_w - number[:, None])
        at = np.where(share > 0, terms[:, :, zero], 0.0)
        mean[:, zero] = (share * at).sum(axis=1)
    slope, r2 = slopes(mean / np.where(q == 0, 1.0, q), x)
    return slope, r2
