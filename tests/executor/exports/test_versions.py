from pathlib import Path

import pytest

from tfx_best_exporter.executor.exports import versions
from tfx_best_exporter.executor.exports.links import targets_in
from tfx_best_exporter.executor.exports.versions import (
    Export,
    Inspection,
    Listing,
    Served,
    Status,
)
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Entry, Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LARGEST = 2**63 - 1


@pytest.fixture
def base(tmp_path: Path) -> Location:
    return location_of(tmp_path / "base")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("7", 7, id="one digit"),
        pytest.param(str(LARGEST), LARGEST, id="63 bits"),
        pytest.param("007", 7, id="leading zeros"),
        pytest.param("0" * 200 + "7", 7, id="many leading zeros"),
        pytest.param("+7", 7, id="sign"),
        pytest.param("-0", 0, id="negative zero"),
        pytest.param(" \t7\n", 7, id="blanks"),
        pytest.param("-1", None, id="negative"),
        pytest.param("+-1", None, id="two signs"),
        pytest.param("+", None, id="only a sign"),
        pytest.param("", None, id="empty"),
        pytest.param("1 2", None, id="a blank inside"),
        pytest.param("1_000", None, id="underscore"),
        pytest.param("0x7", None, id="hexadecimal"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("1e3", None, id="exponent"),
        pytest.param("\u0663", None, id="digit of another script"),
        pytest.param("\u00a07", None, id="a blank of another script"),
        pytest.param("latest", None, id="word"),
        pytest.param("1" * 40, None, id="40 digits"),
        pytest.param("1" * 5000, None, id="5,000 digits"),
        pytest.param(str(LARGEST + 1), None, id="one more than 63 bits"),
        pytest.param(".DS_Store", None, id=".DS_Store"),
    ],
)
def test_a_name_is_parsed_as_a_model_server_parses_it(
    base: Location, name: str, number: int | None
):
    assert versions.number_of(name) == number
    listing = versions.listing_of([Entry(name=name, kind=Kind.DIRECTORY)], base)
    if number is None:
        problem = f"{name!r} is not a version: a model server reads no number from its name"
        assert (listing.versions, listing.strays) == ((), (problem,))
        assert listing.largest_version == -1
    else:
        (export,) = listing.exports
        assert (export.version, export.location.name, listing.strays) == (number, name, ())
        assert export.label == (
            f"version {number}" if name == str(number) else f"version {number} ({name!r})"
        )
        assert listing.largest_version == number


def test_versions_are_in_order_of_their_numbers(base: Location):
    names = ["0", "10", "0100", str(LARGEST), "9", "latest"]
    listing = versions.listing_of([Entry(name=name, kind=Kind.DIRECTORY) for name in names], base)
    assert listing.versions == (0, 9, 10, 100, LARGEST)
    exports = listing.exports
    assert [export.version for export in exports] == [0, 9, 10, 100, LARGEST]
    assert exports[1].path == exports[1].location.uri == f"{base.path}/9"
    assert exports[3].path == f"{base.path}/0100"
    groups = [[export.version for export in group] for group in listing.newest_first()]
    assert groups == [[LARGEST], [100], [10], [9], [0]]


def test_names_with_one_number_are_found_together(base: Location):
    entries = [Entry(name=name, kind=Kind.DIRECTORY) for name in ("8", "07", "7", "+7")]
    first, second = versions.listing_of(entries, base).newest_first()
    assert [export.version for export in first] == [8]
    assert sorted(export.location.name for export in second) == ["+7", "07", "7"]


def test_the_fingerprint_is_of_version_and_content(base: Location):
    listing = Listing(base=base)
    export = Export(version=9, base=base)
    record = pb.ExportRecord(model=pb.SourceModel(digest="sha256:a"))
    ours = Inspection(export=export, status=Status.OURS, record=record)
    foreign = Inspection(export=export, status=Status.FOREIGN, stamps={"a": "1"})
    edited = Inspection(export=export, status=Status.FOREIGN, stamps={"a": "2"})
    assert Served(listing=listing, warnings=("other",)).fingerprint == "none"
    assert Served(listing=listing, being_written="x").fingerprint == "none, being written"
    assert Served(listing=listing, best=ours).fingerprint == "9:sha256:a"
    fingerprints = [Served(listing=listing, best=each).fingerprint for each in (foreign, edited)]
    assert all(text.startswith("9:foreign:") for text in fingerprints)
    assert len({*fingerprints}) == 2


def test_versions_that_a_link_leads_to(tmp_path: Path, base: Location):
    for name in ("5", "6", "7", "8"):
        (tmp_path / "base" / name / "inside").mkdir(parents=True)
    (tmp_path / "base" / "10").symlink_to("5")
    (tmp_path / "base" / "11").symlink_to(tmp_path / "base" / "6" / "inside")
    (tmp_path / "base" / "12").symlink_to("10")
    (tmp_path / "base" / "13").symlink_to("nowhere")
    exports = versions.listing_of(base.children(), base).exports
    assert versions.linked_versions(exports, targets_in(base)) == {5, 6}
    assert versions.linked_versions(exports, ()) == frozenset()
    (tmp_path / "base" / "14").symlink_to(tmp_path)
    exports = versions.listing_of(base.children(), base).exports
    assert versions.linked_versions(exports, targets_in(base)) == {5, 6, 7, 8}
