from pathlib import Path

import pytest
import yaml

from website import links, navigation

ROOT = Path(__file__).resolve().parents[2]
NAVIGATION = navigation.with_folders(
    yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"], ROOT / "docs"
)
DOCS = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
OUTSIDE = links.linked_files(ROOT, [*DOCS, *navigation.pages_of(NAVIGATION)])
PATHS = sorted([*(f"docs/{page}" for page in DOCS), *OUTSIDE])


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("docs/files.md", "files.md"),
        ("docs/decisions/0001-dependency-lock.md", "decisions/0001-dependency-lock.md"),
        ("docs/report.png", "report.png"),
        ("README.md", "project/README.md"),
        ("benchmarks/results.md", "project/benchmarks/results.md"),
        ("benchmarks/decision_alpha.svg", "project/benchmarks/decision_alpha.svg"),
        ("executor/policies.py", "source/executor/policies.py.md"),
    ],
)
def test_each_file_has_a_page(path: str, page: str):
    assert links.page_of(path) == page
    assert links.path_of(page) == path


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("docs/a.md", "[x](b.md#c)", "[x](b.md#c)"),
        ("docs/a.md", "[x](#c)", "[x](#c)"),
        ("docs/a.md", "[x](https://semver.org/)", "[x](https://semver.org/)"),
        ("docs/a.md", "[x](../README.md#c)", "[x](project/README.md#c)"),
        ("docs/a.md", "[x](../proto/p.proto)", "[x](source/proto/p.proto.md)"),
        ("docs/decisions/1.md", "[x](../a.md), [y](2.md)", "[x](../a.md), [y](2.md)"),
        ("docs/decisions/1.md", "[x](../../cli/a.py)", "[x](../source/cli/a.py.md)"),
        ("README.md", "[x](docs/a.md), ![y](docs/b.png)", "[x](../a.md), ![y](../b.png)"),
        ("benchmarks/r.md", "[x](c.svg), [y](../README.md)", "[x](c.svg), [y](../README.md)"),
        ("README.md", "```text\n[x](docs/a.md)\n```\n", "```text\n[x](docs/a.md)\n```\n"),
        ("README.md", "````\n```\n````\n[x](docs/a.md)", "````\n```\n````\n[x](../a.md)"),
    ],
    ids=lambda value: value.replace("\n", " "),
)
def test_links_of_the_checkout_and_of_the_site(path: str, before: str, after: str):
    assert links.with_site_links(before, path) == after


@pytest.mark.parametrize("path", [path for path in PATHS if path.endswith(".md")])
def test_links_lead_to_pages_of_the_site(path: str):
    pages = {links.page_of(each) for each in PATHS}
    text = links.with_site_links((ROOT / path).read_text(encoding="utf-8"), path)
    folder = (ROOT / links.page_of(path)).parent
    for target in links.targets_of(text, "page"):
        page = (folder / target).resolve().relative_to(ROOT).as_posix()
        assert page in pages or (ROOT / "docs" / page).is_file(), target


def test_files_outside_docs_are_found():
    assert {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "benchmarks/decision_alpha.svg",
        "executor/deciding/decide.py",
        "proto/best_exporter.proto",
    } <= set(OUTSIDE)


def test_a_source_file_is_shown_as_it_is():
    page = links.source_page('"""A fence:\n````\n"""\n', "a/b.py")
    assert page.endswith('\n# `a/b.py`\n\n`````python\n"""A fence:\n````\n"""\n`````\n')
    assert page.startswith("---\nsearch:\n  exclude: true\n---\n")


def test_every_page_is_in_the_navigation_once():
    pages = navigation.pages_of(NAVIGATION)
    assert sorted(page for page in pages if not page.startswith("project/")) == sorted(DOCS)
    assert len(pages) == len(set(pages))
