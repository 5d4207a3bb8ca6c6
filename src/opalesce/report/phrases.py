"""Plain words of the report: titles, headlines, details."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from opalesce.estimate import Estimate
from opalesce.runs.run import Axis
from opalesce.transitions.court import Card
from opalesce.transitions.result import Transition, Trial
from opalesce.transitions.verdict import Verdict


def number(x: float) -> str:
    """Three significant digits; whole numbers as they are."""
    if not np.isfinite(x):
        return "unknown"
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def span(e: Estimate) -> str:
    """Value and interval."""
    if not (np.isfinite(e.low) and np.isfinite(e.high)):
        return number(e.value)
    return f"{number(e.value)} [{number(e.low)}, {number(e.high)}]"


def title(trial: Trial) -> str:
    """System and seed where the config names them, else the run's name."""
    config = trial.main.run.config
    if config.get("system"):
        seed = config.get("seed")
        return str(config["system"]) + ("" if seed is None else f" · seed {seed}")
    return trial.main.run.name


def subtitle(trial: Trial) -> str:
    """What stands beside the run."""
    seeds, twins = len(trial.seeds), len({m.run.name for m, _ in trial.twins})
    parts = []
    if seeds:
        parts.append(f"{seeds} other seed{'s' * (seeds > 1)}")
    if twins:
        parts.append(f"{twins} null twin{'s' * (twins > 1)}")
    return f"with {' and '.join(parts)}" if parts else "one seed, no null run"


def sublabel(name: str) -> str:
    """What the modules pattern of a witness means."""
    _, _, modules = name.partition("@")
    return f"mean over {modules}" if modules else ""


def headline(t: Transition, label: str, labels: Mapping[str, str], axis: Axis) -> str:
    """Place, interval and width; or the witness, where nothing is placed."""
    who = ", ".join(labels.get(n, n) for n in t.witnesses)
    if t.verdict is Verdict.TRANSITION:
        unit = "decade" if axis.scale == "log" else axis.unit
        return f"{label} at {axis.name} {span(t.place)}, width {t.width.value:.2g} {unit}"
    if label and np.isfinite(t.place.value):
        return f"{label} near {axis.name} {span(t.place)}: {who}"
    return who


def detail(trial: Trial, t: Transition, labels: Mapping[str, str], first: Transition | None) -> list[str]:
    """Sentences under the reason: direction and size, twins, seeds, order against the transition."""
    axis = trial.setting.axis
    cards = [c for n in t.witnesses if (c := trial.hearing.card(n)) is not None]
    out = [s for c in cards if (s := _size(c, labels))]
    if t.verdict is Verdict.TRANSITION:
        out.append(
            f"p = {t.p_value:.2g} after correction for {len(trial.hearing.cards)} witnesses and all places."
        )
    if len(trial.seeds):
        out.append(
            f"{t.seeds} give this verdict (partial-conjunction p = {t.seeds.p:.2g} for at least half)."
            if t.verdict is Verdict.TRANSITION
            else f"{t.seeds} give this verdict."
        )
        if t.verdict is Verdict.TRANSITION and np.isfinite(t.seeds.next.low):
            out.append(f"Next seed expected in [{number(t.seeds.next.low)}, {number(t.seeds.next.high)}].")
    else:
        out.append("One seed: another may differ, and the place may be luck.")
    if not any(c.evidence.witness.n_twins for c in cards):
        out.append("No null run: judged against the model null only.")
    for c in cards:
        place = c.evidence.place
        if (
            t.verdict is Verdict.CANNOT_TELL
            and c.evidence.p_adjusted > trial.setting.alpha
            and np.isfinite(place.low)
        ):
            out.append(f"If it has a sharp part, that lies in [{number(place.low)}, {number(place.high)}].")
    if first is not None and t.verdict is not Verdict.TRANSITION:
        for c in cards:
            out += _order(c, labels, first, axis, trial.setting.alpha)
    return out


def _size(c: Card, labels: Mapping[str, str]) -> str:
    e = c.evidence
    w = e.witness
    if e.judged is None:
        return ""
    name = labels.get(w.name, w.name)
    k = max(2, round(0.1 * len(w.y)))
    text = f"{name}: {number(w.y[:k].mean())} → {number(w.y[-k:].mean())}"
    if w.twins is not None:
        text += f"; twins {number(w.twins[:, :k].mean())} → {number(w.twins[:, -k:].mean())}"
        text += f"; excess over twins {span(e.excess)}"
    if e.twin is not None and np.isfinite(e.twin.ratio.value):
        text += (
            f"; sharp height {span(e.twin.ratio)} times the largest of a twin "
            f"(rank p = {e.twin.rank_p:.2g}, {e.twin.n} twins)"
        )
    if np.isfinite(e.halfway.value):
        text += f"; half-way at {span(e.halfway)}"
    return text + "."


def _order(c: Card, labels: Mapping[str, str], first: Transition, axis: Axis, alpha: float) -> list[str]:
    """Say so when a witness that is not part of the transition has a date of its own."""
    date = c.evidence.halfway
    if not np.isfinite(date.value) or c.evidence.p_smooth > alpha:
        return []
    gap = first.place.value - date.value
    if date.high < first.place.low:
        return [
            f"It is half-way {number(gap)} {axis.unit} before T1: not a witness of it. "
            "This measure alone would have dated the change too early."
        ]
    if date.low > first.place.high:
        return [f"It is half-way {number(-gap)} {axis.unit} after T1: not a witness of it."]
    return []


def sentence(text: str) -> str:
    """First letter large, full stop at the end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


def declared(trial: Trial) -> str:
    """What was fixed before the data was judged (COURT 2 and 3)."""
    axis, given = trial.setting.axis, trial.setting.events
    u = f"u = log10(1 + {axis.name} / {axis.x1:g})" if axis.scale == "log" else f"u = {axis.name}"
    events = f"{len(given)} known event{'s' * (len(given) != 1)}" if given else "no known event"
    burn = "what twins show too is subtracted" if trial.twins else "no twin shows the first transient"
    return f"Declared before judging: {u}; {events}; no burn-in is cut ({burn})."


def false_alarm(trial: Trial) -> str:
    """The measured rates of this procedure, on this run's design and on its twins."""
    rates = [c.evidence.false_alarm * c.evidence.shared for c in trial.hearing.cards if c.evidence.judged]
    worst = (
        f"at most {max(rates):.3f} by simulation at each witness's fitted noise" if rates else "not measured"
    )
    alarms = sum(any(c.verdict is Verdict.TRANSITION for c in h.cards) for _, h in trial.twins)
    return (
        f"Chance that any primary witness rejects every smooth change when there is none: {worst} "
        f"(nominal {trial.setting.alpha:g}). Twins judged as runs: {alarms} of "
        f"{len(trial.twins)} with a TRANSITION."
    )


def command(argv: Sequence[str]) -> str:
    """The command line, without the folders of this machine."""
    return " ".join(re.sub(r"(^|=)/(?:[^/]*/)*", r"\1", a) for a in argv)


def bib_title(entry: str) -> str:
    """Title field of a BibTeX entry."""
    found = re.search(r"title\s*=\s*[{\"](.+?)[}\"]\s*,?\s*\n", entry, re.S)
    return re.sub(r"[{}]", "", found[1]).strip() if found else ""


def sha256(path: Path) -> str:
    """SHA-256 of a small text file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
