"""From results to text that is safe to write: strict JSON, no control characters, no way out of a script."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# Control characters, lone surrogates (undecodable file names) and marks that reorder the text around them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_OUT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def clean(value: Any) -> Any:
    """`value` as plain JSON types: arrays to lists, numbers that are not finite to None.

    Control characters, lone surrogates and bidirectional marks in strings become U+FFFD, so that no
    name can hide or reorder what stands beside it. What JSON does not know is written by `str`.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _UNSAFE.sub("\ufffd", value)
    if isinstance(value, (np.bool_, np.integer)):
        return value.item()
    if isinstance(value, int):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return clean(value.tolist())
    if isinstance(value, Mapping):
        return {clean(str(k)): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [clean(v) for v in value]
    return clean(str(value))


def clip(value: Any, limit: int = 2000) -> Any:
    """`value` with every string cut to `limit` characters, for the page; the JSON twin keeps all."""
    if isinstance(value, str):
        return value if len(value) <= limit else value[: limit - 1] + "…"
    if isinstance(value, dict):
        return {k: v if k == "bibtex" else clip(v, limit) for k, v in value.items()}
    if isinstance(value, list):
        return [clip(v, limit) for v in value]
    return value


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON (no NaN, no Infinity) of `clean(value)`."""
    return json.dumps(clean(value), ensure_ascii=False, allow_nan=False, indent=indent)


def script_json(value: Any) -> str:
    """JSON that can stand inside a `<script>` element: `<`, `>`, `&` and line separators escaped."""
    text = json.dumps(clean(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda m: _OUT[m[0]], text)


def plotly_text(text: Any) -> str:
    """Text that Plotly draws as it stands: it reads tags, entities and `%{...}` in labels."""
    out = str(clean(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return out.replace("%{", "%&#123;")
