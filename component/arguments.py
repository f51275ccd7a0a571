"""Arguments of BestExporter: checks, and conversions into exec properties."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.io import fileio
from tfx.dsl.placeholder import placeholder
from tfx.orchestration import data_types
from tfx.proto import pusher_pb2
from tfx.types import standard_component_specs as tfx_keys

from tfx_best_exporter.component import eval_config, spec
from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.arguments import destination, messages
from tfx_best_exporter.executor.arguments import user_functions as functions
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError, within
from tfx_best_exporter.executor.deciding import foresight, rules, significance
from tfx_best_exporter.executor.deciding import policy as policy_lib
from tfx_best_exporter.executor.deciding.compare_function import (
    COMPARE_FN_PARAMETERS,
    check_one_policy,
)
from tfx_best_exporter.executor.deciding.configured import Configured
from tfx_best_exporter.executor.deciding.rules import MetricRule
from tfx_best_exporter.proto import best_exporter_pb2 as pb

# Usual source of each input, for errors.
_USUAL_OUTPUTS = {
    tfx_keys.MODEL_KEY: "trainer.outputs['model']",
    tfx_keys.EVALUATION_KEY: "evaluator.outputs['evaluation']",
    tfx_keys.MODEL_BLESSING_KEY: "evaluator.outputs['blessing']",
    tfx_keys.INFRA_BLESSING_KEY: "infra_validator.outputs['blessing']",
    tfx_keys.MODEL_RUN_KEY: "trainer.outputs['model_run']",
    tfx_keys.EXAMPLES_KEY: "example_gen.outputs['examples']",
}


def check_channels(**channels: object) -> None:
    """Checks which channels are set.

    Args:
        **channels: Channel of each input, or None, by the input's name.

    Raises:
        TypeError: An input is not a channel.
        ValueError: A required input is missing, or two inputs exclude each other.
    """
    if channels["model"] is None and channels["infra_blessing"] is None:
        raise ValueError(
            "model or infra_blessing must be set (got neither). Pass trainer.outputs['model'], or"
            " an infra_blessing with a warmed-up model."
        )
    if (channels["evaluation"] is None) == (channels["model_run"] is None):
        got = "neither" if channels["evaluation"] is None else "both"
        raise ValueError(
            f"evaluation or model_run must be set, but not both (got {got})."
            " Pass evaluator.outputs['evaluation'], or trainer.outputs['model_run'] to read event"
            " files."
        )
    if channels["examples"] is not None and channels["evaluation"] is None:
        raise ValueError(
            "evaluation must be set if examples is set (got model_run). Pass"
            " evaluator.outputs['evaluation'], whose eval config defines the metrics, or leave out"
            " examples."
        )
    for name, channel in channels.items():
        if channel is None:
            continue
        if not isinstance(channel, types.BaseChannel):
            raise TypeError(
                f"{name} must be a channel (got {channel!r}). Pass an output of a component, for"
                f" example {_USUAL_OUTPUTS[name]}."
            )
        expected = spec.BestExporterSpec.INPUTS[name].type.TYPE_NAME
        if channel.type_name != expected:
            raise TypeError(
                f"{name} must be a channel of {expected} (got a channel of {channel.type_name})."
                f" Pass an output of a component, for example {_USUAL_OUTPUTS[name]}."
            )


def state_directory_of(state_directory: str | None) -> str | None:
    """Returns the argument state_directory, checked as far as that is possible without storage.

    Raises:
        TypeError: The argument is no str.
        ValueError: The argument is no path or URI.
    """
    if state_directory is None:
        return None
    if not isinstance(state_directory, str) or not state_directory:
        raise TypeError(
            f"state_directory must be a path or a URI (got {state_directory!r}). Leave it out for"
            " .best_exporter in the base directory."
        )
    with within("state_directory"):
        destination.check_base_directory(state_directory)
    return state_directory


def splits_of(example_splits: object, examples: object) -> str | None:
    """Returns the names of the splits as JSON, or None for the default.

    Args:
        example_splits: List of names, or None.
        examples: Channel of Examples, or None.

    Raises:
        ValueError: The value is not a list of names, or examples is not set.
    """
    if example_splits is None:
        return None
    is_list = isinstance(example_splits, Sequence) and not isinstance(example_splits, str)
    names = list(example_splits) if isinstance(example_splits, Sequence) and is_list else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"example_splits must be a list of names, or None (got {example_splits!r})."
            " Pass the splits that Evaluator uses, for example ['eval']."
        )
    if examples is None:
        raise ValueError(
            f"example_splits must be None if examples is not set (got {example_splits!r})."
            " Pass example_gen.outputs['examples'] too."
        )
    return json.dumps(names)


def destination_of(push_destination: object) -> Any:
    """Returns the destination as a message, or a RuntimeParameter or placeholder unchanged.

    The value of a RuntimeParameter or a placeholder is known only when the pipeline runs. Now, only
    the type and the default of a RuntimeParameter can be checked.

    Args:
        push_destination: A PushDestination, a dictionary, a RuntimeParameter or a placeholder.

    Raises:
        TypeError: The value has another type.
        ValueError: The destination has no base directory, or one that begins with "~".
    """
    if _is_late(push_destination):
        with within("push_destination"):
            _check_parameter(push_destination)
        _check_default(push_destination, destination.base_directory_of)
        return push_destination
    with within("push_destination"):
        message = message_of(push_destination, pusher_pb2.PushDestination, may_be_late=True)
        if message is None or not message.filesystem.base_directory:
            got = "None" if message is None else "''"
            raise FieldValueError(
                "filesystem.base_directory",
                f"must be a path (got {got}). Pass the directory that the model server polls.",
            )
        with within("filesystem.base_directory"):
            destination.check_base_directory(message.filesystem.base_directory)
    return message


def _is_late(value: object) -> bool:
    """Returns True if a value is a RuntimeParameter or a placeholder, known only in a run."""
    return isinstance(value, (data_types.RuntimeParameter, placeholder.Placeholder))


def _check_parameter(value: object) -> None:
    """Checks that a RuntimeParameter is of type str.

    Raises:
        FieldTypeError: The RuntimeParameter has another type.
    """
    if isinstance(value, data_types.RuntimeParameter) and value.ptype is not str:
        raise FieldTypeError(
            "",
            f"must be a RuntimeParameter of type str (got {value.name!r} of type"
            f" {getattr(value.ptype, '__name__', value.ptype)}). Set ptype=str.",
        )


def _check_default(value: object, check: Callable[[str], object]) -> None:
    """Checks the default of a RuntimeParameter, if it has one.

    Args:
        value: A RuntimeParameter or a placeholder.
        check: Raises ValueError for an invalid text.
    """
    if isinstance(value, data_types.RuntimeParameter) and value.default is not None:
        check(str(value.default))


def _check_is_known(value: object, remedy: str) -> None:
    """Checks that a value contains no RuntimeParameter and no placeholder.

    Args:
        value: Any value; mappings and lists are searched.
        remedy: Remedy for the error.

    Raises:
        FieldValueError: The value contains one; the path of the error names its place.
    """
    if _is_late(value):
        raise FieldValueError(
            "",
            f"must be known when the pipeline is built (got a {type(value).__name__}). {remedy}",
        )
    if isinstance(value, Mapping):
        for name, item in value.items():
            with within(str(name)):
                _check_is_known(item, remedy)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            with within(f"[{number}]"):
                _check_is_known(item, remedy)


def message_of(value: Any, kind: Any, *, may_be_late: bool = False) -> Any:
    """Returns an argument as a message, or None.

    Args:
        value: A message, a dictionary of its fields, or None.
        kind: Type of the message.
        may_be_late: True if a RuntimeParameter or a placeholder is valid as the whole argument.

    Raises:
        FieldTypeError: The value has another type.
        FieldValueError: The dictionary does not describe a message of this type, or contains a
            RuntimeParameter or a placeholder.
    """
    if isinstance(value, Mapping):
        # TFX resolves only whole exec properties, and the whole message is one exec property.
        remedy = (
            "Pass it as the whole argument instead, with a value that is a"
            f" {kind.__name__} as JSON."
            if may_be_late
            else "Pass the value itself."
        )
        _check_is_known(value, remedy)
    return messages.message_of(value, kind)


def compare_policy_of(
    compare_fn: object,
    compare_policy: object,
    user_functions: Mapping[str, list[str]] | None,
    module_file: str | None,
) -> Any:
    """Returns the policy of both arguments, or a RuntimeParameter or placeholder unchanged.

    None means the default rule, which the executor chooses.

    Args:
        compare_fn: A function, its name, or None.
        compare_policy: A ComparePolicy, a dictionary, a RuntimeParameter, a placeholder or None.
        user_functions: Parameters of each function in module_file, or None without module_file.
        module_file: Path of the author's code, or None.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Both arguments are set, or one is invalid.
    """
    is_late = _is_late(compare_policy)
    policy = None
    with within("compare_policy"):
        if is_late:
            _check_parameter(compare_policy)
        else:
            policy = message_of(compare_policy, pb.ComparePolicy, may_be_late=True)
    check_one_policy(compare_fn, has_policy=is_late or policy is not None)
    if is_late:
        _check_default(
            compare_policy,
            lambda text: policy_lib.check_policy(policy_lib.policy_message_of(text)),
        )
        return compare_policy
    if policy is not None and policy.WhichOneof("rule") == "metric":
        policy_lib.check_policy(policy)
        return policy
    named = (policy.compare_fn or None) if policy is not None else compare_fn
    with within("" if policy is None else "compare_policy"), within(keys.COMPARE_FN_NAME):
        reference = function_reference(
            named,
            keys.COMPARE_FN_NAME,
            COMPARE_FN_PARAMETERS,
            user_functions,
            module_file,
        )
    if reference is None and policy is None:
        return None
    result = pb.ComparePolicy()
    if policy is not None:
        result.CopyFrom(policy)
    if reference is not None:
        result.compare_fn = reference
    policy_lib.check_policy(result)
    return result


def warnings_of(
    policy: object,
    configured: Configured | None,
    *,
    model_blessing: types.BaseChannel | None,
    evaluation: types.BaseChannel | None,
    examples: types.BaseChannel | None,
    push_destination: object,
) -> list[str]:
    """Returns the warnings that can be given when the pipeline is built.

    Args:
        policy: The policy; None for the default rule, or a value that is known only in a run.
        configured: The EvalConfig of the evaluation, or None if it is not known.
        model_blessing: Channel of ModelBlessing, or None.
        evaluation: Channel of ModelEvaluation, or None.
        examples: Channel of Examples, or None.
        push_destination: The argument of this name.

    Raises:
        FieldValueError: A run could only fail, or export nothing, by the EvalConfig of Evaluator.
    """
    found: list[str] = []
    if isinstance(policy, pb.ComparePolicy):
        found.extend(foresight.direction_warnings(policy))
        if configured is not None:
            found.extend(foresight.check_policy_for(policy, configured))
        rules_of_policy = (policy.metric, *policy.tie_breakers)
        is_tested = any(rule.HasField("significance") for rule in rules_of_policy)
        if policy.metric.significance.challengers and examples is None:
            found.append(
                "examples is not set, so no challenger is measured again, and each run decides by"
                f" its own evaluation. Pass examples={_USUAL_OUTPUTS[tfx_keys.EXAMPLES_KEY]}, or"
                " leave challengers out"
            )
        elif is_tested and examples is None and not eval_config.has_baseline(evaluation):
            found.append(
                "examples is not set, so candidate and best are evaluated separately, and the test"
                " of significance needs a larger improvement. Pass"
                f" examples={_USUAL_OUTPUTS[tfx_keys.EXAMPLES_KEY]}"
            )
    elif policy is None and configured is not None:
        found.extend(foresight.default_rule_warnings(configured))
    blessed = eval_config.configured_for(model_blessing)
    if blessed is not None:
        has_baseline = eval_config.has_baseline(model_blessing)
        found.extend(foresight.check_blessing(blessed, has_baseline=has_baseline))
    if not _is_late(push_destination):
        found.extend(_relative_path_warnings(push_destination))
    return found


def _relative_path_warnings(push_destination: object) -> Iterator[str]:
    with within("push_destination"):
        message = message_of(push_destination, pusher_pb2.PushDestination, may_be_late=True)
    base_directory = "" if message is None else message.filesystem.base_directory
    if base_directory and not base_directory.startswith("/") and "://" not in base_directory:
        yield (
            "push_destination.filesystem.base_directory is a relative path"
            f" ({base_directory!r}), which depends on the working directory of each run. Pass"
            f" os.path.abspath({base_directory!r})"
        )


def check_for_event_files(message: pb.ComparePolicy) -> None:
    """Checks that a policy needs nothing that event files do not contain.

    Args:
        message: The policy.

    Raises:
        FieldValueError: The policy needs more than event files contain.
    """
    with within("compare_policy"):
        for index, rule in enumerate((message.metric, *message.tie_breakers)):
            if rule.HasField("significance"):
                with within(f"{rules.path_of(index)}.significance"):
                    raise _never_met(
                        MetricRule.from_proto(rule).alpha, "have no confidence intervals"
                    )
        if message.min_example_count:
            with within("min_example_count"):
                raise _never_met(message.min_example_count, "do not contain the number of examples")
        for index, guardrail in enumerate(message.guardrails):
            with within(f"guardrails[{index}]"):
                _check_guardrail_for_event_files(guardrail)
        if message.comparability == pb.ComparePolicy.REQUIRE_SAME_DATA:
            with within("comparability"):
                raise _never_met("REQUIRE_SAME_DATA", "do not identify the data that was evaluated")


def _check_guardrail_for_event_files(guardrail: pb.Guardrail) -> None:
    if guardrail.slices:
        slices = [dict(sorted(each.features.items())) for each in guardrail.slices]
        with within("slices"):
            raise _never_met(slices, "have no slices")
    if guardrail.HasField("every_slice_min_examples"):
        with within("every_slice_min_examples"):
            raise _never_met(guardrail.every_slice_min_examples, "have no slices")
    if guardrail.HasField("significance"):
        with within("significance"):
            alpha = significance.alpha_of(guardrail.significance)
            raise _never_met(alpha, "have no confidence intervals")


def _never_met(value: object, why: str) -> FieldValueError:
    return FieldValueError(
        "",
        f"must not be set if model_run is used (got {value!r}): event files {why}."
        " Leave it out, or pass evaluator.outputs['evaluation'] instead of model_run.",
    )


def function_reference(
    function: object,
    default_name: str,
    parameters: tuple[str, ...] | None,
    user_functions: Mapping[str, list[str]] | None,
    module_file: str | None,
) -> str | None:
    """Returns the name by which the executor finds a function, or None without a function.

    Args:
        function: A function, a dotted name, a name in module_file, or None.
        default_name: Name of the function in module_file that is used if function is None.
        parameters: Required names of the function's parameters; None allows any.
        user_functions: Parameters of each function in module_file, or None without module_file.
        module_file: Path of the author's code, or None.

    Raises:
        FieldTypeError: The value is neither a function nor a name.
        FieldValueError: The executor could not find the function, or the function has other
            parameters.
    """
    if function is None:
        if user_functions is None or default_name not in user_functions:
            return None
        function = default_name
    if isinstance(function, str) and "." in function:
        if not all(part.isidentifier() for part in function.split(".")):
            raise FieldValueError(
                "",
                f"must be a dotted name (got {function!r})."
                " Pass package, module and function, for example"
                " 'my_package.comparing.auc_larger'.",
            )
        # The package may be missing here: only the executor's container needs it.
        return function
    if isinstance(function, str) or _is_of_file(function, module_file):
        name = function if isinstance(function, str) else getattr(function, "__name__", "")
        if user_functions is None or name not in user_functions:
            found = ", ".join(sorted(user_functions)) if user_functions else "none"
            raise FieldValueError(
                "",
                "must be a dotted name or a top-level function of module_file"
                f" (got {name!r}). Found: {found}. Define the function in module_file, or pass the"
                " dotted name of a function in an installed module.",
            )
        names, reference = user_functions[name], name
    else:
        reference = functions.reference_of(function)  # type: ignore[arg-type]
        names = functions.parameter_names(function)  # type: ignore[arg-type]
    if parameters is not None:
        functions.check_parameter_names(names, parameters, reference)
    return reference


def _is_of_file(function: object, module_file: str | None) -> bool:
    """Returns True if module_file defines a function, regardless of the name it was imported by."""
    code = getattr(function, "__code__", None)
    if code is None or module_file is None:
        return False
    return os.path.realpath(code.co_filename) == os.path.realpath(module_file)


def functions_in(module_file: str | None) -> dict[str, list[str]] | None:
    """Returns the parameters of each top-level function in module_file, without running the file.

    Args:
        module_file: Path of the author's code, or None.

    Raises:
        TypeError: module_file is not a str.
        ValueError: The file does not exist, or is not valid Python.
    """
    if module_file is None:
        return None
    if not isinstance(module_file, str):
        raise TypeError(
            f"module_file must be a path (got {module_file!r}). Pass the path of a Python file."
        )
    # The file is looked up first because the exceptions of open() depend on the file system.
    if not fileio.exists(module_file) or fileio.isdir(module_file):
        raise ValueError(
            f"module_file must be an existing Python file (got {module_file!r})."
            " Check the path: the file is read when the pipeline is built."
        )
    try:
        with fileio.open(module_file, "rb") as file:
            tree = ast.parse(file.read(), filename=module_file)
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f"module_file must be a Python file (got {module_file!r}: {error}). Fix the file."
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
