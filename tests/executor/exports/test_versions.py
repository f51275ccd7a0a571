from pathlib import Path

import pytest

from tfx_best_exporter.executor.exports import versions
from tfx_best_exporter.executor.exports.versions import Export, Served
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LARGEST = 2**63 - 1
NO_NUMBER = "its name is not a canonical decimal number"


@pytest.fixture
def base(tmp_path: Path) -> Location:
    return location_of(tmp_path / "base")


@pytest.mark.parametrize(
    ("name", "kind", "problem", "number"),
    [
        pytest.param("007", Kind.DIRECTORY, NO_NUMBER, 7, id="leading zeros"),
        pytest.param("-1", Kind.DIRECTORY, NO_NUMBER, 0, id="negative"),
        pytest.param("+5", Kind.DIRECTORY, NO_NUMBER, 0, id="sign"),
        pytest.param("1.5", Kind.DIRECTORY, NO_NUMBER, 0, id="fraction"),
        pytest.param("\u0663", Kind.DIRECTORY, NO_NUMBER, 0, id="digit of another script"),
        pytest.param("latest", Kind.DIRECTORY, NO_NUMBER, 0, id="word"),
        pytest.param("1" * 40, Kind.DIRECTORY, NO_NUMBER, 0, id="40 digits"),
        pytest.param(str(LARGEST + 1), Kind.DIRECTORY, NO_NUMBER, 0, id="one more than 63 bits"),
        pytest.param(".DS_Store", Kind.FILE, NO_NUMBER, 0, id=".DS_Store"),
        pytest.param("12", Kind.FILE, "it is a file", 12, id="numeric file"),
        pytest.param("12", Kind.LINK, "it is a link", 12, id="link"),
    ],
)
def test_a_stray_entry(base: Location, name: str, kind: Kind, problem: str, number: int):
    entries = [Entry(name="3", kind=Kind.DIRECTORY), Entry(name=name, kind=kind)]
    listing = versions.listing_of(entries, base)
    assert listing.strays == (f"{name!r} is not a version: {problem}",)
    assert listing.exports == (Export(version=3, base=base),)
    assert listing.largest_number == max(3, number)
    assert versions.number_of(name) == number


def test_versions_are_in_order_of_their_numbers(base: Location):
    names = ["0", "10", "100", str(LARGEST), "9"]
    entries = [Entry(name=name, kind=Kind.DIRECTORY) for name in names]
    listing = versions.listing_of(entries, base)
    exports = listing.exports
    assert [export.version for export in exports] == [0, 9, 10, 100, LARGEST]
    assert exports[1].path == exports[1].location.uri == f"{base.path}/9"
    assert listing.strays == ()


def test_the_fingerprint_is_of_version_and_content(base: Location):
    export = Export(version=9, base=base)
    record = pb.ExportRecord(model=pb.SourceModel(digest="sha256:a"))

    def fingerprint(export: Export | None, record: pb.ExportRecord | None) -> str:
        exports = (export,) if export else ()
        return Served(
            exports=exports, export=export, record=record, warnings=("other",), largest_version=12
        ).fingerprint

    assert fingerprint(None, None) == "none"
    assert fingerprint(export, None) == "9:foreign"
    assert fingerprint(export, record) == "9:sha256:a"
