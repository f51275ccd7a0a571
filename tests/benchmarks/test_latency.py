"""Tests of the latency proxy. None of them depends on the speed of the machine."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
import urllib.parse
from collections.abc import Iterator

import pytest

from benchmarks import latency
from benchmarks.latency import LatencyProxy, Request

ALL_AT_ONCE = 12
CHUNKED = {"Transfer-Encoding": "chunked"}


class Upstream:
    """A server that replies with the request, over connections that stay open."""

    def __init__(self):
        self.bodies: list[bytes] = []
        self.connections = 0
        # The barrier blocks requests until ALL_AT_ONCE have arrived.
        self.barrier = threading.Barrier(ALL_AT_ONCE)


@contextlib.contextmanager
def running(upstream: Upstream) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            upstream.connections += 1
            super().setup()

        def handle_any(self) -> None:
            body = self.read_body()
            upstream.bodies.append(body)
            if self.path == "/together":
                upstream.barrier.wait(timeout=60)
            content = f"{self.command} {self.path} {len(body)}".encode()
            self.send_response(200)
            if self.path == "/until-end":
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)
                return
            if self.path == "/chunked":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in (content[:3], content[3:]):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")
                return
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def read_body(self) -> bytes:
            if "Transfer-Encoding" not in self.headers:
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size + 2)[:-2]
            self.rfile.readline()
            return body

        do_GET = do_HEAD = do_PUT = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def proxy(upstream) -> Iterator[LatencyProxy]:
    with running(upstream) as url, latency.latency_proxy(url, 0.001) as proxy:
        yield proxy


@pytest.fixture
def connection(proxy) -> Iterator[http.client.HTTPConnection]:
    with contextlib.closing(connect(proxy)) as connection:
        yield connection


def connect(proxy: LatencyProxy) -> http.client.HTTPConnection:
    address = urllib.parse.urlsplit(proxy.url)
    return http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, **arguments: object
) -> bytes:
    connection.request(method, path, **arguments)  # type: ignore[arg-type]
    return connection.getresponse().read()


class TestForwarding:
    def test_one_connection_for_many_requests(self, proxy, connection, upstream):
        assert ask(connection, "GET", "/a?b=c") == b"GET /a?b=c 0"
        assert ask(connection, "HEAD", "/a") == b""
        assert ask(connection, "PUT", "/b", body=b"x" * 3_000_000) == b"PUT /b 3000000"
        assert ask(connection, "GET", "/chunked") == b"GET /chunked 0"
        assert ask(connection, "GET", "/a") == b"GET /a 0"
        assert upstream.connections == 1
        assert [(request.method, request.path) for request in proxy.requests] == [
            ("GET", "/a?b=c"),
            ("HEAD", "/a"),
            ("PUT", "/b"),
            ("GET", "/chunked"),
            ("GET", "/a"),
        ]

    def test_response_without_a_length(self, connection):
        assert ask(connection, "GET", "/until-end") == b"GET /until-end 0"

    def test_client_that_waits_to_be_asked_for_the_body(self, connection, upstream):
        # botocore sends files like this. http.client skips the interim response.
        headers = {"Expect": "100-continue", "Content-Length": "3"}
        assert ask(connection, "PUT", "/a", body=b"abc", headers=headers) == b"PUT /a 3"
        assert upstream.bodies == [b"abc"]

    def test_body_in_chunks(self, connection, upstream):
        arguments = {"body": iter([b"ab", b"c"]), "encode_chunked": True}
        assert ask(connection, "PUT", "/a", headers=CHUNKED, **arguments) == b"PUT /a 3"
        assert upstream.bodies == [b"abc"]

    def test_connections_do_not_wait_for_each_other(self, proxy, upstream):
        def run() -> None:
            with contextlib.closing(connect(proxy)) as connection:
                ask(connection, "GET", "/together")

        threads = [threading.Thread(target=run) for _ in range(ALL_AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # The barrier breaks if the proxy forwards fewer requests in parallel.
        assert not upstream.barrier.broken
        assert len(proxy.take_requests()) == ALL_AT_ONCE
        assert proxy.take_requests() == []

    def test_request_takes_the_latency_at_least(self, upstream):
        with running(upstream) as url, latency.latency_proxy(url, 0.05) as proxy:
            with contextlib.closing(connect(proxy)) as connection:
                ask(connection, "GET", "/a")
            (request,) = proxy.requests
            assert request.ended - request.started >= 0.05

    def test_server_that_is_gone(self):
        upstream = Upstream()
        with running(upstream) as url:
            pass
        with latency.latency_proxy(url, 0.001) as proxy:
            with (
                contextlib.closing(connect(proxy)) as connection,
                pytest.raises(ConnectionError),
            ):
                ask(connection, "GET", "/a")
            assert proxy.requests == []


class TestInSequence:
    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            ([], 0),
            ([(0, 1), (1, 2), (2, 3)], 3),
            ([(0, 3), (0, 3), (0, 3)], 1),
            # One long request runs in parallel with three short ones, and another one follows.
            ([(0, 3), (0, 1), (1, 2), (2, 3), (3, 4)], 4),
            ([(1, 4), (0, 2), (3, 5)], 2),
        ],
        ids=["none", "chain", "parallel", "longest chain", "overlapping"],
    )
    def test_longest_chain(self, times, expected):
        requests = [
            Request(method="GET", path="/", started=started, ended=ended)
            for started, ended in times
        ]
        assert latency.in_sequence(requests) == expected
