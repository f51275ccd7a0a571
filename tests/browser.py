"""Controls a headless Chromium through the pipe of its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
TIMEOUT_SECONDS = 60


def find_chromium() -> str | None:
    """Returns the path of Chromium, or None if it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """A tab, with its network requests, console messages and content."""

    def __init__(self, browser: Browser, target: str):
        self._browser, self._target = browser, target
        reply = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = reply["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def open(self, url: str) -> None:
        """Opens a URL, and returns when the page is loaded."""
        seen = len(self._browser.events)
        assert "errorText" not in self.call("Page.navigate", url=url)
        self._browser.wait(lambda event: event["method"] == "Page.loadEventFired", seen)

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)

    def evaluate(self, expression: str) -> Any:
        reply = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    def resize(self, width: int, height: int = 800) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def emulate(self, *, media: str = "", scheme: str = "light") -> None:
        """Shows the page as in print (`media="print"`) or in dark mode (`scheme="dark"`)."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def screenshot(self, path: Path, *, height: int | None = None, scale: float = 1) -> None:
        """Saves the page as an image.

        Args:
            path: Path of the image.
            height: Height of the part at the top; None for the whole page.
            scale: Pixels of the image for each pixel of the page.
        """
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = size | {"scale": scale, "height": min(size["height"], height or size["height"])}
        reply = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(reply["data"]))

    def accessible_nodes(self) -> list[tuple[str, str]]:
        """Returns the role and name of every node that screen readers see."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"]
        ]

    @property
    def requests(self) -> list[str]:
        """URLs of all requests, including the page and blocked requests."""
        events = self._events("Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in events]

    @property
    def complaints(self) -> list[str]:
        """Messages in the console, such as violations of a Content-Security-Policy."""
        events = self._events("Log.entryAdded")
        return [event["params"]["entry"]["text"] for event in events]

    def _events(self, method: str) -> list[dict[str, Any]]:
        # Chromium sends a reply after all earlier events.
        self.evaluate("0")
        return [event for event in self._browser.events if event["method"] == method]


class Browser:
    """A running Chromium."""

    def __init__(self, to_browser: int, from_browser: int):
        self._to_browser, self._from_browser = to_browser, from_browser
        self._ids, self._buffer = itertools.count(1), b""
        self._replies: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    def page(self) -> Page:
        """Returns a new tab, and forgets the events of other tabs."""
        self.events.clear()
        return Page(self, self.call("Target.createTarget", url="about:blank")["targetId"])

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while number not in self._replies:
            self._read(deadline)
        reply = self._replies.pop(number)
        assert "error" not in reply, f"{method}: {reply['error']}"
        return reply["result"]

    def wait(self, is_awaited: Any, seen: int = 0) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not any(map(is_awaited, self.events[seen:])):
            self._read(deadline)

    def _read(self, deadline: float) -> None:
        ready, _, _ = select.select([self._from_browser], [], [], deadline - time.monotonic())
        if not ready:
            raise TimeoutError(f"Chromium did not answer within {TIMEOUT_SECONDS} seconds.")
        content = os.read(self._from_browser, 1 << 20)
        if not content:
            raise EOFError("Chromium has ended.")
        *messages, self._buffer = (self._buffer + content).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._replies[message["id"]] = message
            else:
                self.events.append(message)


def _pipe() -> tuple[int, int]:
    """Returns both ends of a pipe, with numbers that Chromium does not use itself."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return high[0], high[1]


@contextlib.contextmanager
def running(chromium: str, profile_path: Path) -> Iterator[Browser]:
    """Yields a browser with its own profile, and ends it.

    Args:
        chromium: Path of the program.
        profile_path: Empty directory for the profile.
    """
    child_input, to_browser = _pipe()
    from_browser, child_output = _pipe()
    arguments = [chromium, *FLAGS, f"--user-data-dir={profile_path}", "about:blank"]
    # Chromium reads from file descriptor 3 and writes to 4.
    script = f'exec "$@" 3<&{child_input} 4>&{child_output} {child_input}<&- {child_output}>&-'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *arguments],
        pass_fds=(child_input, child_output),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(child_input)
    os.close(child_output)
    try:
        browser = Browser(to_browser, from_browser)
        yield browser
        with contextlib.suppress(EOFError):
            browser.call("Browser.close")
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to_browser)
        os.close(from_browser)
