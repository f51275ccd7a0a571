import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.executor.plain import FILES, later, publish, write_files
from tfx_best_exporter.executor.exports import inspection
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH
from tfx_best_exporter.executor.exports.versions import Export, Inspection, Status
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import FileStatus, Kind, Tree
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import saved_model_pb2

DATA = "variables/variables.data-00000-of-00001"
DAY = 24 * 3600.0


def without(path: str) -> Callable[[Path], None]:
    return lambda version: (version / path).unlink()


def overwritten(path: str, content: bytes) -> Callable[[Path], None]:
    def overwrite(version: Path) -> None:
        (version / path).write_bytes(content)

    return overwrite


def linked_elsewhere(version: Path) -> None:
    (version / "variables").rename(version.parent.parent / "variables")
    (version / "variables").symlink_to(version.parent.parent / "variables")


def edited_and_linked(version: Path) -> None:
    (version / DATA).write_bytes(b"atad")
    linked_elsewhere(version)


def record_directory(version: Path) -> None:
    (version / RECORD_PATH).unlink()
    (version / RECORD_PATH).mkdir()


def record_fifo(version: Path) -> None:
    (version / RECORD_PATH).unlink()
    os.mkfifo(version / RECORD_PATH)


def record_link(version: Path) -> None:
    (version / RECORD_PATH).unlink()
    (version / RECORD_PATH).symlink_to("nowhere")


def another_marker(version: Path) -> None:
    (version / "saved_model.pb").rename(version / "saved_model.pbtxt")
    (version / "saved_model.pbtxt").write_text('meta_graphs { meta_info_def { tags: "serve" } }')


def in_chunks(version: Path) -> None:
    (version / "saved_model.pb").rename(version / "saved_model.cpb")


def text_next_to_chunks(version: Path) -> None:
    another_marker(version)
    (version / "saved_model.cpb").write_bytes(b"x")


def unchanged(_version: Path) -> None:
    pass


DIFFERS = "it differs from its record: "


@pytest.mark.parametrize(
    ("edit", "status", "problem"),
    [
        pytest.param(unchanged, Status.OURS, "", id="as published"),
        pytest.param(without("fingerprint.pb"), Status.OURS, "", id="without fingerprint.pb"),
        pytest.param(
            overwritten("fingerprint.pb", b"x"), Status.OURS, "", id="another fingerprint.pb"
        ),
        pytest.param(overwritten("notes.txt", b"x"), Status.OURS, "", id="an unknown file"),
        pytest.param(overwritten("assets/more", b"x"), Status.OURS, "", id="an unknown asset"),
        pytest.param(linked_elsewhere, Status.OURS, "", id="variables is a link to them"),
        pytest.param(
            overwritten(DATA, b"atad"),
            Status.FOREIGN,
            f"{DIFFERS}the content of {DATA} was changed",
            id="weights of the same size",
        ),
        pytest.param(
            edited_and_linked,
            Status.FOREIGN,
            f"{DIFFERS}the content of {DATA} was changed",
            id="variables is a link to others",
        ),
        pytest.param(
            overwritten(DATA, b"more data"),
            Status.FOREIGN,
            f"{DIFFERS}{DATA} has 9 bytes instead of 4",
            id="weights of another size",
        ),
        pytest.param(
            without("assets/words.txt"),
            Status.FOREIGN,
            f"{DIFFERS}assets/words.txt is missing",
            id="without an asset that the graph does not name",
        ),
        pytest.param(
            another_marker,
            Status.FOREIGN,
            f"{DIFFERS}saved_model.pbtxt is not in the record",
            id="another marker",
        ),
        pytest.param(without(RECORD_PATH), Status.FOREIGN, "", id="without the record"),
        pytest.param(record_directory, Status.FOREIGN, "", id="the record is a directory"),
        pytest.param(record_fifo, Status.FOREIGN, "", id="the record is a FIFO"),
        pytest.param(record_link, Status.FOREIGN, "", id="the record is a dangling link"),
        pytest.param(
            in_chunks,
            Status.UNKNOWN,
            "only TensorFlow can read saved_model.cpb",
            id="a graph in chunks",
        ),
        pytest.param(
            text_next_to_chunks,
            Status.UNKNOWN,
            "only TensorFlow can read saved_model.cpb",
            id="a graph as text and in chunks",
        ),
        pytest.param(
            overwritten("saved_model.cpb", b"x"), Status.OURS, "", id="chunks next to the graph"
        ),
        pytest.param(
            without("saved_model.pb"),
            Status.BROKEN,
            "saved_model.pb is missing or empty",
            id="without the marker",
        ),
        pytest.param(
            without(DATA),
            Status.BROKEN,
            "variables/variables.data-?????-of-????? is missing",
            id="without weights",
        ),
        pytest.param(
            overwritten(DATA, b"dat"),
            Status.BROKEN,
            f"{DATA} has 3 bytes, but needs 4",
            id="truncated weights",
        ),
        pytest.param(
            overwritten("saved_model.pb", b"\xff"),
            Status.BROKEN,
            None,
            id="a marker that cannot be parsed",
        ),
    ],
)
def test_a_published_version_after_an_edit(
    tmp_path: Path, edit: Callable[[Path], None], status: Status, problem: str | None
):
    base = ExportDirectory(later(tmp_path / "base"))
    export = publish(base, 5, tmp_path / "model")
    edit(tmp_path / "base" / "5")
    found = base.inspect(export)
    # A version that is looked at twice is judged in the same way.
    assert base.inspect(export).status is found.status is status
    assert problem is None or found.problem.partition(";")[0] == problem
    assert (found.record is not None) == (status is Status.OURS)


@pytest.mark.parametrize("seconds", [0.0, 599.0, 601.0])
def test_a_version_without_variables_is_unfinished_for_ten_minutes(tmp_path: Path, seconds: float):
    write_files(tmp_path / "5", {"saved_model.pb": FILES["saved_model.pb"]})
    export = Export(version=5, base=location_of(tmp_path))
    changed_at = (tmp_path / "5" / "saved_model.pb").stat().st_ctime
    found = inspection.inspect(export, lambda _: {}, lambda: changed_at + seconds)
    assert found.status is (Status.UNFINISHED if seconds < 600 else Status.BROKEN)
    problem = (
        f"variables/variables.index is missing or empty; it last changed {seconds:.0f} seconds ago"
    )
    assert found.problem == problem


def changing(*changed_at: float, entries_changed_at: float | None = None) -> Tree:
    return Tree(
        files={
            f"variables/{number}": FileStatus(size=1, changed_at=each, stamp="")
            for number, each in enumerate(changed_at)
        },
        changed_at=entries_changed_at,
    )


@pytest.mark.parametrize(
    ("tree", "is_changing"),
    [
        pytest.param(changing(0.0), False, id="long ago"),
        pytest.param(changing(DAY - 1), True, id="now"),
        pytest.param(changing(DAY + 1e6), True, id="in the future"),
        pytest.param(changing(DAY - 600), False, id="ten minutes ago"),
        pytest.param(changing(1.0, DAY - 1), True, id="the whole day"),
        pytest.param(changing(-1.0, DAY - 1), False, id="for more than a day"),
        pytest.param(changing(1.0, entries_changed_at=DAY - 1), True, id="a new name"),
        pytest.param(changing(entries_changed_at=DAY - 1), True, id="an empty directory"),
        pytest.param(changing(entries_changed_at=-1.0), False, id="an old empty directory"),
        pytest.param(changing(), False, id="no directory"),
        pytest.param(
            Tree(files={"assets.extra/x": FileStatus(size=1, changed_at=DAY, stamp="")}),
            False,
            id="only a file that no server reads",
        ),
    ],
)
def test_somebody_is_copying(tree: Tree, is_changing: bool):
    assert inspection.is_being_copied(tree, DAY) == is_changing


@pytest.mark.parametrize("seconds", [0.0, 599.0, 601.0])
@pytest.mark.parametrize("days", [0, 2], ids=["new", "of the day before yesterday"])
def test_a_version_that_a_person_overwrites_is_unfinished(
    tmp_path: Path, seconds: float, days: int
):
    """The promise: a candidate is not compared with the version before it meanwhile."""

    class Later(LocalStorage):
        """A disk on which the version was complete some days ago."""

        def tree(self, path: str) -> Tree:
            tree = super().tree(path)
            files = {
                name: FileStatus(
                    size=status.size,
                    changed_at=status.changed_at - (0 if name == DATA else days * DAY),
                    stamp=status.stamp,
                )
                for name, status in tree.files.items()
            }
            return Tree(files=files, changed_at=tree.changed_at)

        def now(self, lock_path: str, *, is_locked: bool) -> float:
            return super().now(lock_path, is_locked=is_locked) + seconds

    base = ExportDirectory(Location(Later(), str(tmp_path / "base")))
    export = publish(base, 5, tmp_path / "model")
    # The times of new files are trusted after a tick of the kernel's clock.
    time.sleep(0.06)
    with base.lock():
        assert base.inspect(export).status is Status.OURS
    (tmp_path / "base" / "5" / DATA).write_bytes(b"x")
    is_unfinished = seconds < 600
    found = base.inspect(export)
    assert found.status is (Status.UNFINISHED if is_unfinished else Status.BROKEN)


@pytest.mark.parametrize(
    ("kind", "target", "status", "problem"),
    [
        (Kind.FILE, None, Status.BROKEN, "it is a file"),
        (Kind.LINK, "file", Status.BROKEN, "it leads to a file"),
        (Kind.LINK, "nowhere", Status.BROKEN, "saved_model.pb is missing or empty"),
        (Kind.LINK, "5", Status.BROKEN, "saved_model.pb is missing or empty"),
        (Kind.LINK, "model", Status.FOREIGN, ""),
    ],
    ids=["file", "link to a file", "dangling link", "link to itself", "link to a model"],
)
def test_an_entry_that_is_no_directory(
    tmp_path: Path, kind: Kind, target: str | None, status: Status, problem: str
):
    write_files(tmp_path / "model")
    (tmp_path / "file").touch()
    if target:
        (tmp_path / "5").symlink_to(target)
    export = Export(version=5, base=location_of(tmp_path), kind=kind)
    found = inspection.inspect(export, lambda _: {}, lambda: 0.0)
    assert (found.status, found.problem) == (status, problem)


def test_what_cannot_be_read_is_unknown(tmp_path: Path):
    class Closed(LocalStorage):
        def tree(self, path: str) -> Tree:
            raise PermissionError(13, "Permission denied", path)

    export = Export(version=5, base=Location(Closed(), str(tmp_path)))
    found = inspection.inspect(export, lambda _: {}, lambda: 0.0)
    assert found.status is Status.UNKNOWN
    assert found.problem.startswith("it cannot be read: [Errno 13] Permission denied")


def test_two_names_of_one_number(tmp_path: Path):
    base = ExportDirectory(location_of(tmp_path))
    for name in ("7", "007"):
        write_files(tmp_path / name)
    served = base.served()
    assert served.best is not None
    assert (served.best.export.version, served.best.status) == (7, Status.UNKNOWN)
    problem = "a model server reads the same number from '007' and '7'. Keep only one of them"
    assert served.best.problem == problem


class ReadFiles(LocalStorage):
    """A disk that records which files are read for a digest."""

    def __init__(self) -> None:
        self.read_paths: list[str] = []

    def digest(self, path: str):
        self.read_paths.append(path)
        return super().digest(path)


def test_a_file_with_a_known_stamp_is_not_read(tmp_path: Path):
    disk = ReadFiles()
    base = ExportDirectory(Location(disk, str(tmp_path / "base")))
    export = publish(base, 5, tmp_path / "model")
    # Files that have just been written have no stamp yet.
    time.sleep(0.1)
    with base.lock():
        base.inspect(export)
    disk.read_paths.clear()
    assert base.inspect(export).status is Status.OURS
    assert disk.read_paths == []
    (tmp_path / "base" / "5" / DATA).touch()
    time.sleep(0.1)
    for _ in range(2):
        # Without the lock, nothing is noted.
        assert base.inspect(export).status is Status.OURS
        assert disk.read_paths.pop() == f"{export.path}/{DATA}"
    with base.lock():
        assert base.inspect(export).status is Status.OURS
    assert disk.read_paths.pop() == f"{export.path}/{DATA}"
    assert base.inspect(export).status is Status.OURS
    assert disk.read_paths == []
    shutil.rmtree(tmp_path / "base" / ".best_exporter" / "stamps")
    with base.lock():
        assert base.inspect(export).status is Status.OURS
    assert len(disk.read_paths) == len(FILES) - 1
    disk.read_paths.clear()
    assert base.inspect(export).status is Status.OURS
    assert disk.read_paths == []


def entries(*paths: str) -> pb.ExportRecord:
    return pb.ExportRecord(manifest=[pb.ManifestEntry(path=path, size=1) for path in paths])


@pytest.mark.parametrize(
    ("recorded", "sizes", "problem"),
    [
        pytest.param(("saved_model.pb",), {"saved_model.pb": 1}, "", id="as recorded"),
        pytest.param((), {"saved_model.pb": 1}, "saved_model.pb is not in the record", id="empty"),
        pytest.param(
            ("saved_model.pbtxt",),
            {"saved_model.pbtxt": 1, "saved_model.pb": 1},
            "saved_model.pb is not in the record",
            id="a marker that comes first",
        ),
        pytest.param(
            ("saved_model.pb",),
            {"saved_model.pb": 1, "saved_model.pbtxt": 1},
            "",
            id="a marker that comes second",
        ),
        pytest.param(("saved_model.pb",), {}, "saved_model.pb is missing", id="no file"),
        pytest.param(
            ("saved_model.pb", "assets/x"),
            {"saved_model.pb": 1},
            "assets/x is missing",
            id="missing",
        ),
        pytest.param(
            ("saved_model.pb", "assets/x"),
            {"saved_model.pb": 1, "assets/x": 2000},
            "assets/x has 2,000 bytes instead of 1",
            id="another size",
        ),
        pytest.param(
            ("saved_model.pb", "fingerprint.pb", "assets.extra/x", "README"),
            {"saved_model.pb": 1},
            "",
            id="files that no server reads",
        ),
    ],
)
def test_a_difference_from_the_record(
    recorded: tuple[str, ...], sizes: dict[str, int], problem: str
):
    assert inspection.why_different(entries(*recorded), sizes) == problem


@pytest.mark.parametrize(
    ("graph", "files", "problem"),
    [
        ({}, {}, "saved_model.pb has no graph with the tag 'serve'"),
        ({"tags": ["train"]}, {}, "saved_model.pb has no graph with the tag 'serve'"),
        ({"tags": ["serve", "gpu"]}, {}, ""),
        ({"tags": ["serve"], "asset": "words"}, {}, "assets/words is missing"),
        ({"tags": ["serve"], "asset": "words"}, {"assets/words": b""}, ""),
        (
            {"tags": ["serve"], "restore": "restore"},
            {},
            "variables/variables.index is missing or empty",
        ),
        (
            {"tags": ["serve"]},
            {"variables/x": b""},
            "variables/variables.index is missing or empty",
        ),
    ],
    ids=["no tag", "another tag", "more tags", "asset", "with its asset", "restores", "variables"],
)
def test_a_foreign_model_is_loadable(
    tmp_path: Path, graph: dict, files: dict[str, bytes], problem: str
):
    meta_graph = saved_model_pb2.MetaGraphDef()
    meta_graph.meta_info_def.tags.extend(graph.get("tags", []))
    if "asset" in graph:
        meta_graph.asset_file_def.add(filename=graph["asset"])
    meta_graph.saver_def.restore_op_name = graph.get("restore", "")
    content = saved_model_pb2.SavedModel(meta_graphs=[meta_graph]).SerializeToString()
    write_files(tmp_path / "5", {"saved_model.pb": content, **files})
    export = Export(version=5, base=later(tmp_path))
    found = inspection.inspect(export, lambda _: {}, lambda: 1e12)
    assert found.status is (Status.BROKEN if problem else Status.FOREIGN)
    assert found.problem.partition(";")[0] == problem


def test_an_inspection_has_stamps_of_what_a_server_reads(tmp_path: Path):
    base = ExportDirectory(location_of(tmp_path / "base"))
    export = publish(base, 5, tmp_path / "model")
    time.sleep(0.1)
    found = base.inspect(export)
    assert isinstance(found, Inspection)
    assert sorted(found.stamps) == sorted({*FILES} - {"fingerprint.pb"})
