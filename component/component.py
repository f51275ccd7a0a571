"""BestExporter: the TFX component."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfx import types
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.placeholder import placeholder
from tfx.orchestration import data_types
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as tfx_keys

from tfx_best_exporter.component import (
    arguments,
    artifacts,
    conditions,
    driver,
    eval_config,
    spec,
    visualization,
)
from tfx_best_exporter.executor import executor, keys
from tfx_best_exporter.executor.arguments.errors import within
from tfx_best_exporter.executor.arguments.unservable import DEFAULT_UNSERVABLE, checked_unservable
from tfx_best_exporter.executor.deciding import default_rule
from tfx_best_exporter.executor.evaluations import event_files
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.assets_extra import check_assets_extra
from tfx_best_exporter.proto import best_exporter_pb2 as pb

visualization.register()


class BestExporter(base_component.BaseComponent):
    """Exports the candidate when it is better than the model being served; replaces Pusher.

    The outputs are:

    - `pushed_model`: PushedModel with the exported SavedModel, and Pusher's custom properties.
    - `decision`: ExportDecision with decision.json and report.html, written by every run.
    - `blessing`: ModelBlessing with Evaluator's custom properties. `blessed` is 1 if
      `pushed` is 1 and the exported model is the candidate: the gate of a deployer for another
      model server.

    Example:
        >>> exporter = BestExporter(
        ...     model=trainer.outputs["model"],
        ...     evaluation=evaluator.outputs["evaluation"],
        ...     examples=example_gen.outputs["examples"],
        ...     model_blessing=evaluator.outputs["blessing"],
        ...     push_destination=tfx.proto.PushDestination(
        ...         filesystem=tfx.proto.PushDestination.Filesystem(base_directory="/serving/model")
        ...     ),
        ... )
    """

    SPEC_CLASS = spec.BestExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self,
        model: types.BaseChannel | None = None,
        evaluation: types.BaseChannel | None = None,
        push_destination: (
            pusher_pb2.PushDestination
            | Mapping[str, Any]
            | data_types.RuntimeParameter
            | placeholder.Placeholder
            | None
        ) = None,
        *,
        model_blessing: types.BaseChannel | None = None,
        infra_blessing: types.BaseChannel | None = None,
        model_run: types.BaseChannel | None = None,
        examples: types.BaseChannel | None = None,
        example_splits: Sequence[str] | None = None,
        event_file_pattern: str = event_files.DEFAULT_EVENT_FILE_PATTERN,
        compare_fn: Callable[..., bool] | str | None = None,
        compare_policy: (
            pb.ComparePolicy
            | Mapping[str, Any]
            | data_types.RuntimeParameter
            | placeholder.Placeholder
            | None
        ) = None,
        module_file: str | None = None,
        serving_signatures_fn: Callable[[Any], Mapping[str, Any]] | str | None = None,
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
        unservable: str = DEFAULT_UNSERVABLE,
        exports_to_keep: int | None = retention.DEFAULT_EXPORTS_TO_KEEP,
        retention_policy: pb.RetentionPolicy | Mapping[str, Any] | None = None,
        state_directory: str | None = None,
    ):
        """Checks the arguments and builds the component.

        Args:
            model: Channel of Model: the candidate. Optional if infra_blessing has a warmed-up
                model.
            evaluation: Channel of ModelEvaluation: the candidate's evaluation. Required unless
                model_run is set.
            push_destination: Base directory that the model server polls, as in Pusher: a message
                or a dict. Or a RuntimeParameter or placeholder whose value is the path, or the
                message as JSON.
            model_blessing: Channel of ModelBlessing. If set, only a blessed candidate is exported.
            infra_blessing: Channel of InfraBlessing. If set, only a blessed candidate is exported.
            model_run: Channel of ModelRun whose event files contain the candidate's metrics.
            examples: Channel of Examples, the same as Evaluator's. The best is evaluated on them
                if the candidate's evaluation does not include the best.
            example_splits: Splits of examples, as in Evaluator. Default: ["eval"].
            event_file_pattern: Pattern of the event files' paths, relative to model_run.
            compare_fn: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword; or
                its dotted name, or its name in module_file. Default: a smaller "loss" if the
                evaluation has one, otherwise the only metric with a threshold in the EvalConfig.
            compare_policy: Declarative alternative to compare_fn; a message or a dict, see
                `policies.compare_policy`. Or a RuntimeParameter or placeholder whose value is the
                message as JSON.
            module_file: Path of the author's code, packaged like Trainer's. Its functions
                `compare_fn` and `serving_signatures_fn` are used by default.
            serving_signatures_fn: `fn(loaded_model) -> {signature name: tf.function}`; or its
                dotted name, or its name in module_file. Default: the model's own signatures.
            assets_extra: Destination below assets.extra/ -> path of the source file.
            as_text: Write saved_model.pbtxt instead of saved_model.pb.
            unservable: Treatment of a candidate that a model server cannot run as it is: "resave"
                saves it again from its own signatures, "refuse" fails the run.
            exports_to_keep: Number of exports to keep; None keeps all. It cannot be combined with
                retention_policy.
            retention_policy: Rules for the exports to keep, a message or a dict; see
                `policies.retention_policy`.
            state_directory: Directory of the exporter's own files, in the storage of the base
                directory and outside of it, for a model server that copies the whole base
                directory. Default: .best_exporter in the base directory.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is invalid.
        """
        arguments.check_channels(
            model=model,
            evaluation=evaluation,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            model_run=model_run,
            examples=examples,
        )
        user_functions = arguments.functions_in(module_file)
        policy = arguments.compare_policy_of(
            compare_fn, compare_policy, user_functions, module_file
        )
        configured = eval_config.configured_for(evaluation)
        built_rule = None
        if policy is None and configured is not None:
            built_rule = default_rule.when_built(configured)
        if model_run is not None and isinstance(policy, pb.ComparePolicy):
            arguments.check_for_event_files(policy)
        with within("retention_policy"):
            retention_message = arguments.message_of(retention_policy, pb.RetentionPolicy)
        retention_message = retention.policy_of(exports_to_keep, retention_message)
        with within(keys.SERVING_SIGNATURES_FN_KEY):
            signatures_reference = arguments.function_reference(
                serving_signatures_fn,
                keys.SERVING_SIGNATURES_FN_NAME,
                None,
                user_functions,
                module_file,
            )
        # The executor checks a policy that is known only when the pipeline runs.
        known_policy = policy if isinstance(policy, pb.ComparePolicy) else None
        retention.check_keep_best(retention_message, known_policy)
        if not isinstance(event_file_pattern, str) or not event_file_pattern:
            raise ValueError(
                f"event_file_pattern must be a non-empty string (got {event_file_pattern!r})."
                " Pass a pattern relative to the ModelRun, for example 'eval/*.tfevents.*'."
            )
        if not isinstance(as_text, bool):
            raise TypeError(
                f"as_text must be True or False (got {as_text!r})."
                " Pass True to write saved_model.pbtxt."
            )
        component_spec = spec.BestExporterSpec(
            model=model,
            evaluation=evaluation,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            model_run=model_run,
            examples=examples,
            example_splits=arguments.splits_of(example_splits, examples),
            push_destination=arguments.destination_of(push_destination),
            compare_policy=policy,
            default_rule=built_rule,
            retention_policy=retention_message,
            event_file_pattern=event_file_pattern,
            serving_signatures_fn=signatures_reference,
            assets_extra=json.dumps(check_assets_extra(assets_extra), sort_keys=True),
            as_text=int(as_text),
            unservable=checked_unservable(unservable),
            state_directory=arguments.state_directory_of(state_directory),
            is_gated=1 if conditions.is_gated_by_blessing() else None,
            module_file=module_file,
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            decision=types.Channel(type=artifacts.ExportDecision),
            blessing=types.Channel(type=standard_artifacts.ModelBlessing),
        )
        for warning in arguments.warnings_of(
            policy,
            configured,
            model_blessing=model_blessing,
            evaluation=evaluation,
            examples=examples,
            push_destination=push_destination,
        ):
            warnings.warn(warning, stacklevel=2)
        # TFX passes beam_pipeline_args only to a BeamExecutorSpec. They are needed to evaluate the
        # best again.
        beam_spec = executor_spec.BeamExecutorSpec(executor.Executor) if examples else None
        super().__init__(spec=component_spec, custom_executor_spec=beam_spec)
        if module_file and udf_utils.should_package_user_modules():
            udf_utils.add_user_module_dependency(
                self, tfx_keys.MODULE_FILE_KEY, tfx_keys.MODULE_PATH_KEY
            )
