"""Writes an ML Metadata store with many past runs.

ML Metadata creates the store, its types and its contexts. The runs are inserted into the SQLite
tables, because ML Metadata would need hours to write them. Every run has five artifacts and three
executions, with the events, contexts and properties that TFX's launcher writes.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

# Outputs of each node, by key; and its inputs, by key, as the number of an output of the same run.
_NODES: dict[str, tuple[dict[str, str], dict[str, int]]] = {
    "Trainer": ({"model": "Model"}, {}),
    "Evaluator": (
        {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"},
        {"model": 0},
    ),
    "BestExporter": (
        {"pushed_model": "PushedModel", "decision": "ExportDecision"},
        {"model": 0, "evaluation": 1, "model_blessing": 2},
    ),
}

_COLUMNS = {
    "Artifact": "id, type_id, uri, state, create_time_since_epoch, last_update_time_since_epoch",
    "ArtifactProperty": "artifact_id, name, is_custom_property, int_value, string_value",
    "Execution": "id, type_id, last_known_state, create_time_since_epoch,"
    " last_update_time_since_epoch",
    "Event": "id, artifact_id, execution_id, type, milliseconds_since_epoch",
    "EventPath": "event_id, is_index_step, step_index, step_key",
    "Context": "id, type_id, name, create_time_since_epoch, last_update_time_since_epoch",
    "Attribution": "context_id, artifact_id",
    "Association": "context_id, execution_id",
}
# Number of runs that are inserted together.
_CHUNK = 5_000
_START_MILLISECONDS = 1_700_000_000_000


def connect(path: Path) -> MetadataStore:
    """Opens a store in a file, and creates it if it does not exist."""
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MetadataStore(config)


def uris_of_run(pipeline_root: str, number: int) -> dict[str, str]:
    """Returns the URIs of a run's artifacts by output key.

    Args:
        pipeline_root: Directory of the artifacts.
        number: Number of the run in a store that had no runs before, from 0.
    """
    first_id = number * len(_NODES) + 1
    return {
        key: _uri(pipeline_root, node, key, execution_id)
        for execution_id, (node, (outputs, _)) in enumerate(_NODES.items(), first_id)
        for key in outputs
    }


def _uri(pipeline_root: str, node: str, key: str, execution_id: int) -> str:
    return f"{pipeline_root}/{node}/{key}/{execution_id}"


class StoreWriter:
    """Adds past runs to a store."""

    def __init__(self, path: Path):
        """Makes a writer, and the types of the store.

        Args:
            path: File of the store; created if it does not exist.
        """
        self._path = path
        store = connect(path)
        kinds = {kind for outputs, _ in _NODES.values() for kind in outputs.values()}
        self._artifact_types = {
            kind: store.put_artifact_type(mlmd.ArtifactType(name=kind)) for kind in sorted(kinds)
        }
        self._execution_types = {
            node: store.put_execution_type(mlmd.ExecutionType(name=node)) for node in _NODES
        }
        self._context_types = {
            kind: store.put_context_type(mlmd.ContextType(name=kind))
            for kind in ("pipeline", "node", "pipeline_run")
        }

    def add_runs(
        self,
        pipeline_name: str,
        pipeline_root: str,
        count: int,
        pushed_to: Mapping[int, str] | None = None,
    ) -> None:
        """Adds runs of one pipeline.

        Args:
            pipeline_name: Name of the pipeline.
            pipeline_root: Directory of the artifacts, which are not written.
            count: Number of runs.
            pushed_to: Destinations by number of the run, from 0. The other runs pushed nothing.
        """
        runs = ((pipeline_name, pipeline_root, number) for number in range(count))
        self._add([pipeline_name], runs, pushed_to or {})

    def add_pipelines(self, pipeline_names: Sequence[str], root: str) -> None:
        """Adds one run of each of several pipelines.

        Args:
            pipeline_names: Names of the pipelines.
            root: Parent of the directories of their artifacts, which are not written.
        """
        runs = ((name, f"{root}/{name}", 0) for name in pipeline_names)
        self._add(pipeline_names, runs, {})

    def _add(
        self,
        pipeline_names: Sequence[str],
        runs: Iterator[tuple[str, str, int]],
        pushed_to: Mapping[int, str],
    ) -> None:
        database = sqlite3.connect(self._path)
        # The store is temporary, so it need not survive a power failure.
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA cache_size = -500000")
        context_ids: dict[str, int] = {}
        for name in pipeline_names:
            context_ids |= self._add_contexts(database, name)
        tables = ("Artifact", "Execution", "Event", "Context")
        next_ids = {table: _next_id(database, table) for table in tables}
        while chunk := [*itertools.islice(runs, _CHUNK)]:
            rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _COLUMNS}
            for name, root, number in chunk:
                for table, row in self._rows_of_run(
                    number, name, root, pushed_to.get(number, ""), context_ids, next_ids
                ):
                    rows[table].append(row)
            for table, values in rows.items():
                _insert(database, table, values)
        database.commit()
        database.close()

    def _add_contexts(self, database: sqlite3.Connection, pipeline_name: str) -> dict[str, int]:
        names = [
            ("pipeline", pipeline_name),
            *(("node", f"{pipeline_name}.{node}") for node in _NODES),
        ]
        first = _next_id(database, "Context")
        time = _START_MILLISECONDS
        _insert(
            database,
            "Context",
            [
                (first + index, self._context_types[kind], name, time, time)
                for index, (kind, name) in enumerate(names)
            ],
        )
        return {name: first + index for index, (_, name) in enumerate(names)}

    def _rows_of_run(
        self,
        number: int,
        pipeline_name: str,
        root: str,
        destination: str,
        context_ids: dict[str, int],
        next_ids: dict[str, int],
    ) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yields the table and the values of each row, and advances the ids."""
        time = _START_MILLISECONDS + number * 60_000
        run_id = _take(next_ids, "Context")
        run_type = self._context_types["pipeline_run"]
        yield "Context", (run_id, run_type, f"{pipeline_name}.{number}", time, time)
        produced: list[int] = []
        for node, (outputs, inputs) in _NODES.items():
            execution_id = _take(next_ids, "Execution")
            contexts = (
                context_ids[pipeline_name],
                context_ids[f"{pipeline_name}.{node}"],
                run_id,
            )
            yield (
                "Execution",
                (execution_id, self._execution_types[node], mlmd.Execution.COMPLETE, time, time),
            )
            for context_id in contexts:
                yield "Association", (context_id, execution_id)
            events = [(mlmd.Event.INPUT, key, produced[index]) for key, index in inputs.items()]
            for key, kind in outputs.items():
                artifact_id = _take(next_ids, "Artifact")
                uri = _uri(root, node, key, execution_id)
                type_id = self._artifact_types[kind]
                yield "Artifact", (artifact_id, type_id, uri, mlmd.Artifact.LIVE, time, time)
                for context_id in contexts:
                    yield "Attribution", (context_id, artifact_id)
                for name, value in _properties_of(kind, destination):
                    values = (value, None) if isinstance(value, int) else (None, value)
                    yield "ArtifactProperty", (artifact_id, name, 1, *values)
                events.append((mlmd.Event.OUTPUT, key, artifact_id))
                produced.append(artifact_id)
            for event_type, key, artifact_id in events:
                event_id = _take(next_ids, "Event")
                yield "Event", (event_id, artifact_id, execution_id, event_type, time)
                yield "EventPath", (event_id, 0, None, key)
                yield "EventPath", (event_id, 1, 0, None)


def _properties_of(kind: str, destination: str) -> Iterable[tuple[str, int | str]]:
    yield "tfx_version", "1.21.0"
    if kind == "PushedModel":
        yield "pushed", int(bool(destination))
        yield "pushed_destination", destination
        yield "pushed_version", destination.rpartition("/")[2]


def _next_id(database: sqlite3.Connection, table: str) -> int:
    [(largest,)] = database.execute(f"SELECT max(id) FROM {table}")
    return (largest or 0) + 1


def _take(next_ids: dict[str, int], table: str) -> int:
    next_ids[table] += 1
    return next_ids[table] - 1


def _insert(database: sqlite3.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    columns = _COLUMNS[table]
    marks = ", ".join(itertools.repeat("?", columns.count(",") + 1))
    database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
