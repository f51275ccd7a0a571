"""Executor that TFX runs: converts artifacts and exec properties to values and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments.artifacts import InputArtifact
from tfx_best_exporter.executor.evaluations import reevaluation
from tfx_best_exporter.executor.running import exec_properties as exec_properties_lib
from tfx_best_exporter.executor.running import step

# tfx.types.artifact uses this key to store a JSON value that is not an object.
_SINGLE_VALUE = "__value__"


class Executor(base_executor.BaseExecutor):
    """Runs a step on TFX's artifacts, and sets the custom properties of the outputs.

    A decision does not need a driver. If a driver runs, it adds lineage from ML Metadata.

    With `examples`, the component compiles a BeamExecutorSpec of this class. TFX's
    BeamExecutorOperator only needs the constructor, so this class is not a BaseBeamExecutor, which
    imports Apache Beam and packages TFX for remote workers when it is constructed.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Exports the candidate if it is better than the best.

        Args:
            input_dict: One artifact each of `model`, `evaluation` or `model_run`,
                `model_blessing` and `infra_blessing`; any number of `examples`.
            output_dict: One artifact each of `pushed_model`, `decision` and `blessing`. Pipelines
                that an earlier version compiled have no `blessing`.
            exec_properties: Properties of BestExporterSpec, and those that the driver adds.

        Raises:
            RuntimeError: The driver failed, or infra_blessing contains no model although `model`
                is not set.
            See ModelExporter.run for other exceptions.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        outputs = {
            channel: artifact_utils.get_single_instance(output_dict[channel])
            for channel in (keys.PUSHED_MODEL_KEY, keys.DECISION_KEY, keys.BLESSING_KEY)
            if channel != keys.BLESSING_KEY or channel in output_dict
        }
        result = step.run_step(
            step.StepInputs(
                artifacts=values_of(input_dict),
                exec_properties=exec_properties_lib.parsed(exec_properties),
                output_uris={channel: artifact.uri for channel, artifact in outputs.items()},
                provenance=self._provenance(),
                beam=self._beam(),
            )
        )
        for channel, artifact in outputs.items():
            _mark(artifact, result.custom_properties[channel])

    def _provenance(self) -> step.Provenance:
        if self._context is None:
            return step.Provenance()
        info, node = self._context.pipeline_info, self._context.pipeline_node
        return step.Provenance(
            pipeline_name=info.id if info else "",
            run_id=self._context.pipeline_run_id or "",
            node_id=node.node_info.id if node else "",
        )

    def _beam(self) -> reevaluation.Beam:
        """Returns the Beam arguments.

        BeamExecutorOperator passes them as `beam_pipeline_args`. TFX's InProcessComponentLauncher
        (notebooks) and kubeflow_v2_run_executor pass them as `extra_flags` to a class that is not
        a BaseBeamExecutor.
        """
        if self._context is None:
            return reevaluation.Beam()
        args = getattr(self._context, "beam_pipeline_args", self._context.extra_flags)
        return reevaluation.Beam(
            pipeline_args=tuple(args or ()),
            make_pipeline=getattr(self._context, "make_beam_pipeline_fn", None),
        )


def values_of(
    artifacts: Mapping[str, Sequence[types.Artifact]],
) -> dict[str, tuple[InputArtifact, ...]]:
    """Returns artifacts as values, by channel."""
    return {
        channel: tuple(_value_of(artifact) for artifact in each)
        for channel, each in artifacts.items()
    }


def _value_of(artifact: types.Artifact) -> InputArtifact:
    stored = artifact.mlmd_artifact
    return InputArtifact(
        uri=artifact.uri,
        properties=_properties_of(stored.properties),
        custom_properties=_properties_of(stored.custom_properties),
        artifact_id=stored.id,
        is_published=stored.state != stored.UNKNOWN,
    )


def _properties_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of ML Metadata's properties."""
    result = {}
    for name, value in stored.items():
        kind = value.WhichOneof("value")
        if kind == "struct_value":
            content = json_format.MessageToDict(value.struct_value)
            result[name] = content.get(_SINGLE_VALUE, content)
        else:
            result[name] = getattr(value, kind) if kind else None
    return result


def _mark(artifact: types.Artifact, properties: Mapping[str, step.Property]) -> None:
    for name, value in properties.items():
        if isinstance(value, str):
            artifact.set_string_custom_property(name, value)
        elif isinstance(value, int):
            artifact.set_int_custom_property(name, value)
        else:
            artifact.set_float_custom_property(name, value)
