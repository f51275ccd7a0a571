from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from tests.executor.operating.desk import WHO, ClockedDisk, Desk
from tfx_best_exporter.component import operated
from tfx_best_exporter.executor.operating.restoring import restore
from tfx_best_exporter.executor.operating.rollback import rollback
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb

LIVE = mlmd.Artifact.LIVE
MARKED = mlmd.Artifact.MARKED_FOR_DELETION
DELETED = mlmd.Artifact.DELETED


class Metadata:
    """A store in memory with a pipeline, and the PushedModels of the versions 7, 8 and 9."""

    def __init__(self, desk: Desk):
        config = mlmd.ConnectionConfig()
        config.sqlite.SetInParent()
        self.store = MetadataStore(config)
        self.desk = desk
        self.deleted: list[str] = []
        context_type = self.store.put_context_type(mlmd.ContextType(name="pipeline"))
        self.context_ids = self.store.put_contexts(
            [mlmd.Context(type_id=context_type, name=name) for name in ("penguin", "other")]
        )

    def add(self, version: int, *, uri: str = "", is_own: bool = True) -> int:
        """Adds the PushedModel of a version; returns its id."""
        type_id = self.store.put_artifact_type(mlmd.ArtifactType(name="PushedModel"))
        destination = (self.desk.exports.base / str(version)).uri
        artifact = mlmd.Artifact(type_id=type_id, uri=uri or self.uri(version), state=LIVE)
        artifact.custom_properties["pushed"].int_value = 1
        artifact.custom_properties["pushed_destination"].string_value = destination
        artifact.custom_properties["pushed_version"].string_value = str(version)
        [artifact_id] = self.store.put_artifacts([artifact])
        context_id = self.context_ids[0 if is_own else 1]
        self.store.put_attributions_and_associations(
            [mlmd.Attribution(artifact_id=artifact_id, context_id=context_id)], []
        )
        return artifact_id

    def uri(self, version: int) -> str:
        return f"/pushed_model/{version}"

    def state(self, artifact_id: int) -> int:
        [artifact] = self.store.get_artifacts_by_id([artifact_id])
        return artifact.state

    def follow(self, *, is_first_page_empty: bool = False) -> frozenset[int]:
        """Follows what persons did, as the driver of the next run does."""
        pushed: dict[str, list[mlmd.Artifact]] = {}
        for artifact in [] if is_first_page_empty else self.store.get_artifacts():
            uri = artifact.custom_properties["pushed_destination"].string_value
            pushed.setdefault(uri, []).append(artifact)
        node = operated.Node(
            store=self.store,
            pipeline_name="penguin",
            owns=lambda artifact: any(
                context.name == "penguin"
                for context in self.store.get_contexts_by_artifact(artifact.id)
            ),
            is_copy=lambda artifact: artifact.uri.startswith("/pushed_model/"),
            delete=self._delete,
            at=lambda uri: next(iter(self.store.get_artifacts_by_uri(uri) if uri else []), None),
        )
        return operated.follow(node, self.desk.exports, self.desk.exports.served(), pushed)

    def _delete(self, artifact: mlmd.Artifact) -> None:
        self.deleted.append(artifact.uri)
        artifact.state = DELETED
        self.store.put_artifacts([artifact], field_mask_paths=["state"])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    result = Desk(Location(ClockedDisk(), str(tmp_path / "base")), tmp_path)
    for version in (7, 8, 9):
        result.publish(version, pushed_model_uri=f"/pushed_model/{version}")
    return result


@pytest.fixture
def metadata(desk: Desk) -> Metadata:
    return Metadata(desk)


def test_nothing_changes_without_operations(metadata: Metadata) -> None:
    ids = [metadata.add(version) for version in (7, 8, 9)]
    assert metadata.follow() == frozenset()
    assert [metadata.state(each) for each in ids] == [LIVE, LIVE, LIVE]


@pytest.mark.parametrize("is_first_page_empty", [False, True])
def test_a_withdrawn_version(metadata: Metadata, is_first_page_empty: bool) -> None:
    """An old PushedModel is found by the URI in the record."""
    ids = [metadata.add(version) for version in (7, 8, 9)]
    rollback(metadata.desk.exports, **WHO)
    assert metadata.follow(is_first_page_empty=is_first_page_empty) == {9}
    assert [metadata.state(each) for each in ids] == [LIVE, LIVE, MARKED]
    assert metadata.deleted == []


def test_a_restored_version(metadata: Metadata) -> None:
    artifact_id = metadata.add(9)
    rollback(metadata.desk.exports, **WHO)
    metadata.follow()
    restore(metadata.desk.exports, 9, **WHO)
    assert metadata.follow() == frozenset()
    assert metadata.state(artifact_id) == LIVE


def test_a_purged_version(metadata: Metadata) -> None:
    artifact_id = metadata.add(9)
    rollback(metadata.desk.exports, **WHO)
    metadata.follow()
    with metadata.desk.exports.lock():
        metadata.desk.exports.withdrawals.purge(9)
    for _ in range(2):
        metadata.follow()
        assert metadata.state(artifact_id) == DELETED
    assert metadata.deleted == ["/pushed_model/9"]


def test_the_files_of_another_node_stay(metadata: Metadata) -> None:
    artifact_id = metadata.add(9, uri="/elsewhere/9")
    rollback(metadata.desk.exports, **WHO)
    with metadata.desk.exports.lock():
        metadata.desk.exports.withdrawals.purge(9)
    metadata.follow()
    assert metadata.state(artifact_id) == DELETED
    assert metadata.deleted == []


def test_another_pipeline_is_left_alone(metadata: Metadata) -> None:
    artifact_id = metadata.add(9, is_own=False)
    rollback(metadata.desk.exports, **WHO)
    metadata.follow()
    assert metadata.state(artifact_id) == LIVE


def test_a_record_that_names_the_pushed_model_of_another_version(metadata: Metadata) -> None:
    metadata.desk.publish(10, pushed_model_uri="/pushed_model/7")
    artifact_id = metadata.add(7)
    rollback(metadata.desk.exports, **WHO)
    assert metadata.follow(is_first_page_empty=True) == {10}
    assert metadata.state(artifact_id) == LIVE


@pytest.mark.parametrize("field", ["promotion", "approval"])
def test_registers_what_a_person_exported(metadata: Metadata, field: str) -> None:
    metadata.add(9)
    metadata.desk.publish(10, **{field: pb.OperatorAction(operator="ann")})
    for _ in range(2):
        metadata.follow()
    path = (metadata.desk.exports.base / "10").uri
    [artifact] = metadata.store.get_artifacts_by_uri(path)
    properties: dict[str, Any] = {
        name: getattr(value, value.WhichOneof("value"))
        for name, value in artifact.custom_properties.items()
    }
    assert properties == {"pushed": 1, "pushed_destination": path, "pushed_version": "10"}
    assert artifact.state == LIVE
    assert [each.name for each in metadata.store.get_contexts_by_artifact(artifact.id)] == [
        "penguin"
    ]
    # It is settled like others once the version is gone, and no file is deleted for it.
    (metadata.desk.exports.base / "10").remove()
    metadata.follow()
    assert metadata.state(artifact.id) == DELETED
    assert metadata.deleted == []


def test_a_promoted_version_that_is_withdrawn_and_restored(metadata: Metadata) -> None:
    metadata.add(9)
    metadata.desk.publish(10, promotion=pb.OperatorAction(operator="ann"))
    metadata.follow()
    path = (metadata.desk.exports.base / "10").uri
    [artifact] = metadata.store.get_artifacts_by_uri(path)
    rollback(metadata.desk.exports, **WHO)
    for _ in range(2):
        metadata.follow()
        assert metadata.state(artifact.id) == MARKED
    restore(metadata.desk.exports, 10, **WHO)
    metadata.follow()
    assert metadata.state(artifact.id) == LIVE
    # An earlier release has marked such an artifact DELETED.
    artifact.state = DELETED
    metadata.store.put_artifacts([artifact], field_mask_paths=["state"])
    metadata.follow()
    assert metadata.state(artifact.id) == LIVE
    rollback(metadata.desk.exports, **WHO)
    with metadata.desk.exports.lock():
        metadata.desk.exports.withdrawals.purge(10)
    metadata.follow()
    assert metadata.state(artifact.id) == DELETED
    assert metadata.deleted == []


def test_registers_nothing_else(metadata: Metadata) -> None:
    metadata.add(8)
    metadata.follow()
    assert len(metadata.store.get_artifacts()) == 1


def test_a_store_without_the_type_is_left_alone(metadata: Metadata) -> None:
    metadata.desk.publish(10, promotion=pb.OperatorAction(operator="ann"))
    metadata.follow()
    assert metadata.store.get_artifacts() == []
