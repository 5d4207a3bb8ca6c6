"""One finding of a report in plain words: evidence for, evidence against, what would settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opalesce.errors import FormatError, InputError
from opalesce.report.phrases import number, sentence
from opalesce.transitions.power import GOAL

Document = Mapping[str, Any]
MEANING = {
    "TRANSITION": "a sharp change that no smooth law explains, seen by witnesses of different lineage",
    "CROSSOVER": "a change that is real and smooth at the resolution of this run",
    "METRIC ARTEFACT": "a jump of a thresholded score over a quantity that changes smoothly",
    "DATA FAULT": "a jump that comes from points that the check of the data flagged",
    "NOT SUPPORTED": "no change of the run's own beyond noise, its null runs and known events",
    "CANNOT TELL": "these data cannot decide",
}


@dataclass(frozen=True)
class Explanation:
    """What is claimed, and sentences on each side; every number in them is one of the report."""

    claim: str
    meaning: str
    evidence_for: tuple[str, ...]
    evidence_against: tuple[str, ...]
    would_settle: tuple[str, ...]


def explain(document: Document, which: str | None = None) -> Explanation:
    """Explain one finding of a report.

    Parameters
    ----------
    document : dict
        What `report.json` holds (schema opalesce.report/1).
    which : str, optional
        Its id (`T1`, `C2`), or the name of a witness; by default the first finding.

    Raises
    ------
    InputError
        No such finding.
    FormatError
        A part of the report is missing or is not what it should be.
    """
    try:
        t = _find(document, which)
        cards = [w for w in document["witnesses"] if w["name"] in t["witnesses"]]
        return Explanation(
            f"{t['verdict']}: {sentence(t['headline'])} {t['reason']}",
            MEANING[t["verdict"]],
            tuple(_pro(document, t, cards)),
            tuple(_contra(document, t, cards)),
            tuple(_settle(document, t, cards)),
        )
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise FormatError(
            "the report lacks a part", expected="a document that opalesce report wrote", got=str(error)[:80]
        ) from error


def _find(document: Document, which: str | None) -> Mapping[str, Any]:
    found: Sequence[Mapping[str, Any]] = document["transitions"]
    for t in found:
        if which is None or which == t["id"] or which in t["witnesses"]:
            return t
    known = [t["id"] or ", ".join(t["witnesses"]) for t in found]
    raise InputError(
        "no such finding in this report", expected=f"one of {'; '.join(known[:12]) or 'none'}",
        got=str(which), fix="opalesce explain report.json lists them",
    )  # fmt: skip


def _name(w: Mapping[str, Any]) -> str:
    return str(w["label"] or w["name"])


def _alarms(w: Mapping[str, Any]) -> str:
    rate = w.get("false_alarm")
    return "" if rate is None else f" (its false alarms at this noise: {rate:.3f})"


def _span(e: Mapping[str, Any]) -> str:
    low, high = e["low"], e["high"]
    known = low is not None and high is not None
    return f"{_number(e['value'])} [{_number(low)}, {_number(high)}]" if known else _number(e["value"])


def _number(x: float | None) -> str:
    return "unknown" if x is None else number(x)


def _pro(document: Document, t: Mapping[str, Any], cards: Sequence[Mapping[str, Any]]) -> list[str]:
    out, alpha = [], document["alpha"]
    for w in cards:
        p = w["p_adjusted"]
        if p is not None and p <= alpha:
            out.append(
                f"{_name(w)}: every smooth change is rejected, p = {p:.2g} after correction for all that was "
                f"looked at{_alarms(w)}."
            )
        elif w["p_smooth"] is not None and w["p_smooth"] <= alpha:
            out.append(f"{_name(w)}: it is not constant, p = {w['p_smooth']:.2g}.")
        if w["twin_ratio"] is not None and (w["twin_ratio"]["value"] or 0) > 1:
            out.append(
                f"{_name(w)}: its sharp height is {_span(w['twin_ratio'])} times the largest of a null run."
            )
        elif w["twin"] is not None and (w["excess"]["low"] or 0) * (w["excess"]["high"] or 0) > 0:
            out.append(f"{_name(w)}: it ends {_span(w['excess'])} away from its null runs.")
        others = [o for o in w["agrees_with"] if o in {c["name"] for c in document["witnesses"]}]
        lineages = {c["name"]: c["lineage"] for c in document["witnesses"]}
        for o in others:
            out.append(f"{o} ({lineages[o]}) changes at the same place as {_name(w)} ({w['lineage']}).")
    if t["seeds"]["n"] > 1 and t["seeds"]["agree"] > 1:
        out.append(f"{t['seeds']['agree']} of {t['seeds']['n']} seeds give this verdict.")
    met = [p for p in document["predictions"] if p["verdict"] == "MET"]
    out += [f"A prediction fixed beforehand is met: {p['name']}, expected {p['expected']}." for p in met]
    return list(dict.fromkeys(out))


def _contra(document: Document, t: Mapping[str, Any], cards: Sequence[Mapping[str, Any]]) -> list[str]:
    out, alpha = [], document["alpha"]
    for w in cards:
        p = w["p_adjusted"]
        if p is not None and p > alpha:
            out.append(
                f"{_name(w)}: a smooth change explains it as well (p = {p:.2g}); a sharp quarter of its "
                f"range would have been seen with power {w['power']:.2f}."
            )
        if w["twin_ratio"] is not None and (w["twin_ratio"]["low"] or 0) <= 1:
            out.append(f"{_name(w)}: a null run may have as large a sharp part ({_span(w['twin_ratio'])}).")
        if w["status"]:
            out.append(f"{_name(w)}: {sentence(w['status'])}")
    if t["verdict"] == "TRANSITION":
        quiet = [
            w for w in document["witnesses"]
            if w["primary"] and w["name"] not in t["witnesses"] and (w["power"] or 0) >= GOAL
            and (w["p_adjusted"] or 0) > alpha
        ]  # fmt: skip
        out += [
            f"{_name(w)} shows no sharp change, though one of a quarter of its range would have been seen "
            f"with power {w['power']:.2f}."
            for w in quiet
        ]
    if t["seeds"]["n"] == 1:
        out.append("One seed: the place, or the change itself, may be luck.")
    elif t["seeds"]["agree"] < t["seeds"]["n"]:
        out.append(
            f"{t['seeds']['n'] - t['seeds']['agree']} of {t['seeds']['n']} seeds give another verdict."
        )
    if not any(w["twin"] for w in cards):
        out.append("No null run stands beside it: what training does with nothing to learn is not known.")
    if t["event"] is not None:
        out.append(f"It sits at a known event: {t['event']['kind']} at {t['event']['x']:g}.")
    out += [
        f"The check of the data found a {f['severity']}: {f['kind']}{_where(f)}."
        for f in document["health"]["findings"]
        if f["severity"] != "note"
    ]
    missed = [p for p in document["predictions"] if p["verdict"] == "MISSED"]
    out += [
        f"A prediction fixed beforehand is missed: {p['name']}, expected {p['expected']}." for p in missed
    ]
    return list(dict.fromkeys(out))


def _where(finding: Mapping[str, Any]) -> str:
    return "" if finding["step"] is None else f" at {finding['step']:g}"


def _settle(document: Document, t: Mapping[str, Any], cards: Sequence[Mapping[str, Any]]) -> list[str]:
    out, axis, at = [], document["axis"], (t["place"] or {}).get("value")
    for w in cards:
        x = np.array(next((r["x"] for r in w["runs"] if r["main"]), []), float)
        if at is None or len(x) < 2:
            continue
        k = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
        out.append(
            f"States between {axis['name']} {x[k - 1]:g} and {x[k]:g}, where {_name(w)} has none."
            if t["verdict"] == "TRANSITION"
            else f"More states near {axis['name']} {_number(at)}: those of {_name(w)} stand "
            f"{x[k] - x[k - 1]:g} {axis['unit']} apart there."
        )
        if not w["continuous"]:
            out.append(f"A continuous measure of what {_name(w)} thresholds, such as a log-likelihood.")
        if (w["power"] or 0) < GOAL:
            out.append(
                f"Less noise in {_name(w)} (more test items, or a larger held-out set): its power for a "
                f"sharp quarter of the range is {w['power'] or 0:.2f}."
            )
    if t["seeds"]["n"] == 1:
        out.append("Other seeds: --seeds RUN RUN gives how many agree, and where the next one is expected.")
    if not any(w["twin"] for w in cards):
        out.append(
            "Null runs (shuffled labels, nothing to learn): --null RUN RUN; k of them rank to 1/(k+1)."
        )
    if any(f["severity"] == "fault" for f in document["health"]["findings"]):
        out.append("The data without its faults: fetch the files again that the check names.")
    return list(dict.fromkeys(out))
