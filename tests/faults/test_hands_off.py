"""Code, files and names of others: rows 35, 36, 37, 39, 40 and 42 of the fault matrix."""

from __future__ import annotations

import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests.children import REPOSITORY, needs_strace, run_injected
from tests.executor.plain import FILES, read_files, write_files
from tests.faults.processes import Job, Outcome, Server
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.storage.protocol import StorageError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Runs one export in a new interpreter, and prints the decision.
EXPORT = f"""
import os, signal, sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from google.protobuf import json_format
from tfx_best_exporter.executor.exporter import ModelExporter
base_path, model_path, loss, options = sys.argv[1:]
class UnshownError(Exception):
    def __str__(self):
        raise LookupError
def leaves_a_child(best_eval_result, current_eval_result):
    child = os.fork()
    if not child:
        os.close(1); os.close(2)
        signal.pause()
    print(child, file=sys.stderr, flush=True)
    return True
def exits(best_eval_result, current_eval_result):
    sys.exit(0)
def cannot_be_shown(best_eval_result, current_eval_result):
    raise UnshownError
exporter = ModelExporter(base_path, **eval(options))
print(json_format.MessageToJson(exporter.run(model_path, {{"loss": float(loss)}})))
"""


def model(path: Path, name: str) -> Path:
    """Writes a plain model whose content depends on its name."""
    return write_files(path / "models" / name, {**FILES, "assets/words.txt": name.encode()})


def export_in_interpreter(
    base_path: Path, model_path: Path, loss: float, options: str = "{}"
) -> subprocess.CompletedProcess[str]:
    """Exports in a new interpreter; gives up after five minutes."""
    return subprocess.run(
        [sys.executable, "-c", EXPORT, str(base_path), str(model_path), str(loss), options],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def printed(result: subprocess.CompletedProcess[str]) -> pb.ExportDecision:
    assert result.returncode == 0, result.stderr
    return json_format.Parse(result.stdout, pb.ExportDecision())


class Elsewhere:
    """Exports in processes that the server of processes forks, which takes no second of imports."""

    def __init__(self, server: Server):
        self._server = server

    def run(
        self,
        base_path: Path,
        model_path: Path,
        loss: float,
        umask: int | None = None,
        **options: Any,
    ) -> Outcome:
        rounds = [(str(model_path), loss)]
        return self._server.run(
            Job(base=str(base_path), rounds=rounds, options=options, umask=umask)
        )

    def decide(self, *arguments: Any, **options: Any) -> pb.ExportDecision:
        """Returns the decision of an export that succeeds."""
        outcome = self.run(*arguments, **options)
        assert outcome.error == ""
        return json_format.ParseDict(outcome.decision, pb.ExportDecision())


@pytest.fixture
def elsewhere(server: Server) -> Elsewhere:
    return Elsewhere(server)


def versions_in(base_path: Path) -> list[Path]:
    return sorted(path for path in base_path.iterdir() if path.name.isdecimal())


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    """A base directory with a first version, of loss 0.5."""
    path = tmp_path / "base"
    assert ModelExporter(path).run(model(tmp_path, "first"), {"loss": 0.5}).exported
    return path


# Row 35: functions of the user.


def test_a_child_of_a_compare_function_does_not_keep_the_lock(
    base_path: Path, tmp_path: Path
) -> None:
    result = export_in_interpreter(
        base_path, model(tmp_path, "second"), 0.4, "{'compare_fn': leaves_a_child}"
    )
    child = int(result.stderr.splitlines()[0])
    try:
        assert printed(result).exported
        exporter = ModelExporter(base_path)
        with exporter._settings.exports.lock(timeout_seconds=0):
            pass
        assert exporter.run(model(tmp_path, "third"), {"loss": 0.3}).exported
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("function", "got"),
    [
        ("exits", "SystemExit from exits: 0"),
        (
            "cannot_be_shown",
            "UnshownError from cannot_be_shown: UnshownError whose text raises LookupError",
        ),
    ],
)
def test_a_compare_function_that_ends_in_its_own_way_fails_the_run(
    base_path: Path, tmp_path: Path, function: str, got: str
) -> None:
    result = export_in_interpreter(
        base_path, model(tmp_path, "second"), 0.4, f"{{'compare_fn': {function}}}"
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("RuntimeError: compare_fn must return")
    assert f"(got {got})" in result.stderr
    assert len(versions_in(base_path)) == 1
    assert ModelExporter(base_path).run(model(tmp_path, "third"), {"loss": 0.3}).exported


# Row 36: a file system that refuses calls.


@needs_strace
@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP"])
def test_a_file_system_that_cannot_sync_directories_or_link(
    base_path: Path, tmp_path: Path, error: str
) -> None:
    # strace cannot tell a directory from a file, whose sync must not fail.
    program = EXPORT.replace(
        "base_path, model_path",
        "import errno\n"
        "real_fsync = os.fsync\n"
        "def fsync(descriptor):\n"
        "    if os.path.isdir(f'/proc/self/fd/{descriptor}'):\n"
        f"        raise OSError(errno.{error}, os.strerror(errno.{error}))\n"
        "    real_fsync(descriptor)\n"
        "os.fsync = fsync\n"
        "base_path, model_path",
        1,
    )
    result = run_injected(
        f"link,linkat:error={error}", program, base_path, model(tmp_path, "second"), 0.4, "{}"
    )
    decision = printed(result)
    assert decision.exported
    [warning] = [each for each in decision.warnings if "cannot sync directories" in each]
    assert os.strerror({"EINVAL": 22, "EOPNOTSUPP": 95}[error]) in warning
    assert len(versions_in(base_path)) == 2


# Row 37: links below .best_exporter.


@pytest.mark.parametrize("name", ["", "lock", "staging", "trash", "retired"])
def test_a_link_in_the_state_directory_is_refused(
    base_path: Path, tmp_path: Path, name: str
) -> None:
    theirs = write_files(tmp_path / "theirs", {"file": b"1", "7.json": b"2"})
    state = base_path / ".best_exporter"
    moved = (state / name).rename(tmp_path / "moved") if (state / name).exists() else None
    (state / name).symlink_to(theirs)
    before = read_files(theirs)
    served = read_files(base_path / versions_in(base_path)[0])
    for run in (
        lambda: ModelExporter(base_path).run(model(tmp_path, "second"), {"loss": 0.1}),
        lambda: ModelExporter(base_path).decide(model(tmp_path, "second"), {"loss": 0.1}),
        ModelExporter(base_path, exports_to_keep=1).retire,
    ):
        with pytest.raises(StorageError, match="it is a link"):
            run()
    assert read_files(theirs) == before
    assert read_files(versions_in(base_path)[0]) == served
    (state / name).unlink()
    if moved is not None:
        moved.rename(state / name)
    assert ModelExporter(base_path).run(model(tmp_path, "second"), {"loss": 0.1}).exported


# Row 39: sources that are no regular files.


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        previous = os.getcwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(previous)


def make_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


SPECIAL = {"a pipe": make_pipe, "a socket": make_socket, "a device": make_link_to_a_device}


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_source_of_assets_extra_that_is_no_file(
    base_path: Path, tmp_path: Path, elsewhere: Elsewhere, kind: str
) -> None:
    SPECIAL[kind](tmp_path / "special")
    extra = {"requests": str(tmp_path / "special")}
    error = elsewhere.run(base_path, model(tmp_path, "second"), 0.4, assets_extra=extra).error
    assert error.startswith("ValueError: assets_extra['requests'] must be the path of a file (got")
    assert str(tmp_path / "special") in error
    assert len(versions_in(base_path)) == 1


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["assets/special", "saved_model.pb", "variables/variables.index"])
def test_a_file_of_the_model_that_is_no_file(
    base_path: Path, tmp_path: Path, elsewhere: Elsewhere, kind: str, name: str
) -> None:
    path = model(tmp_path, "second")
    (path / name).unlink(missing_ok=True)
    SPECIAL[kind](path / name)
    error = elsewhere.run(base_path, path, 0.4).error
    assert error.startswith("InvalidModelError: model must ")
    assert name in error
    assert len(versions_in(base_path)) == 1


def test_a_source_of_assets_extra_may_be_a_link_to_a_link(base_path: Path, tmp_path: Path) -> None:
    """Kubernetes mounts a ConfigMap as links to links: words.txt -> ..data -> ..2026_01_01."""
    write_files(tmp_path / "map" / "..2026_01_01", {"words.txt": b"mounted"})
    (tmp_path / "map" / "..data").symlink_to("..2026_01_01")
    (tmp_path / "map" / "words.txt").symlink_to("..data/words.txt")
    exporter = ModelExporter(
        base_path, assets_extra={"words.txt": str(tmp_path / "map" / "words.txt")}
    )
    exported = exporter.export(model(tmp_path, "second"), {"loss": 0.4})
    assert exported is not None
    copy = Path(exported) / "assets.extra" / "words.txt"
    assert copy.read_bytes() == b"mounted"
    assert not copy.is_symlink()


# Row 40: a model server of another user.


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that other users can enter, which pytest's own directories are not."""
    with tempfile.TemporaryDirectory(prefix="best_exporter-test-", dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield Path(path)


def modes_in(path: Path) -> Mapping[str, set[int]]:
    found: dict[str, set[int]] = {"files": set(), "directories": set()}
    for each in (path, *path.rglob("*")):
        kind = "directories" if each.is_dir() else "files"
        found[kind].add(stat.S_IMODE(each.stat().st_mode))
    return found


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o022, 0])
@pytest.mark.parametrize(
    ("base_mode", "file_mode", "is_warned"),
    [(0o755, 0o644, False), (0o750, 0o640, False), (0o700, 0o600, True)],
)
def test_an_export_is_readable_as_its_base_directory_is(
    tmp_path: Path,
    elsewhere: Elsewhere,
    umask: int,
    base_mode: int,
    file_mode: int,
    is_warned: bool,
) -> None:
    base_path = tmp_path / "base"
    base_path.mkdir()
    base_path.chmod(base_mode)
    decision = elsewhere.decide(base_path, model(tmp_path, "first"), 0.5, umask)
    [version] = versions_in(base_path)
    assert modes_in(version) == {"files": {file_mode}, "directories": {base_mode}}
    warnings = [each for each in decision.warnings if "only its owner can read" in each]
    assert bool(warnings) == is_warned


def test_a_base_directory_that_the_run_makes_unreadable_is_a_warning(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    base_path = tmp_path / "new" / "base"
    decision = elsewhere.decide(base_path, model(tmp_path, "first"), 0.5, 0o077)
    [warning] = [each for each in decision.warnings if "only its owner" in each]
    assert "which this run made" in warning
    assert str(base_path) in warning


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_a_server_of_another_user_reads_the_export(public_path: Path, elsewhere: Elsewhere) -> None:
    base_path = public_path / "base"
    base_path.mkdir(mode=0o755)
    base_path.chmod(0o755)
    source = model(public_path, "first")
    elsewhere.decide(base_path, source, 0.5, 0o077)
    [version] = versions_in(base_path)
    for name, content in FILES.items():
        read = subprocess.run(
            ["cat", str(version / name)], user=65534, group=65534, check=True, capture_output=True
        )
        assert read.stdout == (b"first" if name == "assets/words.txt" else content)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
@pytest.mark.parametrize("is_new", [True, False], ids=["the run makes it", "it exists"])
def test_the_remedy_for_a_base_directory_that_others_cannot_read(
    public_path: Path, elsewhere: Elsewhere, is_new: bool
) -> None:
    base_path = public_path / "new" / "base"
    if not is_new:
        base_path.mkdir(parents=True)
        base_path.chmod(0o700)
    decision = elsewhere.decide(base_path, model(public_path, "first"), 0.5, 0o077)
    [warning] = [each for each in decision.warnings if "only its owner" in each]
    [version] = versions_in(base_path)
    read = ["cat", str(version / "saved_model.pb")]
    assert subprocess.run(read, user=65534, group=65534, capture_output=True).returncode != 0
    assert "Run chmod -R g+rX or chmod -R o+rX on the directory" in warning
    directory = (
        base_path.parent if "and on the parents that this run made" in warning else base_path
    )
    subprocess.run(["chmod", "-R", "o+rX", str(directory)], check=True)
    subprocess.run(read, user=65534, group=65534, check=True, capture_output=True)
    # The next export is readable too, and the best is still known by its record.
    decision = elsewhere.decide(base_path, model(public_path, "better"), 0.4, 0o077)
    assert (decision.reason, decision.warnings) == (pb.ExportDecision.BETTER, [])
    read = ["cat", str(versions_in(base_path)[-1] / "saved_model.pb")]
    subprocess.run(read, user=65534, group=65534, check=True, capture_output=True)


# Row 42: secrets.

PASSWORD = "pa55/word=="


def test_secrets_of_an_endpoint_are_never_shown(tmp_path: Path) -> None:
    """Nobody listens at the endpoint, and the error of the client names it."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://me:{PASSWORD.replace('/', '%2F')}@127.0.0.1:9/",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    result = subprocess.run(
        [sys.executable, "-c", EXPORT, "s3://bucket/base", str(model(tmp_path, "m")), "0.5", "{}"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert "StorageError: cannot access s3://bucket/base" in error
    assert "http://***@127.0.0.1:9/" in error
    assert "pa55" not in error


def test_secrets_of_a_uri_are_never_shown(
    base_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"https://me:{PASSWORD}@host/models/7?X-Amz-Signature=0123abcd"
    with caplog.at_level(logging.INFO):
        ModelExporter(base_path).run(
            model(tmp_path, "second"), {"loss": 0.4}, model_uri=uri, warnings=[f"found {uri}"]
        )
    assert "found https://***@host/models/7?X-Amz-Signature=***" in caplog.text
    assert "pa55" not in caplog.text
    assert "0123abcd" not in caplog.text
    with pytest.raises(ValueError, match=r"got 's3://\*\*\*@bucket/base'") as caught:
        ModelExporter(f"s3://me:{PASSWORD}@bucket/base")
    assert "pa55" not in str(caught.value)


# Names of others, in which a line break would forge a log line.

FORGED = "1\nERROR forged\x1b[2J"


def test_a_name_is_one_line_in_warnings_and_errors(
    base_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (base_path / FORGED).mkdir()
    write_files(base_path / ".best_exporter" / "staging" / FORGED, {"file": b""})
    [version] = versions_in(base_path)
    (version / FORGED).touch()
    exporter = ModelExporter(base_path)
    assert exporter.verify(int(version.name)) == ["1\\nERROR forged\\x1b[2J is not in the record"]
    with caplog.at_level(logging.INFO):
        decision = exporter.run(model(tmp_path, "second"), {"loss": 0.4})
    found = [each for each in decision.warnings if "forged" in each]
    assert len(found) == 2
    assert all(each.isprintable() for each in (*found, *caplog.messages))
    path = write_files(tmp_path / FORGED, FILES)
    (path / "variables" / "variables.index").unlink()
    with pytest.raises(InvalidModelError) as caught:
        exporter.run(path, {"loss": 0.1})
    assert str(caught.value).isprintable()
