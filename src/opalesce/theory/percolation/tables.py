"""Published thresholds and critical exponents, with their sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from opalesce.errors import InputError

_SIN = 2 * math.sin(math.pi / 18)  # root of 1 - 3 p + p^3 (Sykes and Essam 1964)
_T152 = "numberdb T152 (compilation of Jacobsen, Suding, Ziff, Scullard, Xu et al.)"
_MM = "mertens2018percolation, table II"
_EXACT = "sykes1964exact"


@dataclass(frozen=True)
class Threshold:
    """A published threshold: value, one standard error (0: exact) and source."""

    value: float
    error: float
    source: str


# (lattice, kind); names that `lattice` knows come first, others follow for comparison
THRESHOLDS: dict[tuple[str, str], Threshold] = {
    # four published values disagree in the 12th decimal; the error covers them
    ("square", "site"): Threshold(0.592746050790, 6e-12, "jacobsen2015critical; Mertens 2022"),
    ("square", "bond"): Threshold(0.5, 0.0, "kesten1980critical"),
    ("triangular", "site"): Threshold(0.5, 0.0, _EXACT),
    ("triangular", "bond"): Threshold(_SIN, 0.0, _EXACT),
    ("honeycomb", "site"): Threshold(0.697040230, 5e-9, _T152),
    ("honeycomb", "bond"): Threshold(1 - _SIN, 0.0, _EXACT),
    ("kagome", "site"): Threshold(1 - _SIN, 0.0, _EXACT),
    ("kagome", "bond"): Threshold(0.52440499916744820, 1e-17, _T152),
    ("cubic", "site"): Threshold(0.31160768, 1.5e-7, _T152),
    ("cubic", "bond"): Threshold(0.24881185, 1.0e-7, _T152),
    ("bcc", "site"): Threshold(0.2459615, 2e-7, _T152),
    ("bcc", "bond"): Threshold(0.18028762, 2.0e-7, _T152),
    ("fcc", "site"): Threshold(0.19923517, 2.0e-7, _T152),
    ("fcc", "bond"): Threshold(0.12016377, 1.5e-7, _T152),
    ("hypercubic4", "site"): Threshold(0.19688561, 3e-8, _MM),
    ("hypercubic4", "bond"): Threshold(0.16013122, 6e-8, _MM),
    ("hypercubic5", "site"): Threshold(0.14079633, 4e-8, _MM),
    ("hypercubic5", "bond"): Threshold(0.11817145, 3e-8, _MM),
    ("hypercubic6", "site"): Threshold(0.109016661, 8e-9, _MM),
    ("hypercubic6", "bond"): Threshold(0.09420165, 2e-8, _MM),
    ("hypercubic7", "site"): Threshold(0.088951121, 1e-9, _MM),
    ("hypercubic7", "bond"): Threshold(0.078675230, 2e-9, _MM),
    ("hypercubic8", "site"): Threshold(0.075210128, 1e-9, _MM),
    ("hypercubic8", "bond"): Threshold(0.0677084181, 3e-10, _MM),
    # not 0.065209595, which circulates in public code
    ("hypercubic9", "site"): Threshold(0.0652095348, 6e-10, _MM),
    ("hypercubic9", "bond"): Threshold(0.0594960034, 1e-10, _MM),
    ("hypercubic10", "site"): Threshold(0.0575929488, 4e-10, _MM),
    ("hypercubic10", "bond"): Threshold(0.0530925842, 2e-10, _MM),
    ("hypercubic11", "site"): Threshold(0.0515896843, 2e-10, _MM),
    ("hypercubic11", "bond"): Threshold(0.04794968373, 8e-11, _MM),
    ("hypercubic12", "site"): Threshold(0.0467309755, 1e-10, _MM),
    ("hypercubic12", "bond"): Threshold(0.04372385825, 1e-10, _MM),
    # not 0.042715021, which circulates in public code
    ("hypercubic13", "site"): Threshold(0.04271507960, 1e-10, _MM),
    ("hypercubic13", "bond"): Threshold(0.04018761703, 6e-11, _MM),
    ("3-12-12", "site"): Threshold(math.sqrt(1 - _SIN), 0.0, _T152),
    ("3-12-12", "bond"): Threshold(0.740420798850811610, 2e-18, _T152),
    ("4-6-12", "site"): Threshold(0.7478008, 2e-7, _T152),
    ("4-6-12", "bond"): Threshold(0.693733124922, 2e-12, _T152),
    ("4-8-8", "site"): Threshold(0.7297232, 5e-7, _T152),
    ("4-8-8", "bond"): Threshold(0.6768031243900113, 3e-16, _T152),
    ("3-4-6-4", "site"): Threshold(0.62181207, 7e-8, _T152),
    ("3-4-6-4", "bond"): Threshold(0.524831461573, 1e-12, _T152),
    ("3-3-3-3-6", "site"): Threshold(0.579498, 3e-6, _T152),
    ("3-3-3-3-6", "bond"): Threshold(0.4343283172240, 6e-13, _T152),
    ("3-3-4-3-4", "site"): Threshold(0.550806, 3e-6, _T152),
    ("3-3-4-3-4", "bond"): Threshold(0.4141378565917, 1e-13, _T152),
    ("3-3-3-4-4", "site"): Threshold(0.550213, 3e-6, _T152),
    ("3-3-3-4-4", "bond"): Threshold(0.41964035886369, 2e-14, _T152),
    ("diamond", "site"): Threshold(0.4299870, 4e-7, _T152),
    ("diamond", "bond"): Threshold(0.3895892, 5e-7, _T152),
}
_SAME = {"hypercubic2": "square", "hypercubic3": "cubic"}


def threshold(name: str, kind: str) -> Threshold:
    """Published threshold of a lattice; hypercubic1 to hypercubic13 included.

    Raises
    ------
    InputError
        No such lattice or kind in the table.
    """
    if name == "hypercubic1" and kind in ("site", "bond"):
        return Threshold(1.0, 0.0, "stauffer1994introduction")
    found = THRESHOLDS.get((_SAME.get(name, name), kind))
    if found is None:
        names = ", ".join(dict.fromkeys(n for n, _ in THRESHOLDS))
        raise InputError("no such threshold", expected=f"site or bond of {names}", got=f"{kind} of {name}")
    return found


def hypercubic_series(d: int, kind: str) -> float:
    """Threshold of Z^d from the series in x = 1/(2d - 1), a check of the table for large d.

    Site: x + 3/2 x^2 + 15/4 x^3 + 83/4 x^4 + 6577/48 x^5 + 119077/96 x^6; bond: x + 5/2 x^3 + 15/2 x^4
    + 57 x^5 + 4855/12 x^6 (Gaunt, Sykes and Ruskin 1976; Gaunt and Ruskin 1978; as quoted by Mertens and
    Moore 2018). Within 2e-3 of the table at d = 7, 7e-5 at d = 13; useless below d = 5.

    Raises
    ------
    InputError
        d below 2 or unknown kind.
    """
    terms: dict[str, tuple[Fraction | int, ...]] = {
        "site": (
            1,
            Fraction(3, 2),
            Fraction(15, 4),
            Fraction(83, 4),
            Fraction(6577, 48),
            Fraction(119077, 96),
        ),
        "bond": (1, 0, Fraction(5, 2), Fraction(15, 2), 57, Fraction(4855, 12)),
    }
    if kind not in terms or d < 2:
        raise InputError("no series for this", expected="d >= 2, 'site' or 'bond'", got=f"{d}, {kind!r}")
    x = Fraction(1, 2 * d - 1)
    return float(sum(c * x ** (k + 1) for k, c in enumerate(terms[kind])))
