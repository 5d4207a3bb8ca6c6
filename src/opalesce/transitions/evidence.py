"""Everything measured on one witness of one run, before any verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from opalesce.errors import InputError
from opalesce.estimate import Estimate
from opalesce.runs.run import Axis, Event
from opalesce.transitions.calibrate import NullTable, table
from opalesce.transitions.intervals import bounds
from opalesce.transitions.joint import Judged
from opalesce.transitions.power import power, smallest_step
from opalesce.transitions.scan import ChangeFit
from opalesce.transitions.smooth import event_columns, resolution
from opalesce.transitions.witness import Witness

Array = NDArray[np.float64]

LEVEL = 0.9
END_SHARE = 0.1  # share of the points at each end that defines the start and end level
LARGE = 0.25  # a transition carries at least this share of the witness's range


@dataclass(frozen=True)
class Setting:
    """What was declared before the data was judged (COURT 1-3)."""

    axis: Axis
    events: tuple[Event, ...] = ()
    alpha: float = 0.05
    wstar: float | None = None

    def resolution(self, u: Array) -> float:
        """W* in u."""
        return resolution(self.axis, u) if self.wstar is None else self.wstar


@dataclass(frozen=True)
class TwinEvidence:
    """The same pipeline on the null runs, leave-one-out.

    `beyond`: the smooth part of the change is larger than that of every twin. `own_share`: height
    of the change in the run itself, at the fitted place and width, over that in real minus twin.
    """

    n: int
    ratio: Estimate
    rank_p: float
    same_place: bool
    beyond: bool
    own_share: float
    note: str = ""


_NONE = Estimate(math.nan)


@dataclass(frozen=True)
class Evidence:
    """One witness of one run: fit, p-values, intervals, power. Places are in axis units.

    `sharp` is T of M2 over M1, with p-value `p_sharp`, family-wise `p_adjusted`; `p_smooth` is
    that of M1 over M0 (Bonferroni over the witnesses). `width` is in u (decades on a log axis).
    The place interval
    is given wherever something changes: where no sharp change is proven it says where one would be.
    `wander` is the range of the smooth part over the noise seen between neighbours.
    `smallest` is the step, in units of the witness, that is seen with probability 0.8; `false_alarm`
    the rate of this test alone at the fitted noise, at level alpha / `shared`.
    """

    witness: Witness
    status: str = ""
    judged: Judged | None = None
    sharp: float = math.nan
    p_sharp: float = 1.0
    p_adjusted: float = 1.0
    p_smooth: float = 1.0
    place: Estimate = _NONE
    width: Estimate = _NONE
    height: Estimate = _NONE
    excess: Estimate = _NONE
    halfway: Estimate = _NONE
    power: float = 0.0
    false_alarm: float = math.nan
    shared: int = 1
    wander: float = 0.0
    smallest: float = math.inf
    sigma: float = math.nan
    phi: float = math.nan
    wstar: float = math.nan
    spacing: float = math.nan
    twin: TwinEvidence | None = None
    event: Event | None = None
    p_unflagged: float | None = None

    @property
    def fit(self) -> ChangeFit:
        """The fitted change; only where `status` is empty."""
        assert self.judged is not None
        return self.judged.fit

    @property
    def share(self) -> float:
        """|h| as a share of the witness's range."""
        spread = self.witness.spread()
        return abs(self.height.value) / spread if spread > 0 else math.nan

    @property
    def margin(self) -> float:
        """Half-width of the equivalence zone for agreement, in u: max(2 spacings, W*/4)."""
        return max(2 * self.spacing, self.wstar / 4)


def null_table(w: Witness, setting: Setting) -> NullTable:
    """The null table of a witness's design: its places, stated errors and known events."""
    u = setting.axis.u(w.x)
    wstar = setting.resolution(u)
    clock = w.x if setting.axis.scale == "log" else None
    return table(u, wstar, w.errors(), event_columns(u, setting.events, setting.axis), clock)


def first_look(w: Witness, setting: Setting, m: int = 1) -> Evidence:
    """Fit and p-values of one witness alone; a status instead where it cannot be judged.

    p-values are resolved down to alpha / (10 m), m witnesses sharing alpha (COURT 8).
    """
    y = w.series()
    if not len(y):
        return Evidence(w, "there is no finite value; expected numbers; see opalesce check")
    if not np.all(np.isfinite(y)):
        bad = w.x[~np.isfinite(y)]
        return Evidence(
            w, f"{len(bad)} values are not finite, first at {bad[0]:g}; expected numbers; drop or mend them"
        )
    if np.ptp(y) == 0:
        what = "the run equals the mean of its twins" if w.n_twins else "the curve is constant"
        return Evidence(w, f"{what}: nothing to judge")
    try:
        t = null_table(w, setting)
    except InputError as error:
        return Evidence(w, str(error))
    fit = t.design.fit(y)
    noise = t.design.noises[fit.noise]
    return Evidence(
        w,
        judged=Judged(w.x, y, t, fit),
        sharp=fit.sharp,
        p_sharp=t.p_value(fit.sharp, resolve=setting.alpha / m),
        p_smooth=t.p_value(fit.smooth, which=1, resolve=setting.alpha / m),
        wander=_wander(y, t.design.smooth_range(y, fit.noise)),
        place=Estimate(float(setting.axis.x(fit.place)), n=len(w.x)),
        width=Estimate(fit.width, n=len(w.x)),
        height=Estimate(fit.height, n=len(w.x)),
        sigma=fit.sigma,
        phi=noise.phi,
        wstar=t.design.wstar,
        spacing=t.design.spacing,
    )


def _wander(y: Array, reach: float) -> float:
    """Reach of the smooth part over the noise sd that the differences of neighbours show (by MAD)."""
    step = float(np.median(np.abs(np.diff(y)))) / (0.6745 * math.sqrt(2.0))
    return reach / step if step > 0 else 0.0


def sharpen(e: Evidence, setting: Setting, m: int, rng: np.random.Generator) -> Evidence:
    """Intervals, power and date of a witness that can be judged; m witnesses share alpha."""
    if e.judged is None:
        return e
    w, t, fit, y, axis = e.witness, e.judged.table, e.fit, e.judged.y, setting.axis
    critical = t.critical(setting.alpha / m)
    ratio = LARGE * w.spread() / fit.sigma if fit.sigma > 0 else math.inf
    out = replace(
        e,
        power=power(t, fit.noise, min(ratio, 1e6), critical, rng),
        shared=m,
        false_alarm=t.fresh_tail(critical, fit.noise, rng),
        smallest=smallest_step(t, fit.noise, critical, rng) * fit.sigma,
        halfway=halfway(e, setting, rng),
    )
    if min(e.p_adjusted, e.p_smooth) > setting.alpha:
        return out
    b = bounds(t.design, y, fit, rng, LEVEL)
    fit = b.fit
    half = e.spacing / 2  # the least interval is one spacing (COURT 11)
    low, high = min(b.place[0], fit.place - half), max(b.place[1], fit.place + half)
    z = 1.645 * fit.height_se
    n, how = len(w.x), "inverted bootstrap test"
    return replace(
        out,
        judged=replace(e.judged, fit=fit),
        event=_event(w, fit.place, (low, high), setting),
        place=Estimate(float(axis.x(fit.place)), float(axis.x(low)), float(axis.x(high)), n, method=how),
        width=Estimate(fit.width, min(b.width[0], fit.width), max(b.width[1], fit.width), n, method=how),
        height=Estimate(
            fit.height, fit.height - z, fit.height + z, n, method="at the fitted place, width and noise"
        ),
    )


def halfway(e: Evidence, setting: Setting, rng: np.random.Generator, replicates: int = 200) -> Estimate:
    """The witness's own date: where the series first passes half of its total change.

    Start and end level are means of the first and last tenth of the points; the interval is the
    5-95 % range over replicates of the fitted curve plus its fitted noise.
    """
    assert e.judged is not None
    design, fit, y = e.judged.table.design, e.fit, e.judged.y
    curve = design.curve(y, fit)
    errors = fit.sigma * (design.models[fit.noise].root @ rng.standard_normal((len(y), replicates)))
    draws = np.array([_halfway(e.judged.x, c) for c in (curve[:, None] + errors).T])
    value = _halfway(e.judged.x, y)
    draws = draws[np.isfinite(draws)]
    if not math.isfinite(value) or len(draws) < replicates // 2:
        return Estimate(math.nan, status="no half-way point: start and end level are alike")
    low, high = np.quantile(draws, [0.05, 0.95])
    return Estimate(
        value, min(float(low), value), max(float(high), value), len(y), method="parametric bootstrap"
    )


def _halfway(x: Array, y: Array) -> float:
    k = max(2, round(END_SHARE * len(y)))
    start, end = y[:k].mean(), y[-k:].mean()
    if start == end:
        return math.nan
    progress = (y - start) / (end - start)
    after = np.flatnonzero((progress[1:] >= 0.5) & (progress[:-1] < 0.5))
    if not len(after):
        return math.nan
    i = int(after[0])
    share = (0.5 - progress[i]) / (progress[i + 1] - progress[i])
    return float(x[i] + share * (x[i + 1] - x[i]))


def _event(w: Witness, place: float, interval: tuple[float, float], setting: Setting) -> Event | None:
    """The known event whose place the change shares: in its interval, or within two points of it."""
    u = setting.axis.u(w.x)
    at = int(np.searchsorted(u, place))
    near = []
    for v in setting.events:
        if not w.x[0] <= v.x <= w.x[-1]:
            continue
        there = float(setting.axis.u(np.array([v.x]))[0])
        if interval[0] <= there <= interval[1] or abs(int(np.searchsorted(u, there)) - at) <= 2:
            near.append((abs(there - place), v))
    return min(near, key=lambda pair: pair[0])[1] if near else None


def dated(e: Evidence, setting: Setting, rng: np.random.Generator) -> Evidence:
    """Excess over the twins and own date: what an exploratory witness is shown with."""
    out = replace(e, excess=excess(e.witness))
    return out if e.judged is None else replace(out, halfway=halfway(e, setting, rng))


def excess(w: Witness, peers: Array | None = None) -> Estimate:
    """Level at the end, real minus twins, with a t interval.

    `peers` are the end levels of the other seeds, shape (S,).

    The spread between runs is pooled over twins and real seeds, each about its own mean, and
    enlarged by (1 + 1/K) for the mean of K twins (COURT 5).
    """
    if w.twins is None:
        return Estimate(math.nan, status="no null run")
    k = max(2, round(END_SHARE * len(w.x)))
    twins = w.twins[:, -k:].mean(1)
    real = float(w.y[-k:].mean())
    squares, dof = float(((twins - twins.mean()) ** 2).sum()), len(twins) - 1
    if peers is not None and len(peers):
        ends = np.append(peers, real)
        squares, dof = squares + float(((ends - ends.mean()) ** 2).sum()), dof + len(ends) - 1
    value = real - float(twins.mean())
    if dof < 1:
        return Estimate(value, status="one twin and one seed: no spread between runs is known")
    from scipy.stats import t

    if squares == 0:
        return Estimate(value, n=len(twins), status="no spread between runs is seen")
    half = float(t.ppf((1 + LEVEL) / 2, dof) * math.sqrt(squares / dof * (1 + 1 / len(twins))))
    return Estimate(value, value - half, value + half, len(twins), method=f"t interval, {dof} d.o.f.")
