"""References: the file parses, every entry is complete, names resolve."""

from __future__ import annotations

import pytest

from opalesce.cite import bibtex, cite, parse, references
from opalesce.errors import FormatError, InputError
from opalesce.provenance import provenance


@pytest.mark.parametrize("key", sorted(references()))
def test_entry_is_complete(key: str):
    entry = references()[key]
    for field in ("title", "author", "year"):
        assert f"{field} =" in entry
    assert entry.count("{") == entry.count("}")


def test_cite_takes_an_observable_a_key_or_a_source_line():
    assert "Roy, Olivier" in cite("entropy_effective_rank")
    assert cite("roy2007effective") == cite("roy2007effective, eq. 2") == cite("entropy_effective_rank")


def test_bibtex_names_each_once_in_order():
    text = bibtex(["roy2007effective, eq. 2", "gavish2014optimal", "roy2007effective"])
    assert text.count("@") == 2
    assert text.index("roy2007") < text.index("gavish2014")


def test_unknown_names_get_a_suggestion():
    with pytest.raises(InputError, match="roy2007effective"):
        bibtex(["roy2007efective"])
    with pytest.raises(InputError, match="stable_rank"):
        cite("stable_rnk")


def test_parser_refuses_broken_files():
    with pytest.raises(FormatError, match="close"):
        parse("@book{a, title = {x}")
    with pytest.raises(FormatError, match="twice"):
        parse("@book{a, year={1}} @book{a, year={2}}")


def test_provenance_hides_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin" / "opalesce"), "measure", str(tmp_path / "run")])
    p = provenance()
    assert p["command"] == "opalesce measure ~/run"
    assert p["versions"]["numpy"][0].isdigit()
    assert p["time"].endswith("+00:00")
