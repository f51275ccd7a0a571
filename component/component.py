"""BestExporter: the component. Checks at construction, builds the spec."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfx import types
from tfx.components.util import udf_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.io import fileio
from tfx.dsl.placeholder import placeholder
from tfx.orchestration import data_types
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types import standard_component_specs as tfx_keys

from tfx_best_exporter.component import artifacts, driver, spec
from tfx_best_exporter.executor import executor, keys
from tfx_best_exporter.executor.arguments import destination, messages
from tfx_best_exporter.executor.arguments import user_functions as functions
from tfx_best_exporter.executor.deciding import policy as policy_lib
from tfx_best_exporter.executor.deciding import rules
from tfx_best_exporter.executor.deciding.compare_function import COMPARE_FN_PARAMETERS
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.executor.evaluations import event_files
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.assets_extra import check_assets_extra
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Where each input comes from in most pipelines, for errors.
_USUAL_OUTPUTS = {
    tfx_keys.MODEL_KEY: "trainer.outputs['model']",
    tfx_keys.EVALUATION_KEY: "evaluator.outputs['evaluation']",
    tfx_keys.MODEL_BLESSING_KEY: "evaluator.outputs['blessing']",
    tfx_keys.INFRA_BLESSING_KEY: "infra_validator.outputs['blessing']",
    tfx_keys.MODEL_RUN_KEY: "trainer.outputs['model_run']",
    tfx_keys.EXAMPLES_KEY: "example_gen.outputs['examples']",
}

# Messages that may be given when the pipeline is started, or by another component.
_MAY_BE_LATE = ("push_destination", "compare_policy")


class BestExporter(base_component.BaseComponent):
    """Exports the candidate when it is better than the model being served; replaces Pusher.

    Outputs:
        pushed_model: PushedModel with the exported SavedModel, and Pusher's custom properties.
        decision: ExportDecision with decision.json, from every run.

    Example:
        >>> exporter = BestExporter(
        ...     model=trainer.outputs["model"],
        ...     evaluation=evaluator.outputs["evaluation"],
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
        exports_to_keep: int | None = retention.DEFAULT_EXPORTS_TO_KEEP,
        retention_policy: pb.RetentionPolicy | Mapping[str, Any] | None = None,
    ):
        """Checks the arguments and builds the component.

        Args:
            model: Channel of Model: the candidate. May be left out where infra_blessing carries a
                warmed-up model.
            evaluation: Channel of ModelEvaluation: the candidate's evaluation. Or give model_run.
            push_destination: Where the model server looks, as in Pusher; message or dict. Or a
                RuntimeParameter or placeholder whose value is the path, or the message as JSON.
            model_blessing: Channel of ModelBlessing. If given, it must say blessed.
            infra_blessing: Channel of InfraBlessing. If given, it must say blessed.
            model_run: Channel of ModelRun: the evaluation is read from its event files.
            examples: Channel of Examples: what Evaluator was given. The best is evaluated on them
                again where the candidate's own evaluation has no metrics of it.
            example_splits: As Evaluator's. Default: ["eval"].
            event_file_pattern: Relative to model_run.
            compare_fn: `fn(best_eval_result, current_eval_result) -> bool`, called by keyword; or
                its dotted name, or its name in module_file. Default: a smaller "loss" is better.
            compare_policy: The declarative way to say the same; not both. Or a RuntimeParameter
                or placeholder whose value is the message as JSON.
            module_file: User code, shipped as Trainer's is. Its functions `compare_fn` and
                `serving_signatures_fn` are used if there are such and no others are named.
            serving_signatures_fn: `fn(loaded_model) -> {signature name: tf.function}`; or its
                dotted name, or its name in module_file. Default: the model's own signatures.
            assets_extra: Destination below assets.extra/ -> path of the source file.
            as_text: Write saved_model.pbtxt instead of saved_model.pb.
            exports_to_keep: Number of exports to keep; None keeps all. Not both this and
                retention_policy.
            retention_policy: More than a number, a message or a dict; see
                `policies.retention_policy`.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument is invalid; the message says what to do.
        """
        _check_channels(
            model=model,
            evaluation=evaluation,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            model_run=model_run,
            examples=examples,
        )
        user_functions = _functions_in(module_file)
        policy = _compare_policy_of(compare_fn, compare_policy, user_functions, module_file)
        if model_run is not None and isinstance(policy, pb.ComparePolicy):
            _check_for_event_files(policy)
        retention_message = retention.policy_of(
            exports_to_keep,
            _to_message(retention_policy, pb.RetentionPolicy, "retention_policy"),
        )
        # A policy that is given later is checked by the executor.
        known_policy = policy if isinstance(policy, pb.ComparePolicy) else None
        retention.check_keep_best(retention_message, known_policy)
        if not isinstance(event_file_pattern, str) or not event_file_pattern:
            raise ValueError(
                f"event_file_pattern must be a non-empty string (got {event_file_pattern!r})."
                " Give a pattern relative to the ModelRun, such as 'eval/*.tfevents.*'."
            )
        if not isinstance(as_text, bool):
            raise TypeError(
                f"as_text must be True or False (got {as_text!r}). True writes saved_model.pbtxt."
            )
        component_spec = spec.BestExporterSpec(
            model=model,
            evaluation=evaluation,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            model_run=model_run,
            examples=examples,
            example_splits=_check_splits(example_splits, examples),
            push_destination=_check_destination(push_destination),
            compare_policy=policy,
            retention_policy=retention_message,
            event_file_pattern=event_file_pattern,
            serving_signatures_fn=_function_reference(
                serving_signatures_fn,
                keys.SERVING_SIGNATURES_FN_KEY,
                keys.SERVING_SIGNATURES_FN_NAME,
                None,
                user_functions,
                module_file,
            ),
            assets_extra=json.dumps(check_assets_extra(assets_extra), sort_keys=True),
            as_text=int(as_text),
            module_file=module_file,
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            decision=types.Channel(type=artifacts.ExportDecision),
        )
        # The same class, but TFX hands beam_pipeline_args to it: the best may be evaluated again.
        beam_spec = executor_spec.BeamExecutorSpec(executor.Executor) if examples else None
        super().__init__(spec=component_spec, custom_executor_spec=beam_spec)
        if module_file and udf_utils.should_package_user_modules():
            udf_utils.add_user_module_dependency(
                self, tfx_keys.MODULE_FILE_KEY, tfx_keys.MODULE_PATH_KEY
            )


def _check_channels(**channels: object) -> None:
    if channels["model"] is None and channels["infra_blessing"] is None:
        raise ValueError(
            "model must be given, or infra_blessing with a warmed-up model (got neither)."
            " Pass trainer.outputs['model']."
        )
    if (channels["evaluation"] is None) == (channels["model_run"] is None):
        got = "neither" if channels["evaluation"] is None else "both"
        raise ValueError(
            f"evaluation or model_run must be given, and only one (got {got})."
            " Pass evaluator.outputs['evaluation'], or trainer.outputs['model_run'] to read event"
            " files."
        )
    if channels["examples"] is not None and channels["evaluation"] is None:
        raise ValueError(
            "evaluation must be given where examples is (got model_run): its eval config says what"
            " to evaluate. Pass evaluator.outputs['evaluation'], or leave out examples."
        )
    for name, channel in channels.items():
        if channel is not None and not isinstance(channel, types.BaseChannel):
            raise TypeError(
                f"{name} must be a channel (got {channel!r}). Pass an output of a component, such"
                f" as {_USUAL_OUTPUTS[name]}."
            )


def _check_splits(example_splits: object, examples: object) -> str | None:
    """Returns the names of the splits as JSON, or None if none were given."""
    if example_splits is None:
        return None
    is_list = isinstance(example_splits, Sequence) and not isinstance(example_splits, str)
    names = list(example_splits) if isinstance(example_splits, Sequence) and is_list else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"example_splits must be a list of names, or None (got {example_splits!r})."
            " Give those that Evaluator was given, such as ['eval']."
        )
    if examples is None:
        raise ValueError(
            f"example_splits must be left out where examples is (got {example_splits!r})."
            " Pass example_gen.outputs['examples'] too."
        )
    return json.dumps(names)


def _check_destination(push_destination: object) -> Any:
    """Returns the destination, checked as far as it is known now.

    A RuntimeParameter or a placeholder is known only when the pipeline runs.
    """
    if _is_late(push_destination):
        return _check_late(push_destination, "push_destination", destination.base_directory_of)
    message = _to_message(push_destination, pusher_pb2.PushDestination, "push_destination")
    if message is None or not message.filesystem.base_directory:
        got = "None" if message is None else "''"
        raise ValueError(
            f"push_destination.filesystem.base_directory must be a path (got {got})."
            " Give the directory that the model server polls."
        )
    return message


def _is_late(value: object) -> bool:
    """Returns whether a value is known only when the pipeline runs."""
    return isinstance(value, (data_types.RuntimeParameter, placeholder.Placeholder))


def _check_late(value: object, field: str, check: Callable[[str], object]) -> object:
    """Returns a value that is known later, checked as far as it is known now.

    Args:
        value: A RuntimeParameter or a placeholder.
        field: The argument's name, for errors.
        check: Raises ValueError for a text that will not do.

    Raises:
        TypeError: It will be no text.
        ValueError: Its default will not do.
    """
    if isinstance(value, data_types.RuntimeParameter):
        if value.ptype is not str:
            raise TypeError(
                f"{field} must be a RuntimeParameter of type str (got {value.name!r} of type"
                f" {getattr(value.ptype, '__name__', value.ptype)}). Give ptype=str."
            )
        if value.default is not None:
            check(str(value.default))
    return value


def _late_field(value: object, field: str) -> tuple[str, object] | None:
    """Returns name and value of a field inside a dict that is known only later, or None."""
    if _is_late(value):
        return field, value
    if isinstance(value, Mapping):
        found = (_late_field(item, f"{field}.{name}") for name, item in value.items())
    elif isinstance(value, (list, tuple)):
        found = (_late_field(item, f"{field}[{number}]") for number, item in enumerate(value))
    else:
        return None
    return next((item for item in found if item), None)


def _to_message(value: Any, kind: Any, field: str) -> Any:
    """Returns a message that was given as such or as a dict, or None.

    Raises:
        TypeError: It is neither.
        ValueError: The dict is no such message.
    """
    late = _late_field(value, field) if isinstance(value, Mapping) else None
    if late:
        name, parameter = late
        # TFX resolves whole exec properties, and a message is one.
        remedy = (
            f"Pass one as the whole {field}; its value is a {kind.__name__} as JSON."
            if field in _MAY_BE_LATE
            else "Give its value."
        )
        raise ValueError(
            f"{name} must be known when the pipeline is built (got a"
            f" {type(parameter).__name__}). {remedy}"
        )
    return messages.message_of(value, kind, field)


def _compare_policy_of(
    compare_fn: object,
    compare_policy: object,
    user_functions: Mapping[str, list[str]] | None,
    module_file: str | None,
) -> Any:
    """Returns the policy that both arguments state together; None asks for a smaller "loss".

    A RuntimeParameter or a placeholder is returned as it is.
    """
    is_late = _is_late(compare_policy)
    policy = None if is_late else _to_message(compare_policy, pb.ComparePolicy, "compare_policy")
    if compare_fn is not None and (is_late or policy is not None):
        raise ValueError(
            "compare_fn must be left out where compare_policy is given (got both)."
            " Set compare_policy.compare_fn instead."
        )
    if is_late:
        return _check_late(
            compare_policy,
            "compare_policy",
            lambda text: policy_lib.check_policy(policy_lib.policy_message_of(text)),
        )
    if policy is not None and policy.WhichOneof("rule") == "metric":
        policy_lib.check_policy(policy)
        return policy
    named = (policy.compare_fn or None) if policy is not None else compare_fn
    reference = _function_reference(
        named,
        keys.COMPARE_FN_NAME,
        keys.COMPARE_FN_NAME,
        COMPARE_FN_PARAMETERS,
        user_functions,
        module_file,
    )
    if reference is None:
        if policy is not None:
            raise ValueError(
                "compare_policy must have a rule (got none). Set metric or compare_fn, or pass no"
                " compare_policy to ask for a smaller 'loss'."
            )
        return None
    result = pb.ComparePolicy()
    if policy is not None:
        result.CopyFrom(policy)
    result.compare_fn = reference
    policy_lib.check_policy(result)
    return result


def _check_for_event_files(message: pb.ComparePolicy) -> None:
    """Checks that a policy asks for nothing that event files never have.

    Raises:
        ValueError: It does.
    """
    for index, rule in enumerate((message.metric, *message.tie_breakers)):
        if rule.HasField("significance"):
            raise _never_met(
                f"compare_policy.{rules.path_of(index)}.significance",
                MetricRule.from_proto(rule).alpha,
                "have no confidence intervals",
            )
    if message.min_example_count:
        raise _never_met(
            "compare_policy.min_example_count",
            message.min_example_count,
            "do not tell the number of examples",
        )
    for index, guardrail in enumerate(message.guardrails):
        path = f"compare_policy.guardrails[{index}]"
        if guardrail.slices:
            slices = [dict(sorted(each.features.items())) for each in guardrail.slices]
            raise _never_met(f"{path}.slices", slices, "have no slices")
        if guardrail.HasField("every_slice_min_examples"):
            raise _never_met(
                f"{path}.every_slice_min_examples",
                guardrail.every_slice_min_examples,
                "have no slices",
            )
    if message.comparability == pb.ComparePolicy.REQUIRE_SAME_DATA:
        raise _never_met(
            "compare_policy.comparability",
            "REQUIRE_SAME_DATA",
            "do not tell what data they are of",
        )


def _never_met(field: str, value: object, why: str) -> ValueError:
    return ValueError(
        f"{field} must be left out where model_run is given (got {value!r}): its event files {why}."
        " Leave it out, or pass evaluator.outputs['evaluation'] instead of model_run."
    )


def _function_reference(
    function: object,
    field: str,
    default_name: str,
    parameters: tuple[str, ...] | None,
    user_functions: Mapping[str, list[str]] | None,
    module_file: str | None,
) -> str | None:
    """Returns the name by which the executor finds a function, or None if none was given.

    Args:
        function: A function, a dotted name, a name in the module file, or None.
        field: The argument's name, for errors.
        default_name: Name of the function in the module file that is used where none is given.
        parameters: Names that the function's parameters must have; None for any.
        user_functions: Parameters of each function of the module file, or None without one.
        module_file: Path of that file, or None.

    Raises:
        TypeError: It is neither a function nor a name.
        ValueError: The executor could not find it, or it takes other arguments.
    """
    if function is None:
        if user_functions is None or default_name not in user_functions:
            return None
        function = default_name
    if isinstance(function, str) and "." in function:
        if not all(part.isidentifier() for part in function.split(".")):
            raise ValueError(
                f"{field} must be a dotted name (got {function!r})."
                " Give package, module and function, such as 'my_package.comparing.auc_larger'."
            )
        # The package need not be installed here: the executor's container has it.
        return function
    if isinstance(function, str) or _is_of_file(function, module_file):
        name = function if isinstance(function, str) else getattr(function, "__name__", "")
        if user_functions is None or name not in user_functions:
            found = ", ".join(sorted(user_functions)) if user_functions else "none"
            raise ValueError(
                f"{field} must be a dotted name or a top-level function of module_file"
                f" (got {name!r}). Found: {found}. Define it there, or name an installed module."
            )
        names, reference = user_functions[name], name
    else:
        reference = functions.reference_of(function, field)  # type: ignore[arg-type]
        names = functions.parameter_names(function, field)  # type: ignore[arg-type]
    if parameters is not None:
        functions.check_parameter_names(names, parameters, field, reference)
    return reference


def _is_of_file(function: object, module_file: str | None) -> bool:
    """Returns whether a function was defined in the module file, however it was imported."""
    code = getattr(function, "__code__", None)
    if code is None or module_file is None:
        return False
    return os.path.realpath(code.co_filename) == os.path.realpath(module_file)


def _functions_in(module_file: str | None) -> dict[str, list[str]] | None:
    """Returns the parameters of each top-level function of a module file, without running it.

    Raises:
        TypeError: module_file is no path.
        ValueError: There is no such file, or it is no Python.
    """
    if module_file is None:
        return None
    if not isinstance(module_file, str):
        raise TypeError(
            f"module_file must be a path (got {module_file!r}). Give the path of a Python file."
        )
    # Asked first: what opening a file raises depends on the file system.
    if not fileio.exists(module_file) or fileio.isdir(module_file):
        raise ValueError(
            f"module_file must be an existing Python file (got {module_file!r})."
            " Check the path; it is read when the pipeline is built."
        )
    try:
        with fileio.open(module_file, "rb") as file:
            tree = ast.parse(file.read(), filename=module_file)
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"module_file must be a Python file (got {module_file!r}: {error}). Mend the file."
        ) from error
    return {
        node.name: [
            *(f"{argument.arg}, /" for argument in node.args.posonlyargs),
            *(argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)),
            *(f"*{argument.arg}" for argument in (node.args.vararg,) if argument),
            *(f"**{argument.arg}" for argument in (node.args.kwarg,) if argument),
        ]
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
