"""Unexpected, damaged and missing files: rows 10 to 16, 20, 21, 23, 26, 29 to 31 and 33
of the fault matrix.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Model, World
from tests.faults.invariants import assert_safe, state_of
from tests.faults.reader import Reader
from tests.faults.storages import Step, SteppedStorage
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.records import RECORD_PATH, RecordError
from tfx_best_exporter.executor.exports.saved_model import MARKERS, InvalidModelError
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.digest import FileDigest
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.transfer import copy_files
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def put_model(model_path: str, destination: Location) -> None:
    source = location_of(model_path)
    copy_files([(source / path, destination / path) for path in source.sizes()])


def stepped(world: World, name: str, before: Callable[[Step], None]) -> Location:
    return Location(SteppedStorage(world.storage, before=before), f"{world.root}/{name}")


@pytest.mark.parametrize("clock", [[1000.0] * 3, [3000.0, 2000.0, 1000.0]], ids=["stands", "back"])
def test_a_clock_that_does_not_go_forward(world: World, model: Model, clock: list[float]) -> None:
    times = iter(clock)
    exporter = ModelExporter(world / "base", clock=lambda: next(times))
    with Reader(world / "base") as reader:
        versions = [exporter.run(model(f"{n}"), {"loss": 1.0 / n}).version for n in (1, 2, 3)]
    assert versions == [int(clock[0]), int(clock[0]) + 1, int(clock[0]) + 2]
    assert_safe(world / "base", reader)


def test_stray_entries(world: World, model: Model) -> None:
    base = world / "base"
    strays = ["-1/saved_model.pb", f"{'9' * 40}/a", ".DS_Store", "notes/a"]
    # A file with the name of a version: a model server tries to load it.
    others = [*strays, "12"]
    for path in others:
        (base / path).write(b"not ours")
    if world.kind == "local":
        Path(base.path, "13").symlink_to("nowhere")
    exporter = ModelExporter(base, exports_to_keep=1, clock=lambda: 5.0)
    decisions = [exporter.run(model(f"{n}"), {"loss": 1.0 / n}) for n in (1, 2)]
    for decision in decisions:
        assert len([text for text in decision.warnings if text.startswith("'")]) == len(strays)
    # The first export has nothing but broken versions below it.
    assert any(text.startswith("version 12 is broken") for text in decisions[0].warnings)
    assert decisions[0].reason == pb.ExportDecision.FIRST_EXPORT
    # The version is larger than every name that a model server could read as a number.
    assert decisions[0].version == (14 if world.kind == "local" else 13)
    assert [each.version for each in decisions[1].retired] == [decisions[0].version]
    assert {path: (base / path).read(100) for path in others} == dict.fromkeys(others, b"not ours")


def test_a_foreign_version(world: World, model: Model) -> None:
    base = world / "base"
    put_model(model("foreign"), base / "7")
    with Reader(base, foreign=(7,)) as reader:
        kept = ModelExporter(base, exports_to_keep=1).run(model("a"), {"loss": 0.3})
        assert kept.reason == pb.ExportDecision.BEST_UNKNOWN_KEPT
        policy = compare_policy(smaller("loss"), on_unknown_best="EXPORT")
        exporter = ModelExporter(base, compare_policy=policy, exports_to_keep=1)
        first = exporter.run(model("a"), {"loss": 0.3})
        assert first.reason == pb.ExportDecision.BEST_UNKNOWN_EXPORTED
        assert (first.best.version, first.best.has_record) == (7, False)
        second = exporter.run(model("b"), {"loss": 0.2})
        assert [each.version for each in second.retired] == [first.version]
    assert reader.violations == []
    assert (base / "7").sizes() == location_of(model("foreign")).sizes()


@pytest.mark.parametrize(
    "path",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
@pytest.mark.parametrize("is_truncated", [False, True], ids=["missing", "truncated"])
def test_a_damaged_candidate(world: World, model: Model, path: str, is_truncated: bool) -> None:
    exporter = ModelExporter(world / "base")
    exporter.run(model("before"), {"loss": 0.3})
    before = (world / "base").sizes()
    put_model(model("candidate"), world / "candidate")
    content = (world / "candidate" / path).read(1 << 20)
    (world / "candidate" / path).remove()
    if is_truncated:
        length = len(content) // 2 if path == "saved_model.pb" else 2
        (world / "candidate" / path).write(content[:length])
    with pytest.raises(InvalidModelError) as caught:
        exporter.run(world / "candidate", {"loss": 0.1})
    assert world.uri("candidate") in str(caught.value)
    assert (world / "base").sizes() == before


def test_a_source_that_changes_before_it_is_copied(world: World, model: Model) -> None:
    candidate_path = Path(model("candidate"))

    def change(step: Step) -> None:
        if step.name in ("upload", "copy") and step.path.endswith("name.txt"):
            (candidate_path / "assets.extra" / "name.txt").write_text("something else")

    ModelExporter(world / "base").run(model("before"), {"loss": 0.3})
    before = state_of(world / "base")
    with Reader(world / "base") as reader:
        exporter = ModelExporter(stepped(world, "base", change))
        with pytest.raises(ValueError, match=r"\Acannot publish assets\.extra/name\.txt: "):
            exporter.run(candidate_path, {"loss": 0.1})
    assert_safe(world / "base", reader)
    assert state_of(world / "base") == before


def test_a_source_that_somebody_writes_to(disk: World, model: Model) -> None:
    """The result is an error, or an export of the content at one moment."""
    candidate_path = Path(model("candidate"))
    shared_path = candidate_path / "assets.extra" / "large"
    shared_path.write_bytes(bytes(1 << 20))
    stopped = threading.Event()

    def write() -> None:
        with shared_path.open("r+b") as file:
            for number in itertools.count():
                if stopped.wait(0.0005):
                    return
                file.seek(number * 4096 % (1 << 20))
                file.write(number.to_bytes(8, "big"))
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    refused = 0
    try:
        with Reader(disk / "base") as reader:
            for number in range(1, 11):
                try:
                    ModelExporter(disk / "base").run(candidate_path, {"loss": 1.0 / number})
                except ValueError as error:
                    assert "assets.extra/large: " in str(error)  # noqa: PT017
                    refused += 1
    finally:
        stopped.set()
        writer.join()
    assert_safe(disk / "base", reader)
    assert refused > 0
    assert state_of(disk / "base").leftovers == []


class LaterStorage(SteppedStorage):
    """A storage in which everything was written an hour ago."""

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        return super().now(lock_path, is_locked=is_locked) + 3600.0


class DroppingStorage(SteppedStorage):
    """A storage that stores other content of one file than it reports."""

    def __init__(self, world: World, damage: Callable[[bytes], bytes]):
        super().__init__(world.storage)
        self._damage = damage

    def upload(self, local_path: Path, path: str) -> FileDigest:
        result = super().upload(local_path, path)
        if path.endswith("variables.data-00000-of-00001"):
            self._storage.write(path, self._damage(local_path.read_bytes()))
        return result


DAMAGES = {
    "tail": lambda content: content[:-1],
    "bit": lambda content: bytes([content[0] ^ 1]) + content[1:],
}


@pytest.mark.parametrize(
    ("kind", "damage"), [("local", "tail"), ("local", "bit"), ("gs", "tail"), ("s3", "tail")]
)
def test_a_storage_that_keeps_something_else(
    make_world: Callable[[str], World], model: Model, kind: str, damage: str
) -> None:
    """An object store reports its own checksum of an upload, and files of a disk are read again."""
    world = make_world(kind)
    ModelExporter(world / "base").run(model("before"), {"loss": 0.3})
    before = state_of(world / "base")
    base = Location(DroppingStorage(world, DAMAGES[damage]), f"{world.root}/base")
    with (
        Reader(world / "base") as reader,
        pytest.raises(ValueError, match=r"\Acannot publish "),
    ):
        ModelExporter(base).run(model("after"), {"loss": 0.1})
    assert_safe(world / "base", reader)
    assert reader.versions == [reader.largest]
    assert state_of(world / "base") == before


def test_the_marker_comes_last_and_goes_first(store: World, model: Model) -> None:
    storage = SteppedStorage(store.storage)
    root = f"{store.root}/base"
    exporter = ModelExporter(Location(storage, root), exports_to_keep=1)
    first = exporter.run(model("a"), {"loss": 0.3}).version
    written = [
        step.path.removeprefix(f"{root}/{first}/")
        for step in storage.steps
        if step.path.startswith(f"{root}/{first}/")
    ]
    assert written[-1] == "saved_model.pb"
    assert written.count("saved_model.pb") == 1
    assert sorted(written) == sorted((store / f"base/{first}").sizes())

    storage.steps.clear()
    exporter.run(model("b"), {"loss": 0.2})
    removed = [
        step.path
        for step in storage.steps
        if step.name == "remove_files" and step.path.startswith(f"{root}/{first}")
    ]
    assert removed[0] == " ".join(f"{root}/{first}/{marker}" for marker in MARKERS)
    assert len(removed) == 2
    steps = [(step.name, step.path) for step in storage.steps]
    tombstone = ("write", f"{root}/.best_exporter/retired/{first}.json")
    assert steps.index(tombstone) < steps.index(("remove_files", removed[0]))


@pytest.mark.parametrize("what", ["", "saved_model.pb", "variables"], ids=["all", "marker", "some"])
def test_the_best_is_removed_by_hand(world: World, model: Model, what: str) -> None:
    exporter = ModelExporter(world / "base")
    versions = [exporter.run(model(f"{n}"), {"loss": 1.0 / n}).version for n in (1, 2, 3)]
    removed = world / "base" / str(versions[-1])
    (removed / what if what else removed).remove()
    if what:
        # A person may be working on these files at this moment.
        decision = exporter.run(model("next"), {"loss": 0.4})
        assert decision.reason == pb.ExportDecision.BEING_WRITTEN
        assert decision.best.version == versions[1]
    storage = LaterStorage(world.storage)
    later = ModelExporter(Location(storage, (world / "base").path))
    decision = later.run(model("next"), {"loss": 0.4}).message
    assert decision.best.version == versions[1]
    assert decision.reason == pb.ExportDecision.BETTER
    assert decision.version > (versions[-1] or 0)
    if what:
        assert f"version {versions[-1]} is broken" in "".join(decision.warnings)


@pytest.mark.parametrize("is_marker_first", [True, False], ids=["marker first", "marker last"])
def test_a_person_copies_a_version_file_by_file(
    world: World, model: Model, is_marker_first: bool
) -> None:
    base = world / "base"
    exporter = ModelExporter(base)
    first = exporter.run(model("first"), {"loss": 0.5}).message.version
    source = location_of(model("by hand"))
    number = str(first + 100)
    # Files that no server reads come last: without them, the version is complete.
    paths = sorted(
        (path for path in source.sizes() if saved_model.is_read_by_server(path)),
        key=lambda path: (path in MARKERS) != is_marker_first,
    )
    for count, path in enumerate(paths, start=1):
        copy_files([(source / path, base / number / path)])
        before = (base / number).sizes()
        decision = exporter.run(model("better"), {"loss": 0.1})
        is_complete = count == len(paths)
        reason = "BEST_UNKNOWN_KEPT" if is_complete else "BEING_WRITTEN"
        assert (pb.ExportDecision.Reason.Name(decision.reason), count) == (reason, count)
        assert decision.best.version == (first + 100 if is_complete else first)
        assert (base / number).sizes() == before
    assert [each.version for each in ExportDirectory(base).exports()] == [first, first + 100]


NESTED = b"[" * 20_000 + b"]" * 20_000
UNREADABLE = {
    "empty": b"",
    "broken": b"{",
    "newer": b'{"schema_version": 2}',
    "nested": b'{"schema_version": 1, "x": %b}' % NESTED,
    "many digits": b'{"schema_version": 1, "version": %b}' % (b"9" * 10_000),
    "half a character": b'{"schema_version": 1, "name": "\\ud800"}',
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_record_that_cannot_be_read(world: World, model: Model, content: bytes) -> None:
    exporter = ModelExporter(world / "base")
    version = exporter.run(model("a"), {"loss": 0.3}).version
    record = world / "base" / str(version) / RECORD_PATH
    record.write(content)
    with pytest.raises(RecordError) as caught:
        exporter.run(model("b"), {"loss": 0.1})
    assert record.uri in str(caught.value)
    assert [each.version for each in ExportDirectory(world / "base").exports()] == [version]


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_an_old_record_that_cannot_be_read(world: World, model: Model, content: bytes) -> None:
    """A new model is exported, and only the exports with a readable record are retired."""
    exporter = ModelExporter(world / "base")
    versions = [exporter.run(model(f"{n}"), {"loss": 1.0 / n}).version for n in (1, 2)]
    record = world / "base" / str(versions[0]) / RECORD_PATH
    record.write(content)
    decision = ModelExporter(world / "base", exports_to_keep=1).run(model("3"), {"loss": 0.1})
    assert decision.exported
    present = [each.version for each in ExportDirectory(world / "base").exports()]
    assert present == [versions[0], decision.version]
    [warning] = decision.warnings
    assert warning.startswith(
        f"version {versions[0]} is kept because it cannot be read: cannot read {record}: "
    )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(Path.mkdir, id="directory"),
        pytest.param(os.mkfifo, id="pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), id="device"),
        pytest.param(lambda path: path.symlink_to("nowhere"), id="dangling link"),
        pytest.param(lambda path: path.symlink_to(path), id="link loop"),
    ],
)
def test_an_old_record_that_is_no_file(
    tmp_path: Path, model: Model, make: Callable[[Path], None]
) -> None:
    base = tmp_path / "base"
    versions = [ModelExporter(base).run(model(f"{n}"), {"loss": 1 / n}).version for n in (1, 2)]
    record = base / str(versions[0]) / RECORD_PATH
    record.unlink()
    make(record)
    decision = ModelExporter(base, exports_to_keep=1).run(model("3"), {"loss": 0.1})
    assert decision.exported
    present = [each.version for each in ExportDirectory(location_of(base)).exports()]
    assert present == [versions[0], decision.version]
    [warning] = decision.warnings
    assert warning.startswith(
        f"version {versions[0]} is kept because it cannot be read: cannot read {record}: "
    )


def test_a_manifest_that_leads_out(world: World, model: Model) -> None:
    """Nothing outside the export is read or written for a path in its manifest."""
    exporter = ModelExporter(world / "base")
    version = exporter.run(model("a"), {"loss": 0.3}).version
    record = world / "base" / str(version) / RECORD_PATH
    content = json.loads(record.read(1 << 20))
    path = "assets.extra/../../../evil"
    content["manifest"].append({"path": path, "size": "4", "crc32c": 1})
    record.write(json.dumps(content).encode())
    (world / "evil").write(b"evil")
    pushed_model = world / "pushed_model/7"
    with pytest.raises(RecordError) as caught:
        exporter.run(model("a"), {"loss": 0.3}, pushed_model_path=pushed_model)
    assert f"cannot read {record}: its manifest has the path {path!r}" in str(caught.value)
    assert not (world / "pushed_model").sizes()
    assert not (world / "pushed_model/7/assets.extra/../../../evil").exists()


def test_a_deletion_that_is_refused(world: World, model: Model) -> None:
    """An export that is reported as retired with an error is retired by the next run."""
    for n in (1, 2):
        ModelExporter(world / "base").run(model(f"{n}"), {"loss": 1.0 / n})
    old, best = [each.version for each in ExportDirectory(world / "base").exports()]

    def refuse(step: Step) -> None:
        is_old = f"/base/{old}" in step.path or "/trash/" in step.path
        if is_old and step.name in ("remove", "remove_files", "rename"):
            raise PermissionError(errno.EPERM, "Operation not permitted", step.path)

    with Reader(world / "base") as reader:
        decision = ModelExporter(stepped(world, "base", refuse), exports_to_keep=1).retire()
        (retired,) = decision.retired
        assert retired.version == old
        assert "Operation not permitted" in retired.error
        assert any(f"version {old} " in text for text in decision.warnings)
        assert_safe(world / "base", reader)
        decision = ModelExporter(world / "base", exports_to_keep=1).retire()
        assert [(each.version, each.error) for each in decision.retired] == [(old, "")]
    assert_safe(world / "base", reader)
    state = state_of(world / "base")
    assert len(state.exports) == len(state.retired) == 1
    assert reader.largest == best


def test_the_same_candidate_again(world: World, model: Model) -> None:
    """The candidate may come from another location, and have other metrics."""
    exporter = ModelExporter(world / "base")
    first = exporter.run(model("a"), {"loss": 0.3})
    put_model(model("a"), world / "elsewhere")
    for place, loss in [(location_of(model("a")), 0.3), (world / "elsewhere", 0.1)]:
        again = exporter.run(place, {"loss": loss})
        assert again.reason == pb.ExportDecision.ALREADY_BEST
        assert again.version == first.version
    assert len(state_of(world / "base").exports) == 1
