"""An HTTP proxy that adds latency to every request to a server on this machine.

An object store answers in about 20 ms, a server on loopback in a few. A sequence of requests takes
much longer with a store for that reason. The proxy delays each request before it forwards it.
Connections stay open and do not wait for each other, so parallel requests are delayed in parallel.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import queue
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence

_CHUNK_BYTES = 256 << 10
_START_SECONDS = 10.0
_CONTENT_LENGTH = re.compile(rb"^content-length:\s*(\d+)\s*$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:\s*chunked\s*$", re.IGNORECASE | re.MULTILINE)
_CLOSE = re.compile(rb"^connection:\s*close\s*$", re.IGNORECASE | re.MULTILINE)
_EXPECT = re.compile(rb"^expect:\s*100-continue\r\n", re.IGNORECASE | re.MULTILINE)
# Statuses of responses that have no body, whatever their headers say.
_NO_BODY = frozenset({204, 304})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that the proxy forwarded.

    Attributes:
        method: HTTP method.
        path: Path with the query.
        started: Time when its headers had arrived, in seconds of a monotonic clock.
        ended: Time when the server's response arrived at the proxy.
    """

    method: str
    path: str
    started: float
    ended: float


def in_sequence(requests: Sequence[Request]) -> int:
    """Returns the length of the longest chain of requests that do not overlap in time."""
    count, ended = 0, float("-inf")
    for request in sorted(requests, key=lambda request: request.ended):
        if request.started >= ended:
            count, ended = count + 1, request.ended
    return count


class LatencyProxy:
    """A running proxy.

    Attributes:
        url: URL for clients.
        requests: Forwarded requests, in the order of their responses.
    """

    def __init__(self, upstream_url: str, seconds: float):
        """Makes a proxy, which `latency_proxy` runs.

        Args:
            upstream_url: URL of the server.
            seconds: Delay of each request.
        """
        upstream = urllib.parse.urlsplit(upstream_url)
        self._host, self._port = str(upstream.hostname), upstream.port
        self._seconds = seconds
        self.url = ""
        self.requests: list[Request] = []

    def take_requests(self) -> list[Request]:
        """Returns the requests since the last call."""
        taken, self.requests = self.requests, []
        return taken

    async def serve(self, on_start: Callable[[Callable[[], None]], None]) -> None:
        """Listens on a free loopback port until it is stopped.

        Args:
            on_start: Function that is called when the proxy listens. Its argument is a function
                that stops the proxy from any thread.
        """
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        on_start(lambda: loop.call_soon_threadsafe(stopped.set) and None)
        await stopped.wait()
        # Clients may keep connections open. The end of the loop closes them.
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # If the client or the server disconnects, both connections end.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
            with contextlib.closing(upstream_writer):
                while await self._forward(reader, writer, upstream_reader, upstream_writer):
                    pass
        writer.close()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream_writer: asyncio.StreamWriter,
    ) -> bool:
        """Forwards one request and its response; returns whether the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        started = time.monotonic()
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        await asyncio.sleep(self._seconds)
        head, expects = _EXPECT.subn(b"", head)
        if expects:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        upstream_writer.write(head)
        await _pass_body(head, reader, upstream_writer)
        reply = await upstream_reader.readuntil(b"\r\n\r\n")
        self.requests.append(
            Request(method=method, path=path, started=started, ended=time.monotonic())
        )
        writer.write(reply)
        is_open = not _CLOSE.search(head) and not _CLOSE.search(reply)
        if method != "HEAD" and int(reply.split(b" ", 2)[1]) not in _NO_BODY:
            await _pass_body(reply, upstream_reader, writer, until_end=True)
            is_open = is_open and bool(_CONTENT_LENGTH.search(reply) or _CHUNKED.search(reply))
        await writer.drain()
        return is_open


async def _pass_body(
    head: bytes,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    until_end: bool = False,
) -> None:
    """Forwards the body of a request or a response.

    Args:
        head: Headers, which have the length of the body.
        reader: Source of the body.
        writer: Destination of the body.
        until_end: Whether a body without a length lasts until the connection ends, as that of a
            response does.
    """
    if _CHUNKED.search(head):
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            writer.write(line)
            await _pass_bytes(size + 2, reader, writer)
    elif match := _CONTENT_LENGTH.search(head):
        await _pass_bytes(int(match[1]), reader, writer)
    elif until_end:
        while content := await reader.read(_CHUNK_BYTES):
            writer.write(content)
            await writer.drain()


async def _pass_bytes(
    count: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while count:
        content = await reader.read(min(count, _CHUNK_BYTES))
        if not content:
            raise asyncio.IncompleteReadError(b"", count)
        count -= len(content)
        writer.write(content)
        await writer.drain()


@contextlib.contextmanager
def latency_proxy(upstream_url: str, seconds: float) -> Iterator[LatencyProxy]:
    """Runs a proxy for a server in a separate thread.

    Args:
        upstream_url: URL of the server.
        seconds: Delay of each request.

    Raises:
        queue.Empty: The proxy does not start.
    """
    proxy = LatencyProxy(upstream_url, seconds)
    started: queue.Queue[Callable[[], None]] = queue.Queue()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve(started.put)), daemon=True)
    thread.start()
    stop = started.get(timeout=_START_SECONDS)
    try:
        yield proxy
    finally:
        stop()
        thread.join()
