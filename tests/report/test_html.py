"""The page as text: escaping, policy, size, and the JSON twin."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.report.clean import clean, plotly_text, script_json
from opalesce.report.html import BYTES, render, write

from .conftest import HOSTILE, spoil, witness

Document = dict[str, Any]


class Page(HTMLParser):
    """Elements with their attributes, and the text of each script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self._in = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        else:
            self.text += data

    def data(self) -> Any:
        return next(json.loads(t) for a, t in self.scripts if a.get("type") == "application/json")

    def policy(self) -> str:
        metas = [a for t, a in self.elements if t == "meta" and a.get("http-equiv")]
        assert [m["http-equiv"] for m in metas] == ["Content-Security-Policy"]
        return str(metas[0]["content"])


def test_policy_names_exactly_the_scripts_that_run(document: Document) -> None:
    page = Page(render(document))
    run = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    assert len(run) == 4
    made = {f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in run}
    rules = dict(r.strip().split(" ", 1) for r in page.policy().split(";"))
    assert set(rules["script-src"].split()) == made
    assert rules["default-src"] == "'none'"
    assert "unsafe-eval" not in page.policy()
    assert not any(attrs.get("src") for attrs, _ in page.scripts)


def test_a_hostile_document_makes_the_same_elements_as_a_tame_one(document: Document) -> None:
    tame, hostile = Page(render(document)), Page(render(spoil(clean(document))))
    assert [t for t, _ in hostile.elements] == [t for t, _ in tame.elements]
    for tag, attrs in hostile.elements:
        assert not any(a.startswith("on") for a in attrs), tag
        assert str(attrs.get("href", "#")).startswith("#")
    for name in HOSTILE[:-1]:
        assert name in hostile.text
    assert not re.search("[\u202a-\u202e\ud800-\udfff]", hostile.text)


def test_no_string_of_the_data_can_end_its_script() -> None:
    text = script_json({"a": list(HOSTILE), "</script>": "\u2028&"})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text)["</script>"] == "\u2028&"


def test_plotly_reads_no_tag_entity_or_template_in_a_label() -> None:
    assert plotly_text("<b>&lt;%{x}") == "&lt;b&gt;&amp;lt;%&#123;x}"


def test_json_twin_is_strict_and_keeps_every_point(document: Document, tmp_path: Path) -> None:
    n = 50_000
    document["witnesses"] = [witness("loss", "TRANSITION", 270, n=n)]
    document["alpha"] = math.nan
    document["witnesses"][0]["runs"][0]["y"][5] = np.inf
    path = write(document, tmp_path / "deep" / "out")
    assert path == tmp_path / "deep" / "out" / "report.html"
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html", "report.json"]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    twin = json.loads((path.parent / "report.json").read_text("utf-8"), parse_constant=refuse)
    assert twin["alpha"] is None
    run = twin["witnesses"][0]["runs"][0]
    assert len(run["y"]) == n
    assert run["y"][5] is None
    traces = Page(path.read_text("utf-8")).data()["panels"]["w0"]["traces"]
    assert max(len(t["x"]) for t in traces) <= 2000


def test_file_stays_below_its_limit_however_much_there_is(document: Document) -> None:
    assert len(render(document).encode()) < 5_000_000
    many = [witness(f"w{i}", None, 100 + i, n=3000) for i in range(25)]
    document["witnesses"] += many
    document["heatmap"].update(
        x=np.arange(400.0),
        modules=[f"m{i}" for i in range(400)],
        z=np.random.default_rng(0).normal(size=(400, 400)),
    )
    document["how"]["files"] = [{"path": f"f{i}", "sha256": "ab" * 32} for i in range(5000)]
    html = render(document)
    assert len(html.encode()) <= BYTES == 6_000_000
    data = Page(html).data()
    assert len(data["panels"]) == 28
    assert "more in report.json" in html
    assert "not drawn" in html


def test_gaps_are_said_in_words(document: Document) -> None:
    text = Page(render({k: document[k] for k in ("schema", "axis")})).text
    for words in ("No witness was judged", "number of parameters unknown", "No verdict was reached",
                  "No weights were measured", "no null twin", "no other seed"):  # fmt: skip
        assert words in text
    document["witnesses"][0].update(twin=None, runs=[], seeds="one seed")
    document["predictions"] = []
    text = Page(render(document)).text
    assert "this witness has no values" in text
    assert "no null run" in text
    assert "one seed" in text
    assert "Predictions" not in text


def test_status_line_and_numbers_read_plainly(document: Document) -> None:
    text = " ".join(Page(render(document)).text.split())
    assert (
        "61 checkpoints · 44,032 parameters · axis: optimizer steps, log scale · judged at α = 0.05" in text
    )
    assert "data health: clean · 1 transition, 1 crossover, 2 not supported" in text
    assert "step 270 [245, 295]" in text
    assert "0.27 decade [0.2, 0.31]" in text
    assert "p = 0.0004" in text


def test_every_figure_has_words_and_a_table(document: Document) -> None:
    page = Page(render(document))
    pictures = [a for _, a in page.elements if a.get("role") == "img"]
    assert len(pictures) == 7  # two plates, strip, three witnesses, map
    assert all(len(str(a["aria-label"])) > 25 for a in pictures)
    assert sum(t == "table" for t, _ in page.elements) >= 5


@pytest.mark.parametrize("spoiled", [{"schema": "other/1"}, {"schema": "opalesce.report/1"}])
def test_another_document_is_refused(spoiled: Document) -> None:
    with pytest.raises(InputError, match="expected"):
        render(spoiled)


def test_a_failed_write_leaves_the_old_report(document: Document, tmp_path: Path) -> None:
    path = write(document, tmp_path)
    before = path.read_bytes()
    with pytest.raises(InputError):
        write({"schema": "no"}, tmp_path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2
