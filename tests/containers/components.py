"""Executors that record what TFX's entry point passes to a component."""

import json
import os
import time
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_beam_executor, base_executor

from tfx_best_exporter.executor.storage.gs import GsStorage


def record(input_dict: dict[str, Any], output_dict: dict[str, Any]) -> None:
    """Writes the URIs to each output, and sets properties of each kind."""
    [model] = input_dict["model"]
    for [output] in output_dict.values():
        os.makedirs(output.uri)
        content = {channel: each.uri for channel, [each] in input_dict.items()}
        with open(os.path.join(output.uri, "inputs.json"), "w") as file:
            json.dump(content, file)
        output.set_string_custom_property("path", os.path.join(model.uri, "Format-Serving"))
        output.set_int_custom_property("number", 7)
        output.set_json_value_custom_property("list", [1, "a"])
        # A value that is not set.
        output.mlmd_artifact.custom_properties["nothing"].SetInParent()


class Recorder(base_executor.BaseExecutor):
    """Runs in the container."""

    def Do(
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: Any
    ) -> None:
        record(input_dict, output_dict)


class BeamRecorder(base_beam_executor.BaseBeamExecutor):
    """Could run Beam."""

    def Do(
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: Any
    ) -> None:
        record(input_dict, output_dict)


class Waiter(base_executor.BaseExecutor):
    """Works for a minute."""

    def Do(
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: Any
    ) -> None:
        Path(os.environ["MARKER"]).touch()
        time.sleep(60)


class MarkerWriter(base_executor.BaseExecutor):
    """Writes to gs:// as TensorFlow does: with an empty object for each directory."""

    def Do(
        self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: Any
    ) -> None:
        storage = GsStorage()
        for [output] in output_dict.values():
            bucket, _, prefix = output.uri.removeprefix("gs://").partition("/")
            for name, content in (("", b""), ("variables/", b""), ("variables/data", b"data")):
                blob = storage._client.bucket(bucket).blob(f"{prefix}/{name}")
                blob.upload_from_string(content)
        storage.close()
