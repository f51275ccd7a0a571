"""Any sequence of runs, kills and changes by hand: no run makes serving worse, or deletes a file of
another.

Every model has a loss. Runs know the loss of their own candidates only. Operators copy, edit, link,
remove and restore versions, and know nothing of the exporter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.executor.bucket import Bucket
from tests.executor.plain import FILES, read_files, write_files
from tests.faults import reader
from tests.faults.storages import Step, SteppedStorage
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.storage.local import LocalStorage
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.executor.storage.protocol import Tree
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DATA = "variables/variables.data-00000-of-00001"
# The differences between the loss of a new model and that of the served one.
STEPS = st.sampled_from([-3, -2, -1, 0, 1, 2])
# Chooses one of the versions that exist. What exists after a kill depends on the speed of the
# machine, and what hypothesis draws must not.
CHOICES = st.integers(0, 59)


class Killed(BaseException):
    """The process was killed: nothing that it does afterwards has an effect."""


class ShiftedDisk(LocalStorage):
    """A disk with a clock that jumps ahead by an hour."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.jumps: list[float] = []

    def jump(self) -> None:
        self.jumps.append(time.time())
        # Files that are written from now on have later times.
        time.sleep(0.02)

    def _shifted(self, seconds: float) -> float:
        return seconds + 3600.0 * sum(jump < seconds for jump in self.jumps)

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        return self._shifted(super().now(lock_path, is_locked=is_locked) + 0.02)

    def tree(self, path: str) -> Tree:
        tree = super().tree(path)
        return Tree(
            files={
                name: dataclasses.replace(status, changed_at=self._shifted(status.changed_at))
                for name, status in tree.files.items()
            },
            changed_at=None if tree.changed_at is None else self._shifted(tree.changed_at),
        )


class ShiftedBucket(ShiftedDisk, Bucket):
    """An object store with such a clock: no renames, no links, no times of directories."""

    # Threads make no two runs equal.
    connections = 1
    small_file_connections = 1

    def __init__(self, directory: Path) -> None:
        ShiftedDisk.__init__(self, directory)
        jumps = self.jumps
        Bucket.__init__(self, directory)
        self.jumps = jumps

    def now(self, lock_path: str, *, is_locked: bool) -> float:
        # The lock of a bucket has no file, whose time a disk would take.
        return super().now(lock_path, is_locked=False)

    def tree(self, path: str) -> Tree:
        return Tree(files=super().tree(path).files)


def model_files(number: int, loss: int) -> dict[str, bytes]:
    """Returns the files of a model; each number makes other content of the same size."""
    return {**FILES, DATA: loss.to_bytes(2, "big") + number.to_bytes(2, "big")}


def loss_of(files: dict[str, bytes]) -> int:
    return int.from_bytes(files[DATA][:2], "big")


class Serving(RuleBasedStateMachine):
    """A base directory on a disk."""

    storage: ClassVar[type[ShiftedDisk]] = ShiftedDisk

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="serving-"))
        self.base_path = self.directory / "base"
        self.disk = self.storage(self.directory)
        self.number = 0
        self.seconds = 1_700_000_000
        self.published: dict[str, dict[str, bytes]] = {}
        # Versions to which a person has copied a file in this hour.
        self.copied: set[str] = set()
        self.pending: dict[str, dict[str, bytes]] = {}
        # Files that a person wrote or changed, and every file of a version that a person edited.
        self.theirs: dict[str, bytes] = {}
        self.candidate: tuple[Path, int] | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    # --- runs -------------------------------------------------------------------------------------

    def exporter(
        self,
        kill_at: int | None,
        keep: int,
        on_unknown_best: str = "KEEP",
        meanwhile: Callable[[Step], None] = lambda step: None,
    ) -> ModelExporter:
        is_dead = False

        def die(step: Step) -> None:
            nonlocal is_dead
            meanwhile(step)
            is_dead = is_dead or step.number == kill_at
            if is_dead and step.name != "unlock":
                raise Killed

        self.seconds += 1
        storage = SteppedStorage(self.disk, before=die)
        return ModelExporter(
            Location(storage, str(self.base_path)),
            compare_policy=compare_policy(smaller("loss"), on_unknown_best=on_unknown_best),
            exports_to_keep=keep,
            clock=lambda: float(self.seconds),
        )

    def new_model(self, step: int) -> tuple[dict[str, bytes], int]:
        served = reader.served_files(self.base_path)
        self.number += 1
        loss = (loss_of(served) if served else 1000) + step
        return model_files(self.number, loss), loss

    def run(
        self, action: str, kill_at: int | None, keep: int, on_unknown_best: str = "KEEP"
    ) -> None:
        before = reader.served_files(self.base_path)
        linked = {path: read_files(path.resolve()) for path in self.links() if path.is_dir()}
        being_copied = self.is_being_copied()
        decision = pb.ExportDecision()
        exporter = self.exporter(kill_at, keep, on_unknown_best)
        with contextlib.suppress(Killed):
            if action == "retire":
                decision = exporter.retire()
            elif self.candidate is not None:
                path, loss = self.candidate
                decision = exporter.run(path, {"loss": float(loss)})
        after = reader.served_files(self.base_path)
        assert not (decision.exported and being_copied), decision
        if before is not None:
            assert after is not None, decision
            assert on_unknown_best == "EXPORT" or loss_of(after) <= loss_of(before), decision
        for name, content in self.theirs.items():
            assert (self.base_path / name).read_bytes() == content, (name, decision)
        for path, files in linked.items():
            assert read_files(path.resolve()) == files, (path, decision)
        self.remember()

    def remember(self) -> None:
        """Keeps the files of each version, which a person may restore later."""
        for version in self.numbers():
            files = read_files(self.base_path / version)
            if version not in self.published and version not in self.pending:
                self.published.setdefault(version, files)

    @rule(step=STEPS, kill_at=st.none() | st.integers(0, 40), keep=st.integers(1, 3))
    def export(self, step: int, kill_at: int | None, keep: int) -> None:
        files, loss = self.new_model(step)
        self.candidate = write_files(self.directory / f"model-{self.number}", files), loss
        self.run("export", kill_at, keep)

    @rule(step=STEPS, keep=st.integers(1, 3))
    def export_whatever_is_served(self, step: int, keep: int) -> None:
        """A person allows to replace a best without a known evaluation, for one run."""
        files, loss = self.new_model(step)
        self.candidate = write_files(self.directory / f"model-{self.number}", files), loss
        self.run("export", None, keep, "EXPORT")

    @rule(step=STEPS, by_hand=STEPS, at=st.integers(0, 12), keep=st.integers(1, 3))
    def export_while_a_person_copies(self, step: int, by_hand: int, at: int, keep: int) -> None:
        """A person copies a whole version while a run decides and uploads."""
        files, loss = self.new_model(step)
        path = write_files(self.directory / f"model-{self.number}", files)
        copied, _ = self.new_model(by_hand)
        uploads = 0

        def copy(step: Step) -> None:
            nonlocal uploads
            # No check can see what happens between it and the commit.
            is_upload = step.name in ("upload", "copy") and not step.path.endswith("saved_model.pb")
            uploads += is_upload
            if is_upload and uploads == at + 1:
                name = str(self.largest() + 1)
                self.pending.pop(name, None)
                for file, content in copied.items():
                    self.write(f"{name}/{file}", content)

        exporter = self.exporter(None, keep, meanwhile=copy)
        decision = exporter.run(path, {"loss": float(loss)})
        if uploads > at:
            served = reader.served_files(self.base_path)
            assert served is not None, decision
            assert served[DATA] == copied[DATA], decision
            assert not decision.exported, decision
        else:
            self.remember()

    @rule(keep=st.integers(1, 3))
    def run_again(self, keep: int) -> None:
        self.run("export", None, keep)

    @rule(kill_at=st.none() | st.integers(0, 30), keep=st.integers(1, 3))
    def retire(self, kill_at: int | None, keep: int) -> None:
        # Without a base directory, an operation is an error.
        if any(path.is_file() for path in self.base_path.rglob("*")):
            self.run("retire", kill_at, keep)

    def links(self) -> list[Path]:
        paths = (self.base_path / name for name in self.numbers())
        return [path for path in paths if path.is_symlink()]

    def is_being_copied(self) -> bool:
        """Returns True if the largest version cannot be loaded, and was changed a moment ago."""
        names = [name for name in self.numbers() if reader.version_of(name) == self.largest()]
        return (
            len(names) == 1
            and names[0] in self.copied
            and names[0] in self.pending
            and (not reader.is_loadable(self.base_path / names[0]))
        )

    # --- operators --------------------------------------------------------------------------------

    @staticmethod
    def chosen(choice: int, names: list[str]) -> str | None:
        return names[choice % len(names)] if names else None

    def numbers(self) -> list[str]:
        """Returns the names of the versions."""
        if not self.base_path.exists():
            return []
        names = (entry.name for entry in self.base_path.iterdir())
        return sorted(name for name in names if reader.version_of(name) is not None)

    def largest(self) -> int:
        return max((reader.version_of(name) or 0 for name in self.numbers()), default=0)

    def write(self, name: str, content: bytes) -> None:
        write_files(self.base_path, {name: content})
        self.theirs[name] = content

    def claim(self, version: str) -> None:
        """A person has changed a version, and wants to keep all of it."""
        for name, content in read_files(self.base_path / version).items():
            self.theirs[f"{version}/{name}"] = content

    @rule(
        step=STEPS,
        above=st.integers(-1, 2),
        form=st.sampled_from(["{}", "0{}", "+{}", " {}"]),
        order=st.permutations([*FILES]),
    )
    def begin_to_copy(self, step: int, above: int, form: str, order: list[str]) -> None:
        name = form.format(max(0, self.largest() + above))
        if os.path.lexists(self.base_path / name) or name in self.pending:
            return
        files, _ = self.new_model(step)
        self.pending[name] = {path: files[path] for path in order}

    @rule(choice=CHOICES, count=st.integers(1, len(FILES)))
    def copy_more(self, choice: int, count: int) -> None:
        version = self.chosen(choice, sorted(self.pending))
        if version is None:
            return
        self.copy_files(version, count)

    def copy_files(self, version: str, count: int) -> None:
        files = self.pending[version]
        for path in [*files][:count]:
            self.write(f"{version}/{path}", files.pop(path))
            self.copied.add(version)
        if not files:
            del self.pending[version]
            self.disown(version)

    def disown(self, version: str) -> None:
        """A version that a person had removed is whole again, and nothing says that it was gone.

        Only a retired version has a tombstone. Without one, the version is an export as before.
        """
        tombstone = self.base_path / ".best_exporter" / "retired" / f"{version}.json"
        if not tombstone.exists() and read_files(self.base_path / version) == self.published.get(
            version
        ):
            for name in [name for name in self.theirs if name.startswith(f"{version}/")]:
                del self.theirs[name]

    @rule(choice=CHOICES, step=STEPS)
    def edit(self, choice: int, step: int) -> None:
        version = self.chosen(choice, self.numbers())
        if version is None or not (self.base_path / version / DATA).exists():
            return
        real_name = (self.base_path / version).resolve().name
        self.write(f"{real_name}/{DATA}", self.new_model(step)[0][DATA])
        self.claim(real_name)

    @precondition(lambda self: self.disk.has_atomic_rename)
    @rule(choice=CHOICES, by=st.integers(1, 3))
    def link(self, choice: int, by: int) -> None:
        target = self.chosen(choice, self.numbers())
        name = str(self.largest() + by)
        if target is not None and name not in self.pending:
            (self.base_path / name).symlink_to(target)

    @rule(choice=CHOICES)
    def remove(self, choice: int) -> None:
        version = self.chosen(choice, self.numbers())
        if version is None:
            return
        path = self.base_path / version
        if path.is_symlink():
            path.unlink()
            return
        shutil.rmtree(path)
        self.pending.pop(version, None)
        for link in self.links():
            if not link.exists():
                link.unlink()
        for name in [name for name in self.theirs if name.startswith(f"{version}/")]:
            del self.theirs[name]

    @rule(choice=CHOICES, is_at_once=st.booleans())
    def restore(self, choice: int, is_at_once: bool) -> None:
        gone = {*self.published} - {*self.numbers()} - {*self.pending}
        version = self.chosen(choice, sorted(gone))
        if version is not None:
            self.pending[version] = dict(self.published[version])
            if is_at_once:
                self.copy_files(version, len(self.published[version]))

    @rule()
    def wait(self) -> None:
        """An hour passes: what is not finished by now is broken."""
        self.disk.jump()
        self.copied.clear()


class ServingFromStore(Serving):
    """A base directory in an object store."""

    storage = ShiftedBucket


# The name of a class is the seed of its examples.
class QuickServing(Serving):
    """Fewer examples of a base directory on a disk."""


class QuickServingFromStore(ServingFromStore):
    """Fewer examples of a base directory in an object store."""


def settings_of(max_examples: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=max_examples,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        # Minutes of shrinking make no failure clearer.
        phases=[hypothesis.Phase.generate],
    )


def case_of(machine: type[Serving], max_examples: int) -> Any:
    case = pytest.mark.filterwarnings("ignore:Exception ignored")(machine.TestCase)
    case.settings = settings_of(max_examples)
    return case


TestQuickServing = case_of(QuickServing, 30)
TestQuickServingFromStore = case_of(QuickServingFromStore, 10)
TestServing = pytest.mark.faults(case_of(Serving, 120))
TestServingFromStore = pytest.mark.faults(case_of(ServingFromStore, 40))
