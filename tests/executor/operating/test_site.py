from __future__ import annotations

import html.parser
import re
from pathlib import Path

import pytest

from tests.cli.world import START, World
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.operating import holding, rollback
from tfx_best_exporter.executor.operating.history import HistoryItem
from tfx_best_exporter.executor.operating.site import trend_of, write_site
from tfx_best_exporter.executor.operating.status import Metric
from tfx_best_exporter.executor.storage import location_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(root=tmp_path)
    world.run("a", {"auc": 0.9})
    world.run("b", {"auc": 0.93})
    world.run("c", {"auc": 0.91})
    return world


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(value) for name, value in attrs if name in ("href", "src")]


def links_of(page: Path) -> list[str]:
    parser = Links()
    parser.feed(page.read_text())
    return parser.found


def test_every_link_leads_to_a_page_of_the_site(world: World, tmp_path: Path) -> None:
    index = write_site([world.exports], tmp_path / "site", world.now)
    assert index == tmp_path / "site" / "index.html"
    pages = [*(tmp_path / "site").rglob("*.html")]
    assert len(pages) == 5
    for page in pages:
        for link in links_of(page):
            # Versions and artifacts are outside of the site.
            if link.startswith("file:///"):
                continue
            assert link.startswith("#") or (page.parent / link).resolve() in pages
    (base_page,) = (page for page in pages if page.name == "index.html" and page != index)
    assert {"../index.html", "version-1795305600.html", "version-1795392000.html"} < {
        *links_of(base_page)
    }
    # The refused candidate has a page of its own.
    (refused,) = (page for page in pages if page.name.startswith("run-"))
    assert "auc 0.91 is not larger than the best" in refused.read_text()


def test_decisions_lead_to_the_ones_before_and_after(world: World, tmp_path: Path) -> None:
    index = write_site([world.exports], tmp_path / "site", world.now)
    (folder,) = (path for path in index.parent.iterdir() if path.is_dir())
    # The three runs exported, exported, and refused.
    names = ["version-1795305600.html", "version-1795392000.html", "run-0.html"]
    around: dict[str, dict[str, str]] = {}
    for name in names:
        found = re.findall(r'<a href="([^"]*)" rel="(prev|next)">', (folder / name).read_text())
        around[name] = {relation: link for link, relation in found}
    assert around == {
        names[0]: {"next": names[1]},
        names[1]: {"prev": names[0], "next": names[2]},
        names[2]: {"prev": names[1]},
    }
    text = (folder / names[0]).read_text()
    assert '<a href="index.html"><bdi>All decisions</bdi></a>' in text
    assert "Next: <bdi>version 1795392000, 2026-11-23" in text


def test_no_page_needs_a_network_or_a_script(world: World, tmp_path: Path) -> None:
    write_site([world.exports], tmp_path / "site", world.now)
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text()
        assert "default-src 'none'" in text
        assert "<script" not in text
        assert not re.search(r"(?:href|src)=\"https?:", text)


def test_a_fleet(world: World, tmp_path: Path) -> None:
    # Two base directories of the same name.
    other = World(root=tmp_path / "other")
    other.run("x", {"auc": 0.5})
    holding.hold(other.exports, until=None, reason="<b>holidays</b>", operator="ann", now=START)
    missing = ExportDirectory(location_of(str(tmp_path / "missing")))
    index = write_site([world.exports, other.exports, missing], tmp_path / "site", world.now)
    text = index.read_text()
    assert len({link.partition("/")[0] for link in links_of(index)}) == 2
    assert "until released by ann: &lt;b&gt;holidays&lt;/b&gt;" in text
    assert "base directory must exist" in text
    assert "1795392000" in text


def test_versions_that_are_gone_keep_their_page(world: World, tmp_path: Path) -> None:
    rollback.rollback(world.exports, reason="bad", operator="ann", now=world.now)
    write_site([world.exports], tmp_path / "site", world.now)
    (page,) = (tmp_path / "site").rglob("version-1795392000.html")
    assert "better than the best" in page.read_text()
    (base_page,) = (tmp_path / "site").glob("*/index.html")
    assert "withdrawn" in base_page.read_text()


def item(value: float, version: int | None = None, state: str = "kept") -> HistoryItem:
    metrics = (Metric(name="auc", value=value), Metric(name="loss", value=1.0))
    return HistoryItem(base="/b", state=state, version=version, at=START, metrics=metrics)


def test_the_trend_has_exported_and_refused_candidates_in_order() -> None:
    trend = trend_of(
        [item(0.8, 9, "SERVED"), item(0.5, state="refused"), item(0.6, 7), item(0.1, 7, "command")]
    )
    assert trend is not None
    assert trend.metric == "auc"
    assert [point.kind for point in trend.points] == ["exported", "refused", "served"]
    assert [point.x for point in trend.points] == sorted(point.x for point in trend.points)
    heights = [point.y for point in trend.points]
    assert heights[1] < heights[0] < heights[2]
    # The line joins what was served.
    assert [(one.kind, other.kind) for one, other in trend.lines] == [("exported", "served")]
    assert trend.points[2].title == "version 9, SERVED, 2026-11-22 00:00 UTC: 0.8"


@pytest.mark.parametrize(
    "items",
    [[], [item(0.5, 7)], [item(0.5, 7), item(float("nan"), 8)]],
    ids=["none", "one", "one and NaN"],
)
def test_too_few_values_for_a_trend(items: list[HistoryItem]) -> None:
    assert trend_of(items) is None
