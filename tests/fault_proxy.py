"""An HTTP proxy for the server of a store that simulates network faults."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Reply:
    """Replies without forwarding the request to the server."""

    status: int
    body: bytes = b""


class Reset:
    """Resets the connection without forwarding the request to the server."""


class LoseReply:
    """Forwards the request to the server, and resets the connection instead of replying."""


class Truncate:
    """Returns only half of the server's reply."""


@dataclasses.dataclass(frozen=True)
class DropHeaders:
    """Removes headers from the request to the server."""

    names: tuple[str, ...]


Fault = Reply | Reset | LoseReply | Truncate | DropHeaders


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of a client."""

    method: str
    path: str


class FaultProxy:
    """A proxy whose `plan` chooses a fault for each request, or None to forward it."""

    def __init__(self, upstream_url: str):
        self.upstream = urllib.parse.urlsplit(upstream_url)
        self.url = ""
        self.requests: list[Request] = []
        self.faulted: list[Request] = []
        self._plan: Callable[[Request], Fault | None] = lambda request: None
        self._guard = threading.Lock()

    def always(self, fault: Fault | None, method: str = "") -> None:
        """Applies a fault to every later request, or to those of one method."""
        self.plan(lambda request: fault if method in ("", request.method) else None)

    def times(self, count: int, fault: Fault, method: str = "") -> None:
        """Applies a fault to the next requests, or to the next requests of one method."""
        left = [count]

        def decide(request: Request) -> Fault | None:
            if left[0] and method in ("", request.method):
                left[0] -= 1
                return fault
            return None

        self.plan(decide)

    def plan(self, decide: Callable[[Request], Fault | None]) -> None:
        """Calls `decide` for every later request."""
        with self._guard:
            self._plan = decide
            self.requests.clear()
            self.faulted.clear()

    def decide(self, request: Request) -> Fault | None:
        with self._guard:
            # The Google Cloud Storage client requests the bucket in a separate thread.
            if "/o" not in request.path and "/storage/v1/b/" in request.path:
                return None
            self.requests.append(request)
            fault = self._plan(request)
            if fault:
                self.faulted.append(request)
            return fault


@contextlib.contextmanager
def fault_proxy(upstream_url: str) -> Iterator[FaultProxy]:
    """Runs a proxy in front of a server."""
    proxy = FaultProxy(upstream_url)

    class Handler(_Handler):
        pass

    Handler.proxy = proxy
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two packets. With Nagle's algorithm the second would wait for the first
    # one's acknowledgment.
    disable_nagle_algorithm = True
    proxy: FaultProxy

    def _handle(self) -> None:
        body = self._read_body()
        fault = self.proxy.decide(Request(self.command, self.path))
        if isinstance(fault, Reset):
            self._reset()
        elif isinstance(fault, Reply):
            self._reply(fault.status, [], fault.body)
        else:
            dropped = fault.names if isinstance(fault, DropHeaders) else ()
            status, headers, content = self._forward(body, dropped)
            if isinstance(fault, LoseReply):
                self._reset()
            else:
                self._reply(status, headers, content, is_truncated=isinstance(fault, Truncate))

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _forward(
        self, body: bytes, dropped: tuple[str, ...]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        hop = {"connection", "content-length", "expect", "transfer-encoding"}
        hop |= {name.lower() for name in dropped}
        headers = {key: value for key, value in self.headers.items() if key.lower() not in hop}
        headers["Content-Length"] = str(len(body))
        upstream = http.client.HTTPConnection(
            str(self.proxy.upstream.hostname), self.proxy.upstream.port, timeout=60
        )
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, body, headers)
            reply = upstream.getresponse()
            return reply.status, reply.getheaders(), reply.read()

    def _reply(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        *,
        is_truncated: bool = False,
    ) -> None:
        self.send_response_only(status)
        lengths = [value for key, value in headers if key.lower() == "content-length"]
        for key, value in headers:
            if key.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(key, value)
        length = lengths[0] if self.command == "HEAD" and lengths else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if is_truncated else content)
        if is_truncated:
            self.close_connection = True

    def _reset(self) -> None:
        # A linger time of 0 makes the client see a reset instead of an end of the stream.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        # The connection may be closed already.
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""
