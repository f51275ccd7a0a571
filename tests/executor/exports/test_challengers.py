import os
from pathlib import Path

import pytest

from tests.executor.bucket import KilledError
from tests.executor.plain import FILES, files_of, read_files, recover, write_files
from tests.faults.storages import Step, SteppedStorage
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.challengers import CHALLENGERS, MAX_ROWS, Challengers
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import LeaseLostError, StorageError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DATA = "variables/variables.data-00000-of-00001"
RULE = pb.MetricRule(metric=pb.MetricKey(name="auc"), direction=pb.HIGHER_IS_BETTER)


@pytest.fixture
def exports(tmp_path: Path) -> ExportDirectory:
    return ExportDirectory(location_of(tmp_path / "base"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "base" / ".best_exporter" / "challengers"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_files(tmp_path / "model")


def keep(exports: ExportDirectory, model: Path, *, may_link: bool = True) -> pb.Challenger:
    files = files_of(model)
    challenger = pb.Challenger(
        record=pb.ExportRecord(
            schema_version=1, model=pb.SourceModel(digest=saved_model.digest_of(files))
        )
    )
    with exports.lock():
        exports.challengers.keep(files, challenger, may_link=may_link)
    return challenger


def hex_of(challenger: pb.Challenger) -> str:
    return challenger.record.model.digest.removeprefix("sha256:")


def ledger_of(*data: str) -> pb.ChallengerLedger:
    return pb.ChallengerLedger(
        eval_config_digest="config", rule=RULE, rows=[pb.LedgerRow(data=each) for each in data]
    )


@pytest.mark.parametrize("may_link", [True, False])
def test_kept_model_has_the_same_files(
    exports: ExportDirectory, directory: Path, model: Path, may_link: bool
):
    challenger = keep(exports, model, may_link=may_link)
    place = directory / hex_of(challenger)
    assert read_files(place / "files") == FILES
    assert exports.challengers.all() == [challenger]
    assert exports.challengers.problem_of(challenger) == ""
    assert os.path.samefile(place / "files" / DATA, model / DATA) == may_link
    assert [file.path for file in exports.challengers.files_of(challenger)] == sorted(FILES)


def test_kept_model_is_not_written_again(exports: ExportDirectory, directory: Path, model: Path):
    challenger = keep(exports, model)
    before = read_files(directory)
    (model / "assets/words.txt").unlink()
    with exports.lock():
        again = pb.Challenger(record=pb.ExportRecord(model=challenger.record.model))
        exports.challengers.keep([], again)
    assert read_files(directory) == before


def test_file_that_changes_while_it_is_kept_is_an_error(
    exports: ExportDirectory, directory: Path, model: Path
):
    files = files_of(model)
    (model / DATA).write_bytes(b"late")
    digest = saved_model.digest_of(files)
    challenger = pb.Challenger(record=pb.ExportRecord(model=pb.SourceModel(digest=digest)))
    with exports.lock(), pytest.raises(ValueError, match=DATA):
        exports.challengers.keep(files, challenger)
    assert exports.challengers.all() == []
    assert any(digest in sentence for sentence in recover(exports))
    assert read_files(directory) == {}


@pytest.mark.parametrize("name", ["challenger.json", "files/saved_model.pb"])
def test_changed_challenger_is_noticed(
    exports: ExportDirectory, directory: Path, model: Path, name: str
):
    challenger = keep(exports, model, may_link=False)
    path = directory / hex_of(challenger) / name
    path.write_bytes(b"x" * path.stat().st_size)
    if name == "challenger.json":
        assert exports.challengers.all() == []
    else:
        assert "content" in exports.challengers.problem_of(challenger)


@pytest.mark.parametrize("change", ["missing", "added", "larger"])
def test_other_files_than_were_kept_are_noticed(
    exports: ExportDirectory, directory: Path, model: Path, change: str
):
    challenger = keep(exports, model, may_link=False)
    files = directory / hex_of(challenger) / "files"
    if change == "missing":
        (files / DATA).unlink()
    else:
        (files / ("new" if change == "added" else DATA)).write_bytes(b"larger")
    assert exports.challengers.problem_of(challenger)


def test_record_of_another_model_is_no_challenger(
    exports: ExportDirectory, directory: Path, model: Path
):
    challenger = keep(exports, model)
    other = "0" * 64
    os.rename(directory / hex_of(challenger), directory / other)
    assert exports.challengers.digests() == {f"sha256:{other}"}
    assert exports.challengers.all() == []


def test_manifest_outside_of_the_challenger_is_damaged(
    exports: ExportDirectory, directory: Path, model: Path
):
    challenger = keep(exports, model)
    path = directory / hex_of(challenger) / "challenger.json"
    path.write_text(path.read_text().replace(DATA, "../../../secret"))
    assert exports.challengers.all() == []


def test_incomplete_challenger_is_removed_by_the_next_run(
    exports: ExportDirectory, directory: Path, model: Path
):
    complete = keep(exports, model)
    write_files(directory / ("1" * 64) / "files")
    (sentence,) = recover(exports)
    assert sentence == f"removed the challenger sha256:{'1' * 64}, which was not kept completely"
    assert exports.challengers.digests() == {complete.record.model.digest}
    assert recover(exports) == ()


def test_challenger_of_a_newer_release_stays(
    exports: ExportDirectory, directory: Path, model: Path
):
    challenger = keep(exports, model)
    path = directory / hex_of(challenger) / "challenger.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2', 1))
    before = read_files(directory)
    with exports.lock():
        [sentence] = exports.recover()
        assert exports.challengers.known == ()
    assert sentence.startswith(f"the challenger {challenger.record.model.digest} is not used: ")
    assert "its schema_version is 2, not 1" in sentence
    assert read_files(directory) == before


def test_dropped_challenger_is_gone(exports: ExportDirectory, directory: Path, model: Path):
    challenger = keep(exports, model)
    with exports.lock():
        exports.challengers.drop(challenger.record.model.digest)
        exports.challengers.drop(challenger.record.model.digest)
    assert not (directory / hex_of(challenger)).exists()
    assert read_files(model) == FILES


@pytest.mark.parametrize("act", ["keep", "drop"])
def test_challenger_is_whole_or_none_at_every_step(tmp_path: Path, model: Path, act: str):
    number = 0
    while True:
        exports = ExportDirectory(location_of(tmp_path / str(number) / "base"))
        challenger = keep(exports, model)
        digest = challenger.record.model.digest
        if act == "keep":
            with exports.lock():
                exports.challengers.drop(digest)
        steps = 0

        def die(step: Step | str, last: int = number) -> None:
            nonlocal steps
            if CHALLENGERS in str(step):
                if steps == last:
                    raise KilledError
                steps += 1

        base = Location(SteppedStorage(LocalStorage(), before=die), exports.base.path)
        killed = ExportDirectory(base)
        try:
            if act == "keep":
                keep(killed, model)
            else:
                with killed.lock():
                    killed.challengers.drop(digest)
        except KilledError:
            pass
        else:
            break
        for found in exports.challengers.all():
            assert exports.challengers.problem_of(found) == "", number
        number += 1
    assert number >= 2


def test_writes_need_the_lock(exports: ExportDirectory, model: Path):
    challenger = keep(exports, model)
    with pytest.raises(RuntimeError, match="without its lock"):
        exports.challengers.drop(challenger.record.model.digest)
    with pytest.raises(RuntimeError, match="without its lock"):
        exports.challengers.write_ledger(ledger_of("a"))


def test_lost_lock_ends_the_repair(exports: ExportDirectory, directory: Path):
    write_files(directory / ("1" * 64) / "files")

    def lose() -> None:
        raise LeaseLostError("another writer has the lock")

    state = Challengers(location_of(directory.parent), lose)
    with pytest.raises(LeaseLostError):
        state.recover(state.digests())
    assert exports.challengers.digests() == {f"sha256:{'1' * 64}"}


def test_ledger_keeps_the_newest_rows(exports: ExportDirectory):
    names = [str(number) for number in range(MAX_ROWS + 5)]
    with exports.lock():
        exports.challengers.write_ledger(ledger_of(*names))
    found, warning = exports.challengers.ledger("config", RULE)
    assert [row.data for row in found.rows] == names[5:]
    assert warning == ""
    assert MAX_ROWS == 40


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ("other", RULE),
        ("config", pb.MetricRule(metric=pb.MetricKey(name="loss"), direction=pb.HIGHER_IS_BETTER)),
        ("config", pb.MetricRule(metric=RULE.metric, direction=pb.LOWER_IS_BETTER)),
    ],
)
def test_ledger_of_another_config_or_rule_is_empty(
    exports: ExportDirectory, config: str, rule: pb.MetricRule
):
    with exports.lock():
        exports.challengers.write_ledger(ledger_of("a"))
    assert exports.challengers.ledger(config, rule) == (
        pb.ChallengerLedger(eval_config_digest=config, rule=rule),
        "",
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 2}'])
def test_ledger_that_cannot_be_read_is_a_warning(
    exports: ExportDirectory, directory: Path, content: bytes
):
    directory.mkdir(parents=True)
    (directory / "ledger.json").write_bytes(content)
    found, warning = exports.challengers.ledger("config", RULE)
    assert not found.rows
    assert warning.startswith("the evidence of earlier runs is not used: cannot read")


def test_links_are_not_followed(exports: ExportDirectory, directory: Path, tmp_path: Path):
    write_files(tmp_path / "elsewhere")
    directory.mkdir(parents=True)
    (directory / ("2" * 64)).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        exports.challengers.digests()


def test_fingerprint_changes_with_challengers_and_ledger(exports: ExportDirectory, model: Path):
    found = [exports.challengers.fingerprint()]
    challenger = keep(exports, model)
    found.append(exports.challengers.fingerprint())
    with exports.lock():
        exports.challengers.write_ledger(ledger_of("a"))
        found.append(exports.challengers.fingerprint())
        exports.challengers.write_ledger(ledger_of("a"))
        assert exports.challengers.fingerprint() == found[-1]
        exports.challengers.drop(challenger.record.model.digest)
        found.append(exports.challengers.fingerprint())
    assert found[0] == ""
    assert len({*found}) == len(found)
