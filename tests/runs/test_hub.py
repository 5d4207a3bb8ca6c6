"""Checkpoints on the hub, against a server on localhost; each command is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from opalesce.errors import InputError
from opalesce.runs.hub_open import parse_address
from opalesce.runs.safetensors import write
from tests.runs.conftest import path_of_states
from tests.runs.hub_server import Hub, serving

TOKEN = "hf_thisIsNoRealTokenButLooksLikeOne"
CONFIG = json.dumps({"model_type": "plain", "hidden_size": 16}).encode()


def packed(folder: Path, state: dict[str, np.ndarray]) -> bytes:
    return write(folder / "packed.safetensors", state).read_bytes()


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [packed(tmp_path_factory.mktemp("hub"), s) for s in path_of_states(6)]


@pytest.fixture
def hub(blobs: list[bytes]) -> Iterator[Hub]:
    refs = {f"step{i}": {"model.safetensors": b, "config.json": CONFIG} for i, b in enumerate(blobs)}
    refs["main"] = refs["step5"]
    with serving(Hub(refs=refs)) as h:
        yield h


def run(hub: Hub, cache: Path, *words: str, code: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "COVERAGE"))}
    env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "NO_PROXY": "*", "HF_HUB_DISABLE_TELEMETRY": "1"}
    what = ["-W", "error::DeprecationWarning", "-c", code] if code else ["-m", "opalesce", *words]
    return subprocess.run(
        [sys.executable, *what], env=env | extra, capture_output=True, text=True, cwd=cache, timeout=120
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    assert done.returncode in (0, 1), done.stderr
    return {f["kind"]: f for f in json.loads(done.stdout)["findings"]}


def test_check_finds_equal_checkpoints_without_a_download(hub: Hub, tmp_path: Path) -> None:
    hub.refs["step3"] = hub.refs["step1"]  # one state under two names
    hub.gone.add("step2")
    done = run(hub, tmp_path, "check", "hf://org/model@step*", "--json")
    found = findings(done)
    assert found["duplicate checkpoint"]["x"] == [1, 3]
    assert found["bad file"]["step"] == 2
    assert "404" in str(found["bad file"]["seen"])
    assert "values not read" in found
    size = len(hub.refs["step1"]["model.safetensors"])
    assert not any(a.method == "GET" and not a.span for a in hub.asked if ".safetensors" in a.path)
    assert hub.weights_sent() <= 5 * min(size, 1 << 17)
    scan = json.loads(done.stdout)["runs"][0]
    assert [hub.commit(f"step{i}") in scan["took"][i][0] for i in range(6)] == [True] * 6


def test_header_longer_than_the_first_range(hub: Hub, tmp_path: Path) -> None:
    many = {f"layer.{i}.{'name' * 20}": np.ones(1, np.float32) for i in range(2000)}
    for name in hub.refs:
        hub.refs[name] = {"model.safetensors": packed(tmp_path, many)}
    code = "import opalesce; print(len(opalesce.open('hf://org/model@step0').checkpoints[0].tensors()))"
    assert run(hub, tmp_path, code=code).stdout == "2000\n"
    spans = [a.span for a in hub.asked if a.span and a.host == "storage"]
    assert len(spans) == 2
    assert spans[1].startswith(f"bytes={1 << 17}-")
    hub.ranges = False  # a server that ignores the range
    hub.asked.clear()
    assert run(hub, tmp_path, code=code).stdout == "2000\n"


def test_measure_fetches_verifies_and_reads_offline(hub: Hub, tmp_path: Path) -> None:
    hub.refs["step4"] = {"model.safetensors": hub.refs["step4"]["model.safetensors"], "notes.bin": b"pickle"}
    words = ("measure", "hf://org/model@step[0-4]", "--observables", "stable_rank", "--out")
    first = run(hub, tmp_path, *words, str(tmp_path / "a"))
    assert first.returncode == 0, first.stderr
    files = {a.path.rpartition("/")[2] for a in hub.asked if a.method == "GET" and "resolve" in a.path}
    assert files == {"model.safetensors"}  # no pickle
    hub.asked.clear()
    again = run(hub, tmp_path, *words, str(tmp_path / "b"), HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert hub.asked == []
    assert (tmp_path / "a/measured.csv").read_text() == (tmp_path / "b/measured.csv").read_text()
    local = tmp_path / "local"
    for i in range(5):
        (local / f"step{i}").mkdir(parents=True)
        (local / f"step{i}/model.safetensors").write_bytes(hub.refs[f"step{i}"]["model.safetensors"])
    same = run(hub, tmp_path, "measure", str(local), *words[2:], str(tmp_path / "c"))
    assert same.returncode == 0, same.stderr
    values = [
        [line.split(",") for line in (tmp_path / d / "measured.csv").read_text().splitlines()] for d in "ac"
    ]
    assert len(values[0]) == 1 + 3 * 5
    assert values[0] == values[1]


def test_a_download_that_breaks_off_is_resumed(hub: Hub, tmp_path: Path) -> None:
    large = np.arange(6_000_000, dtype=np.float32)  # more than two of the library's chunks
    hub.refs = {"step0": {"model.safetensors": packed(tmp_path, {"w": large})}}
    hub.cut = 1
    code = "import opalesce; print(float(opalesce.open('hf://org/model@step0').checkpoints[0].read('w')[-1]))"
    assert run(hub, tmp_path, code=code).stdout == "5999999.0\n"
    whole = [a.span for a in hub.asked if a.host == "storage" and not a.span.endswith(f"-{(1 << 17) - 1}")]
    assert whole[0] == ""
    assert whole[1].endswith("-")
    assert int(whole[1].removeprefix("bytes=").rstrip("-")) > 0


def test_offline_without_a_cache_says_so(hub: Hub, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "check", "hf://org/model@step*", HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert "no such revision" in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.asked == []


def test_the_token_goes_to_the_hub_alone(hub: Hub, tmp_path: Path) -> None:
    hub.need = TOKEN
    done = run(
        hub, tmp_path, "measure", "hf://org/model@step*", "--observables", "stable_rank", HF_TOKEN=TOKEN
    )
    assert done.returncode == 0, done.stderr
    assert {a.token for a in hub.asked if a.host == "hub"} == {f"Bearer {TOKEN}"}
    assert {a.token for a in hub.asked if a.host == "storage"} == {""}
    # a range read that the hub sends on to another repository, to another host, and round in circles
    ref = hub.commit("step1")
    place = f"/org/model/resolve/{ref}/model.safetensors"
    code = f"""
import opalesce
from pathlib import Path
from opalesce.errors import InputError
from opalesce.runs.hub_http import byte_range
try:
    byte_range("org/model", "{ref}", "model.safetensors", 0, 8, Path("x"))
except InputError as error:
    print(error)
"""
    hub.need = ""
    for target in (
        "/other/repo/resolve/main/x",
        f"/org/model/%2e%2e/{'o'}ther",
        f"{hub.storage}/step1/x",
        place,
        "file:///etc/passwd",
    ):
        hub.moves = {place: target}
        hub.asked.clear()
        said = run(hub, tmp_path, code=code, HF_TOKEN=TOKEN)
        assert said.returncode == 0, said.stderr
        onward = [a for a in hub.asked if not a.path.startswith("/org/model/resolve/")]
        assert all(a.token == "" for a in onward)
        assert TOKEN not in said.stdout + said.stderr


def test_a_server_that_repeats_the_token_is_not_quoted(hub: Hub, tmp_path: Path) -> None:
    hub.need = "another"
    done = run(hub, tmp_path, "check", "hf://org/model@step*", HF_TOKEN=TOKEN)
    assert done.returncode == 2
    assert "hf auth login" in done.stderr
    hub.need = ""
    hub.gone.add("step1")
    for words in (("check", "--full"), ("measure", "--observables", "stable_rank")):
        out = run(hub, tmp_path, words[0], "hf://org/model@step*", *words[1:], HF_TOKEN=TOKEN)
        assert TOKEN not in out.stdout + out.stderr + done.stdout + done.stderr
        assert out.returncode == 1
    saved = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(saved) > 5
    assert not [p for p in saved if TOKEN.encode() in p.read_bytes()]


@pytest.mark.parametrize(
    "shard",
    [
        "../../other/repo/resolve/main/x.safetensors",
        "/etc/passwd",
        "a\\b.safetensors",
        "..",
        "%2e%2e%2fx.safetensors",
    ],
)
def test_hostile_shard_names_are_refused(hub: Hub, tmp_path: Path, shard: str) -> None:
    index = json.dumps({"weight_map": {"w": shard}}).encode()
    hub.refs["step1"] = {"model.safetensors.index.json": index, "model-00001-of-00001.safetensors": b"x"}
    found = findings(run(hub, tmp_path, "check", "hf://org/model@step*", "--json", HF_TOKEN=TOKEN))
    assert found["bad file"]["step"] == 1
    assert found["bad file"]["severity"] == "fault"
    assert not [a for a in hub.asked if "other" in a.path or "passwd" in a.path or "%2e" in a.path.lower()]


def test_hostile_listings_are_refused(hub: Hub, tmp_path: Path) -> None:
    rows = [
        {"type": "file", "path": p, "size": 8, "oid": "0" * 40}
        for p in ("../x.safetensors", "/x.safetensors", "a%2fb.safetensors", "\x1b[31m.safetensors", 7, None)
    ]
    hub.listing["step1"] = [
        *rows,
        {"type": "file", "path": "model.safetensors", "size": -1, "oid": "0" * 40},
        3,
    ]
    hub.refs["step2"] = {"pytorch_model.bin": b"pickle"}
    evil = "../../../outside/refs"
    hub.refs[evil] = hub.refs["step0"]
    done = run(hub, tmp_path, "check", "hf://org/model@*", "--json")
    scan = json.loads(done.stdout)["runs"][0]
    strange = [r["why"] for r in scan["left"] if "outside" in r["path"]]
    assert strange == ["a revision whose name is not plain"]
    bad = [f for f in json.loads(done.stdout)["findings"] if f["kind"] == "bad file"]
    assert [f["step"] for f in bad] == [1, 2]
    assert "pickle" in bad[1]["seen"]
    for answer in (b"[", b"[" * 100_000, b"{}", b"null", b"\xff"):
        hub.odd["/api/models/org/model/refs"] = answer
        done = run(hub, tmp_path, "check", "hf://org/model@step*")
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr


def test_content_that_is_not_what_was_promised(hub: Hub, tmp_path: Path) -> None:
    data = hub.refs["step1"]["model.safetensors"]
    tree = hub.tree("step1")
    hub.listing["step1"] = tree
    hub.refs["step1"] = {"model.safetensors": data[:-1] + bytes([data[-1] ^ 1]), "config.json": CONFIG}
    for _ in range(2):  # the broken download is not kept
        done = run(hub, tmp_path, "check", "--full", "hf://org/model@step1", "--json")
        seen = json.loads(done.stdout)["findings"]
        assert "not what the hub promised" in seen[0]["seen"]


def test_a_revision_that_moves_and_content_named_by_a_path(hub: Hub, tmp_path: Path) -> None:
    code = """
import opalesce
run = opalesce.open("hf://org/model@step1")
run.checkpoints[0].tensors()
try:
    run.checkpoints[0].read("norm.weight")
except opalesce.errors.InputError as error:
    print(error)
"""
    for hub.moved, hub.etag in (("a" * 40, ""), ("", "../../../../../out/evil"), ("../../evil", "")):
        said = run(hub, tmp_path, code=code)
        assert "has moved, or is not named by its content" in said.stdout, said.stderr
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name or p.suffix == ".safetensors"]


def test_workers_read_the_hub(hub: Hub, tmp_path: Path) -> None:
    words = ("measure", "hf://org/model@step*", "--observables", "stable_rank", "--jobs", "2", "--out", "m")
    done = run(hub, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "m/measured.csv").read_text().splitlines()) == 1 + 6 * 3


def test_a_busy_hub_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.busy = 2
    assert run(hub, tmp_path, "check", "hf://org/model@step*").returncode == 0
    assert len([a for a in hub.asked if a.path.endswith("/refs")]) == 3


def test_shards_tags_and_one_revision(hub: Hub, tmp_path: Path, blobs: list[bytes]) -> None:
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    parts = [{"a": np.full((4, 4), 1, np.float32)}, {"b": np.full((4, 4), 2, np.float32)}]
    shards = {n: packed(tmp_path, p) for n, p in zip(names, parts, strict=True)}
    index = json.dumps({"weight_map": dict(zip("ab", names, strict=True))}).encode()
    hub.refs = {"step7-tokens2B": {**shards, "model.safetensors.index.json": index}, "step9": shards,
                "step8": {names[0]: shards[names[0]]}}  # fmt: skip
    hub.tags = ("step7-tokens2B",)
    code = """
import opalesce
run = opalesce.open("hf://org/model@step*")
print([c.step for c in run], run.checkpoints[0].tokens, float(run.checkpoint(9).read("b").sum()))
print(sorted(run.checkpoints[0].tensors()), float(run.checkpoints[0].read("a").sum()))
try:
    run.checkpoint(8).tensors()
except opalesce.errors.FormatError as error:
    print(error)
"""
    said = run(hub, tmp_path, code=code)
    assert said.stderr == "" or "Traceback" not in said.stderr, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == "[7.0, 8.0, 9.0] 2000000000.0 32.0"
    assert lines[1] == "['a', 'b'] 16.0"
    assert "1 of 2 shards are not there" in lines[2]


def test_one_wrong_shard_is_found_without_a_download(hub: Hub, tmp_path: Path) -> None:
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    rng = np.random.default_rng(0)

    def shard(key: str) -> bytes:
        return packed(tmp_path, {key: rng.normal(size=(6, 6)).astype(np.float32)})

    hub.refs = {f"step{i}": dict(zip(names, (shard("a"), shard("b")), strict=True)) for i in range(6)}
    frozen = shard("b")
    hub.refs["step4"][names[0]] = hub.refs["step1"][names[0]]
    found = findings(run(hub, tmp_path, "check", "hf://org/model@step*", "--json"))
    assert found["duplicate shard"]["x"] == [1, 4]
    assert names[0] in str(found["duplicate shard"]["file"])
    assert "duplicate checkpoint" not in found
    for i in range(6):  # frozen weights are the same everywhere
        hub.refs[f"step{i}"] = {names[0]: shard("a"), names[1]: frozen}
    assert "duplicate shard" not in findings(run(hub, tmp_path, "check", "hf://org/model@step*", "--json"))


def test_without_the_extra_the_error_names_it(hub: Hub, tmp_path: Path) -> None:
    code = """
import sys
sys.modules["huggingface_hub"] = None
from opalesce.cli import main
sys.exit(main(["check", "hf://org/model@step*"]))
"""
    done = run(hub, tmp_path, code=code)
    assert done.returncode == 2
    assert "opalesce[hub]" in done.stderr


@pytest.mark.parametrize(
    "text",
    ["hf://", "hf:/org/model", "hf://org/../model", "hf://user:secret@host/model", "hf://org/model@../../x",
     "hf://org\\model", "hf://org/model%2f..", "hf://org/model/more", "hf://-org/model", "hf://org/model@\x1b[31m"],
)  # fmt: skip
def test_bad_addresses_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError, match="not an address") as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_good_addresses() -> None:
    assert parse_address("hf://EleutherAI/pythia-70m@step*").pattern == "step*"
    assert parse_address("hf://gpt2").pattern == "main"
    assert parse_address("hf://org/model_v1.5@stage1/step[0-9]00").repo == "org/model_v1.5"


def test_report_takes_addresses(hub: Hub, tmp_path: Path) -> None:
    words = (
        "report",
        "hf://org/model@step*",
        "--observables",
        "stable_rank",
        "--null",
        "hf://org/model@step[0-4]",
    )
    done = run(hub, tmp_path, *words, "--out", "out", HF_TOKEN=TOKEN)
    assert done.returncode in (0, 1), done.stderr
    page = json.loads((tmp_path / "out/report.json").read_text())
    assert TOKEN not in json.dumps(page) + (tmp_path / "out/report.html").read_text()
    assert "model@step3" in json.dumps(page)
    assert hub.commit("step3") in json.dumps(page)
    assert {r["role"]: r["path"] for r in page["inputs"]} == {
        "run": "hf://org/model@step*",
        "null": "hf://org/model@step[0-4]",
    }
    again = run(hub, tmp_path, "verify", "out/report.json", "--share", "1", HF_TOKEN=TOKEN)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "0 of them differ" in again.stdout


def test_plan_downloads_no_weights(hub: Hub, tmp_path: Path) -> None:
    done = run(
        hub, tmp_path, "plan", "hf://org/model@step*", "--observables", "norm", "--json", HF_TOKEN=TOKEN
    )
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert told["cells"] > 0
    assert "downloads are not in the time" in " ".join(told["notes"])
    assert not list((tmp_path).rglob("*.safetensors"))
