"""`opalesce.open("hf://org/model@step*")`: revisions of a repository become a run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from opalesce.errors import FormatError, InputError
from opalesce.runs.events import config_events
from opalesce.runs.hub import HubCheckpoint, config_of
from opalesce.runs.hub_files import kept
from opalesce.runs.hub_http import listing, offline
from opalesce.runs.run import Axis, Fault, Left, Run, Scan
from opalesce.runs.steps import parse_step

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_ADDRESS = re.compile(rf"hf://(?P<repo>{_WORD}(?:/{_WORD})?)(?:@(?P<revision>[A-Za-z0-9._+=*?\[\]!/-]+))?\Z")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+=-]*)*\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True)
class Address:
    """A repository and a pattern of its revisions."""

    repo: str
    pattern: str


def parse_address(text: str) -> Address:
    """`hf://org/model@pattern`; without a pattern, the revision `main`.

    Raises
    ------
    InputError
        Anything else. The words typed are not repeated: they may hold a token.
    """
    m = _ADDRESS.match(text)
    if m is None or ".." in text or "--" in m["repo"]:
        raise InputError(
            "not an address of a model on the hub",
            expected="hf://org/model@revision, where the revision may hold * and ?",
            got="another text (not shown: an address holds no token, user or port)",
            fix="opalesce check 'hf://EleutherAI/pythia-70m@step*'",
        )
    return Address(m["repo"], m["revision"] or "main")


def open_hub(text: str, name: str | None = None) -> Run:
    """The run at an address; one request lists its revisions, one or two read a config.

    Raises
    ------
    InputError
        No such repository or revision, none with a step in its name, or two states at one step.
    MissingExtra
        huggingface_hub is not installed.
    """
    address = parse_address(text)
    left: list[Left] = []
    refs = {address.pattern: address.pattern} if _COMMIT.match(address.pattern) else _refs(address, left)
    wanted = [r for r in sorted(refs) if fnmatchcase(r, address.pattern)]
    if not wanted:
        near = get_close_matches(address.pattern, sorted(refs), 3) or sorted(refs)[:3]
        raise InputError(
            f"hf://{address.repo} has no such revision",
            expected=f"one of {len(refs)} branches and tags, such as {', '.join(near) or 'none'}",
            got=address.pattern,
        )
    checkpoints = _placed(address, {r: refs[r] for r in wanted}, left)
    faults: list[Fault] = []
    config: dict[str, Any] = {}
    if checkpoints:
        config, error = config_of(checkpoints[-1])
        if error is not None:
            faults.append(
                Fault("no config", str(checkpoints[-1].paths[0]), error.got or error.what, error.expected,
                      error.fix, (checkpoints[-1].step,))
            )  # fmt: skip
    return Run(
        name or address.repo.rpartition("/")[2],
        None,
        tuple(checkpoints),
        {},
        tuple(config_events(config, f"hf://{address.repo}")),
        config,
        Scan(
            tuple((f"{c.paths[0]} (commit {c.commit})", "revision of the hub") for c in checkpoints),
            tuple(left),
            tuple(faults),
        ),
        Axis.of(np.array([c.step for c in checkpoints], float)),
        f"hf://{address.repo}@{address.pattern}",
    )


def _refs(address: Address, left: list[Left]) -> dict[str, str]:
    """Commit of each branch and tag; names that are not plain are left."""
    pairs: list[tuple[Any, Any]]
    if offline():
        pairs = [(ref, revision.commit_hash) for revision in kept(address.repo) for ref in revision.refs]
    else:
        answer = listing(address.repo, "refs")
        rows = [r for k in ("tags", "branches") for r in (_list(answer, k))]  # a branch goes before a tag
        pairs = [(r.get("name"), r.get("targetCommit")) for r in rows if isinstance(r, dict)]
    out: dict[str, str] = {}
    for ref, commit in pairs:
        if not isinstance(ref, str) or not _REF.match(ref) or ".." in ref:
            left.append(Left(ascii(ref)[:80], "a revision whose name is not plain"))
        elif not isinstance(commit, str) or not _COMMIT.match(commit):
            left.append(Left(ref[:80], "a revision without a commit"))
        else:
            out[ref] = commit
    return out


def _list(answer: object, key: str) -> list[Any]:
    found = answer.get(key, []) if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise FormatError("the hub's list of revisions is malformed", expected=f"a list of {key}")
    return found


def _placed(address: Address, refs: dict[str, str], left: list[Left]) -> list[HubCheckpoint]:
    """One checkpoint at each step, sorted; a revision without a step counts only when it is alone."""
    at: dict[float, HubCheckpoint] = {}
    for ref, commit in refs.items():
        tag = parse_step(ref)
        if tag is None and len(refs) > 1:
            left.append(Left(f"{address.repo}@{ref}", "no step in its name, beside revisions that have one"))
            continue
        c = HubCheckpoint(tag.step if tag else 0.0, address.repo, ref, commit, tag.tokens if tag else None)
        other = at.setdefault(c.step, c)
        if other is not c and other.commit == commit:
            left.append(Left(f"{address.repo}@{ref}", f"the same commit as {other.revision}"))
        elif other is not c:
            raise InputError(
                f"hf://{address.repo}@{address.pattern} holds more than one run",
                expected="states of one system, one at each step",
                got=f"{other.revision} and {ref} at step {c.step:g}",
                fix="a narrower pattern",
            )
    if not at:
        raise InputError(
            f"hf://{address.repo}@{address.pattern}: no revision has a step in its name",
            expected="names such as step1000",
            got=", ".join(list(refs)[:4]),
        )
    return [at[s] for s in sorted(at)]
