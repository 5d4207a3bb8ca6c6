"""A stand-in for the Hugging Face hub on localhost: the endpoints really used, and a log of requests.

Weights are redirected to a second port, as the hub sends them to a storage host.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class Asked:
    """One request."""

    host: str  # "hub" or "storage"
    method: str
    path: str
    span: str
    token: str
    sent: int = 0


@dataclass
class Hub:
    """What the server holds and what it was asked. `refs`: name -> files; `echo` puts tokens in errors."""

    repo: str = "org/model"
    refs: dict[str, Files] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    gone: set[str] = field(default_factory=set)  # revisions that answer 404
    odd: dict[str, bytes] = field(default_factory=dict)  # path -> an answer of one's own
    moves: dict[str, str] = field(default_factory=dict)  # path -> Location
    listing: dict[str, list[object]] = field(default_factory=dict)  # revision -> a listing of one's own
    busy: int = 0  # so many answers 503 first
    cut: int = 0  # so many downloads broken off half way
    ranges: bool = True
    etag: str = ""  # what the content is called instead of its hash
    moved: str = ""  # the commit that is stated instead
    need: str = ""  # the token without which all is 401
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    storage: str = ""

    def commit(self, ref: str) -> str:
        return hashlib.sha1(f"{ref}{sorted(self.refs[ref])}".encode()).hexdigest()

    def ref_of(self, commit: str) -> str | None:
        return next((r for r in self.refs if commit in (r, self.commit(r))), None)

    def tree(self, ref: str) -> list[object]:
        if ref in self.listing:
            return self.listing[ref]
        rows: list[object] = [{"type": "directory", "path": "folder", "oid": "0" * 40, "size": 0}]
        for name, data in self.refs[ref].items():
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            row: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": oid}
            if name.endswith(".safetensors"):
                row["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            rows.append(row)
        return rows

    def weights_sent(self) -> int:
        """Bytes of weights that left the server."""
        return sum(a.sent for a in self.asked if ".safetensors" in a.path and not a.path.endswith(".json"))


def handler(hub: Hub, host: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "")
            self.seen = Asked(host, self.command, self.path, self.headers.get("Range", ""), token)
            hub.asked.append(self.seen)
            path = unquote(urlsplit(self.path).path)
            if hub.busy and host == "hub":
                hub.busy -= 1
                return self.answer(503, b"busy", {"Retry-After": "0"})
            if host == "hub" and hub.need and token != f"Bearer {hub.need}":
                return self.answer(
                    401, f"you sent {token}".encode(), {"X-Error-Message": f"you sent {token}"}
                )
            if path in hub.odd:
                return self.answer(200, hub.odd[path])
            if path in hub.moves:
                return self.answer(307, b"", {"Location": hub.moves[path]})
            parts = path.strip("/").split("/")
            if host == "storage":
                return self.file(parts[0], parts[1])
            if path == f"/api/models/{hub.repo}/refs":
                return self.refs()
            if path.startswith(f"/api/models/{hub.repo}/tree/"):
                ref = hub.ref_of(parts[-1])
                if ref is None or ref in hub.gone:
                    return self.answer(404, f"no such revision; you sent {token}".encode())
                return self.answer(200, json.dumps(hub.tree(ref)).encode())
            if path.startswith(f"/{hub.repo}/resolve/"):
                return self.resolve(parts)
            return self.answer(404, b"nothing here")

        def refs(self) -> None:
            def rows(kind: str, names: list[str]) -> list[dict[str, str]]:
                return [{"name": r, "ref": f"refs/{kind}/{r}", "targetCommit": hub.commit(r)} for r in names]

            tags = rows("tags", [r for r in hub.refs if r in hub.tags])
            branches = rows("heads", [r for r in hub.refs if r not in hub.tags])
            self.answer(200, json.dumps({"branches": branches, "tags": tags, "converts": []}).encode())

        def resolve(self, parts: list[str]) -> None:
            ref, name = hub.ref_of(parts[-2]), parts[-1]
            if ref is None or ref in hub.gone or name not in hub.refs[ref]:
                return self.answer(404, b"no such file", {"X-Error-Code": "EntryNotFound"})
            data = hub.refs[ref][name]
            large = name.endswith(".safetensors")
            etag = hashlib.sha256(data) if large else hashlib.sha1(b"blob %d\0" % len(data) + data)
            called = hub.etag or etag.hexdigest()
            about = {"X-Repo-Commit": hub.moved or hub.commit(ref), "ETag": f'"{called}"'}
            if large:
                about |= {"X-Linked-Etag": f'"{called}"', "X-Linked-Size": str(len(data))}
                return self.answer(302, b"", about | {"Location": f"{hub.storage}/{ref}/{name}"})
            return self.answer(200, data, about)

        def file(self, ref: str, name: str) -> None:
            data = hub.refs[ref][name]
            span = self.headers.get("Range", "")
            if span and hub.ranges:
                first, _, last = span.removeprefix("bytes=").partition("-")
                begin, end = int(first), min(int(last or len(data)), len(data) - 1)
                about = {"Content-Range": f"bytes {begin}-{end}/{len(data)}"}
                return self.answer(206, data[begin : end + 1], about)
            if hub.cut:
                hub.cut -= 1
                self.answer(200, data, {}, len(data) // 2)
                self.close_connection = True
                return None
            return self.answer(200, data)

        def answer(
            self, status: int, body: bytes, about: dict[str, str] | None = None, only: int | None = None
        ) -> None:
            self.send_response(status)
            for key, value in (about or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                try:
                    self.wfile.write(body[:only])
                    self.seen.sent += len(body[:only])
                except (BrokenPipeError, ConnectionResetError):  # the client has seen enough
                    self.close_connection = True

    return Handler


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub and its storage host, each on a free port of this machine."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler(hub, host)) for host in ("hub", "storage")]
    hub.url, hub.storage = (f"http://127.0.0.1:{s.server_address[1]}" for s in servers)
    threads = [threading.Thread(target=s.serve_forever, args=(0.05,), daemon=True) for s in servers]
    for t in threads:
        t.start()
    try:
        yield hub
    finally:
        for s in servers:
            s.shutdown()
            s.server_close()
        for t in threads:
            t.join()
