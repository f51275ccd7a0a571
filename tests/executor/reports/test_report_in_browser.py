"""The report in a real browser. The tests leave screenshots in build/screenshots/."""

import http.server
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import browser
from tests.browser import Browser, Page
from tests.executor.reports import decisions
from tfx_best_exporter.executor.reports.report import to_html

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(__file__).resolve().parents[3] / "build" / "screenshots"
PHONE, WIDE = 390, 1280
# Widths of paper without its margins, at 96 pixels an inch.
A5, A4, LETTER = 438, 673, 695
CASES = list(decisions.CASES)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = browser.find_chromium()
    if path is None:
        pytest.skip("Chromium is not installed; make test-browser installs it")
    with browser.running(path, tmp_path_factory.mktemp("profile")) as running:
        yield running


class Site:
    """A server of pages that records the requested paths."""

    def __init__(self, url: str, pages: dict[str, str], asked: list[str]):
        self.url, self.pages, self.asked = url, pages, asked


@pytest.fixture
def site() -> Iterator[Site]:
    pages: dict[str, str] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = pages.get(self.path, "").encode()
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Site(f"http://127.0.0.1:{server.server_port}", pages, asked)
        server.shutdown()
        thread.join()


OpenReport = Callable[[str], Page]


@pytest.fixture
def open_report(chromium: Browser, site: Site) -> Iterator[OpenReport]:
    """Returns a function that opens the report of a case. The report must request nothing else."""
    page = chromium.page()

    def open_case(name: str) -> Page:
        site.pages["/report.html"] = to_html(decisions.CASES[name]())
        page.open(f"{site.url}/report.html")
        return page

    yield open_case
    assert page.requests == [f"{site.url}/report.html"]
    assert site.asked == ["/report.html"]
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    # Chromium complains if the page's content security policy blocks a style.
    assert page.complaints == []
    page.close()


def test_what_is_fetched_would_be_seen(chromium: Browser, site: Site):
    site.pages["/"] = '<!doctype html><img src="/seen.png"><img src="http://host.invalid/x.png">'
    page = chromium.page()
    page.open(f"{site.url}/")
    # A browser may also request /favicon.ico.
    assert {f"{site.url}/", f"{site.url}/seen.png", "http://host.invalid/x.png"} <= set(
        page.requests
    )
    assert "/seen.png" in site.asked
    assert page.complaints != []
    page.close()


def test_the_policy_of_the_page_stops_what_would_be_fetched(chromium: Browser, site: Site):
    report = to_html(decisions.better())
    harm = (
        '<img src="/image.png"><script>document.title = "run"</script>'
        '<script src="/script.js"></script><style>body { background: url("/style.png") }</style>'
        '<iframe src="/frame.html"></iframe><p style="color: red">'
    )
    site.pages["/"] = report.replace("</body>", f"{harm}</body>")
    page = chromium.page()
    page.open(f"{site.url}/")
    assert site.asked == ["/"]
    assert page.evaluate("document.title") == "Exported: better than the best · penguin"
    complaints = "\n".join(page.complaints)
    for directive in ("img-src", "script-src", "style-src", "frame-src"):
        assert directive in complaints
    page.close()


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_wider_than_the_screen(open_report: OpenReport, name: str):
    page = open_report(name)
    for width in (320, PHONE, 703, 704, 959, 960, WIDE):
        page.resize(width)
        for is_open in (False, True):
            page.evaluate(
                f"document.querySelectorAll('details').forEach(each => each.open = {is_open:d})"
            )
            assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("name", CASES)
def test_screenshots_of_paper(open_report: OpenReport, name: str):
    page = open_report(name)
    page.emulate(media="print")
    for width in (A5, LETTER, A4):
        page.resize(width)
        assert page.evaluate("document.documentElement.scrollWidth") == width
    # Rows are rows, which takes a third of the pages that cards would take.
    assert page.evaluate("getComputedStyle(document.querySelector('tbody tr')).display") == (
        "table-row"
    )
    page.screenshot(SCREENSHOTS / f"{name}-paper.png")


@pytest.mark.parametrize("name", CASES)
def test_screenshots(open_report: OpenReport, name: str):
    page = open_report(name)
    for width, scheme in ((PHONE, "light"), (WIDE, "light"), (PHONE, "dark"), (WIDE, "dark")):
        page.resize(width)
        page.emulate(scheme=scheme)
        path = SCREENSHOTS / f"{name}-{width}-{scheme}.png"
        page.screenshot(path)
        content = path.read_bytes()
        # The width is in the image's header.
        assert (content[:8], int.from_bytes(content[16:20], "big")) == (b"\x89PNG\r\n\x1a\n", width)


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_text_is_visible(open_report: OpenReport, width: int):
    page = open_report("better")
    page.resize(width)
    text = page.evaluate("document.body.innerText")
    for line in (
        "Exported: better than the best",
        decisions.better().explanation,
        "better by 0.021",
        "All 3 passed",
        "auc: the 28 slices that changed most, of 12,000.",
        decisions.NOT_KEPT,
        decisions.DIGEST,
    ):
        assert line in text
    # Rows after the first ones are folded until the reader expands them.
    assert "cz" not in text
    page.evaluate("document.querySelector('#slices ~ div summary').click()")
    assert "cz" in page.evaluate("document.body.innerText")


BOXES = """
[...document.querySelectorAll(%r)].map(each => {
  const box = each.getBoundingClientRect(), chart = each.closest('svg.plot').getBoundingClientRect()
  return [box.left - chart.left, box.right - chart.left, box.top - chart.top, chart.width]
})
"""


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_marks_of_the_metrics(open_report: OpenReport, width: int):
    page = open_report("better")
    page.resize(width)
    candidates = page.evaluate(BOXES % "td .plot circle.candidate-mark")
    bests = page.evaluate(BOXES % "td .plot path.best-mark")
    assert len(candidates) == len(bests) == 2
    for left, right, _, chart in candidates + bests:
        # Shapes keep their size and are inside the chart.
        assert 9 < right - left < 18
        assert 0 <= left < right <= chart
    # The candidate's auc is larger and its loss is smaller.
    assert candidates[0][0] > bests[0][1]
    assert candidates[1][1] < bests[1][0]
    (goal,) = page.evaluate(BOXES % "td .plot line.goal")
    assert bests[0][1] < goal[0] < candidates[0][0]
    # The chart fills the available width.
    assert candidates[0][3] > (330 if width == PHONE else 250)


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_marks_of_the_history(open_report: OpenReport, width: int):
    page = open_report("guardrail_failed")
    page.resize(width)
    marks = {
        kind: page.evaluate(BOXES % f"g.point .{kind}-mark.shape")
        for kind in ("retired", "kept", "served", "refused", "candidate")
    }
    assert {kind: len(boxes) for kind, boxes in marks.items()} == {
        "retired": 4,
        "kept": 4,
        "served": 1,
        "refused": 1,
        "candidate": 0,
    }
    in_order = marks["retired"] + marks["kept"] + marks["served"] + marks["refused"]
    assert [box[0] for box in in_order] == sorted(box[0] for box in in_order)
    # The candidate, 0.942, is above the best, 0.93.
    assert marks["refused"][0][2] < marks["served"][0][2]


@pytest.mark.parametrize("media", ["", "print"])
@pytest.mark.parametrize("width", [320, PHONE, 704, 960, WIDE])
def test_labels_of_an_axis_stand_apart(open_report: OpenReport, width: int, media: str):
    page = open_report("crowded")
    page.resize(width)
    page.emulate(media=media)
    labels = page.evaluate(BOXES % "td .plot .tick")
    assert len(labels) == 3
    for (_, right, *_), (left, *_) in itertools.pairwise(labels):
        assert left - right > 4


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_marks_of_a_dense_history(open_report: OpenReport, width: int):
    page = open_report("crowded")
    page.resize(width)
    faint = page.evaluate(
        "[...document.querySelectorAll('.history .faint')].map("
        "each => getComputedStyle(each)).map(each => [each.stroke, each.strokeWidth])"
    )
    # The chart has 198 faint intervals and 198 faint steps of the line.
    assert faint == [["rgb(223, 227, 232)", "1px"]] * 396
    retired = page.evaluate(BOXES % "g.point .retired-mark")
    kept = page.evaluate(BOXES % "g.point .kept-mark")
    assert (len(retired), len(kept)) == (171, 27)
    for left, right, *_ in retired + kept:
        assert 3 < right - left < 6
    (served,) = page.evaluate(BOXES % "g.point .served-mark")
    (refused,) = page.evaluate(BOXES % "g.point .refused-mark")
    # The mark of the candidate does not cover the mark of the served export.
    assert refused[0] > served[1]


def test_hostile_names_are_shown_and_not_run(open_report: OpenReport):
    page = open_report("not_significant")
    text = page.evaluate("document.body.innerText")
    assert decisions.HOSTILE in text
    assert "right\\u202eto left\\u2066 isolated\\nnew line\\x00" in text
    assert page.evaluate("document.scripts.length + document.images.length") == 0
    assert page.evaluate("document.title").endswith(f" · {decisions.HOSTILE}")


@pytest.mark.parametrize(
    ("media", "scheme", "color", "background"),
    [
        ("", "light", "rgb(23, 26, 32)", "rgb(255, 255, 255)"),
        ("", "dark", "rgb(232, 235, 239)", "rgb(18, 21, 25)"),
        ("print", "light", "rgb(0, 0, 0)", "rgb(255, 255, 255)"),
        ("print", "dark", "rgb(0, 0, 0)", "rgb(255, 255, 255)"),
    ],
)
def test_colors(open_report: OpenReport, media: str, scheme: str, color: str, background: str):
    page = open_report("better")
    page.emulate(media=media, scheme=scheme)
    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"[{style}.color, {style}.backgroundColor]") == [color, background]


# Each text of the page with its own color, and the color behind it. Every background is opaque.
TEXTS = """
(() => {
  const found = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement
    if (!text || !element.checkVisibility() || element.closest('.unseen, thead, style')) continue
    let behind = element
    while (getComputedStyle(behind).backgroundColor == 'rgba(0, 0, 0, 0)') {
      behind = behind.parentElement
    }
    const style = getComputedStyle(element), isSvg = element.namespaceURI.endsWith('svg')
    found.push([text, isSvg ? style.fill : style.color, getComputedStyle(behind).backgroundColor])
  }
  return found
})()
"""


def channels(color: str) -> list[float]:
    return [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]


def luminance(color: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels(color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("media", ["", "print"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["better", "guardrail_failed", "not_blessed"])
def test_contrast_of_every_text(open_report: OpenReport, name: str, scheme: str, media: str):
    page = open_report(name)
    page.resize(PHONE)
    page.emulate(scheme=scheme, media=media)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    texts = page.evaluate(TEXTS)
    assert len(texts) > 100
    weak = {}
    for text, color, behind in texts:
        darker, lighter = sorted((luminance(color), luminance(behind)))
        if (lighter + 0.05) / (darker + 0.05) < 4.5:
            weak[text] = (color, behind)
    # WCAG 2 AA requires 4.5 for text.
    assert weak == {}


def test_dark_mode_is_dark(open_report: OpenReport):
    page = open_report("better")
    page.emulate(scheme="dark")
    grounds = {behind for _, _, behind in page.evaluate(TEXTS)}
    assert len(grounds) == 2
    assert all(luminance(ground) < 0.02 for ground in grounds)


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_one_click_selects_a_command(open_report: OpenReport, width: int):
    page = open_report("better")
    page.resize(width)
    expected = f"best-exporter rollback /serving/penguin --to {decisions.SERVED} --reason REASON"
    found = page.evaluate("""
        [...document.querySelectorAll('.commands code')].map(each => {
          getSelection().selectAllChildren(each)
          return [getSelection().toString(), getComputedStyle(each).userSelect]
        })
    """)
    assert [expected, "all"] in found
    # No line ends inside of an option.
    rows = page.evaluate(
        "[...document.querySelectorAll('.commands code span')].map(each => "
        "each.getClientRects().length)"
    )
    assert set(rows) == {1}


@pytest.mark.parametrize("name", CASES)
def test_no_heading_stands_alone(open_report: OpenReport, name: str):
    page = open_report(name)
    empty = page.evaluate(
        "[...document.querySelectorAll('section')].filter(each => "
        "!each.querySelector('h2 + div').innerText.trim()).map(each => each.innerText)"
    )
    assert empty == []
    groups = page.evaluate(
        "[...document.querySelectorAll('table')].filter(each => "
        "!each.querySelector('tbody tr')).length"
    )
    assert groups == 0


def test_groups_of_slices_have_their_columns_at_the_same_places(open_report: OpenReport):
    page = open_report("better")
    page.resize(WIDE)
    columns = page.evaluate("""
        [...document.querySelectorAll('.slices table')].filter(each => each.checkVisibility()).map(
          each => [...each.querySelectorAll('thead th')].map(
            cell => Math.round(cell.getBoundingClientRect().left)))
    """)
    assert len(columns) == 3
    assert columns[0] == columns[1] == columns[2]


def test_on_paper_everything_is_unfolded(open_report: OpenReport):
    page = open_report("better")
    visible = "[...document.querySelectorAll('details > *')].map(each => each.checkVisibility())"
    # On a screen only the summaries are visible; on paper everything except them.
    summaries = page.evaluate(
        "[...document.querySelectorAll('details > *')].map(each => each.localName == 'summary')"
    )
    assert len(summaries) > summaries.count(True) > 3
    page.resize(WIDE)
    page.emulate()
    # The history's table has folded rows inside a folded part.
    folded = page.evaluate(visible)
    assert all(is_summary for is_summary, is_seen in zip(summaries, folded, strict=True) if is_seen)
    page.emulate(media="print")
    unfolded = page.evaluate(visible)
    assert unfolded == [not is_summary for is_summary in summaries]


@pytest.mark.parametrize("width", [PHONE, WIDE])
def test_content_for_a_screen_reader(open_report: OpenReport, width: int):
    page = open_report("better")
    page.resize(width)
    nodes = page.accessible_nodes()
    assert nodes.count(("heading", "Exported: better than the best")) == 1
    assert ("region", "Metrics") in nodes
    assert ("table", "The candidate compared with the best") in nodes
    # A row that is displayed as a card keeps its role.
    assert ("columnheader", "Candidate") in nodes
    assert ("rowheader", "auc higher is better") in nodes
    (chart,) = [
        name for role, name in nodes if role == "image" and name.startswith("auc Candidate")
    ]
    assert chart == (
        "auc Candidate 0.951, interval 0.944 to 0.958. Best 0.93, interval 0.922 to 0.938."
        " Value to beat: 0.935."
    )
