from pathlib import Path

import pytest

from website import check

PAGE = """<!doctype html><html><head><link rel="stylesheet" href="style.css"></head>
<body><h1 id="top">A</h1><a href="{link}">a</a>{more}</body></html>"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "style.css").write_text("body { background: url('a.png') }")
    (tmp_path / "other.html").write_text('<h2 id="there">B</h2><a name="old"></a>')
    (tmp_path / "folder" / "index.html").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "link",
    [
        "other.html",
        "other.html#there",
        "other.html#old",
        "#top",
        "folder/",
        "folder/../other.html",
        "#__search",
        "https://semver.org/",
        "mailto:somebody",
    ],
)
def test_a_site_without_problems(site: Path, link: str):
    (site / "index.html").write_text(PAGE.format(link=link, more=""))
    assert check.problems(site) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("absent.html", "links to absent.html, which does not exist."),
        ("other.html#here", "links to other.html#here, which has no such heading."),
        ("#there", "links to #there, which has no such heading."),
        ("../outside.html", "links to ../outside.html, which does not exist."),
        ("/other.html", "links to /other.html, which is not relative."),
    ],
)
def test_links_that_lead_nowhere(site: Path, link: str, problem: str):
    (site / "index.html").write_text(PAGE.format(link=link, more=""))
    assert check.problems(site) == [f"index.html {problem}"]


def test_the_page_for_missing_pages_has_absolute_links(site: Path):
    (site / "404.html").write_text(PAGE.format(link="/other.html#there", more=""))
    assert check.problems(site) == []
    (site / "404.html").write_text(PAGE.format(link="/absent.html", more=""))
    assert check.problems(site) == ["404.html links to /absent.html, which does not exist."]


@pytest.mark.parametrize(
    "element",
    [
        '<script src="{}"></script>',
        '<img src="{}">',
        '<link rel="stylesheet" href="{}">',
        '<iframe src="{}"></iframe>',
    ],
)
@pytest.mark.parametrize("url", ["https://host.invalid/a.js", "//host.invalid/a.js"])
def test_what_the_network_would_load(site: Path, element: str, url: str):
    (site / "index.html").write_text(PAGE.format(link="#top", more=element.format(url)))
    assert check.problems(site) == [f"index.html loads {url}."]


def test_what_a_style_would_load(site: Path):
    (site / "index.html").write_text(PAGE.format(link="#top", more=""))
    (site / "style.css").write_text('@import "https://host.invalid/font.css";')
    [problem] = check.problems(site)
    assert problem.startswith("style.css loads @import")
