"""A small HTTP server that speaks the Hugging Face hub's protocol, for the real client to download from.

Large files are answered as the hub does: a redirect to another host (``localhost`` instead of ``127.0.0.1``), which
must not see the access token. Faults can be ordered: transfers that break, stall or arrive altered.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_let-me-in"


@dataclass
class Request:
    method: str
    path: str
    range: str | None
    authorized: bool


@dataclass
class FakeHub:
    """What the server offers, what it shall do wrong, and what it was asked."""

    models: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    """Listed for everyone, downloaded with the token only."""
    private: set[str] = field(default_factory=set)
    faults: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """File -> what happens to its next transfers, one after the other: ("close" | "reset" | "stall", after bytes),
    ("alter", 0), ("status", 503), ("ignore range", 0)."""
    requests: list[Request] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def transfers(self, file: str) -> list[Request]:
        """The requests for the content of ``file``, after redirects."""
        return [r for r in self.requests if r.method == "GET" and r.path.startswith("/cdn/") and file in r.path]


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve ``hub`` on a free port of 127.0.0.1."""

    class Handler(_Handler):
        offer = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    offer: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        authorized = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        self.offer.requests.append(Request(self.command, path, self.headers.get("Range"), authorized))
        if match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._content(match[2], self.offer.models[match[1]][match[2]])
            return
        match = re.fullmatch(r"(?:/api/models)?/([^/]+/[^/]+?)(?:/(revision|tree|resolve)/([^/]+)(?:/(.+))?)?", path)
        model_id, verb, file = (match[1], match[2], match[4]) if match else ("", None, None)
        files = self.offer.models.get(model_id)
        if self.headers.get("Authorization") and not authorized:
            self._refuse(401, message="Invalid credentials in Authorization header")
        elif files is None:
            self._refuse(404, "RepoNotFound")
        elif model_id in self.offer.private and not authorized:
            self._refuse(401)
        elif verb in (None, "revision"):
            siblings = [{"rfilename": name} for name in files]
            self._json({"id": model_id, "sha": COMMIT, "siblings": siblings, "private": False})
        elif verb == "tree":
            self._json([_listed(name, content) for name, content in files.items()])
        elif model_id in self.offer.gated and not authorized:
            self._refuse(401, "GatedRepo")
        elif file not in files:
            self._refuse(404, "EntryNotFound")
        elif _is_large(file):
            host = self.offer.url.replace("127.0.0.1", "localhost")
            self.send_response(302)
            self.send_header("Location", f"{host}/cdn/{model_id}/{file}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Size", str(len(files[file])))
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(files[file]).hexdigest()}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._content(file, files[file])

    def _content(self, file: str, content: bytes) -> None:
        faults = self.offer.faults.get(file, [])
        fault, after = faults.pop(0) if faults and self.command == "GET" else ("", 0)
        if fault == "status":
            self._refuse(after)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1]) if self.headers.get("Range") else 0
        if fault == "ignore range":
            start = 0
        if fault == "alter":
            content = bytes([content[0] ^ 1]) + content[1:]
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:after] if fault in ("close", "reset", "stall") else body)
        self.wfile.flush()
        if fault == "stall":
            self.offer.stalled.set()
            self.connection.recv(1)  # returns when the client is gone
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if fault in ("close", "reset", "stall"):
            self.close_connection = True

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str = "", message: str = "") -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if message:
            self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _is_large(file: str) -> bool:
    return file.endswith((".safetensors", ".bin"))


def _listed(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob}
    if _is_large(name):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
