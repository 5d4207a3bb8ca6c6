"""Files of one revision on the hub: which hold weights, and their place in huggingface_hub's cache."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError, InputError
from opalesce.runs.hub_http import library, listing, offline
from opalesce.runs.shards import INDEX, shard_names

MAX_JSON = 50_000_000  # bytes of an index or a config
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*\Z")
_SHARD = re.compile(r"(?P<stem>.*)-(?P<i>\d{5})-of-(?P<n>\d{5})\.safetensors\Z")


@dataclass(frozen=True)
class Stored:
    """A file of a revision. `digest`: `sha256:...`, or `git:...` where it is small enough to be in git."""

    name: str
    size: int
    digest: str


def plain_file(name: object) -> bool:
    """Whether a name from the server is a bare, harmless file name."""
    return isinstance(name, str) and bool(_FILE.match(name)) and ".." not in name


def listed(repo: str, commit: str, place: Path) -> dict[str, Stored]:
    """Weights, index and config at the top of a revision, by name; the cache's where we are offline.

    Raises
    ------
    InputError
        The revision cannot be listed.
    FormatError
        The listing is malformed.
    """
    if offline():
        return _cached(repo, commit, place)
    rows = listing(repo, f"tree/{commit}")
    if not isinstance(rows, list):
        raise FormatError(f"{place}: the hub's listing is malformed", expected="a list of files")
    out = {}
    for row in rows:
        if isinstance(row, dict) and row.get("type") == "file" and plain_file(row.get("path")):
            name, size = row["path"], row.get("size")
            lfs = row.get("lfs")
            sha = lfs.get("oid") if isinstance(lfs, dict) else None
            known = f"sha256:{sha}" if _hex(sha, 64) else f"git:{row.get('oid')}"
            if type(size) is int and 0 <= size < 2**63 and _hex(known.partition(":")[2], 40, 64):
                out[name] = Stored(name, size, known)
    return out


def _hex(text: object, *lengths: int) -> bool:
    return isinstance(text, str) and len(text) in lengths and not set(text) - set("0123456789abcdef")


@lru_cache(maxsize=4)
def kept(repo: str) -> list[Any]:
    """Revisions of a repository in huggingface_hub's cache; asked offline only, so looked up once."""
    hub = library()
    try:
        repos = hub.scan_cache_dir().repos
    except hub.errors.CacheNotFound:
        return []
    return [v for r in repos if (r.repo_id, r.repo_type) == (repo, "model") for v in r.revisions]


def _cached(repo: str, commit: str, place: Path) -> dict[str, Stored]:
    for revision in kept(repo):
        if revision.commit_hash == commit:
            out = {}
            for f in revision.files:
                kind = "sha256" if len(f.blob_path.name) == 64 else "git"
                if plain_file(f.file_name):
                    out[f.file_name] = Stored(f.file_name, f.size_on_disk, f"{kind}:{f.blob_path.name}")
            return out
    raise InputError(
        f"{place}: not in the cache, and HF_HUB_OFFLINE is set",
        expected="a revision that was read before",
        fix="unset HF_HUB_OFFLINE, or open the revisions that are there",
    )


def choose(found: dict[str, Stored], place: Path, load: Callable[[Stored], Path]) -> tuple[Stored, ...]:
    """Files that hold the weights: those of the index, else model.safetensors, else the only ones.

    Raises
    ------
    FormatError
        None, several states, a missing shard, or an index that names a path.
    """
    if INDEX in found:
        names = shard_names(load(found[INDEX]).read_bytes(), f"{place}/{INDEX}")
    elif "model.safetensors" in found:
        names = ["model.safetensors"]
    else:
        names = sorted(n for n in found if n.endswith(".safetensors"))
        parts = [m for m in map(_SHARD.match, names) if m]
        if parts and len(parts) == len(names):
            n = int(parts[0]["n"])
            names = [f"{parts[0]['stem']}-{i:05d}-of-{n:05d}.safetensors" for i in range(1, min(n, 9999) + 1)]
        elif len(names) > 1:
            raise FormatError(
                f"{place}: several weight files and no index",
                expected="one state",
                got=", ".join(names[:4]),
            )
    missing = [n for n in names if n not in found]
    if missing:
        raise FormatError(
            f"{place}: {len(missing)} of {len(names)} shards are not there", expected=missing[0][:80],
            fix="read it with the hub (unset HF_HUB_OFFLINE), or leave this revision out",
        )  # fmt: skip
    if not names:
        pickles = sorted(n for n in found if n.endswith((".bin", ".pt", ".pth", ".ckpt")))
        raise FormatError(
            f"{place}: no safetensors weights",
            expected="model.safetensors, or shards with an index",
            got=f"{pickles[0]}: a pickle, which is not fetched" if pickles else "none of them",
            fix="a revision with safetensors, or a download that you convert yourself",
        )
    return tuple(found[n] for n in names)


def local(repo: str, commit: str, file: str) -> Path | None:
    """The file in the cache, or None."""
    path = library().try_to_load_from_cache(repo, file, revision=commit)
    return Path(path) if isinstance(path, str) else None


def fetch(repo: str, revision: str, commit: str, file: Stored, place: Path) -> Path:
    """The file in huggingface_hub's cache, downloaded unless it is there, and verified once.

    The revision is asked for by its name, so that the cache knows it offline, and must still be `commit`. The
    library names its files by what the server calls their content: only a hash may name one.

    Raises
    ------
    InputError
        The download failed, or the revision has moved.
    FormatError
        The file is too long for what it is, or its content is not what its SHA-256 says.
    """
    here = local(repo, commit, file.name)
    if here is not None:
        return here
    if file.name.endswith(".json") and file.size > MAX_JSON:
        raise FormatError(
            f"{place}/{file.name}: too long", expected=f"at most {MAX_JSON} bytes", got=f"{file.size}"
        )
    hub = library()
    try:
        about = hub.get_hf_file_metadata(hub.hf_hub_url(repo, file.name, revision=revision))
        if about.commit_hash == commit and _hex(about.etag, 40, 64):
            path = Path(hub.hf_hub_download(repo, file.name, revision=revision, library_name="opalesce"))
        else:
            path = Path(ascii(about.commit_hash)) / file.name
    except (hub.errors.HfHubHTTPError, hub.utils.httpx.HTTPError, ValueError, OSError) as error:
        answer = getattr(error, "response", None)
        raise InputError(
            f"{place}/{file.name}: the download failed",
            got=type(error).__name__ + (f", HTTP {answer.status_code}" if answer is not None else ""),
            fix="run it again: files that are complete are kept",
        ) from None
    if path.parent.name != commit:
        raise InputError(
            f"{place}: the revision has moved, or is not named by its content", expected=f"commit {commit}",
            got=path.parent.name[:60], fix="open the run again",
        )  # fmt: skip
    _verify(path, file, place)
    return path


def _verify(path: Path, file: Stored, place: Path) -> None:
    kind, _, want = file.digest.partition(":")
    h = hashlib.sha256()
    if kind == "git":
        h = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            h.update(block)
    if h.hexdigest() != want:
        for broken in (path.resolve(), path):  # the content, then its name: it must not be found again
            broken.unlink(missing_ok=True)
        raise FormatError(
            f"{place}/{file.name}: the download is not what the hub promised",
            expected=file.digest,
            got=f"{kind}:{h.hexdigest()}",
            fix="run it again",
        )
