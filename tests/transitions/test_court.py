"""The court from end to end: planted runs, one of each verdict, and the rules between witnesses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.planted import AXIS, PLANTED, ar1, transition
from opalesce.runs.run import Axis, Event
from opalesce.transitions.court import Card, Hearing, _agree, agreement, judge, rank
from opalesce.transitions.evidence import Evidence, Setting, first_look
from opalesce.transitions.result import groups
from opalesce.transitions.smooth import logistic
from opalesce.transitions.verdict import Ruling, Verdict
from opalesce.transitions.witness import Witness

SETTING = Setting(AXIS)
X = np.arange(41.0)
# Each with seeds whose planted case is clear (docs/validation.md has the rates over many).
CASES = [
    ("TRANSITION", 0),
    ("TRANSITION", 1),
    ("CROSSOVER", 0),
    ("CROSSOVER", 2),
    ("METRIC ARTEFACT", 0),
    ("METRIC ARTEFACT", 2),
    ("DATA FAULT", 0),
    ("DATA FAULT", 1),
    ("NOT SUPPORTED", 0),
    ("NOT SUPPORTED", 1),
    ("CANNOT TELL", 0),
    ("CANNOT TELL", 3),
]


def hear(witnesses, setting=SETTING, seed=0, **more):
    return judge("planted", witnesses, setting, np.random.default_rng(seed), **more)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_a_planted_run_gets_its_verdict(kind, seed):
    rng = np.random.default_rng([seed, list(PLANTED).index(kind)])
    card = judge(kind, PLANTED[kind](rng), SETTING, rng).cards[0]
    assert str(card.verdict) == kind
    assert card.reason


def planted(places=(20.3, 20.3, 20.3), width=1.5, height=20.0, seed=0, lineages=("loss", "weights", "evals")):
    rng = np.random.default_rng(seed)
    return [
        Witness(f"w{k}", X, height * logistic(X, c, width) + ar1(rng, 41, 0.0, 1)[0], lineage=line)
        for k, (c, line) in enumerate(zip(places, lineages, strict=False))
    ]


def verdicts(hearing):
    return [c.verdict for c in hearing.cards]


def test_three_witnesses_carry_one_transition():
    hearing = hear(planted())
    assert verdicts(hearing) == [Verdict.TRANSITION] * 3
    assert [len(g) for g in groups(hearing)] == [3]
    for card in hearing.cards:
        place = card.evidence.place
        assert place.low <= 20.3 <= place.high
        assert set(card.agrees_with) == {"w0", "w1", "w2"} - {card.evidence.witness.name}
    assert hearing.card("w1") is hearing.cards[1]
    assert hearing.card("nobody") is None


def test_the_same_seed_gives_the_same_hearing():
    a, b = (hear(planted(places=(20.3, 20.3)), seed=3) for _ in range(2))
    assert [c.evidence.place for c in a.cards] == [c.evidence.place for c in b.cards]
    assert a.gaps == b.gaps


def test_places_that_differ_do_not_agree():
    """Both are sharp; one is 15 spacings later: neither is agreed, although each is certain."""
    hearing = hear(planted(places=(13.0, 28.0)))
    assert verdicts(hearing) == [Verdict.CANNOT_TELL] * 2
    assert "no witness of another lineage agrees" in hearing.cards[0].reason


def test_one_lineage_is_not_enough():
    hearing = hear(planted(lineages=("evals", "evals", "evals")))
    assert verdicts(hearing) == [Verdict.CANNOT_TELL] * 3
    assert "evals only" in hearing.cards[0].reason


def test_thresholded_metrics_alone_are_not_enough():
    hard = [replace(w, continuous=False) for w in planted()]
    hearing = hear(hard)
    assert verdicts(hearing) == [Verdict.CANNOT_TELL] * 3
    assert "thresholded" in hearing.cards[0].reason


def test_a_run_that_is_its_own_twin_is_not_convicted():
    """The same change in every null run, 30 sd high: nothing is left to be judged but noise."""
    rng = np.random.default_rng(5)
    step = 30 * logistic(X, 20.3, 1.5)
    ws = [
        Witness(n, X, step + ar1(rng, 41, 0.0, 1)[0], twins=step + ar1(rng, 41, 0.0, 3), lineage=n)
        for n in ("loss", "weights")
    ]
    assert set(verdicts(hear(ws))) <= {Verdict.NOT_SUPPORTED, Verdict.CANNOT_TELL}
    alone = [replace(w, twins=None) for w in ws]
    assert verdicts(hear(alone)) == [Verdict.TRANSITION] * 2  # without the twins it would have been


def test_a_change_at_a_known_event_is_not_a_discovery():
    setting = Setting(AXIS, (Event(20.0, "decay start", "cosine tail"),))
    hearing = hear(planted(), setting)
    assert Verdict.TRANSITION not in verdicts(hearing)
    # and an event far away does not protect the guilty
    far = Setting(AXIS, (Event(5.0, "warm-up end"),))
    assert verdicts(hear(planted(), far)) == [Verdict.TRANSITION] * 3


def test_a_smooth_rise_on_a_log_axis_is_a_crossover():
    x = np.unique(np.round(np.geomspace(10, 1e4, 41)))
    axis = Axis("step", "steps", "log", 10.0)
    rng = np.random.default_rng(6)
    rise = 60 * logistic(axis.u(x), 1.5, 1.6)
    ws = [Witness(n, x, rise + rng.standard_normal(len(x)), lineage=n) for n in ("loss", "weights")]
    assert verdicts(hear(ws, Setting(axis))) == [Verdict.CROSSOVER] * 2


def test_at_most_five_are_judged_and_the_rest_is_ranked():
    rng = np.random.default_rng(7)
    flat = [Witness(f"e{i}", X, rng.standard_normal(41)) for i in range(6)]
    extra = replace(planted()[0], name="extra", primary=False)
    hearing = hear([*flat, extra])
    assert len(hearing.cards) == 5
    assert {e.witness.name for e, _ in hearing.exploratory} == {"e5", "extra"}
    assert hearing.exploratory[0][0].witness.name == "extra"


def test_exploratory_q_values_are_benjamini_hochberg():
    from scipy.stats import false_discovery_control

    rng = np.random.default_rng(8)
    ws = [
        Witness(f"e{i}", X, h * logistic(X, 20, 1.0) + rng.standard_normal(41), primary=False)
        for i, h in enumerate((0, 3, 5, 6, 8, 0))
    ]
    constant = Witness("flat", X, np.ones(41), primary=False)
    ranked = rank([*ws, constant], SETTING, rng)
    p = np.array([e.p_sharp for e, _ in ranked[:-1]])
    assert [q for _, q in ranked[:-1]] == pytest.approx(list(false_discovery_control(p)))
    assert (ranked[-1][0].witness.name, ranked[-1][1]) == ("flat", 1.0)


def test_corrected_p_is_never_below_p_nor_above_bonferroni():
    for card in hear(planted(height=5.0, seed=9)).cards:
        e = card.evidence
        assert e.p_sharp <= e.p_adjusted <= min(1.0, 3 * e.p_sharp) + 1e-12
        assert e.shared == 3


def test_agreement_over_four_seeds_uses_the_seeds():
    looks = [first_look(w, SETTING) for w in planted(places=(20.3, 20.3))]
    places = {"w0": np.array([20.0, 21.0, 20.5, 19.5]), "w1": np.array([10.0, 11.0, 10.5, 9.5])}
    (gap,) = agreement(looks, np.random.default_rng(0), places).values()
    assert gap == pytest.approx((-10, -10))  # w1 minus w0, the same in every seed
    (own,) = agreement(looks, np.random.default_rng(0), {k: v[:3] for k, v in places.items()}).values()
    assert own[0] < 0.5
    assert own[1] > -0.5
    assert agreement(looks[:1], np.random.default_rng(0), None) == {}


def test_groups_keep_two_transitions_apart():
    cards = []
    for name, friends in (("a", ("b",)), ("c", ("d",)), ("b", ("a",)), ("d", ("c",))):
        e = first_look(Witness(name, X, np.sin(X)), SETTING)
        cards.append(Card(e, Verdict.TRANSITION, "", friends))
    found = groups(Hearing("run", SETTING, tuple(cards)))
    assert [[c.evidence.witness.name for c in g] for g in found] == [["a", "b"], ["c", "d"]]


def test_noise_alone_is_not_convicted():
    """12 runs of three witnesses in AR(1) 0.7: TRANSITION needs two false alarms at one place; none here."""
    rng = np.random.default_rng(10)
    for seed in range(12):
        noises = zip(("loss", "weights", "evals"), ar1(rng, 25, 0.7, 3), strict=True)
        hearing = hear([Witness(line, X[:25], y, lineage=line) for line, y in noises], seed=seed)
        assert Verdict.TRANSITION not in verdicts(hearing)


def test_planted_runs_are_what_they_say():
    """The generator itself: three lineages, twins, and a change of the height it names."""
    ws = transition(np.random.default_rng(0))
    assert [w.lineage for w in ws] == ["loss", "activations", "weights"]
    assert all(15 - 5 < np.ptp(w.y) < 30 + 8 for w in ws)
    assert all(np.ptp(w.twins) < 12 for w in ws)


def test_two_carriers_that_disagree_make_no_transition_for_a_third_between_them():
    """A and B carry but contradict each other; C lies between, agrees with both, and only supports."""
    x = np.arange(61.0)

    def evidence(name: str, lineage: str) -> Evidence:
        return Evidence(Witness(name, x, x, lineage=lineage), wstar=15.0, spacing=1.0)

    a, b, c = evidence("a", "loss"), evidence("b", "weights"), evidence("c", "activations")
    found = [(a, Ruling(None, placed=True)), (b, Ruling(None, placed=True))]
    found.append((c, Ruling(Verdict.CROSSOVER, "mostly smooth", placed=True)))
    gaps = {("b", "a"): (4.0, 7.0), ("c", "a"): (1.0, 3.0), ("c", "b"): (-3.0, -1.0)}
    assert [_agree(e, r, found, gaps).verdict for e, r in found] == [
        Verdict.CANNOT_TELL,
        Verdict.CANNOT_TELL,
        Verdict.CROSSOVER,
    ]
    gaps["b", "a"] = (1.0, 3.0)  # once they agree, both carry and the third supports
    assert all(_agree(e, r, found, gaps).verdict is Verdict.TRANSITION for e, r in found)
