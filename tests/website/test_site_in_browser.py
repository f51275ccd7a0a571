"""The site in a real browser: no page requests anything but files of the site."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import browser

pytestmark = pytest.mark.slow

SITE = Path(__file__).resolve().parents[2] / "build" / "site"
PAGES = ["index.html", "tutorial.html", "api.html", "deciding.html", "project/index.html"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if not (SITE / "index.html").exists():
        pytest.skip("the site is not built; make docs builds it")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[browser.Page]:
    chromium = browser.find_chromium()
    if chromium is None:
        pytest.skip("Chromium is not installed; make test-browser installs it")
    with browser.running(chromium, tmp_path_factory.mktemp("profile")) as running:
        yield running.page()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_comes_from_elsewhere(page: browser.Page, url: str, name: str):
    seen = len(page.requests)
    page.open(f"{url}/{name}")
    requests = page.requests[seen:]
    assert requests[0] == f"{url}/{name}"
    assert len(requests) > 3
    assert [each for each in requests if not each.startswith((f"{url}/", "data:", "blob:"))] == []


def test_the_api_has_signatures_and_arguments(page: browser.Page, url: str):
    page.open(f"{url}/api.html")
    text = page.evaluate("document.querySelector('article').innerText")
    for part in (
        "push_destination",
        "compare_fn: Callable",
        "rollback",
        "every_slice_min_examples",
    ):
        assert part in text
