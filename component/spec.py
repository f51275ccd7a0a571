"""BestExporterSpec: inputs, outputs and exec properties of the component."""

from collections.abc import Mapping

from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as tfx_keys
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Deploy

from tfx_best_exporter.component import artifacts
from tfx_best_exporter.executor import keys
from tfx_best_exporter.proto import best_exporter_pb2 as pb


class BestExporterSpec(ComponentSpec):
    """Spec of BestExporter.

    TFX stores messages as JSON. A channel that is set must have an artifact, because an empty
    blessing channel must not pass as a blessing.
    """

    PARAMETERS: Mapping[str, ExecutionParameter] = {
        tfx_keys.PUSH_DESTINATION_KEY: ExecutionParameter(type=pusher_pb2.PushDestination),
        # Default if not set: a rule by the evaluation and its EvalConfig.
        keys.COMPARE_POLICY_KEY: ExecutionParameter(type=pb.ComparePolicy, optional=True),
        # Default rule by Evaluator's EvalConfig, as the author of the pipeline wrote it.
        keys.DEFAULT_RULE_KEY: ExecutionParameter(type=pb.DefaultRule, optional=True),
        # Default if not set: every export is kept.
        keys.RETENTION_POLICY_KEY: ExecutionParameter(type=pb.RetentionPolicy, optional=True),
        # JSON list. Default if not set: ["eval"].
        tfx_keys.EXAMPLE_SPLITS_KEY: ExecutionParameter(type=str, optional=True),
        keys.EVENT_FILE_PATTERN_KEY: ExecutionParameter(type=str, optional=True),
        keys.SERVING_SIGNATURES_FN_KEY: ExecutionParameter(type=str, optional=True),
        # JSON object: destination below assets.extra/ -> source path.
        keys.ASSETS_EXTRA_KEY: ExecutionParameter(type=str, optional=True),
        keys.AS_TEXT_KEY: ExecutionParameter(type=int, optional=True),
        # Default if not set: "resave".
        keys.UNSERVABLE_KEY: ExecutionParameter(type=str, optional=True),
        # Default if not set: .best_exporter in the base directory.
        keys.STATE_DIRECTORY_KEY: ExecutionParameter(type=str, optional=True),
        # 1 if the component is in a Cond on a blessing.
        keys.IS_GATED_KEY: ExecutionParameter(type=int, optional=True),
        tfx_keys.MODULE_FILE_KEY: ExecutionParameter(type=str, optional=True),
        tfx_keys.MODULE_PATH_KEY: ExecutionParameter(type=str, optional=True),
    }
    INPUTS: Mapping[str, ChannelParameter] = {
        key: ChannelParameter(type=artifact_type, optional=True, allow_empty=False)
        for key, artifact_type in {
            tfx_keys.MODEL_KEY: standard_artifacts.Model,
            tfx_keys.EVALUATION_KEY: standard_artifacts.ModelEvaluation,
            tfx_keys.MODEL_BLESSING_KEY: standard_artifacts.ModelBlessing,
            tfx_keys.INFRA_BLESSING_KEY: standard_artifacts.InfraBlessing,
            tfx_keys.MODEL_RUN_KEY: standard_artifacts.ModelRun,
            tfx_keys.EXAMPLES_KEY: standard_artifacts.Examples,
        }.items()
    }
    OUTPUTS: Mapping[str, ChannelParameter] = {
        tfx_keys.PUSHED_MODEL_KEY: ChannelParameter(type=standard_artifacts.PushedModel),
        keys.DECISION_KEY: ChannelParameter(type=artifacts.ExportDecision),
        tfx_keys.BLESSING_KEY: ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    TYPE_ANNOTATION = Deploy
