"""The page on adding a storage lists the verbs of the protocol with their docstrings."""

import inspect
import re
from pathlib import Path

from tests.executor.storage.conftest import SUITE
from tests.executor.storage.memory import MemoryStorage
from tfx_best_exporter.executor.storage.protocol import Storage
from tfx_best_exporter.executor.storage.registry import STORAGES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding-a-storage.md").read_text(encoding="utf-8")


def rows_of(heading: str) -> list[list[str]]:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def verbs() -> list[str]:
    return [name for name, value in vars(Storage).items() if name[0] != "_" and callable(value)]


def test_the_verbs_are_those_of_the_protocol():
    assert [(row[0].strip("`"), row[1]) for row in rows_of("Verbs")] == [
        (name, (inspect.getdoc(getattr(Storage, name)) or "").splitlines()[0]) for name in verbs()
    ]


def test_the_attributes_are_those_of_the_protocol():
    assert [row[0].strip("`") for row in rows_of("Attributes")] == [
        *inspect.get_annotations(Storage)
    ]


def test_the_example_has_every_verb():
    assert [name for name in verbs() if name not in vars(MemoryStorage)] == []


def test_every_registered_storage_is_in_the_behavior_suite():
    assert STORAGES.keys() - {"file"} | {"local"} <= SUITE.keys()


def test_the_files_that_the_page_names_exist():
    paths = re.findall(r"(?:executor|tests)/[\w/]+\.py", PAGE)
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).is_file()] == []
