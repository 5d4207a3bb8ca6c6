"""Requests to the Hugging Face hub: small answers and byte ranges; nothing of an answer is trusted.

The token comes from huggingface_hub and goes to one place only: the hub itself, below the paths of the
repository that was asked for. Redirects are followed by hand, so that a storage host or another repository
gets no token. The words of a server never enter an error: it could send the token back in them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from opalesce.errors import FormatError, InputError, MissingExtra
from opalesce.runs.bounded import parse_json

MAX_ANSWER = 20_000_000  # bytes of a listing
HOPS, TRIES, PATIENCE, TIMEOUT = 5, 5, 60.0, 30.0
_AGAIN = {408, 429, 500, 502, 503, 504}


def library() -> Any:
    """The module huggingface_hub.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "hub") from error
    return huggingface_hub


def offline() -> bool:
    """Whether HF_HUB_OFFLINE is set: only the cache is read."""
    return bool(library().constants.HF_HUB_OFFLINE)


def listing(repo: str, what: str) -> Any:
    """JSON of `/api/models/{repo}/{what}`.

    Raises
    ------
    InputError
        Not there, not permitted, or the hub cannot be reached.
    FormatError
        The answer is no JSON, or too long.
    """
    place = f"hf://{repo}"
    raw = _get(repo, f"/api/models/{repo}/{what}", place, limit=MAX_ANSWER)
    if len(raw) > MAX_ANSWER:
        raise FormatError(f"{place}: the hub's answer is too long", expected=f"at most {MAX_ANSWER} bytes")
    return parse_json(raw, f"{place}: the hub's answer")


def byte_range(repo: str, commit: str, file: str, begin: int, end: int, path: Path) -> bytes:
    """Bytes `begin` to `end` of a file of a repository; the rest is not transferred.

    Raises
    ------
    InputError
        See `listing`.
    FormatError
        The server sent fewer bytes.
    """
    url = f"/{repo}/resolve/{commit}/{quote(file)}"
    raw = _get(repo, url, str(path), limit=end - begin, span=(begin, end))
    if len(raw) < end - begin:
        raise FormatError(
            f"{path}: the hub sent too little", expected=f"{end - begin} bytes", got=f"{len(raw)} bytes"
        )
    return raw[: end - begin]


def _get(repo: str, url: str, place: str, limit: int, span: tuple[int, int] | None = None) -> bytes:
    """At most a little more than `limit` bytes of an answer; patient with a hub that is busy."""
    httpx = library().utils.httpx
    for attempt in range(TRIES):
        try:
            status, wait, raw = _follow(repo, url, place, limit, span)
        except httpx.TransportError as error:  # a broken connection may be whole again the next time
            if attempt:
                raise _unreachable(place, type(error).__name__) from None
            status, wait, raw = 503, 0.0, b""
        except (OSError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise _unreachable(place, type(error).__name__) from None
        if status in (200, 206):
            return raw
        if status not in _AGAIN:
            break
        if attempt < TRIES - 1:
            time.sleep(min(wait or 2.0**attempt, PATIENCE))
    raise _refused(place, status)


def _follow(
    repo: str, url: str, place: str, limit: int, span: tuple[int, int] | None
) -> tuple[int, float, bytes]:
    """(status, seconds to wait, body) at the end of the redirects."""
    hub = library()
    home = hub.constants.ENDPOINT.rstrip("/")
    target = home + url
    for _ in range(HOPS):
        headers = hub.utils.build_hf_headers(
            library_name="opalesce", token=None if _ours(target, home, repo) else False
        )
        headers["Accept-Encoding"] = "identity"
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        with hub.utils.get_session().stream(
            "GET", target, headers=headers, follow_redirects=False, timeout=TIMEOUT
        ) as answer:
            if answer.status_code in (301, 302, 303, 307, 308):
                target = _onwards(target, answer.headers.get("location", ""), place)
                continue
            after = answer.headers.get("retry-after", "")
            wait = float(after) if after.isdigit() else 0.0
            if answer.status_code not in (200, 206):
                return answer.status_code, wait, b""
            skip = span[0] if span is not None and answer.status_code == 200 else 0  # Range was ignored
            body = bytearray()
            for chunk in answer.iter_bytes(1 << 16):
                drop = min(skip, len(chunk))
                skip -= drop
                body += chunk[drop:]
                if len(body) > limit or (span is not None and len(body) == limit):
                    break
            return answer.status_code, 0.0, bytes(body)
    raise InputError(f"{place}: the hub sends us round in circles", expected=f"at most {HOPS} redirects")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or (443 if parts.scheme == "https" else 80),
    )


def _ours(url: str, home: str, repo: str) -> bool:
    """Whether a token may go there: the hub itself, below the paths of this repository."""
    path = unquote(urlsplit(url).path).removeprefix(urlsplit(home).path)
    inside = path.startswith((f"/{repo}/", f"/api/models/{repo}/")) and ".." not in path.split("/")
    return inside and _origin(url) == _origin(home)


def _onwards(url: str, location: str, place: str) -> str:
    allowed = {"https"} if url.startswith("https://") else {"http", "https"}
    try:
        target = urljoin(url, location)
        if location and urlsplit(target).scheme in allowed and urlsplit(target).hostname:
            return target
    except ValueError:
        pass
    raise InputError(
        f"{place}: the hub sends us nowhere", expected=f"a redirect to {' or '.join(sorted(allowed))}"
    )


def _unreachable(place: str, why: str) -> InputError:
    return InputError(
        f"{place}: the hub cannot be reached",
        expected="an answer, or HF_HUB_OFFLINE=1 and a filled cache",
        got=why,
        fix="try again later; what was downloaded is kept",
    )


def _refused(place: str, status: int) -> InputError:
    if status in (401, 403):
        return InputError(
            f"{place}: not permitted",
            expected="a public repository, or a token that may read it",
            got=f"HTTP {status}",
            fix="hf auth login (or the variable HF_TOKEN), and accept the model's terms on its page",
        )
    if status == 404:
        return InputError(f"{place}: not there", expected="a repository, revision and file", got="HTTP 404",
                          fix="check the spelling; a private repository needs: hf auth login")  # fmt: skip
    return InputError(f"{place}: the hub refuses", got=f"HTTP {status}", fix="try again later")
