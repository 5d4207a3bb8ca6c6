"""explain: each piece of evidence stands on its side, and goes when its ground goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opalesce.cli import main
from opalesce.errors import InputError
from opalesce.report.clean import clean, to_json
from opalesce.report.explain import explain

Document = dict[str, Any]


@pytest.fixture
def plain(document: Document) -> Document:
    return clean(document)


def side(lines: tuple[str, ...]) -> str:
    return " ".join(lines)


def test_a_transition_with_seeds_and_twins(plain: Document):
    e = explain(plain, "T1")
    assert e.claim.startswith("TRANSITION: T1: a card.")
    assert "every smooth change is rejected, p = 0.0004" in side(e.evidence_for)
    assert "3 of 3 seeds" in side(e.evidence_for)
    assert "away from its null runs" in side(e.evidence_for)
    assert "A prediction fixed beforehand is missed: order" in side(e.evidence_against)
    assert "seed" not in side(e.would_settle)
    assert "States between step 260 and 270" in side(e.would_settle)


def test_what_is_missing_is_against_it_and_asked_for(plain: Document):
    t = plain["transitions"][0]
    t["seeds"] = {"n": 1, "agree": 1, "p": None, "next": t["place"]}
    w = plain["witnesses"][0]
    w |= {"twin": None, "continuous": False, "power": 0.4}
    plain["health"]["findings"] = [{"severity": "fault", "kind": "duplicate checkpoint", "step": 260.0}]
    e = explain(plain, "loss")
    for words in ("One seed", "No null run", "fault: duplicate checkpoint at 260"):
        assert words in side(e.evidence_against)
    for words in ("Other seeds", "--null", "A continuous measure", "power for a sharp", "without its faults"):
        assert words in side(e.would_settle)


def test_a_witness_that_could_have_seen_it_and_did_not_speaks_against(plain: Document):
    other = plain["witnesses"][1]
    assert other["name"] not in side(explain(plain, "T1").evidence_against)
    other |= {"p_adjusted": 0.6, "power": 0.95}
    assert "entropy shows no sharp change" in side(explain(plain, "T1").evidence_against)
    other["power"] = 0.5  # it could not have seen it: silent
    assert "entropy" not in side(explain(plain, "T1").evidence_against)


def test_a_smooth_explanation_is_against(plain: Document):
    plain["witnesses"][1]["p_adjusted"] = 0.3
    e = explain(plain, "C1")
    assert "it is not constant" in side(e.evidence_for)
    assert "a smooth change explains it as well (p = 0.3)" in side(e.evidence_against)


def test_by_name_by_default_and_unknown(plain: Document):
    assert explain(plain) == explain(plain, "T1") == explain(plain, "loss")
    assert explain(plain, "norm").claim.startswith("NOT SUPPORTED")
    with pytest.raises(InputError, match="no such finding"):
        explain(plain, "T9")


def test_the_command(plain: Document, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "report.json"
    file.write_text(to_json(plain))
    assert main(["explain", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.index("For it:") < out.index("Against it:") < out.index("What would settle it:")
    assert main(["explain", str(file), "C1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "opalesce.explain/1"
    assert told["evidence_for"] == list(explain(plain, "C1").evidence_for)
