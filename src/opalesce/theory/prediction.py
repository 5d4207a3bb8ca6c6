"""Predictions: what a theory says before the data is opened, frozen by hash, and judged.

A prediction names its theory, its inputs and its source, and says one of four things: a *place* (an
interval), a *curve* (a band over a list of places), an *order* of events, or a *bound* (a curve that is
never exceeded). It is frozen, with the time and a SHA-256 of its content, before the data it concerns is
made or opened; `judge_*` then says MET, MISSED or CANNOT TELL, with a reason.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from opalesce.errors import FormatError, InputError
from opalesce.estimate import Estimate


class Outcome(StrEnum):
    """How a prediction fared."""

    MET = "MET"
    MISSED = "MISSED"
    CANNOT_TELL = "CANNOT TELL"


@dataclass(frozen=True)
class Prediction:
    """What a theory says before the data is opened.

    Attributes
    ----------
    name : str
        What is predicted, in words.
    kind : {"place", "curve", "order", "bound"}
        Which judge it goes to.
    theory, source : str
        The theory and where it is written down.
    inputs : mapping
        Everything the theory was told.
    expected : str
        What it says, in words or as a number.
    low, high : tuple of float
        Interval of a place (one number each), band of a curve (one each per entry of `at`), or for a
        bound the upper limit only (`low` empty).
    at : tuple of float
        Places of a curve or bound on the control axis.
    order : tuple of str
        Names in their predicted order.
    level : float
        Probability that the theory gives to the interval.
    """

    name: str
    kind: Literal["place", "curve", "order", "bound"]
    theory: str
    source: str
    inputs: Mapping[str, Any]
    expected: str
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    at: tuple[float, ...] = ()
    order: tuple[str, ...] = ()
    level: float = 0.95


@dataclass(frozen=True)
class Judgement:
    """A judged prediction: the outcome, the reason in words, and what was seen."""

    prediction: Prediction
    outcome: Outcome
    reason: str
    seen: str


@dataclass(frozen=True)
class Frozen:
    """Predictions with the moment they were fixed and the SHA-256 of their content."""

    predictions: tuple[Prediction, ...]
    time: str
    sha256: str
    path: str = field(default="", compare=False)


def content_hash(predictions: Iterable[Prediction]) -> str:
    """SHA-256 of the predictions as canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(
        [asdict(p) for p in predictions], sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def freeze(predictions: Sequence[Prediction], path: str | Path) -> Frozen:
    """Write predictions to a new file; an existing file with the same content keeps its time.

    Raises
    ------
    InputError
        When the file holds other predictions: what was frozen is not overwritten.
    """
    file, sha = Path(path), content_hash(predictions)
    if file.exists():
        old = thaw(file)
        if old.sha256 != sha:
            raise InputError(
                f"{file.name} holds other predictions, and what is frozen stays",
                expected=f"sha256 {old.sha256[:12]}",
                got=f"sha256 {sha[:12]}",
                fix="choose another folder, or keep the settings they were made with",
            )
        return old
    now = datetime.now(UTC).isoformat(timespec="seconds")
    document = {
        "schema": "opalesce.predictions/1",
        "time": now,
        "sha256": sha,
        "predictions": [asdict(p) for p in predictions],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as out:
        out.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    return Frozen(tuple(predictions), now, sha, str(file))


def thaw(path: str | Path) -> Frozen:
    """Read frozen predictions and verify their hash.

    Raises
    ------
    FormatError
        Not such a file, or its content is not what was hashed.
    """
    file = Path(path)
    try:
        document = json.loads(file.read_text("utf-8"))
        known = [_read(p) for p in document["predictions"]]
        time, sha = str(document["time"]), str(document["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise FormatError(f"{file.name} is no file of predictions", got=str(error)) from error
    if content_hash(known) != sha:
        raise FormatError(
            f"{file.name} was changed after it was frozen", expected=f"sha256 {sha}", got=content_hash(known)
        )
    return Frozen(tuple(known), time, sha, str(file))


def _read(p: dict[str, Any]) -> Prediction:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in p.items()}
    return Prediction(**fields)


def judge_place(p: Prediction, seen: Estimate) -> Judgement:
    """MET when the observed interval lies inside the predicted one, MISSED when they are disjoint.

    Intervals that overlap in part decide nothing, nor does an observed interval that holds the whole
    predicted one. An observed interval without an upper end (known only to be later) can still miss.
    """
    text = str(seen)
    if math.isfinite(seen.low) and seen.high == math.inf:
        text = f"later than {seen.low:.4g}"
    if not math.isfinite(seen.low) or math.isnan(seen.high):
        return Judgement(p, Outcome.CANNOT_TELL, seen.status or "no interval could be given", text)
    low, high = p.low[0], p.high[0]
    if low <= seen.low and seen.high <= high:
        return Judgement(p, Outcome.MET, "the observed interval lies inside the predicted one", text)
    if seen.high < low:
        return Judgement(p, Outcome.MISSED, "the observed interval lies below the predicted one", text)
    if seen.low > high:
        return Judgement(p, Outcome.MISSED, "the observed interval lies above the predicted one", text)
    return Judgement(p, Outcome.CANNOT_TELL, "the two intervals overlap in part", text)


def judge_curve(p: Prediction, seen: ArrayLike) -> Judgement:
    """MET when the observed points leave the band no more often than its level allows.

    `low`, `high` are a simultaneous band: with probability `level` no point of the curve leaves it, so a
    single point outside is a miss.
    """
    y = np.asarray(seen, float)
    low, high = np.asarray(p.low), np.asarray(p.high)
    if y.shape != low.shape:
        raise InputError("one value per predicted place", expected=str(low.shape), got=str(y.shape))
    known = np.isfinite(y)
    if not known.any():
        return Judgement(p, Outcome.CANNOT_TELL, "nothing was observed at the predicted places", "nothing")
    outside = known & ((y < low) | (y > high))
    text = f"{int(outside.sum())} of {int(known.sum())} points outside the band"
    if outside.any():
        at = ", ".join(f"{x:.4g}" for x in np.asarray(p.at)[outside][:5])
        return Judgement(p, Outcome.MISSED, f"outside at {at}", text)
    if not known.all():
        return Judgement(p, Outcome.CANNOT_TELL, "inside, but some places were not observed", text)
    return Judgement(p, Outcome.MET, "inside the simultaneous band everywhere", text)


def judge_bound(
    p: Prediction, excess: ArrayLike, error: ArrayLike, critical: float, tolerance: float
) -> Judgement:
    """MET when no point exceeds the bound significantly and the data could have shown an excess.

    Parameters
    ----------
    excess, error : array
        Observed minus bound, and its standard error, at each place.
    critical : float
        Critical value of the largest excess / error over all places looked at.
    tolerance : float
        An excess of this size had to be visible: where critical x error is larger at more than half of
        the places, nothing is concluded.
    """
    d, s = np.asarray(excess, float), np.asarray(error, float)
    t = np.where(s > 0, d / np.where(s > 0, s, 1), np.where(d > 0, np.inf, 0.0))
    worst = int(np.nanargmax(t))
    text = f"largest excess {d[worst]:+.3f} ± {s[worst]:.3f} (t = {t[worst]:.2f}, critical {critical:.2f})"
    if t[worst] > critical:
        where = p.at[worst] if len(p.at) == len(d) else worst
        return Judgement(p, Outcome.MISSED, f"exceeded at {where:.4g}", text)
    if np.mean(critical * s > tolerance) > 0.5:
        return Judgement(p, Outcome.CANNOT_TELL, f"an excess of {tolerance:g} would not be seen", text)
    return Judgement(p, Outcome.MET, "never exceeded beyond its error", text)


def judge_order(p: Prediction, places: Mapping[str, ArrayLike], level: float = 0.95) -> Judgement:
    """MET when every neighbouring pair is in order, MISSED when one is reversed, beyond error over seeds.

    `places` holds, for each name in `p.order`, its place in every seed (same seeds, same order). Paired
    t-test of each neighbouring difference at (1 - level) / number of pairs; infinity stands for "not
    within the data" and counts as later than any place.
    """
    from scipy.stats import t as student

    names = [n for n in p.order if n in places]
    if len(names) < 2:
        return Judgement(p, Outcome.CANNOT_TELL, "fewer than two places were observed", "nothing")
    x = np.array([np.asarray(places[n], float) for n in names])
    n = x.shape[1]
    text = " < ".join(names[i] for i in np.argsort(np.median(x, axis=1), kind="stable"))
    if n < 3:
        return Judgement(p, Outcome.CANNOT_TELL, f"{n} seeds cannot show an order", text)
    ceiling = 2 * np.nanmax(np.where(np.isfinite(x), x, np.nan), initial=1.0)
    x = np.log(np.where(np.isfinite(x), x, ceiling))
    d = np.diff(x, axis=0)
    mean, se = d.mean(axis=1), d.std(axis=1, ddof=1) / math.sqrt(n)
    critical = float(student.ppf(1 - (1 - level) / len(d) / 2, n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(se > 0, mean / se, np.sign(mean) * np.inf)
    for i in np.flatnonzero(t < -critical):
        return Judgement(p, Outcome.MISSED, f"{names[i + 1]} comes before {names[i]}", text)
    if (t > critical).all():
        return Judgement(p, Outcome.MET, "every neighbouring pair is in order, beyond the error", text)
    open_pairs = ", ".join(f"{names[i]} / {names[i + 1]}" for i in np.flatnonzero(~(t > critical)))
    return Judgement(p, Outcome.CANNOT_TELL, f"not separated by the seeds: {open_pairs}", text)
