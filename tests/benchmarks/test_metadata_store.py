"""ML Metadata reads the rows that the benchmark inserts into its tables."""

from collections.abc import Callable
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2 as mlmd

from benchmarks.history import History
from benchmarks.metadata_store import StoreWriter, connect, uris_of_run


def test_ml_metadata_reads_what_was_inserted(tmp_path: Path):
    path = tmp_path / "metadata.sqlite"
    writer = StoreWriter(path)
    writer.add_runs("penguin", "/root", 3, pushed_to={1: "/serving/7"})
    writer.add_pipelines(["other"], "/others")
    store = connect(path)
    assert len(store.get_artifacts()) == 4 * 5
    uris = uris_of_run("/root", 1)
    assert sorted(uris) == ["blessing", "decision", "evaluation", "model", "pushed_model"]
    [pushed_model] = store.get_artifacts_by_uri(uris["pushed_model"])
    assert (pushed_model.type, pushed_model.state) == ("PushedModel", mlmd.Artifact.LIVE)
    properties = pushed_model.custom_properties
    assert properties["pushed"].int_value == 1
    assert properties["pushed_destination"].string_value == "/serving/7"
    assert sorted(
        (context.type, context.name) for context in store.get_contexts_by_artifact(pushed_model.id)
    ) == [("node", "penguin.BestExporter"), ("pipeline", "penguin"), ("pipeline_run", "penguin.1")]
    [event] = store.get_events_by_artifact_ids([pushed_model.id])
    assert (event.type, event.path.steps[0].key) == (mlmd.Event.OUTPUT, "pushed_model")
    inputs = [
        event
        for event in store.get_events_by_execution_ids([event.execution_id])
        if event.type == mlmd.Event.INPUT
    ]
    artifacts = store.get_artifacts_by_id([event.artifact_id for event in inputs])
    assert {event.path.steps[0].key for event in inputs} == {
        "model",
        "evaluation",
        "model_blessing",
    }
    assert {artifact.uri for artifact in artifacts} == {
        uris[key] for key in ("model", "evaluation", "blessing")
    }
    [context] = store.get_contexts_by_type("pipeline")[1:]
    assert len(store.get_artifacts_by_context(context.id)) == 5


def test_the_look_up_finds_the_export_of_a_past_run(
    tmp_path: Path, write_model: Callable[..., Path]
):
    # `look_up` raises an error if it does not find the whole lineage.
    history = History(tmp_path / "history", write_model(tmp_path / "model"), 25)
    assert history.look_up() > 0
    history.add_other_pipelines(300)
    assert history.look_up() > 0
