"""`opalesce verify`: recompute a random share of the numbers of a report from the run, and compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opalesce.errors import FormatError, InputError, OpalesceError
from opalesce.measure.aggregate import aggregate
from opalesce.measure.sweep import measure
from opalesce.report.document import SCHEMA
from opalesce.runs.bounded import read_json
from opalesce.runs.open import open as open_run
from opalesce.runs.run import Curve, Run

TOLERANCE = 1e-10  # results are equal to the last bit on one machine, and to this elsewhere
MOST = 200_000_000  # bytes of a report that is read


@dataclass(frozen=True)
class Recomputed:
    """One number of a report beside what the run gives now. `why` says what is wrong, or nothing."""

    run: str
    witness: str
    x: float
    reported: float
    found: float
    why: str = ""


def verify(
    report: str | Path, run: Run | str | None = None, share: float = 0.05, seed: int = 0
) -> list[Recomputed]:
    """Recompute a random share of the points of every curve in a report, and compare.

    Points of logged columns are read again; those of observables are measured again from the weights, past
    every store. At least one point of each curve is taken.

    Parameters
    ----------
    report : path
        `report.json`.
    run : Run or path, optional
        Where the run is now; by default where the report says that it was. Other seeds are verified too where
        they are still there.
    share : float
        Of the points, in (0, 1].
    seed : int
        Which points.

    Returns
    -------
    list of Recomputed
        `why` is empty where the numbers agree to 1e-10.

    Raises
    ------
    FormatError
        No report of schema opalesce.report/1.
    InputError
        A share out of range, or a run that is not where it was.
    """
    if not 0 < share <= 1:
        raise InputError("a share of the numbers", expected="in (0, 1]", got=str(share))
    document = read_report(Path(report))
    rng = np.random.default_rng(seed)
    places = {r["name"]: r["path"] for r in document.get("inputs", []) if r["role"] != "null"}
    sampled: dict[str, list[tuple[str, float, float]]] = {}
    for w in document["witnesses"]:
        for row in w["runs"]:
            there = [
                (str(w["name"]), float(x), float(y))
                for x, y in zip(row["x"], row["y"], strict=True)
                if y is not None
            ]
            picked = rng.choice(len(there), math.ceil(share * len(there)), replace=False)
            sampled.setdefault(row["name"], []).extend(there[i] for i in sorted(picked.tolist()))
    main = document["run"]["name"]
    out = []
    for name, points in sampled.items():
        source = run if name == main and run is not None else places.get(name)
        try:
            out += _again(_opened(source, name), name, points)
        except OpalesceError as error:
            if name == main:
                raise
            out += [Recomputed(name, w, x, y, math.nan, error.what) for w, x, y in points]
    return out


def read_report(path: Path) -> dict[str, Any]:
    """What a `report.json` holds, looked over as if it came from a stranger.

    Raises
    ------
    FormatError, InputError
        See `verify`.
    """
    try:
        document = read_json(path, MOST)
        if document["schema"] != SCHEMA:
            raise FormatError(f"{path}: another schema", expected=SCHEMA, got=str(document["schema"])[:80])
        for w in document["witnesses"]:
            for row in w["runs"]:
                _words(w["name"], row["name"])
                if len(row["x"]) != len(row["y"]):
                    raise ValueError("a curve with more places than values, or fewer")
                _ = [float(x) for x in row["x"]], [y if y is None else float(y) for y in row["y"]]
        _words(document["run"]["name"])
        for given in document.get("inputs", []):
            _words(given["name"], given["role"], given["path"] or "")
        return dict(document)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FormatError(
            f"{path}: not a report",
            expected=f"a JSON document of schema {SCHEMA}",
            got=str(error)[:80],
            fix="name the report.json that stands beside report.html",
        ) from error


def _words(*names: object) -> None:
    if not all(isinstance(n, str) for n in names):
        raise TypeError("a name is no text")


def _opened(source: Run | str | None, name: str) -> Run:
    if isinstance(source, Run):
        return source
    if source is None:
        raise InputError(
            f"the report does not say where run {name!r} is", expected="its folder or file",
            fix="opalesce verify report.json --run FOLDER",
        )  # fmt: skip
    place = Path(source).expanduser() if "://" not in source else source
    try:
        return open_run(place)
    except InputError as error:
        raise InputError(
            f"run {name!r} is not where it was: {error.what}", expected=error.expected, got=str(source),
            fix="opalesce verify report.json --run FOLDER",
        ) from error  # fmt: skip


def _again(run: Run, name: str, points: list[tuple[str, float, float]]) -> list[Recomputed]:
    curves, failures = _curves(run, points)
    out = []
    for witness, x, y in points:
        curve = curves.get(witness)
        at = np.flatnonzero(curve.x == x) if curve is not None else np.empty(0, int)
        found = float(curve.y[at[0]]) if curve is not None and at.size else math.nan
        why = failures.get(witness, "")
        if not why and not at.size:
            why = f"there is no value at {x:g} any more"
        elif not why and not math.isclose(found, y, rel_tol=TOLERANCE, abs_tol=1e-300):
            why = "differs"
        out.append(Recomputed(name, witness, x, y, found, why))
    return out


def _curves(
    run: Run, points: list[tuple[str, float, float]]
) -> tuple[Mapping[str, Curve], Mapping[str, str]]:
    """Curves of the witnesses named, at the places asked for, and why some are missing."""
    curves: dict[str, Curve] = {}
    failures: dict[str, str] = {}
    wanted = {w: w.partition("@")[::2] for w, _, _ in points}
    weights = {w: parts for w, parts in wanted.items() if parts[0] not in run.curves}
    for w, (head, _) in wanted.items():
        if w not in weights:
            curves[w] = run.curves[head]
    if not weights:
        return curves, failures
    steps = sorted({x for w, x, _ in points if w in weights})
    there = {float(c.step) for c in run.checkpoints}
    try:
        ds = measure(
            run, sorted({head for head, _ in weights.values()}), steps=[s for s in steps if s in there]
        )
    except OpalesceError as error:
        return curves, dict.fromkeys(weights, error.what)
    for w, (head, modules) in weights.items():
        try:
            curves[w] = aggregate(ds, head, modules or None)
        except OpalesceError as error:
            failures[w] = error.what
    return curves, failures
