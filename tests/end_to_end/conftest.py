"""One real run and its two twins, trained once; trials of them share one store."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import require
from report.conftest import driver  # noqa: F401 - the same headless browser as in tests/report

from opalesce.systems import induction
from opalesce.transitions.result import Trial
from opalesce.transitions.trial import trial

RUNS = (("real1", 1, False), ("null1", 1, True), ("null2", 2, True))
# The declared panel of the system without its exploratory part, which costs a minute.
WITNESSES = ["loss", "induction_score", "token_match", "stable_rank@*.qk"]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with real1, null1 and null2: 600 steps each, a checkpoint every 10."""
    if find_spec("torch") is None:
        require("torch", "torch is not installed")
    from joblib import Parallel, delayed

    folder = tmp_path_factory.mktemp("lab")
    (folder / "store").mkdir()  # tests run in any order, and one of them links to it
    workers = min(len(RUNS), os.cpu_count() or 1)
    Parallel(n_jobs=workers)(delayed(induction.train)(folder / n, s, null=z) for n, s, z in RUNS)
    return folder


@pytest.fixture(scope="session")
def held(lab: Path) -> Trial:
    """The real run on trial, with its twins."""
    return judge(lab, "real1", "null1", "null2", store=lab / "store")


def judge(folder: Path, run: str, *null: str, store: Path, judge_twins: bool = True) -> Trial:
    return trial(
        folder / run,
        null=[folder / n for n in null],
        observables=WITNESSES,
        store=store,
        judge_twins=judge_twins,
    )


def linked(source: Path, target: Path, until: int | None = None) -> Path:
    """A run made of the files of another (hard links: same bytes, same time), cut after step `until`."""
    target.mkdir(parents=True)
    for path in sorted(source.glob("step*.safetensors")):
        if until is None or int(path.stem.removeprefix("step")) <= until:
            os.link(path, target / path.name)
    os.link(source / "config.json", target / "config.json")
    lines = (source / "log.jsonl").read_text().splitlines(keepends=True)
    (target / "log.jsonl").write_text("".join(lines if until is None else lines[: until // 10 + 1]))
    return target
