"""Retirement in a run: a version that a person changed, copied or linked is never deleted."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.executor.plain import FILES, LaterDisk, read_files, write_files
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.policies import compare_policy, retention_policy, smaller
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
DATA = "variables/variables.data-00000-of-00001"
CHANGED = "different from its record (repair or remove it)"
FOREIGN = "not written by this exporter"
BEST = 1005
KEEP_NONE = retention_policy(keep_versions=[1])
ONE_BYTE = retention_policy(max_bytes=1)
LATEST = retention_policy(keep_latest=1)


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    return tmp_path / "base"


@pytest.fixture
def disk() -> LaterDisk:
    return LaterDisk()


def exporter_of(
    disk: LaterDisk, base_path: Path, policy: pb.RetentionPolicy, now: float = 1000.0
) -> ModelExporter:
    return ModelExporter(
        Location(disk, str(base_path)),
        compare_policy=compare_policy(smaller("loss")),
        clock=lambda: now,
        retention_policy=policy,
    )


@pytest.fixture
def exports(tmp_path: Path, disk: LaterDisk, base_path: Path) -> Path:
    """Returns a base directory with versions 1000 to 1005, of which the last one is the best."""
    exporter = exporter_of(disk, base_path, retention_policy(keep_latest=6))
    for number in range(6):
        model_path = write_files(tmp_path / f"model-{number}", {**FILES, DATA: b"dat%d" % number})
        assert exporter.run(model_path, {"loss": 1.0 - number / 10}).exported
    return base_path


def why_kept(decision: pb.ExportDecision) -> dict[int, list[str]]:
    return {each.version: each.why.split("; ") for each in decision.kept}


def retired(decision: pb.ExportDecision) -> list[int]:
    return [each.version for each in decision.retired]


def overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda path: (path / name).write_bytes(content)


def overwrite_at_the_same_time(path: Path) -> None:
    status = (path / DATA).stat()
    (path / DATA).write_bytes(b"DATA")
    os.utime(path / DATA, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_by_rename(path: Path) -> None:
    status = (path / DATA).stat()
    (path / "new").write_bytes(b"DATA")
    os.utime(path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (path / "new").rename(path / DATA)


def remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def add_marker(path: Path) -> None:
    (path / "saved_model.pbtxt").write_bytes(b"")
    (path / "saved_model.pb").unlink()


CHANGES = [
    pytest.param(overwrite(DATA, b"DATA"), id="content of the same size"),
    pytest.param(overwrite_at_the_same_time, id="content of the same size and time"),
    pytest.param(replace_by_rename, id="another file of the same size and time"),
    pytest.param(overwrite(DATA, b"longer data"), id="longer"),
    pytest.param(overwrite(DATA, b""), id="empty"),
    pytest.param(overwrite("assets/words.txt", b"WORDS"), id="an asset"),
    pytest.param(remove("assets/words.txt"), id="without an asset"),
    pytest.param(remove(DATA), id="without weights"),
    pytest.param(remove("saved_model.pb"), id="without the graph"),
    pytest.param(add_marker, id="another marker"),
]


@pytest.mark.parametrize("policy", [KEEP_NONE, ONE_BYTE, LATEST], ids=["rule", "cap", "latest"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_export_is_never_retired(
    disk: LaterDisk, exports: Path, policy: pb.RetentionPolicy, change: Callable[[Path], object]
):
    change(exports / "1002")
    left = read_files(exports / "1002")
    decision = exporter_of(disk, exports, policy).retire()
    assert read_files(exports / "1002") == left
    assert CHANGED in why_kept(decision)[1002]
    assert retired(decision) == [1000, 1001, 1003, 1004]
    assert sorted(why_kept(decision)) == [1002, BEST]
    # The next run keeps it too, for the same reason.
    again = exporter_of(disk, exports, policy).retire()
    assert (why_kept(again), retired(again)) == (why_kept(decision), [])


def test_a_run_that_exports_retires_no_changed_export(
    disk: LaterDisk, exports: Path, tmp_path: Path
):
    overwrite(DATA, b"DATA")(exports / "1004")
    left = read_files(exports / "1004")
    model_path = write_files(tmp_path / "better", {**FILES, DATA: b"good"})
    decision = exporter_of(disk, exports, LATEST, now=2000.0).run(model_path, {"loss": 0.1}).message
    assert (decision.reason, decision.version) == (R.BETTER, 2000)
    assert read_files(exports / "1004") == left
    assert CHANGED in why_kept(decision)[1004]
    assert retired(decision) == [1000, 1001, 1002, 1003, BEST]


def test_a_file_that_no_server_reads_may_change(disk: LaterDisk, exports: Path):
    (exports / "1001" / "fingerprint.pb").unlink()
    (exports / "1002" / "notes.txt").write_text("notes")
    (exports / "1003" / "assets.extra" / "notes.txt").write_text("notes")
    decision = exporter_of(disk, exports, LATEST).retire()
    assert retired(decision) == [1000, 1001, 1002, 1003, 1004]
    assert decision.warnings == []


@pytest.mark.parametrize("changed", [[1000], [1000, 1001], [1000, 1001, 1002, 1003]])
def test_a_changed_export_counts_for_no_cap(disk: LaterDisk, exports: Path, changed: list[int]):
    size = sum(map(len, read_files(exports / "1005").values()))
    manifest_size = size - len((exports / "1005" / RECORD_PATH).read_bytes())
    for version in changed:
        overwrite(DATA, b"DATA")(exports / str(version))
    # The oldest export goes first. It was changed, so the next unchanged one goes in its place.
    policy = retention_policy(max_bytes=5 * manifest_size)
    decision = exporter_of(disk, exports, policy).retire()
    assert retired(decision) == [changed[-1] + 1]
    for version in changed:
        assert CHANGED in why_kept(decision)[version]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        pytest.param(remove("assets/words.txt"), [1003, 1004, BEST], id="a file is missing"),
        pytest.param(overwrite(DATA, b"longer data"), [1003, 1004, BEST], id="another size"),
        pytest.param(overwrite(DATA, b"DATA"), [1004, BEST], id="the same size"),
    ],
)
def test_a_changed_export_among_the_latest(
    disk: LaterDisk, exports: Path, change: Callable[[Path], object], kept: list[int]
):
    change(exports / "1004")
    decision = exporter_of(disk, exports, retention_policy(keep_latest=2)).retire()
    assert sorted(why_kept(decision)) == kept


@pytest.mark.parametrize("content", [b"{", b"", b"[]"], ids=["damaged", "empty", "another"])
def test_an_export_whose_record_cannot_be_read_is_kept(
    disk: LaterDisk, exports: Path, content: bytes
):
    (exports / "1002" / RECORD_PATH).write_bytes(content)
    left = read_files(exports / "1002")
    decision = exporter_of(disk, exports, LATEST).retire()
    assert retired(decision) == [1000, 1001, 1003, 1004]
    assert read_files(exports / "1002") == left
    assert [each for each in decision.warnings if "version 1002 is kept" in each]


def test_what_is_newer_than_the_best_is_kept(disk: LaterDisk, exports: Path):
    for version in ("1004", "1005"):
        (exports / version / "saved_model.pb").unlink()
    left = read_files(exports)
    decision = exporter_of(disk, exports, LATEST).retire()
    assert retired(decision) == [1000, 1001, 1002]
    kept = why_kept(decision)
    assert "the best" in kept[1003]
    for version in (1004, 1005):
        assert {"newer than the best", CHANGED} <= {*kept[version]}
        files = read_files(exports / str(version))
        assert files == {
            name.partition("/")[2]: content
            for name, content in left.items()
            if name.startswith(f"{version}/")
        }


@pytest.mark.parametrize(
    "name", ["0900", "+900", " 900", "900"], ids=["zeros", "sign", "blank", "canonical"]
)
@pytest.mark.parametrize("target", ["1002", "1002/assets", None], ids=["to it", "below it", "copy"])
def test_a_version_that_a_link_leads_to_is_kept(
    disk: LaterDisk, exports: Path, name: str, target: str | None
):
    path = exports / name
    if target:
        path.symlink_to(target)
    else:
        write_files(path, read_files(exports / "1002"))
    decision = exporter_of(disk, exports, LATEST).retire()
    kept = why_kept(decision)
    assert retired(decision) == [1000, 1001, *([] if target else [1002]), 1003, 1004]
    assert kept[900] == [FOREIGN]
    assert path.is_symlink() == bool(target)
    assert path.is_dir()
    if target:
        assert kept[1002] == ["a link leads to it"]


@pytest.mark.parametrize("name", ["stable", "latest", "-1", "1e3"])
@pytest.mark.parametrize("target", ["1002", "1002/saved_model.pb"], ids=["to it", "below it"])
def test_a_version_that_a_link_of_any_name_leads_to_is_kept(
    disk: LaterDisk, exports: Path, name: str, target: str
):
    (exports / name).symlink_to(target)
    decision = exporter_of(disk, exports, LATEST).retire()
    assert retired(decision) == [1000, 1001, 1003, 1004]
    assert why_kept(decision)[1002] == ["a link leads to it"]


@pytest.mark.parametrize("version", [999, 2000], ids=["an older version", "the best"])
@pytest.mark.parametrize("path", ["variables", DATA], ids=["directory", "file"])
def test_a_version_whose_files_another_version_links_to_is_kept(
    disk: LaterDisk, exports: Path, version: int, path: str
):
    files = read_files(exports / "1002")
    linking_path = write_files(exports / str(version), {**FILES, DATA: files[DATA]})
    if path == DATA:
        (linking_path / DATA).unlink()
    else:
        shutil.rmtree(linking_path / path)
    (linking_path / path).symlink_to(exports / "1002" / path)
    left = read_files(linking_path)
    decision = exporter_of(disk, exports, LATEST).retire()
    assert why_kept(decision)[1002] == ["a link leads to it"]
    assert {1000, 1001, 1003, 1004} <= {*retired(decision)}
    assert read_files(linking_path) == left
    assert (linking_path / DATA).read_bytes() == files[DATA]


@pytest.mark.parametrize("linking", [1001, 1003], ids=["an older export", "a newer export"])
def test_a_version_whose_files_a_changed_export_links_to_is_kept(
    disk: LaterDisk, exports: Path, linking: int
):
    """The policy keeps neither, and only reading the files shows that one was changed."""
    (exports / str(linking) / DATA).write_bytes(b"DATA")
    (exports / str(linking) / "other").symlink_to("../1002/saved_model.pb")
    decision = exporter_of(disk, exports, LATEST).retire()
    assert why_kept(decision)[linking] == [CHANGED]
    assert why_kept(decision)[1002] == ["a link leads to it"]
    assert retired(decision) == [each for each in (1000, 1001, 1003, 1004) if each != linking]


@pytest.mark.parametrize("kind", ["directory", "link", "file"])
def test_two_names_of_one_number_are_kept(disk: LaterDisk, exports: Path, kind: str):
    path = exports / "01002"
    if kind == "directory":
        write_files(path)
    elif kind == "link":
        path.symlink_to("1001")
    else:
        path.touch()
    left = read_files(exports / "1002")
    decision = exporter_of(disk, exports, LATEST).retire()
    assert read_files(exports / "1002") == left
    assert os.path.lexists(path)
    assert why_kept(decision)[1002] == [FOREIGN]
    assert retired(decision) == [1000, *([] if kind == "link" else [1001]), 1003, 1004]


def test_a_renamed_export_is_kept(disk: LaterDisk, exports: Path):
    (exports / "1002").rename(exports / "01002")
    decision = exporter_of(disk, exports, LATEST).retire()
    assert why_kept(decision)[1002] == [FOREIGN]
    assert (exports / "01002" / DATA).exists()
    assert retired(decision) == [1000, 1001, 1003, 1004]


@pytest.mark.parametrize("action", ["run", "retire"])
def test_while_a_version_is_being_written_nothing_is_retired(
    disk: LaterDisk, exports: Path, tmp_path: Path, action: str
):
    write_files(exports / "2000", {"saved_model.pb": FILES["saved_model.pb"]})
    # Somebody is still copying this version.
    os.utime(exports / "2000" / "saved_model.pb", (4e9, 4e9))
    left = [name for name in read_files(exports) if not name.startswith(".best_exporter/")]
    exporter = exporter_of(disk, exports, LATEST)
    if action == "run":
        model_path = write_files(tmp_path / "better", {**FILES, DATA: b"good"})
        decision = exporter.run(model_path, {"loss": 0.1}).message
        assert (decision.reason, decision.exported) == (R.BEING_WRITTEN, False)
    else:
        decision = exporter.retire()
        assert [each for each in decision.warnings if "version 2000 is being written" in each]
    assert (retired(decision), why_kept(decision)) == ([], {})
    assert set(left) <= {*read_files(exports)}
    # Once it is complete it is served, and the exports below it are ordinary again.
    write_files(exports / "2000")
    decision = exporter.retire()
    assert retired(decision) == [1000, 1001, 1002, 1003, 1004]
    assert "the best" in why_kept(decision)[2000]
