import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx import types
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins import local as local_plugin
from tfx.types import standard_artifacts

from tests.tfx_runs import Candidate, PipelineRuns, exec_properties, keep_latest
from tfx_best_exporter.component import history
from tfx_best_exporter.executor.exporter import ModelExporter
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.policies import compare_policy, smaller
from tfx_best_exporter.executor.storage import location_of, registry
from tfx_best_exporter.executor.storage.protocol import StorageError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DELETED = mlmd.Artifact.DELETED
LIVE = mlmd.Artifact.LIVE


def look_up(runs: PipelineRuns, store: Any = None, **others: Any) -> dict[str, str]:
    """Returns the exec properties; by default, on a clock that stands still, for a busy machine."""
    arguments = {
        "pipeline_name": runs.name,
        "pushed_models_uri": runs.pushed_models_uri,
        "clock": lambda: 0.0,
        **others,
    }
    return history.look_up(
        store or runs.store, exec_properties(runs.base_directory), **cast(Any, arguments)
    )


def prior_of(runs: PipelineRuns, **others: Any) -> dict[str, Any]:
    return json.loads(look_up(runs, **others)["prior_export"])


def prior(version: int, **others: Any) -> dict[str, Any]:
    return {
        "version": version,
        "is_foreign": False,
        "pushed_model_uri": "",
        "model_uri": "",
        "evaluation_uri": "",
        "model_blessing_uri": "",
        "warnings": [],
        **others,
    }


def lineage_of(candidate: Candidate, pushed_model: types.Artifact) -> dict[str, str]:
    return {
        "pushed_model_uri": pushed_model.uri,
        "model_uri": candidate.model.uri,
        "evaluation_uri": candidate.evaluation.uri,
        "model_blessing_uri": candidate.blessing.uri,
    }


def state_of(runs: PipelineRuns, artifact: types.Artifact) -> int:
    return runs.stored(artifact).state


def snapshot(runs: PipelineRuns) -> dict[int, mlmd.Artifact]:
    """Returns all artifacts by id, without the time of their last change."""
    artifacts = runs.store.get_artifacts()
    for artifact in artifacts:
        artifact.ClearField("last_update_time_since_epoch")
    return {artifact.id: artifact for artifact in artifacts}


def add_artifacts(
    runs: PipelineRuns, artifact_type: type[types.Artifact], number: int, **properties: Any
) -> list[int]:
    """Adds artifacts of one type to the pipeline, as that many runs leave them."""
    kind = mlmd.ArtifactType(name=artifact_type.TYPE_NAME)
    type_id = runs.store.put_artifact_type(kind, can_add_fields=True, can_omit_fields=True)
    context = runs.store.get_context_by_type_and_name("pipeline", runs.name)
    assert context is not None
    artifacts = [
        mlmd.Artifact(type_id=type_id, uri=f"{runs.root}/{kind.name}/{i}", state=LIVE)
        for i in range(number)
    ]
    for artifact in artifacts:
        for name, value in properties.items():
            kind_of_value = "int_value" if isinstance(value, int) else "string_value"
            setattr(artifact.custom_properties[name], kind_of_value, value)
    ids = runs.store.put_artifacts(artifacts)
    runs.store.put_attributions_and_associations(
        [mlmd.Attribution(artifact_id=each, context_id=context.id) for each in ids], []
    )
    return list(ids)


class CountingStore:
    """A store that counts calls of each method, and the rows that they returned."""

    def __init__(self, store: Any):
        self._store = store
        self.calls: dict[str, int] = {}
        self.rows = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            result = method(*args, **kwargs)
            self.rows += len(result) if isinstance(result, list) else 1
            return result

        return call


# The prior export.


def test_nothing_has_run_yet(runs: PipelineRuns):
    assert look_up(runs) == {"best_fingerprint": "none", "prior_export": "{}"}


def test_an_export_is_found_by_the_uri_in_its_record(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    exported = runs.export(candidate)
    refused = runs.export(runs.candidate(scale=2.0, loss=0.6))
    assert not refused.decision.exported
    assert prior_of(runs) == prior(
        exported.decision.version, **lineage_of(candidate, exported.pushed_model)
    )


def test_a_better_export_takes_its_place(runs: PipelineRuns):
    runs.export(runs.candidate(scale=1.0, loss=0.5))
    candidate = runs.candidate(scale=2.0, loss=0.4)
    exported = runs.export(candidate)
    assert prior_of(runs) == prior(
        exported.decision.version, **lineage_of(candidate, exported.pushed_model)
    )


def test_what_pusher_pushed_is_found_with_its_evaluation(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    pushed_model = runs.push(candidate, version=7)
    runs.push(runs.candidate(scale=2.0, loss=0.4), version=6)
    assert prior_of(runs) == prior(7, is_foreign=True, **lineage_of(candidate, pushed_model))


def test_the_newest_evaluation_of_the_model_counts(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    pushed_model = runs.push(candidate, version=7)
    again = runs.evaluate(candidate.model, loss=0.45)
    # In this execution the model is only the baseline of another model.
    runs.evaluate(candidate.model, loss=0.3, input_key="baseline_model")
    assert prior_of(runs) == prior(
        7,
        is_foreign=True,
        **{**lineage_of(candidate, pushed_model), "evaluation_uri": again["evaluation"].uri},
    )


def test_an_evaluation_without_files_does_not_count(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    pushed_model = runs.push(candidate, version=7)
    again = runs.evaluate(candidate.model, loss=0.45)
    shutil.rmtree(again["evaluation"].uri)
    assert prior_of(runs) == prior(7, is_foreign=True, **lineage_of(candidate, pushed_model))


def test_a_deleted_evaluation_does_not_count(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    pushed_model = runs.push(candidate, version=7)
    again = runs.evaluate(candidate.model, loss=0.45)
    deleted = runs.stored(again["evaluation"])
    deleted.state = mlmd.Artifact.DELETED
    runs.store.put_artifacts([deleted], field_mask_paths=["state"])
    assert prior_of(runs) == prior(7, is_foreign=True, **lineage_of(candidate, pushed_model))


def test_what_was_not_pushed_does_not_count(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    pushed_model = runs.push(candidate, version=7)
    runs.push(runs.candidate(scale=2.0, loss=0.4), version=7, pushed=0)
    assert prior_of(runs) == prior(7, is_foreign=True, **lineage_of(candidate, pushed_model))


def test_another_pipeline_does_not_count(
    runs: PipelineRuns, tmp_path: Path, write_model: Callable[..., Path]
):
    other = PipelineRuns(
        runs.connection_config,
        tmp_path,
        write_model,
        name="other",
        base_directory=runs.base_directory,
    )
    other.push(other.candidate(scale=1.0, loss=0.5), version=7)
    runs.train(scale=3.0)
    warning = "ML Metadata has no PushedModel for the served version 7"
    assert prior_of(runs) == prior(7, is_foreign=True, warnings=[warning])
    assert prior_of(other)["pushed_model_uri"]


def ticking() -> Callable[[], float]:
    """Returns a clock on which three seconds pass between two looks."""
    return itertools.count(0.0, 3.0).__next__


def test_what_pusher_pushed_is_searched_page_by_page(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    pushed_model = runs.push(candidate, version=7)
    add_artifacts(runs, standard_artifacts.Examples, 2_500)
    expected = prior(7, is_foreign=True, **lineage_of(candidate, pushed_model))
    assert prior_of(runs) == expected
    # The clock is looked at before the second page and before the third one.
    warning = (
        "the PushedModel of the served version 7 was not found in ML Metadata within 5 seconds;"
        " without it, the evaluation of the served version is not known, unless `examples` are"
        " given"
    )
    assert prior_of(runs, clock=ticking()) == prior(7, is_foreign=True, warnings=[warning])


def test_the_first_page_is_read_whatever_the_clock_says(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    pushed_model = runs.push(candidate, version=7)
    expected = prior(7, is_foreign=True, **lineage_of(candidate, pushed_model))
    assert prior_of(runs, clock=itertools.count(0.0, 100.0).__next__) == expected


def test_a_record_whose_pushed_model_is_not_found_in_time(runs: PipelineRuns):
    exported = runs.export(runs.candidate(scale=1.0, loss=0.5))
    moved = runs.stored(exported.pushed_model)
    moved.uri += "-moved"
    runs.store.put_artifacts([moved])
    add_artifacts(runs, standard_artifacts.Examples, 2_500)
    assert prior_of(runs)["pushed_model_uri"] == moved.uri
    version = exported.decision.version
    warning = (
        f"the PushedModel of the served version {version} was not found in ML Metadata within 5"
        " seconds; without it, the decision does not link the Model and the evaluation from which"
        " the served version was exported"
    )
    assert prior_of(runs, clock=ticking()) == prior(version, warnings=[warning])


def test_the_record_is_enough_whatever_was_written_since(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    exported = runs.export(candidate)
    add_artifacts(runs, standard_artifacts.Examples, 2_500)
    store = CountingStore(runs.store)
    assert prior_of(runs, store=store) == prior(
        exported.decision.version, **lineage_of(candidate, exported.pushed_model)
    )
    assert store.calls["get_artifacts_by_id"] == 2
    # MLMD has no index for this query.
    assert "get_contexts_by_artifact" not in store.calls


def test_a_pushed_model_of_another_pipeline_is_not_the_one_of_the_record(
    runs: PipelineRuns, tmp_path: Path, write_model: Callable[..., Path]
):
    exported = runs.export(runs.candidate(scale=1.0, loss=0.5))
    other = PipelineRuns(
        runs.connection_config,
        tmp_path,
        write_model,
        name="other",
        base_directory=runs.base_directory,
    )
    other.train(scale=3.0)
    version = exported.decision.version
    warning = (
        f"ML Metadata has no PushedModel at {exported.pushed_model.uri} for the served version"
        f" {version}"
    )
    assert prior_of(other) == prior(version, warnings=[warning])


def test_a_push_of_another_pipeline_is_no_disagreement(
    runs: PipelineRuns, tmp_path: Path, write_model: Callable[..., Path]
):
    runs.export(runs.candidate(scale=1.0, loss=0.5))
    other = PipelineRuns(
        runs.connection_config,
        tmp_path,
        write_model,
        name="other",
        base_directory=runs.base_directory,
    )
    other.push(other.candidate(scale=2.0, loss=0.4), version=9_999_999_999)
    shutil.rmtree(runs.base_directory / "9999999999")
    assert prior_of(runs)["warnings"] == []
    assert len(prior_of(other)["warnings"]) == 2


def test_a_pushed_model_that_no_execution_made(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    shutil.copytree(Path(candidate.model.uri) / "Format-Serving", runs.base_directory / "7")
    [pushed_model] = add_artifacts(
        runs,
        standard_artifacts.PushedModel,
        1,
        pushed=1,
        pushed_destination=str(runs.base_directory / "7"),
    )
    [stored] = runs.store.get_artifacts_by_id([pushed_model])
    assert prior_of(runs) == prior(7, is_foreign=True, pushed_model_uri=stored.uri)


def test_an_export_of_a_run_that_died_before_it_was_published(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    version = runs.export(candidate, is_published=False).decision.version
    again = runs.export(candidate)
    assert again.decision.version == version
    assert prior_of(runs) == prior(version, **lineage_of(candidate, again.pushed_model))


def test_a_record_that_ml_metadata_does_not_know(
    runs: PipelineRuns, tmp_path: Path, write_model: Callable[..., Path]
):
    exported = runs.export(runs.candidate(scale=1.0, loss=0.5))
    config = mlmd.ConnectionConfig(sqlite={"filename_uri": str(tmp_path / "new.sqlite")})
    config.sqlite.connection_mode = 3
    lost = PipelineRuns(config, tmp_path / "new", write_model, base_directory=runs.base_directory)
    version = exported.decision.version
    warning = (
        f"ML Metadata has no PushedModel at {exported.pushed_model.uri} for the served version"
        f" {version}"
    )
    assert prior_of(lost) == prior(version, warnings=[warning])


# Disagreements between ML Metadata and the base directory.


def test_the_newest_version_was_removed_by_hand(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    first = runs.export(candidate)
    second = runs.export(runs.candidate(scale=2.0, loss=0.4))
    shutil.rmtree(runs.base_directory / str(second.decision.version))
    warning = (
        f"version {second.decision.version} was pushed last according to ML Metadata, but the base"
        f" directory serves version {first.decision.version}; the base directory takes precedence"
    )
    assert prior_of(runs) == prior(
        first.decision.version, warnings=[warning], **lineage_of(candidate, first.pushed_model)
    )


def test_every_version_was_removed_by_hand(runs: PipelineRuns):
    version = runs.export(runs.candidate(scale=1.0, loss=0.5)).decision.version
    shutil.rmtree(runs.base_directory)
    warning = (
        f"version {version} was pushed last according to ML Metadata, but the base directory serves"
        " none; the base directory takes precedence"
    )
    assert look_up(runs)["best_fingerprint"] == "none"
    assert prior_of(runs) == prior(0, warnings=[warning])


def test_the_newest_version_was_retired(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    first = runs.export(candidate)
    runs.export(runs.candidate(scale=2.0, loss=0.4))
    exports = ExportDirectory(location_of(str(runs.base_directory)))
    with exports.lock():
        exports.retire_all({exports.exports()[-1]: "a test"}, now=1.0)
    assert prior_of(runs)["warnings"] == []
    assert prior_of(runs)["version"] == first.decision.version


def test_versions_in_another_directory_are_no_disagreement(
    runs: PipelineRuns, tmp_path: Path, write_model: Callable[..., Path]
):
    runs.export(runs.candidate(scale=1.0, loss=0.5))
    elsewhere = PipelineRuns(
        runs.connection_config, tmp_path, write_model, base_directory=tmp_path / "elsewhere"
    )
    elsewhere.push(elsewhere.candidate(scale=2.0, loss=0.4), version=9_999_999_999)
    assert prior_of(runs)["warnings"] == []


def test_what_was_not_pushed_is_no_disagreement(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    runs.push(candidate, version=7)
    runs.push(candidate, version=8, pushed=0)
    shutil.rmtree(runs.base_directory / "8")
    assert prior_of(runs)["warnings"] == []


# The fingerprint, which is part of TFX's cache key.


def test_the_fingerprint_changes_with_the_best_only(runs: PipelineRuns):
    def fingerprint() -> str:
        return look_up(runs)["best_fingerprint"]

    first = runs.export(runs.candidate(scale=1.0, loss=0.5)).decision
    assert fingerprint() == f"{first.version}:{first.candidate.digest}"
    runs.export(runs.candidate(scale=2.0, loss=0.6))
    assert fingerprint() == f"{first.version}:{first.candidate.digest}"
    second = runs.export(runs.candidate(scale=3.0, loss=0.4)).decision
    assert fingerprint() == f"{second.version}:{second.candidate.digest}"
    version = second.version + 1
    runs.push(runs.candidate(scale=4.0, loss=0.3), version=version)
    assert fingerprint().startswith(f"{version}:foreign:")


def test_the_fingerprint_changes_when_a_limit_of_time_has_passed(runs: PipelineRuns):
    first = runs.export(runs.candidate(scale=1.0, loss=0.5)).decision
    policy = compare_policy(smaller("loss"), min_seconds_between_exports=100)

    def fingerprint(stored: object, seconds: float) -> str:
        found = history.look_up(
            runs.store,
            {**exec_properties(runs.base_directory), "compare_policy": stored},
            pipeline_name=runs.name,
            pushed_models_uri=runs.pushed_models_uri,
            now=lambda: first.decided_at.ToNanoseconds() / 1e9 + seconds,
        )
        return found["best_fingerprint"]

    before = f"{first.version}:{first.candidate.digest}"
    after = f"{before}, after min_seconds_between_exports"
    for stored in (policy, json_format.MessageToJson(policy)):
        assert [fingerprint(stored, seconds) for seconds in (99, 100)] == [before, after]
    # The executor reports an invalid policy.
    assert fingerprint("{", 100) == before
    assert fingerprint(None, 100) == before


def test_the_fingerprint_changes_with_challengers_if_the_policy_keeps_some(runs: PipelineRuns):
    runs.export(runs.candidate(scale=1.0, loss=0.5))
    challengers = compare_policy(smaller("loss", alpha=0.05, challengers=2))

    def fingerprint(policy: pb.ComparePolicy) -> str:
        found = runs.drive(compare_policy=json_format.MessageToJson(policy))
        return found["best_fingerprint"]

    before = [fingerprint(policy) for policy in (challengers, compare_policy(smaller("loss")))]
    exports = ExportDirectory(location_of(runs.base_directory))
    with exports.lock():
        exports.challengers.write_ledger(pb.ChallengerLedger(rows=[pb.LedgerRow(data="monday")]))
    after = [fingerprint(policy) for policy in (challengers, compare_policy(smaller("loss")))]
    assert before[0] == before[1] == after[1]
    assert after[0].startswith(f"{before[0]}, challengers ")


def test_the_lineage_of_an_exported_challenger_is_not_that_of_its_run(runs: PipelineRuns):
    exported = runs.export(runs.candidate(scale=1.0, loss=0.5))
    artifact = runs.stored(exported.pushed_model)
    artifact.custom_properties["exported_model"].string_value = "/models/earlier"
    runs.store.put_artifacts([artifact])
    found = prior_of(runs)
    assert found["pushed_model_uri"] == exported.pushed_model.uri
    assert (found["model_uri"], found["evaluation_uri"]) == ("/models/earlier", "")


# Copies of retired exports.


def retire_first(runs: PipelineRuns, scale: float = 1.0) -> tuple[types.Artifact, pb.Tombstone]:
    """Makes two exports and retires the first. Returns its PushedModel and tombstone."""
    first = runs.export(runs.candidate(scale=scale, loss=0.5))
    runs.export(runs.candidate(scale=scale + 1, loss=0.4), **keep_latest(1))
    [tombstone] = ExportDirectory(location_of(str(runs.base_directory))).tombstones()
    assert tombstone.record.pushed_model_uri == first.pushed_model.uri
    assert Path(first.pushed_model.uri, "saved_model.pb").exists()
    return first.pushed_model, tombstone


def aim(runs: PipelineRuns, tombstone: pb.Tombstone, uri: str) -> None:
    """Makes the tombstone name another PushedModel."""
    version = tombstone.record.version
    path = runs.base_directory / ".best_exporter" / "retired" / f"{version}.json"
    content = json.loads(path.read_text())
    content["record"]["pushed_model_uri"] = uri
    path.write_text(json.dumps(content))


def test_the_copy_of_a_retired_export_is_deleted_and_only_its_state_changes(runs: PipelineRuns):
    pushed_model, _ = retire_first(runs)
    before = snapshot(runs)
    look_up(runs)
    assert not Path(pushed_model.uri).exists()
    before[pushed_model.id].state = DELETED
    assert snapshot(runs) == before
    left = [artifact for artifact in before.values() if artifact.state == LIVE]
    assert len(left) == len(before) - 1
    assert all(Path(artifact.uri).exists() for artifact in left)


class BusyStore(CountingStore):
    """A store into which another process writes just before this one does."""

    def put_artifacts(self, artifacts: list[mlmd.Artifact], **kwargs: Any) -> Any:
        [others] = self._store.get_artifacts_by_id([artifacts[0].id])
        others.custom_properties["note"].string_value = "by another process"
        self._store.put_artifacts([others])
        return self._store.put_artifacts(artifacts, **kwargs)


def test_what_another_process_writes_stays(runs: PipelineRuns):
    pushed_model, _ = retire_first(runs)
    look_up(runs, BusyStore(runs.store))
    stored = runs.stored(pushed_model)
    assert stored.state == DELETED
    assert stored.custom_properties["note"].string_value == "by another process"


def test_an_artifact_of_another_type_is_not_deleted(runs: PipelineRuns):
    _, tombstone = retire_first(runs)
    look_up(runs)
    path = Path(runs.pushed_models_uri, "77")
    path.mkdir()
    [model] = add_artifacts(runs, standard_artifacts.Model, 1)
    [stored] = runs.store.get_artifacts_by_id([model])
    stored.uri = str(path)
    runs.store.put_artifacts([stored])
    aim(runs, tombstone, str(path))
    look_up(runs)
    [stored] = runs.store.get_artifacts_by_id([model])
    assert stored.state == LIVE
    assert path.exists()


def test_what_is_deleted_is_deleted_once(runs: PipelineRuns):
    retire_first(runs)
    look_up(runs)
    store = CountingStore(runs.store)
    look_up(runs, store)
    assert "put_artifacts" not in store.calls


def test_every_copy_of_a_retired_export_is_deleted(runs: PipelineRuns):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    copies = [runs.export(candidate).pushed_model, runs.export(candidate).pushed_model]
    assert copies[1].get_int_custom_property("pushed") == 1
    runs.export(runs.candidate(scale=2.0, loss=0.4), **keep_latest(1))
    look_up(runs)
    assert [state_of(runs, copy) for copy in copies] == [DELETED, DELETED]
    assert [Path(copy.uri).exists() for copy in copies] == [False, False]


def test_a_copy_that_is_gone_is_marked_deleted(runs: PipelineRuns):
    pushed_model, _ = retire_first(runs)
    shutil.rmtree(pushed_model.uri)
    look_up(runs)
    assert state_of(runs, pushed_model) == DELETED


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("{root}/Trainer/model/1", id="of another type"),
        pytest.param("{root}/Pusher/pushed_model/4", id="of another node"),
        pytest.param("{root}/BestExporter/decision/3", id="another output of the node"),
        pytest.param("{root}/BestExporter/pushed_model/..", id="the parent"),
        pytest.param("{root}/BestExporter/pushed_model/.", id="the directory"),
        pytest.param("{root}/BestExporter/pushed_model", id="the directory by its name"),
        pytest.param("{root}/BestExporter/pushed_model/../../Trainer/model/1", id="around"),
        pytest.param("{root}/BestExporter/pushed_model/3/variables", id="deeper"),
        pytest.param("{root}/..", id="the root's parent"),
        pytest.param("", id="none"),
    ],
)
@pytest.mark.parametrize("is_known", [False, True], ids=["not in MLMD", "a PushedModel in MLMD"])
def test_a_tombstone_deletes_nothing_but_a_copy_of_this_node(
    runs: PipelineRuns, uri: str, is_known: bool
):
    precious = runs.candidate(scale=5.0, loss=0.9)
    pushed_model, tombstone = retire_first(runs)
    runs.push(precious, version=1)
    uri = uri.format(root=runs.root)
    aim(runs, tombstone, uri)
    hidden = runs.stored(pushed_model)
    if is_known and uri:
        hidden.uri = uri
    else:
        # The artifact itself would be found by its version. Then only the tombstone names a URI.
        hidden.custom_properties["pushed_destination"].string_value = "/elsewhere/1"
    runs.store.put_artifacts([hidden])
    before = snapshot(runs)

    def files() -> list[Path]:
        # A look-up under the lock may note stamps of the best.
        return sorted(
            path
            for path in runs.root.parent.rglob("*")
            if "sqlite" not in path.name and "stamps" not in path.parts
        )

    files_before = files()
    look_up(runs)
    assert snapshot(runs) == before
    assert files() == files_before


def tombstone_path(runs: PipelineRuns, version: int) -> Path:
    return runs.base_directory / ".best_exporter" / "retired" / f"{version}.json"


def test_a_tombstone_that_names_the_pushed_model_of_the_best(runs: PipelineRuns):
    first = runs.export(runs.candidate(scale=1.0, loss=0.5)).pushed_model
    best = runs.export(runs.candidate(scale=2.0, loss=0.4), **keep_latest(1)).pushed_model
    [tombstone] = ExportDirectory(location_of(str(runs.base_directory))).tombstones()
    aim(runs, tombstone, best.uri)
    look_up(runs)
    assert (state_of(runs, best), Path(best.uri).exists()) == (LIVE, True)
    # The copy of the retired export itself is found by the version that it was pushed as.
    assert (state_of(runs, first), Path(first.uri).exists()) == (DELETED, False)


def test_a_tombstone_that_names_the_pushed_model_of_another_retired_export(runs: PipelineRuns):
    first = runs.export(runs.candidate(scale=1.0, loss=0.5))
    second = runs.export(runs.candidate(scale=2.0, loss=0.4)).pushed_model
    runs.export(runs.candidate(scale=3.0, loss=0.3), **keep_latest(1))
    tombstone, _ = ExportDirectory(location_of(str(runs.base_directory))).tombstones()
    aim(runs, tombstone, first.pushed_model.uri)
    # Only a tombstone of its own lets a copy be deleted.
    tombstone_path(runs, first.decision.version).unlink()
    look_up(runs)
    assert (state_of(runs, first.pushed_model), state_of(runs, second)) == (LIVE, DELETED)
    assert Path(first.pushed_model.uri).exists()


def test_a_tombstone_with_the_content_of_another_version(runs: PipelineRuns):
    best = runs.export(runs.candidate(scale=1.0, loss=0.5))
    version = best.decision.version
    record = runs.base_directory / str(version) / "assets.extra/best_exporter/record.json"
    path = tombstone_path(runs, 5)
    path.parent.mkdir()
    path.write_text(json.dumps({"schema_version": 1, "record": json.loads(record.read_text())}))
    [warning] = prior_of(runs)["warnings"]
    assert warning.startswith(f"the tombstone of version 5 is not used: cannot use {path}: ")
    assert (state_of(runs, best.pushed_model), Path(best.pushed_model.uri).exists()) == (LIVE, True)
    # Removed, as the warning says.
    path.unlink()
    assert prior_of(runs)["warnings"] == []


NESTED = "[" * 20_000 + "]" * 20_000


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_text(NESTED), id="nested"),
        pytest.param(Path.mkdir, id="directory"),
        pytest.param(os.mkfifo, id="pipe"),
    ],
)
def test_a_tombstone_that_cannot_be_read_is_a_warning(
    runs: PipelineRuns, make: Callable[[Path], None]
):
    pushed_model, tombstone = retire_first(runs)
    version = tombstone.record.version - 1
    make(tombstone_path(runs, version))
    [warning] = prior_of(runs)["warnings"]
    assert warning.startswith(f"the tombstone of version {version} is not used: cannot read ")
    assert state_of(runs, pushed_model) == DELETED


def test_a_tombstone_that_is_a_link_is_refused(runs: PipelineRuns):
    """The executor fails with this error, which the driver passes to it."""
    pushed_model, tombstone = retire_first(runs)
    path = tombstone_path(runs, tombstone.record.version - 1)
    path.symlink_to("nowhere")
    with pytest.raises(StorageError) as caught:
        prior_of(runs)
    assert str(path) in str(caught.value)
    assert state_of(runs, pushed_model) == LIVE
    path.unlink()
    assert prior_of(runs)["warnings"] == []
    assert state_of(runs, pushed_model) == DELETED


def test_a_copy_that_an_export_in_the_base_directory_names_is_not_deleted(runs: PipelineRuns):
    first = runs.export(runs.candidate(scale=1.0, loss=0.5))
    version = first.decision.version
    # A person goes back to the first export.
    restored = runs.base_directory / str(version + 100)
    shutil.copytree(runs.base_directory / str(version), restored)
    exports = ExportDirectory(location_of(str(runs.base_directory)))
    with exports.lock():
        exports.retire_all({exports.exports()[0]: "a test"}, now=1.0)
    look_up(runs)
    assert state_of(runs, first.pushed_model) == LIVE
    assert Path(first.pushed_model.uri).exists()
    shutil.rmtree(restored)
    look_up(runs)
    assert state_of(runs, first.pushed_model) == DELETED


def test_an_old_record_that_cannot_be_read_keeps_all_copies(runs: PipelineRuns):
    pushed_model, _ = retire_first(runs)
    old = runs.export(runs.candidate(scale=3.0, loss=0.3), **keep_latest(9)).decision.version
    runs.export(runs.candidate(scale=4.0, loss=0.2), **keep_latest(9))
    record = runs.base_directory / str(old) / "assets.extra/best_exporter/record.json"
    # That run has deleted the copy already, which is put back.
    stored = runs.stored(pushed_model)
    stored.state = LIVE
    runs.store.put_artifacts([stored])
    Path(pushed_model.uri).mkdir(exist_ok=True)
    content = record.read_text()
    record.write_text(f'{{"schema_version": 1, "x": {NESTED}}}')
    [warning] = prior_of(runs)["warnings"]
    assert warning.startswith(
        f"1 PushedModels of retired exports are kept until the next run: cannot read {record}: "
    )
    assert state_of(runs, pushed_model) == LIVE
    # Restored, as the warning says.
    record.write_text(content)
    assert prior_of(runs)["warnings"] == []
    assert state_of(runs, pushed_model) == DELETED


def test_a_pushed_model_in_a_storage_whose_client_is_not_installed(
    runs: PipelineRuns, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    candidate = runs.candidate(scale=1.0, loss=0.5)
    exported = runs.export(candidate)
    # Pusher pushed another model to S3, and its Model was moved there.
    add_artifacts(
        runs,
        standard_artifacts.PushedModel,
        2,
        pushed=1,
        pushed_destination="s3://models/penguin/9",
    )
    moved = runs.stored(candidate.model)
    moved.uri = "s3://models/Trainer/model/1"
    runs.store.put_artifacts([moved])
    warning = (
        "2 PushedModels in ML Metadata cannot be read: cannot access s3://models/penguin/9: s3://"
        " needs the package boto3, which is not installed. Run: pip install boto3"
    )
    lineage = {**lineage_of(candidate, exported.pushed_model), "model_uri": ""}
    with monkeypatch.context() as patch:
        # The module of this storage imports boto3. Importing None fails as without the package.
        registry._default.forget()
        patch.delitem(sys.modules, "tfx_best_exporter.executor.storage.s3", raising=False)
        patch.setitem(sys.modules, "boto3", None)
        found = prior_of(runs)
    assert found == prior(exported.decision.version, warnings=[warning], **lineage)
    assert "an artifact is passed over: cannot access s3://models/Trainer/model/1" in caplog.text
    # Installed, as the warning says.
    assert prior_of(runs)["warnings"] == []


def test_a_copy_of_another_pipeline_is_not_deleted(
    runs: PipelineRuns, tmp_path: Path, write_model: Callable[..., Path]
):
    pushed_model, _ = retire_first(runs)
    other = PipelineRuns(
        runs.connection_config,
        tmp_path,
        write_model,
        name="other",
        base_directory=runs.base_directory,
    )
    # The copy is not deleted even if both pipelines have the same root.
    look_up(other, pushed_models_uri=runs.pushed_models_uri)
    assert state_of(runs, pushed_model) == LIVE
    assert Path(pushed_model.uri).exists()


def test_a_copy_that_became_a_link_is_not_followed(runs: PipelineRuns, tmp_path: Path):
    pushed_model, _ = retire_first(runs)
    precious = tmp_path / "precious"
    shutil.move(pushed_model.uri, precious)
    Path(pushed_model.uri).symlink_to(precious)
    look_up(runs)
    assert (precious / "saved_model.pb").exists()
    assert not Path(pushed_model.uri).is_symlink()
    assert state_of(runs, pushed_model) == DELETED


class StuckFilesystem(local_plugin.LocalFilesystem):
    """A remote file system on which deleting fails at first, and works later."""

    SUPPORTED_SCHEMES = ("stuck://",)
    is_stuck = True

    @staticmethod
    def exists(path: Any) -> bool:
        return True

    @staticmethod
    def isdir(path: Any) -> bool:
        return True

    @staticmethod
    def rmtree(path: Any) -> None:
        if StuckFilesystem.is_stuck:
            raise OSError("the disk is read-only")


def test_a_deletion_that_fails_is_tried_again(runs: PipelineRuns, caplog: pytest.LogCaptureFixture):
    registry = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY
    registry.register(StuckFilesystem, priority=0)
    pushed_model, tombstone = retire_first(runs)
    uri = "stuck://root/BestExporter/pushed_model/3"
    moved = runs.stored(pushed_model)
    moved.uri = uri
    runs.store.put_artifacts([moved])
    aim(runs, tombstone, uri)
    directory = "stuck://root/BestExporter/pushed_model"
    found = look_up(runs, pushed_models_uri=directory)
    assert state_of(runs, pushed_model) == mlmd.Artifact.MARKED_FOR_DELETION
    assert caplog.messages[-1] == (
        f"cannot delete {uri}: the disk is read-only. The next run tries again"
    )
    StuckFilesystem.is_stuck = False
    assert look_up(runs, pushed_models_uri=directory) == found
    assert state_of(runs, pushed_model) == DELETED


# Costs.


def test_the_cost_does_not_grow_with_history(runs: PipelineRuns):
    retire_first(runs)
    look_up(runs)
    few = CountingStore(runs.store)
    expected = look_up(runs, few)
    assert expected["prior_export"] != "{}"
    elsewhere = {"pushed_destination": "/elsewhere/1"}
    for artifact_type in (
        standard_artifacts.Model,
        standard_artifacts.ModelEvaluation,
        standard_artifacts.ModelBlessing,
    ):
        add_artifacts(runs, artifact_type, 2_000)
    add_artifacts(runs, standard_artifacts.PushedModel, 2_000, **elsewhere)
    many = CountingStore(runs.store)
    assert look_up(runs, many) == expected
    assert many.calls == few.calls
    assert sum(many.calls.values()) < 20
    # One page has at most a thousand artifacts.
    assert many.rows <= few.rows + 1_000


def test_what_newer_ml_metadata_cannot_do_is_not_asked_of_it():
    package = Path(history.__file__).parent
    sources = [path.read_text() for path in package.glob("*.py")]
    assert len(sources) > 3
    assert not any("filter_query" in source for source in sources)


# Operations of persons.


def test_the_operations_of_persons_are_followed(runs: PipelineRuns):
    first = runs.export(runs.candidate(1.0, 0.5))
    second = runs.export(runs.candidate(2.0, 0.4))
    exporter = ModelExporter(runs.base_directory)
    exporter.rollback(reason="R", operator="ann")
    found = prior_of(runs)
    # The rollback is no disagreement between ML Metadata and the base directory.
    assert found["warnings"] == []
    assert found["version"] == first.decision.version
    assert state_of(runs, second.pushed_model) == mlmd.Artifact.MARKED_FOR_DELETION
    exporter.restore(second.decision.version, reason="R", operator="ann")
    look_up(runs)
    assert state_of(runs, second.pushed_model) == LIVE
    exporter.rollback(reason="R", operator="ann")
    exports = ExportDirectory(location_of(runs.base_directory))
    with exports.lock():
        exports.withdrawals.purge(second.decision.version)
    look_up(runs)
    assert state_of(runs, second.pushed_model) == DELETED
    assert not Path(second.pushed_model.uri).exists()
    assert Path(first.pushed_model.uri).exists()


def test_a_promoted_model_is_registered(runs: PipelineRuns):
    runs.export(runs.candidate(1.0, 0.5))
    hotfix = runs.train(3.0)
    (version,) = (
        ModelExporter(runs.base_directory)
        .promote(f"{hotfix.uri}/Format-Serving", {"loss": 0.9}, reason="R", operator="ann")
        .versions
    )
    look_up(runs)
    found = prior_of(runs)
    assert (found["version"], found["warnings"]) == (version, [])
    uri = str(runs.base_directory / str(version))
    assert found["pushed_model_uri"] == uri
    [registered] = runs.store.get_artifacts_by_uri(uri)
    assert registered.state == LIVE
