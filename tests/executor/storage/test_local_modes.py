"""Read permissions of an export, by the mode of its base directory."""

import stat
from pathlib import Path

import pytest

from tests.children import needs_strace, run_injected
from tfx_best_exporter.executor.storage.local_modes import readable_as, warn_if_unreadable
from tfx_best_exporter.executor.storage.tolerated import collected


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory as an umask of 077 leaves it, and a link to a file elsewhere."""
    path = tmp_path / "tree"
    (path / "below").mkdir(parents=True, mode=0o700)
    path.chmod(0o700)
    for name in ("file", "below/file"):
        (path / name).touch(mode=0o600)
    (tmp_path / "elsewhere").touch(mode=0o600)
    (path / "link").symlink_to(tmp_path / "elsewhere")
    return path


@pytest.mark.parametrize(
    ("base_mode", "file_mode", "directory_mode"),
    [
        pytest.param(0o755, 0o644, 0o755, id="all may read"),
        pytest.param(0o775, 0o644, 0o755, id="nobody else may write"),
        pytest.param(0o750, 0o640, 0o750, id="the group may read"),
        pytest.param(0o705, 0o604, 0o705, id="others may read"),
        pytest.param(0o711, 0o600, 0o711, id="all may enter, nobody may list"),
        pytest.param(0o700, 0o600, 0o700, id="only the owner"),
        pytest.param(0o500, 0o600, 0o700, id="the owner may always write"),
    ],
)
def test_an_export_is_readable_as_its_base_directory(
    tree: Path, tmp_path: Path, base_mode: int, file_mode: int, directory_mode: int
):
    base_path = tmp_path / "base"
    base_path.mkdir()
    base_path.chmod(base_mode)
    with collected() as problems:
        readable_as(tree, base_path)
    assert problems == {}
    assert {mode_of(tree / name) for name in ("file", "below/file")} == {file_mode}
    assert {mode_of(tree / name) for name in (".", "below")} == {directory_mode}
    assert mode_of(tmp_path / "elsewhere") == 0o600


def test_a_permission_that_is_too_wide_is_taken_away(tree: Path, tmp_path: Path):
    (tree / "file").chmod(0o666)
    tmp_path.chmod(0o750)
    readable_as(tree, tmp_path)
    assert mode_of(tree / "file") == 0o640


def test_a_single_file(tree: Path, tmp_path: Path):
    tmp_path.chmod(0o755)
    readable_as(tree / "file", tmp_path)
    assert (mode_of(tree / "file"), mode_of(tree / "below" / "file")) == (0o644, 0o600)


def test_the_set_group_id_bit_stays(tree: Path, tmp_path: Path):
    (tree / "below").chmod(0o2700)
    tmp_path.chmod(0o755)
    readable_as(tree, tmp_path)
    assert mode_of(tree / "below") == 0o2755


@pytest.mark.parametrize(
    ("mode", "is_new", "warning"),
    [
        pytest.param(0o755, True, "", id="all"),
        pytest.param(0o750, False, "", id="the group"),
        pytest.param(0o705, False, "", id="others"),
        pytest.param(0o711, False, "which exists (mode 0711)", id="all may enter, nobody may list"),
        pytest.param(0o744, False, "which exists (mode 0744)", id="all may list, nobody may enter"),
        pytest.param(0o700, False, "which exists (mode 0700)", id="only the owner"),
        pytest.param(
            0o700, True, "which this run made with the umask of its process (mode 0700)", id="new"
        ),
    ],
)
def test_a_base_directory_that_only_its_owner_can_read(
    tmp_path: Path, mode: int, is_new: bool, warning: str
):
    tmp_path.chmod(mode)
    with collected() as problems:
        warn_if_unreadable(tmp_path, is_new=is_new)
    which = "the directory and on the parents that this run made" if is_new else "the directory"
    text = (
        f"only its owner can read the base directory {tmp_path}, {warning}. A model server of"
        f" another user cannot load the export. Run chmod -R g+rX or chmod -R o+rX on {which}, or"
        " run the model server as the same user."
    )
    assert [*problems.values()] == ([text] if warning else [])


PROGRAM = """
import sys
from pathlib import Path
from tfx_best_exporter.executor.storage.local_modes import readable_as
from tfx_best_exporter.executor.storage.tolerated import collected
with collected() as problems:
    readable_as(*map(Path, sys.argv[1:]))
print(*problems.values(), end="")
"""


@needs_strace
@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP"])
@pytest.mark.parametrize(
    ("mode", "is_warned"),
    [pytest.param(0o600, True, id="not readable"), pytest.param(0o644, False, id="readable")],
)
def test_a_change_of_permissions_that_is_refused(
    tmp_path: Path, error: str, mode: int, is_warned: bool
):
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    tmp_path.chmod(0o755)
    result = run_injected(f"chmod,fchmodat:error={error}", PROGRAM, tmp_path / "file", tmp_path)
    refusal = {"EPERM": "Operation not permitted", "EOPNOTSUPP": "Operation not supported"}[error]
    assert result.stdout == (
        f"the permissions of the new files in {tmp_path} could not be set ({refusal}), so a model"
        " server of another user cannot read the export. Set umask 022 for the exporter, or run"
        " the model server as the same user."
        if is_warned
        else ""
    )
