"""Driver: an adapter of history.look_up to the two driver interfaces of TFX."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types, metadata
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types as portable_data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import standard_component_specs as tfx_keys

from tfx_best_exporter.component import history
from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.redaction import redacted, without_secrets

_logger = logging.getLogger(__name__)


class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the information about the best in ML Metadata to the exec properties.

    LocalDagRunner and BeamDagRunner call `run`; InteractiveContext calls
    `resolve_exec_properties`. Kubeflow Pipelines and Vertex AI call neither.
    """

    # The parameter name is fixed: one of the two interfaces passes it by keyword.
    def __init__(self, metadata_handle: metadata.Metadata):
        """Makes a Driver.

        Args:
            metadata_handle: Connection to ML Metadata.
        """
        super().__init__(metadata_handle)

    def run(
        self, execution_info: portable_data_types.ExecutionInfo
    ) -> driver_output_pb2.DriverOutput:
        """Returns the exec properties to add: the interface of LocalDagRunner and BeamDagRunner."""
        pushed_model = execution_info.output_dict[tfx_keys.PUSHED_MODEL_KEY][0]

        def look_up() -> dict[str, str]:
            with self._metadata_handle as handle:
                return history.look_up(
                    handle.store,
                    execution_info.exec_properties,
                    pipeline_name=execution_info.pipeline_info.id,
                    pushed_models_uri=os.path.dirname(pushed_model.uri),
                )

        output = driver_output_pb2.DriverOutput()
        for name, value in _or_error(look_up).items():
            output.exec_properties[name].string_value = value
        return output

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Returns all exec properties: the interface of InteractiveContext."""

        def look_up() -> dict[str, str]:
            return history.look_up(
                self._metadata_handle.store,
                exec_properties,
                pipeline_name=pipeline_info.pipeline_name,
                pushed_models_uri=os.path.join(
                    str(pipeline_info.pipeline_root),
                    component_info.component_id,
                    tfx_keys.PUSHED_MODEL_KEY,
                ),
            )

        return {**exec_properties, **_or_error(look_up)}


def _or_error(look_up: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Returns the exec properties that were found, or an exec property with the error.

    An exception in a driver would leave the execution in state RUNNING forever. The executor
    receives the error instead, and fails with it.
    """
    try:
        with without_secrets():
            return look_up()
    except Exception as error:
        _logger.exception("the driver failed; the executor will fail with this error")
        return {keys.DRIVER_ERROR_KEY: redacted(f"{type(error).__name__}: {error}")}
