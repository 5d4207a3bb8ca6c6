"""Checkpoints on the Hugging Face hub: `hf://org/model@step*`, revisions as the control axis.

Opening lists the revisions and reads one config.json. Headers come by byte ranges, identities (SHA-256) from
the listing of a revision: `check` compares checkpoints without a download. Weights are fetched file by file
when their tensors are read, into the cache of huggingface_hub, and verified once against their SHA-256; with
HF_HUB_OFFLINE=1 the cache alone is read. No file but safetensors weights, their index and config.json is
ever fetched. Names that come from the server are used only where they are plain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from opalesce.errors import FormatError, InputError
from opalesce.runs.bounded import read_json
from opalesce.runs.header import Header, header_length, parse_header
from opalesce.runs.hub_files import MAX_JSON, Stored, choose, fetch, listed, local
from opalesce.runs.hub_http import byte_range
from opalesce.runs.lent import Lent
from opalesce.runs.run import TensorInfo
from opalesce.runs.safetensors import SafetensorsCheckpoint

GUESS = 1 << 17  # bytes of the first range: most headers fit


@dataclass(frozen=True)
class HubCheckpoint(Lent):
    """One revision of a repository. Satisfies `opalesce.runs.run.Checkpoint`.

    Making one asks nothing: a revision that is gone or broken raises from the method that first needs it.

    Attributes
    ----------
    step : float
        Place on the control axis.
    repo, revision, commit : str
        Where it is, and the commit that the revision was when the run was opened.
    """

    step: float
    repo: str
    revision: str
    commit: str
    tokens: float | None = field(default=None, compare=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its address, for people: `org/model@step3`."""
        return (Path(f"{self.repo}@{self.revision}"),)

    @cached_property
    def files(self) -> tuple[Stored, ...]:
        """The files that hold its weights.

        Raises
        ------
        InputError
            The revision cannot be listed.
        FormatError
            It holds no safetensors, lacks a shard, or its index names what is no plain file name.
        """
        place = self.paths[0]
        found = listed(self.repo, self.commit, place)
        return choose(found, place, lambda file: fetch(self.repo, self.revision, self.commit, file, place))

    @cached_property
    def _headers(self) -> dict[str, Header]:
        return {f.name: self._header(f) for f in self.files}

    def _header(self, file: Stored) -> Header:
        path = self.paths[0] / file.name
        here = local(self.repo, self.commit, file.name)
        if here is not None:
            with here.open("rb") as stream:
                length = header_length(stream.read(8), file.size, path)
                return parse_header(stream.read(length), file.size, path)
        end = min(GUESS, file.size)
        raw = byte_range(self.repo, self.commit, file.name, 0, end, path) if end else b""
        end = 8 + header_length(raw[:8], file.size, path)
        if end > len(raw):
            raw += byte_range(self.repo, self.commit, file.name, len(raw), end, path)
        return parse_header(raw[8:end], file.size, path)

    @cached_property
    def _home(self) -> dict[str, Stored]:
        """The file of each tensor."""
        found: dict[str, Stored] = {}
        for file in self.files:
            for name in self._headers[file.name].entries:
                if name in found:
                    raise FormatError(
                        f"{self.paths[0] / file.name}: tensor {name!r} is also in {found[name].name}",
                        expected="each tensor in one shard",
                    )
                found[name] = file
        return found

    def tensors(self) -> Mapping[str, TensorInfo]:
        """Headers only, by byte ranges; sorted by name.

        Raises
        ------
        InputError, FormatError
            The revision cannot be reached, or a file breaks its own format.
        """
        out = {}
        for name, file in sorted(self._home.items()):
            e = self._headers[file.name].entries[name]
            out[name] = TensorInfo(name, e.dtype, e.shape, e.end - e.begin, self.paths[0] / file.name)
        return out

    def promised(self, name: str) -> str:
        """Identity of a tensor, known without a download: the SHA-256 of its file, and its name."""
        return hashlib.blake2b(f"{self._home[name].digest} {name}".encode(), digest_size=16).hexdigest()

    def fingerprint(self) -> str:
        """blake2b of the names, sizes and SHA-256 of its files (hex); nothing is downloaded."""
        text = "".join(f"{f.name}|{f.size}|{f.digest};" for f in self.files)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @cached_property
    def whole(self) -> SafetensorsCheckpoint:
        """All files of this revision, fetched.

        Raises
        ------
        InputError, FormatError
            The download failed, or differs from its SHA-256.
        """
        place = self.paths[0]
        paths = tuple(fetch(self.repo, self.revision, self.commit, f, place) for f in self.files)
        return SafetensorsCheckpoint(self.step, paths, self.tokens)


def config_of(checkpoint: HubCheckpoint) -> tuple[dict[str, Any], FormatError | InputError | None]:
    """config.json of a revision ({} where it has none), and what went wrong."""
    c = checkpoint
    try:
        found = listed(c.repo, c.commit, c.paths[0])
        if "config.json" not in found:
            return {}, None
        path = fetch(c.repo, c.revision, c.commit, found["config.json"], c.paths[0])
        content = read_json(path, MAX_JSON)
    except (FormatError, InputError) as error:
        return {}, error
    return (content, None) if isinstance(content, dict) else ({}, None)
