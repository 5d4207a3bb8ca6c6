"""`forecast`: several laws at once, weighted and calibrated by what they would have foretold before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opalesce.errors import InputError
from opalesce.laws.catalogue import form
from opalesce.laws.data import Points, numbers, points
from opalesce.laws.family import from_family
from opalesce.laws.fit import check_level
from opalesce.laws.forms import Floats
from opalesce.laws.mixture import backtest, foretold, stretch, weigh
from opalesce.laws.rolling import CANDIDATES, Rolled, label, roll

POOR = 0.65  # coverage of the 80 % intervals below which they are called too narrow; a convention
FAR = 1.0  # decades beyond which no bare number is printed
SHARP = (
    "a sharp break far enough beyond the data cannot be foreseen by any method: these intervals hold for a "
    "curve that goes on as it did"
)


@dataclass(frozen=True)
class Forecast:
    """What comes next, with how well the same procedure did on the data given.

    Attributes
    ----------
    x, median, lower, upper : ndarray (m,)
        Targets, median and central interval of a new observation at `level`.
    level : float
    coverage : dict of float to float
        Back-test: the share of held-out points inside the 50, 80 and 95 % interval, each foretold from the
        points before an origin only. NaN with fewer than two origins.
    tested : int
        Held-out points of the back-test.
    decades : ndarray (m,)
        log10 of how far each target lies beyond the largest x.
    warnings : tuple of str
        What cannot be foreseen, distances beyond one decade, poor coverage.
    weights : dict of str to float
        Weight of each candidate law.
    """

    x: Floats
    median: Floats
    lower: Floats
    upper: Floats
    level: float
    coverage: Mapping[float, float]
    tested: int
    decades: Floats
    warnings: tuple[str, ...]
    weights: Mapping[str, float]
    data: Points = field(repr=False)
    rolled: Rolled | None = field(repr=False, default=None)

    def __str__(self) -> str:
        rows = []
        for x, m, lo, hi, far in zip(self.x, self.median, self.lower, self.upper, self.decades, strict=True):
            value = f"{m:.4g} " if far <= FAR else ""
            rows.append(f"x = {x:.4g}: {value}[{lo:.4g}, {hi:.4g}] at {self.level:.0%}, {far:+.2f} decades")
        told = ", ".join(f"{k:.0%}: {v:.0%}" for k, v in self.coverage.items())
        rows.append(f"back-test on {self.tested} held-out points, coverage of {told}")
        return "\n".join([*rows, *(f"warning: {w}" for w in self.warnings)])


def forecast(
    x: Any, y: Any, *, to: Any, law: str | Sequence[str] = "auto", level: float = 0.9, seed: int = 0,
    family: Mapping[str, tuple[Any, Any]] | None = None,
) -> Forecast:  # fmt: skip
    r"""Extrapolate a curve with intervals that were tried on its own past.

    Each candidate law, with a discrepancy for what it misses (`laws.discrepancy.tell`), is fitted at up to
    four origins and gives a normal law of ln y there and beyond. The forecast is their mixture, with weights

    .. math:: w_c \propto \pi_c\, Z_c^{1/4} \exp(-\overline{\ell}_c)

    from the evidence Z and the mean surprise per held-out point after earlier origins (in nats). Each
    variance has :math:`(\delta h)^2` added for what no candidate knows at a distance h of ln x beyond the
    data. The interval is widened by as much as those of earlier origins fell short, and never narrowed. Of
    more than 80 points, neighbours are averaged.

    Parameters
    ----------
    x, y : array_like (n,)
        Positive finite data.
    to : array_like (m,)
        Where to predict.
    law : "auto", or names of laws
        "auto" takes a local trend, power laws with an offset or a bend, and the broken law
        (`laws.rolling.CANDIDATES`).
    level : float
        Confidence level of the interval.
    seed : int
        Not used: the procedure draws nothing. Kept so that all verbs take one.
    family : mapping of name to (x, y), optional
        Runs of the same kind that went on beyond this one (other sizes, other seeds). The forecast then is
        what they did after this point (`laws.family.from_family`), and the back-test leaves out each in turn.

    Returns
    -------
    Forecast

    Raises
    ------
    InputError
        Data or targets that are not positive and finite, fewer than five points, an unknown law, a family of
        fewer than three runs that reach the targets.
    """
    check_level(level)
    data = points(("x",), x, y)
    if len(data.v) < 5:
        raise InputError("too few points to forecast from", expected="5 or more", got=str(len(data.v)))
    places = numbers(np.atleast_1d(to), "to")
    names = [law] if isinstance(law, str) else list(law)
    chosen = CANDIDATES if names == ["auto"] else tuple(form(n) for n in names)
    if any(c is not None and len(c.inputs) > 1 for c in chosen):
        raise InputError("a forecast follows one quantity", expected="a law of x", got=", ".join(names))
    u = data.u[0]
    far = (np.log(places) - u.max()) / np.log(10)
    if family is not None:
        if names != ["auto"]:
            raise InputError("a family or a law", expected="one of them", got="both")
        runs = {k: points(("x",), *run) for k, run in family.items()}
        shared = from_family(u, data.v, {k: (p.u[0], p.v) for k, p in runs.items()}, np.log(places), level)
        told = (*_warnings(far, shared.coverage, shared.tested), *shared.notes)
        return Forecast(
            places, np.exp(shared.middle), np.exp(shared.low), np.exp(shared.high), level, shared.coverage,
            shared.tested, far, told, {"family": 1.0}, data,
        )  # fmt: skip
    rolled = roll(u, data.v, np.log(places), chosen, asked=names != ["auto"])
    if not np.isfinite(rolled.mean[-1]).all(axis=1).any():
        raise InputError(
            "too few points for these laws", expected="two more than parameters", got=str(len(data.v)),
            fix="law='auto', or law='M1'",
        )  # fmt: skip
    said = foretold(rolled)
    last = len(rolled.cuts) - 1
    middle, low, high = said[last].band(level, slice(len(rolled.v), None))
    wide = stretch(rolled, said, last, level)
    coverage, tested = backtest(rolled, said)
    lower, upper = np.exp(middle - wide * (middle - low)), np.exp(middle + wide * (high - middle))
    shares = dict(zip(map(label, chosen), weigh(rolled, last).tolist(), strict=True))
    told = _warnings(far, coverage, tested)
    return Forecast(
        places, np.exp(middle), lower, upper, level, coverage, tested, far, told, shares, data, rolled
    )


def _warnings(far: Floats, coverage: Mapping[float, float], tested: int) -> tuple[str, ...]:
    out = [SHARP]
    if far.max() > FAR:
        out.append(
            f"{far.max():.2f} decades beyond the data: no bare number beyond one decade, only intervals"
        )
    if not tested:
        out.append("too few points for a back-test: the intervals are untested here")
    elif coverage[0.8] < POOR:
        out.append(
            f"the 80 % intervals held {coverage[0.8]:.0%} of the held-out points: take these as too narrow"
        )
    return tuple(out)
