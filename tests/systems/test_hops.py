"""The k-hop and grammar systems: their answers are true, their twins empty, their runs readable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import opalesce
from opalesce.errors import InputError

torch = pytest.importorskip("torch")

from opalesce.measure.decoder import load  # noqa: E402
from opalesce.measure.words import Words  # noqa: E402
from opalesce.systems.grammar import ENDS, NOUNS, VERBS, Grammar  # noqa: E402
from opalesce.systems.hops import Hops  # noqa: E402
from opalesce.systems.hops_order import hops_order, lifetime_of  # noqa: E402
from opalesce.systems.lm import Training, log_likelihoods, train  # noqa: E402


def asked(corpus: Hops, row: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(k, x, y, the true answer) of every question, by walking the listed pairs."""
    c = corpus.cycle
    step = dict(zip(row[: 2 * c : 2].tolist(), row[1 : 2 * c : 2].tolist(), strict=True))
    out = []
    for i in range(2 * c, corpus.length, 3):
        k, x, y = int(row[i]) - corpus.names + 1, int(row[i + 1]), int(row[i + 2])
        true = x
        for _ in range(k):
            true = step[true]
        out.append((k, x, y, true))
    return out


def test_answers_are_k_steps_away():
    corpus = Hops()
    tokens, scored = corpus.sample(np.random.default_rng(0), 200, null=False)
    questions = [q for row in tokens for q in asked(corpus, row)]
    assert all(y == true for _, _, y, true in questions)
    assert all(x != y for _, x, y, _ in questions)
    assert np.flatnonzero(scored[0]).tolist() == list(range(2 * corpus.cycle + 2, corpus.length, 3))
    share = np.bincount([k for k, *_ in questions], minlength=5)[1:] / len(questions)
    assert share == pytest.approx(np.array([8, 4, 2, 1]) / 15, abs=0.05)  # s.d. 0.012


def test_twin_answers_are_a_name_of_the_cycle_by_chance():
    corpus = Hops()
    tokens, _ = corpus.sample(np.random.default_rng(1), 400, null=True)
    right = [y == true for row in tokens for _, _, y, true in asked(corpus, row)]
    assert np.mean(right) == pytest.approx(1 / 7, abs=0.025)  # s.d. 0.006
    assert all(y in row[:14] for row in tokens for _, _, y, _ in asked(corpus, row))


@pytest.mark.parametrize("bad", [{"cycle": 20}, {"hops": 7}, {"questions": 0}, {"cycle": 1}])
def test_impossible_corpora_are_refused(bad):
    with pytest.raises(InputError, match="hops corpus"):
        Hops(**bad)


def test_grammar_agrees_and_its_twin_does_not():
    """The verb after the first noun of a sentence always agrees with it; in the twin by chance."""
    corpus = Grammar()
    words = corpus.words()

    def agreement(null: bool) -> list[bool]:
        tokens, _ = corpus.sample(np.random.default_rng(2), 300, null)
        hits = []
        for row in tokens:
            text = [words[i] for i in row]
            for end, before, noun, verb in zip(text, text[1:], text[2:], text[3:], strict=False):
                starts = end in ENDS and before in ("many", "a")
                if starts and noun.rstrip("s") in NOUNS and verb.rstrip("s") in VERBS:
                    hits.append(noun.endswith("s") != verb.endswith("s"))
        return hits

    assert len(agreement(False)) > 100
    assert all(agreement(False))
    twin = agreement(True)
    assert np.mean(twin) < 0.9


def test_a_run_is_written_read_and_measured(tmp_path: Path):
    corpus = Hops(names=8, cycle=5, questions=3)
    sizes = corpus.sizes(2, 32)
    plan = Training(steps=6, batch=8, checkpoints=3, held_out=40)
    folder = train(tmp_path / "run", corpus, sizes, plan, seed=3)
    run = opalesce.open(folder)
    assert [c.step for c in run.checkpoints] == [0, 1, 6]
    assert {"loss", "hop1_acc", "hop4_logp"} <= set(run.curves)
    again = train(tmp_path / "again", corpus, sizes, plan, seed=3)
    last = sorted(p.name for p in folder.glob("step*.safetensors"))[-1]
    assert (folder / last).read_bytes() == (again / last).read_bytes()
    model, tokens = (
        load(folder),
        np.array(json.loads((folder / "prompts.jsonl").read_text().splitlines()[0])["tokens"]),
    )
    assert Words.load(folder).ids["n0"] == 0
    logp = log_likelihoods(model, tokens[None])
    with torch.no_grad():
        direct = torch.log_softmax(model(torch.from_numpy(tokens[None])), -1)[0]
    assert logp[0, 1:] == pytest.approx([float(direct[i, t]) for i, t in enumerate(tokens[1:])], abs=1e-5)
    found = hops_order(folder, corpus)
    assert found[0].integrity.shape == (40, 3)
    assert found[-1].transfer.shape == (3, 3)
    with pytest.raises(InputError, match="not empty"):
        train(folder, corpus, sizes, plan)
    with pytest.raises(InputError, match="vocab_size"):
        train(tmp_path / "other", Hops(), sizes, plan)


def test_lifetime_of_an_object():
    accuracy = np.full((4, 4), 0.2)
    assert lifetime_of(accuracy) == -1
    accuracy[3, 3] = 0.9
    assert lifetime_of(accuracy) == 0
    accuracy[1, 1] = accuracy[1, 2] = 0.9
    assert lifetime_of(accuracy) == 1
    accuracy[0, 0] = accuracy[0, 2] = 0.9  # a gap ends a life
    assert lifetime_of(accuracy) == 1
