"""One HTML file that reads offline, and its JSON twin."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from opalesce.report.clean import clean, clip, script_json, to_json
from opalesce.report.exhibits import Exhibit
from opalesce.report.exhibits import view as view_exhibit
from opalesce.report.palette import DARK, LIGHT, css
from opalesce.report.view import Budget, view

BYTES = 6_000_000  # of the whole file
_SHARES = (1.0, 0.4, 0.15, 0.05, 0.02)


def render(document: Mapping[str, Any]) -> str:
    """The report as one HTML file: no network, scripts named by hash, every name escaped.

    Curves are thinned to at most 2000 points a trace for drawing, and further when the file would
    pass 6 MB; the page says so, and `report.json` keeps everything.

    Parameters
    ----------
    document : dict
        Schema `opalesce.report/1`. Missing parts are said to be missing.

    Raises
    ------
    InputError
        Another schema, or no control axis.
    """
    whole = clean(document)
    html = ""
    for share in _SHARES:
        html = _page(clip(whole), share)
        if len(html.encode("utf-8")) <= BYTES:
            break
    return html


def write(document: Mapping[str, Any], out: Path | str) -> Path:
    """Write `report.html` and `report.json` into the folder `out`; returns the path of the page.

    Each is written to a temporary name, synced and renamed: a reader never sees half a file. The JSON
    has no NaN: what is not a finite number is null.
    """
    folder = Path(out)
    html, twin = render(document), to_json(document, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / "report.json", twin)
    return _put(folder / "report.html", html)


def write_exhibits(
    exhibits: Sequence[Exhibit], out: Path | str, title: str, lines: Sequence[str] = (), name: str = "figures"
) -> Path:
    """Write exhibits alone, without a trial: `<name>.html`, readable offline, and `<name>.json` beside it.

    `lines` are sentences put under the title: what was made, with which settings, and what it says.
    """
    folder = Path(out)
    document = clean(
        {
            "schema": "opalesce.figures/1",
            "title": title,
            "lines": list(lines),
            "exhibits": [asdict(e) for e in exhibits],
        }
    )
    shown = [view_exhibit(e, i) for i, e in enumerate(clip(document)["exhibits"])]
    scripts = {"plotly": _plotly(), "paint": _text("paint.js"), "more": _text("exhibits.js")}
    drawn = {"exhibits": {p["key"]: p["drawn"] for e in shown for p in e["plates"]}}
    html = _fill(
        "figures.html.j2", title=clip(document["title"]), lines=clip(document["lines"]), exhibits=shown,
        light=css(LIGHT), dark=css(DARK), style=_text("page.css"), policy=policy(list(scripts.values())),
        data=script_json(drawn), **scripts,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / f"{name}.json", to_json(document, indent=1))
    return _put(folder / f"{name}.html", html)


def _fill(template: str, **parts: Any) -> str:
    return str(_environment().from_string(_text(template)).render(**parts))


def _environment() -> Any:
    from jinja2 import DictLoader, Environment

    # the default Undefined: what a document leaves out is left out of the page
    parts = DictLoader({"parts.html.j2": _text("parts.html.j2")})
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, loader=parts)


def _page(document: dict[str, Any], share: float) -> str:
    scripts = {"plotly": _plotly()} | {
        k: _text(f"{v}.js") for k, v in (("paint", "paint"), ("code", "page"), ("more", "exhibits"))
    }
    page = view(document, Budget.of(share))
    return _fill(
        "template.html.j2", **page, **scripts, style=_text("page.css"),
        policy=policy(list(scripts.values())), data=script_json(page["drawn"]),
    )  # fmt: skip


def policy(scripts: list[str]) -> str:
    """Content security policy: nothing is loaded, and only these scripts run.

    Styles are `unsafe-inline` because Plotly writes style elements and attributes; nothing on the page
    takes a style from the data. Plotly paints heat maps into `data:` images.
    """
    hashes = " ".join(f"'sha256-{_sha256(s)}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def _text(name: str) -> str:
    return files("opalesce.report").joinpath(name).read_text("utf-8").replace("\r\n", "\n")


def _plotly() -> str:
    return files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8").replace("\r\n", "\n")


def _put(path: Path, text: str) -> Path:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)  # mkstemp gives 0600; a report is made to be shared
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
