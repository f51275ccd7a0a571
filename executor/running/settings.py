"""Checks the configuration of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tfx_best_exporter.executor.arguments import messages, user_functions
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, within
from tfx_best_exporter.executor.deciding import default_rule
from tfx_best_exporter.executor.deciding.compare_function import (
    COMPARE_FN_PARAMETERS,
    CompareFunction,
    check_one_policy,
)
from tfx_best_exporter.executor.deciding.eval_result import EvalResult
from tfx_best_exporter.executor.deciding.policy import (
    DEFAULT_COMPARE_POLICY,
    LoadFunction,
    Policy,
    policy_from_proto,
)
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Configuration of a run.

    Attributes:
        exports: The base directory.
        compare_policy: The compare policy as a message.
        policy: The same policy as a value.
        default_rule: The rule that was chosen because the author set none; None if the author set
            one.
        chooses_rule: True if each run chooses its own rule, because the author set none. The two
            policies are then those of `loss` until `with_default_rule` has chosen.
        built_rule: Default rule by the EvalConfig of the pipeline; None if it is not known.
        retention_policy: The exports to keep; None keeps all.
        serving_signatures_fn: Loaded model -> {signature name: tf.function}; None for the model's
            own signatures.
        serving_signatures_name: Name of that function in records; empty without one.
        assets_extra: Destination below assets.extra/ -> source path.
        as_text: True to write saved_model.pbtxt instead of saved_model.pb.
        unservable: Treatment of a candidate that a model server cannot run as it is.
        name: Name of the exporter in its records.
        clock: Returns seconds since the epoch.
    """

    exports: ExportDirectory
    compare_policy: pb.ComparePolicy
    policy: Policy
    retention_policy: retention.Policy | None
    serving_signatures_fn: Callable[[Any], Mapping[str, Any]] | None
    serving_signatures_name: str
    assets_extra: Mapping[str, str]
    as_text: bool
    unservable: str
    name: str
    clock: Callable[[], float]
    default_rule: pb.DefaultRule | None = None
    chooses_rule: bool = False
    built_rule: pb.DefaultRule | None = None

    def with_default_rule(
        self, candidate: EvalResult, best: pb.ExportRecord | None
    ) -> tuple[Settings, tuple[str, ...]]:
        """Returns settings with the rule for a candidate, and warnings.

        Args:
            candidate: Evaluation of the candidate.
            best: Record of the best; None if there is none.
        """
        if not self.chooses_rule:
            return self, ()
        chosen = default_rule.choose(candidate, self.built_rule, best)
        settings = dataclasses.replace(
            self,
            compare_policy=chosen.message,
            policy=chosen.policy,
            default_rule=chosen.default_rule,
        )
        return settings, chosen.warnings


def compare_policy_of(
    compare_fn: Callable[..., bool] | str | None,
    compare_policy: pb.ComparePolicy | Mapping[str, Any] | None,
    load_function: LoadFunction,
) -> tuple[pb.ComparePolicy, Policy]:
    """Returns the compare policy of two arguments, as a message and as a value.

    Args:
        compare_fn: A compare function or its dotted name.
        compare_policy: A message or a dict.
        load_function: Returns the function for a name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Both arguments are set, or one is invalid.
    """
    with within("compare_policy"):
        message = messages.message_of(compare_policy, pb.ComparePolicy)
    check_one_policy(compare_fn, has_policy=message is not None)

    def load(reference: str) -> Callable[..., Any]:
        function = load_function(reference)
        _check_compare_fn(function, reference)
        return function

    if compare_fn is None:
        message = DEFAULT_COMPARE_POLICY if message is None else message
        return message, policy_from_proto(message, load)
    with within("compare_fn"):
        rule = _compare_function_of(compare_fn, load)
    return pb.ComparePolicy(compare_fn=rule.name), Policy(rule=rule)


def retention_policy_of(
    exports_to_keep: int | None,
    retention_policy: pb.RetentionPolicy | Mapping[str, Any] | None,
    compare_policy: pb.ComparePolicy,
) -> retention.Policy | None:
    """Returns the retention policy of two arguments; None keeps every export.

    Args:
        exports_to_keep: Number of exports to keep; None for no limit.
        retention_policy: A message or a dict with more rules; None for exports_to_keep alone.
        compare_policy: The policy that ranks exports for `keep_best`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Both arguments are set, or one is invalid.
    """
    with within("retention_policy"):
        given = messages.message_of(retention_policy, pb.RetentionPolicy)
    message = retention.policy_of(exports_to_keep, given)
    retention.check_keep_best(message, compare_policy)
    return retention.Policy.from_proto(message) if message else None


def _compare_function_of(
    compare_fn: Callable[..., bool] | str, load: LoadFunction
) -> CompareFunction:
    """Returns the rule of a function or of its dotted name."""
    if isinstance(compare_fn, str):
        return CompareFunction(function=load(compare_fn), name=compare_fn)
    if not callable(compare_fn):
        raise FieldTypeError(
            "",
            f"must be a function or its dotted name (got {compare_fn!r})."
            " It takes best_eval_result and current_eval_result and returns a bool.",
        )
    name = getattr(compare_fn, "__qualname__", type(compare_fn).__name__)
    _check_compare_fn(compare_fn, name)
    return CompareFunction(function=compare_fn, name=name)


def _check_compare_fn(function: Callable[..., Any], name: str) -> None:
    names = user_functions.parameter_names(function)
    user_functions.check_parameter_names(names, COMPARE_FN_PARAMETERS, name)
