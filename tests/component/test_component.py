import inspect
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tfx import types
from tfx import v1 as tfx
from tfx.orchestration import data_types
from tfx.types import standard_artifacts

from tests.component import comparing
from tests.errors import check_text, elsewhere
from tfx_best_exporter.component import BestExporter, ExportDecision
from tfx_best_exporter.executor import policies
from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError
from tfx_best_exporter.proto import best_exporter_pb2 as pb

AUC = policies.larger("auc")
DESTINATION = {"filesystem": {"base_directory": "/serving/model"}}

# Exec properties of a component with only its required arguments.
DEFAULTS: dict[str, Any] = {
    "push_destination": {"filesystem": {"base_directory": "/serving/model"}},
    "compare_policy": None,
    "default_rule": None,
    "retention_policy": {"keep_latest": 5},
    "example_splits": None,
    "event_file_pattern": "eval/*.tfevents.*",
    "serving_signatures_fn": None,
    "assets_extra": {},
    "as_text": 0,
    "unservable": "resave",
    "state_directory": None,
    "is_gated": None,
    "module_file": None,
}

MODULES = {
    "default_names.py": (
        "def compare_fn(best_eval_result, current_eval_result): raise SystemExit\n"
        "def serving_signatures_fn(model): raise SystemExit\n"
    ),
    "other_names.py": (
        "raise SystemExit  # Building a pipeline does not run this file.\n"
        "def larger(best_eval_result, current_eval_result): pass\n"
        "def signatures(model): pass\n"
    ),
    "keyword_only.py": "def compare_fn(*, current_eval_result, best_eval_result): pass\n",
    "wrong_parameters.py": "def compare_fn(best, current): pass\n",
    "too_many_parameters.py": (
        "def compare_fn(best_eval_result, current_eval_result, margin=0.1): pass\n"
    ),
    "no_function.py": "larger = None\n",
    "no_python.py": "def compare_fn(:\n",
    "bytes.py": b"\x00\xf0",
}


def channel(artifact_type: type[types.Artifact]) -> types.BaseChannel:
    return types.Channel(type=artifact_type)


def make(**arguments: Any) -> BestExporter:
    required: dict[str, Any] = {
        "model": channel(standard_artifacts.Model),
        "evaluation": channel(standard_artifacts.ModelEvaluation),
        "push_destination": DESTINATION,
    }
    return BestExporter(**{**required, **arguments})


def exec_properties(component: BestExporter) -> dict[str, Any]:
    """Returns the exec properties, with stored JSON parsed."""
    result = {}
    for name, value in component.exec_properties.items():
        is_json = isinstance(value, str) and value.startswith(("{", "["))
        result[name] = json.loads(value) if is_json else value
    return result


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with module files in it."""
    for name, text in MODULES.items():
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_surface_is_as_documented():
    parameters = list(inspect.signature(BestExporter).parameters.values())
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    keyword_only = {
        each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY
    }
    assert positional == ["model", "evaluation", "push_destination"]
    assert keyword_only == {
        "model_blessing": None,
        "infra_blessing": None,
        "model_run": None,
        "examples": None,
        "example_splits": None,
        "event_file_pattern": "eval/*.tfevents.*",
        "compare_fn": None,
        "compare_policy": None,
        "module_file": None,
        "serving_signatures_fn": None,
        "assets_extra": None,
        "as_text": False,
        "unservable": "resave",
        "exports_to_keep": 5,
        "retention_policy": None,
        "state_directory": None,
    }
    # The signature shows the default as a plain 5.
    assert " = 5, retention_policy: " in str(inspect.signature(BestExporter))


def test_the_first_three_arguments_may_be_positional():
    model, evaluation = (
        channel(standard_artifacts.Model),
        channel(standard_artifacts.ModelEvaluation),
    )
    component = BestExporter(model, evaluation, tfx.proto.PushDestination(**DESTINATION))
    assert component.inputs == {"model": model, "evaluation": evaluation}
    assert exec_properties(component) == DEFAULTS


def test_outputs():
    outputs = make().outputs
    assert {name: output.type for name, output in outputs.items()} == {
        "pushed_model": standard_artifacts.PushedModel,
        "decision": ExportDecision,
        "blessing": standard_artifacts.ModelBlessing,
    }


@pytest.mark.parametrize(
    ("name", "artifact_type", "without"),
    [
        pytest.param("model", standard_artifacts.Model, None, id="model"),
        pytest.param("evaluation", standard_artifacts.ModelEvaluation, None, id="evaluation"),
        pytest.param("model_blessing", standard_artifacts.ModelBlessing, None, id="model_blessing"),
        pytest.param("infra_blessing", standard_artifacts.InfraBlessing, None, id="infra_blessing"),
        pytest.param(
            "infra_blessing", standard_artifacts.InfraBlessing, "model", id="infra_blessing alone"
        ),
        pytest.param("model_run", standard_artifacts.ModelRun, "evaluation", id="model_run"),
        pytest.param("examples", standard_artifacts.Examples, None, id="examples"),
    ],
)
def test_inputs(name: str, artifact_type: type[types.Artifact], without: str | None):
    given = channel(artifact_type)
    component = make(**{name: given, **({without: None} if without else {})})
    assert component.inputs[name] is given
    assert without not in component.inputs
    # An empty channel must not pass as a blessing or as a model.
    assert not component.spec.INPUTS[name].allow_empty


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({}, {}, id="defaults"),
        pytest.param(
            {"compare_fn": comparing.larger_auc},
            {"compare_policy": {"compare_fn": "tests.component.comparing.larger_auc"}},
            id="compare_fn",
        ),
        pytest.param(
            {"compare_fn": "not_installed.comparing.larger_auc"},
            {"compare_policy": {"compare_fn": "not_installed.comparing.larger_auc"}},
            id="compare_fn by name",
        ),
        pytest.param(
            {
                "compare_policy": {
                    "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"},
                    "on_unknown_best": "KEEP",
                }
            },
            {
                "compare_policy": {
                    "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"},
                    "on_unknown_best": "KEEP",
                }
            },
            id="compare_policy",
        ),
        pytest.param(
            {"compare_policy": pb.ComparePolicy(compare_fn="a.b", on_unknown_best="FAIL")},
            {"compare_policy": {"compare_fn": "a.b", "on_unknown_best": "FAIL"}},
            id="compare_policy with a function",
        ),
        pytest.param(
            {
                "evaluation": None,
                "model_run": channel(standard_artifacts.ModelRun),
                "compare_policy": policies.compare_policy(
                    AUC, guardrails=[policies.at_least("auc", 0.5)], comparability="ANY"
                ),
            },
            {
                "compare_policy": {
                    "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"},
                    "guardrails": [
                        {
                            "metric": {"name": "auc"},
                            "direction": "HIGHER_IS_BETTER",
                            "bound": 0.5,
                        }
                    ],
                    "on_unknown_best": "KEEP",
                    "comparability": "ANY",
                }
            },
            id="compare_policy for event files",
        ),
        pytest.param(
            {"module_file": "default_names.py"},
            {
                "module_file": "default_names.py",
                "compare_policy": {"compare_fn": "compare_fn"},
                "serving_signatures_fn": "serving_signatures_fn",
            },
            id="functions by their default names",
        ),
        pytest.param(
            {
                "module_file": "default_names.py",
                "compare_fn": "a.b",
                "serving_signatures_fn": "c.d",
            },
            {
                "module_file": "default_names.py",
                "compare_policy": {"compare_fn": "a.b"},
                "serving_signatures_fn": "c.d",
            },
            id="other functions than those of default names",
        ),
        pytest.param(
            {
                "module_file": "default_names.py",
                "compare_policy": {
                    "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"}
                },
            },
            {
                "module_file": "default_names.py",
                "compare_policy": {
                    "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"}
                },
                "serving_signatures_fn": "serving_signatures_fn",
            },
            id="a metric, not the function of default name",
        ),
        pytest.param(
            {"module_file": "default_names.py", "compare_policy": {"on_unknown_best": "KEEP"}},
            {
                "module_file": "default_names.py",
                "compare_policy": {"compare_fn": "compare_fn", "on_unknown_best": "KEEP"},
                "serving_signatures_fn": "serving_signatures_fn",
            },
            id="a policy around the function of default name",
        ),
        pytest.param(
            {
                "module_file": "other_names.py",
                "compare_fn": "larger",
                "serving_signatures_fn": "signatures",
            },
            {
                "module_file": "other_names.py",
                "compare_policy": {"compare_fn": "larger"},
                "serving_signatures_fn": "signatures",
            },
            id="functions of module_file by name",
        ),
        pytest.param(
            {"module_file": "keyword_only.py"},
            {"module_file": "keyword_only.py", "compare_policy": {"compare_fn": "compare_fn"}},
            id="a function with keyword-only arguments",
        ),
        pytest.param(
            {"module_file": "other_names.py"},
            {"module_file": "other_names.py"},
            id="module_file without default names",
        ),
        pytest.param(
            {"serving_signatures_fn": comparing.signatures},
            {"serving_signatures_fn": "tests.component.comparing.signatures"},
            id="serving_signatures_fn",
        ),
        pytest.param(
            {"exports_to_keep": 7}, {"retention_policy": {"keep_latest": 7}}, id="exports_to_keep"
        ),
        pytest.param({"exports_to_keep": None}, {"retention_policy": None}, id="keep all"),
        pytest.param(
            {"retention_policy": pb.RetentionPolicy(keep_versions=[3])},
            {"retention_policy": {"keep_versions": ["3"]}},
            id="retention_policy",
        ),
        pytest.param(
            {
                "retention_policy": policies.retention_policy(
                    keep_best=2, keep_every=timedelta(days=30), max_bytes=50 * 2**30
                )
            },
            {
                "retention_policy": {
                    "keep_best": 2,
                    "keep_every_seconds": "2592000",
                    "max_bytes": "53687091200",
                }
            },
            id="retention_policy by the default metric",
        ),
        pytest.param(
            {"assets_extra": {"b/vocabulary.txt": "/b", "a.txt": "/a"}},
            {"assets_extra": {"a.txt": "/a", "b/vocabulary.txt": "/b"}},
            id="assets_extra",
        ),
        pytest.param({"as_text": True}, {"as_text": 1}, id="as_text"),
        pytest.param({"unservable": "refuse"}, {"unservable": "refuse"}, id="unservable"),
        pytest.param(
            {"event_file_pattern": "eval/*.v2"},
            {"event_file_pattern": "eval/*.v2"},
            id="event_file_pattern",
        ),
        pytest.param(
            {
                "examples": channel(standard_artifacts.Examples),
                "example_splits": ["eval", "holdout"],
            },
            {"example_splits": ["eval", "holdout"]},
            id="example_splits",
        ),
    ],
)
@pytest.mark.usefixtures("modules")
def test_exec_properties(arguments: dict[str, Any], expected: dict[str, Any]):
    assert exec_properties(make(**arguments)) == {**DEFAULTS, **expected}


def test_the_order_of_assets_extra_does_not_change_the_cache_key():
    paths = {"a": "/a", "b": "/b"}
    backwards = dict(reversed(paths.items()))
    assert (
        make(assets_extra=paths).exec_properties["assets_extra"]
        == make(assets_extra=backwards).exec_properties["assets_extra"]
    )


def runtime_parameter(default: str | None = None, ptype: Any = str) -> data_types.RuntimeParameter:
    return data_types.RuntimeParameter(name="late", ptype=ptype, default=default)


def value_of_a_channel() -> Any:
    text = tfx.dsl.Importer(source_uri="/text", artifact_type=standard_artifacts.String)
    return text.outputs["result"].future()[0].value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("push_destination", runtime_parameter(), id="parameter"),
        pytest.param("push_destination", runtime_parameter("gs://b/model"), id="with a path"),
        pytest.param(
            "push_destination", runtime_parameter(json.dumps(DESTINATION)), id="with a message"
        ),
        pytest.param("push_destination", value_of_a_channel(), id="placeholder"),
        pytest.param("compare_policy", runtime_parameter(), id="policy"),
        pytest.param(
            "compare_policy", runtime_parameter('{"compare_fn": "a.b"}'), id="policy with a message"
        ),
        pytest.param("compare_policy", value_of_a_channel(), id="policy by placeholder"),
    ],
)
def test_what_may_be_known_only_at_run_time(name: str, value: Any):
    assert make(**{name: value}).exec_properties[name] is value


def test_the_metric_of_keep_best_may_be_known_only_at_run_time():
    component = make(retention_policy={"keep_best": 2}, compare_policy=runtime_parameter())
    assert exec_properties(component)["retention_policy"] == {"keep_best": 2}


def fails(
    kind: type[Exception], message: str | re.Pattern[str], case: str, **arguments: Any
) -> Any:
    return pytest.param(arguments, kind, message, id=case)


def no_channel(name: str, got: str, output: str) -> str:
    return (
        f"{name} must be a channel (got {got})."
        f" Pass an output of a component, for example {output}."
    )


def one_evaluation(got: str) -> str:
    return (
        f"evaluation or model_run must be set, but not both (got {got}). Pass"
        " evaluator.outputs['evaluation'], or trainer.outputs['model_run'] to read event files."
    )


def no_base_directory(got: str) -> str:
    return (
        f"push_destination.filesystem.base_directory must be a path (got {got})."
        " Pass the directory that the model server polls."
    )


def no_function(field: str, name: str, found: str) -> str:
    return (
        f"{field} must be a dotted name or a top-level function of module_file (got {name!r})."
        f" Found: {found}. Define the function in module_file, or pass the dotted name of a"
        " function in an installed module."
    )


def no_module_file(path: str) -> str:
    return (
        f"module_file must be an existing Python file (got {path!r})."
        " Check the path: the file is read when the pipeline is built."
    )


def no_python(got: str) -> str:
    return f"module_file must be a Python file (got {got}). Fix the file."


def no_pattern(got: str) -> str:
    return (
        f"event_file_pattern must be a non-empty string (got {got})."
        " Pass a pattern relative to the ModelRun, for example 'eval/*.tfevents.*'."
    )


def known_too_late(field: str, got: str, kind: str = "") -> str:
    remedy = f"Pass it as the whole argument instead, with a value that is a {kind} as JSON."
    return (
        f"{field} must be known when the pipeline is built (got a {got})."
        f" {remedy if kind else 'Pass the value itself.'}"
    )


def no_text(name: str, type_name: str) -> str:
    return (
        f"{name} must be a RuntimeParameter of type str (got 'late' of type {type_name})."
        " Set ptype=str."
    )


BOTH = elsewhere("compare_fn", "both")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        fails(
            ValueError,
            "model or infra_blessing must be set (got neither). Pass trainer.outputs['model'], or"
            " an infra_blessing with a warmed-up model.",
            "no model",
            model=None,
        ),
        fails(
            ValueError,
            one_evaluation("neither"),
            "no evaluation",
            evaluation=None,
        ),
        fails(
            ValueError,
            one_evaluation("both"),
            "two evaluations",
            model_run=channel(standard_artifacts.ModelRun),
        ),
        fails(
            TypeError,
            no_channel("model", "'/model'", "trainer.outputs['model']"),
            "model is a path",
            model="/model",
        ),
        fails(
            TypeError,
            no_channel("evaluation", "4", "evaluator.outputs['evaluation']"),
            "evaluation is a number",
            evaluation=4,
        ),
        fails(
            TypeError,
            no_channel("model_blessing", "True", "evaluator.outputs['blessing']"),
            "model_blessing is a bool",
            model_blessing=True,
        ),
        fails(
            TypeError,
            no_channel("infra_blessing", "[]", "infra_validator.outputs['blessing']"),
            "infra_blessing is a list",
            infra_blessing=[],
        ),
        fails(
            TypeError,
            no_channel("model_run", "'/run'", "trainer.outputs['model_run']"),
            "model_run is a path",
            evaluation=None,
            model_run="/run",
        ),
        fails(
            TypeError,
            no_channel("examples", "'/examples'", "example_gen.outputs['examples']"),
            "examples is a path",
            examples="/examples",
        ),
        fails(
            ValueError,
            "evaluation must be set if examples is set (got model_run). Pass"
            " evaluator.outputs['evaluation'], whose eval config defines the metrics, or leave out"
            " examples.",
            "examples together with model_run",
            evaluation=None,
            model_run=channel(standard_artifacts.ModelRun),
            examples=channel(standard_artifacts.Examples),
        ),
        fails(
            ValueError,
            "example_splits must be None if examples is not set (got ['eval']). Pass"
            " example_gen.outputs['examples'] too.",
            "example_splits without examples",
            example_splits=["eval"],
        ),
        *(
            fails(
                ValueError,
                f"example_splits must be a list of names, or None (got {splits!r}). Pass the splits"
                " that Evaluator uses, for example ['eval'].",
                f"example_splits is {splits!r}",
                examples=channel(standard_artifacts.Examples),
                example_splits=splits,
            )
            for splits in ("eval", [], [""], [7])
        ),
        fails(
            TypeError,
            "model must be a channel of Model (got a channel of Examples). Pass"
            " an output of a component, for example trainer.outputs['model'].",
            "model is Examples",
            model=channel(standard_artifacts.Examples),
        ),
        fails(
            TypeError,
            "evaluation must be a channel of ModelEvaluation (got a channel of ModelBlessing). Pass"
            " an output of a component, for example evaluator.outputs['evaluation'].",
            "evaluation is ModelBlessing",
            evaluation=channel(standard_artifacts.ModelBlessing),
        ),
        fails(
            TypeError,
            "model_blessing must be a channel of ModelBlessing (got a channel of InfraBlessing)."
            " Pass an output of a component, for example evaluator.outputs['blessing'].",
            "model_blessing is InfraBlessing",
            model_blessing=channel(standard_artifacts.InfraBlessing),
        ),
        fails(
            ValueError,
            no_base_directory("None"),
            "no push_destination",
            push_destination=None,
        ),
        fails(
            TypeError,
            elsewhere("push_destination", "'/serving'"),
            "push_destination is a path",
            push_destination="/serving",
        ),
        fails(
            TypeError,
            elsewhere("push_destination", "ComparePolicy"),
            "push_destination is another message",
            push_destination=pb.ComparePolicy(),
        ),
        fails(
            ValueError,
            elsewhere("push_destination", "{'filesystem': {'base_dir': '/serving'}}"),
            "push_destination with an unknown field",
            push_destination={"filesystem": {"base_dir": "/serving"}},
        ),
        fails(
            ValueError,
            no_base_directory("''"),
            "push_destination without a path",
            push_destination={"filesystem": {"base_directory": ""}},
        ),
        fails(
            ValueError,
            elsewhere("push_destination.filesystem.base_directory", "'~/serving'"),
            "push_destination in a home directory",
            push_destination={"filesystem": {"base_directory": "~/serving"}},
        ),
        fails(
            ValueError,
            no_base_directory("''"),
            "empty push_destination",
            push_destination=tfx.proto.PushDestination(),
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "'<lambda>'"),
            "compare_fn is a lambda",
            compare_fn=lambda best_eval_result, current_eval_result: True,
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "'nested.<locals>.larger_auc'"),
            "compare_fn is nested",
            compare_fn=comparing.nested(),
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "'Comparer.larger_auc'"),
            "compare_fn is a method",
            compare_fn=comparing.Comparer().larger_auc,
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "'larger_auc'"),
            "compare_fn is in __main__",
            compare_fn=comparing.in_main(),
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "'an object'"),
            "compare_fn is an object",
            compare_fn=comparing.CallableObject(),
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "tests.component.comparing.other_names(best, current)"),
            "compare_fn with other arguments",
            compare_fn=comparing.other_names,
        ),
        fails(
            TypeError,
            elsewhere("compare_fn", "3"),
            "compare_fn is a number",
            compare_fn=3,
        ),
        fails(
            ValueError,
            no_function("compare_fn", "larger_auc", "none"),
            "compare_fn is no dotted name",
            compare_fn="larger_auc",
        ),
        fails(
            ValueError,
            no_function("compare_fn", "", "none"),
            "compare_fn is empty",
            compare_fn="",
        ),
        fails(
            ValueError,
            "compare_fn must be a dotted name (got 'my package.larger_auc'). Pass package, module"
            " and function, for example 'my_package.comparing.auc_larger'.",
            "compare_fn is no name at all",
            compare_fn="my package.larger_auc",
        ),
        fails(
            ValueError,
            no_function("compare_policy.compare_fn", "larger_auc", "none"),
            "compare_fn of a policy is no dotted name",
            compare_policy={"compare_fn": "larger_auc"},
        ),
        fails(
            ValueError,
            BOTH,
            "compare_fn and compare_policy",
            compare_fn=comparing.larger_auc,
            compare_policy=pb.ComparePolicy(compare_fn="a.b"),
        ),
        fails(
            TypeError,
            elsewhere("compare_policy", "'auc'"),
            "compare_policy is a string",
            compare_policy="auc",
        ),
        fails(
            ValueError,
            elsewhere("compare_policy", "'metrics'"),
            "compare_policy with an unknown field",
            compare_policy={"metrics": {}},
        ),
        fails(
            ValueError,
            "compare_policy must have a rule (got none). Set metric or compare_fn, or leave out"
            " compare_policy for the default rule.",
            "compare_policy without a rule",
            compare_policy=pb.ComparePolicy(on_unknown_best=pb.ComparePolicy.KEEP),
        ),
        fails(
            ValueError,
            elsewhere("compare_policy.metric.metric.name", "''"),
            "compare_policy without a metric",
            compare_policy={"metric": {"direction": "LOWER_IS_BETTER"}},
        ),
        fails(
            ValueError,
            elsewhere("compare_policy.metric.direction", "METRIC_DIRECTION_UNSPECIFIED"),
            "compare_policy without a direction",
            compare_policy={"metric": {"metric": {"name": "auc"}}},
        ),
        fails(
            ValueError,
            elsewhere("compare_policy.metric.min_absolute_change", "-0.1"),
            "negative threshold",
            compare_policy={
                "metric": {
                    "metric": {"name": "auc"},
                    "direction": "HIGHER_IS_BETTER",
                    "min_absolute_change": -0.1,
                }
            },
        ),
        fails(
            ValueError,
            elsewhere("compare_policy.metric.min_relative_change", "nan"),
            "threshold is NaN",
            compare_policy={
                "metric": {
                    "metric": {"name": "auc"},
                    "direction": "HIGHER_IS_BETTER",
                    "min_relative_change": "NaN",
                }
            },
        ),
        fails(
            ValueError,
            elsewhere("compare_policy.on_unknown_best", "9"),
            "an unknown choice together with a function",
            compare_policy={"compare_fn": "a.b", "on_unknown_best": 9},
        ),
        *(
            fails(
                ValueError,
                f"compare_policy.{field} must not be set if model_run is used (got {got}):"
                f" event files {why}. Leave it out, or pass evaluator.outputs['evaluation'] instead"
                " of model_run.",
                f"{field} of event files",
                evaluation=None,
                model_run=channel(standard_artifacts.ModelRun),
                compare_policy=policy,
            )
            for field, got, why, policy in (
                (
                    "metric.significance",
                    "0.01",
                    "have no confidence intervals",
                    policies.compare_policy(policies.larger("auc", alpha=0.01)),
                ),
                (
                    "tie_breakers[1].significance",
                    "0.05",
                    "have no confidence intervals",
                    {
                        "metric": {"metric": {"name": "auc"}, "direction": "HIGHER_IS_BETTER"},
                        "tie_breakers": [
                            {"metric": {"name": "ms"}, "direction": "LOWER_IS_BETTER"},
                            {
                                "metric": {"name": "loss"},
                                "direction": "LOWER_IS_BETTER",
                                "significance": {},
                            },
                        ],
                    },
                ),
                (
                    "min_example_count",
                    "100.0",
                    "do not contain the number of examples",
                    policies.compare_policy("a.b", min_example_count=100),
                ),
                (
                    "guardrails[0].slices",
                    "[{'country': 'nl'}]",
                    "have no slices",
                    policies.compare_policy(
                        AUC, guardrails=[policies.at_least("auc", 0.5, slices=[{"country": "nl"}])]
                    ),
                ),
                (
                    "guardrails[1].every_slice_min_examples",
                    "0.0",
                    "have no slices",
                    policies.compare_policy(
                        AUC,
                        guardrails=[
                            policies.at_least("auc", 0.5),
                            policies.at_most("loss", 0.5, every_slice_min_examples=0),
                        ],
                    ),
                ),
                (
                    "guardrails[0].significance",
                    "0.1",
                    "have no confidence intervals",
                    policies.compare_policy(
                        AUC, guardrails=[policies.at_least("auc", max_regression=0.1, alpha=0.1)]
                    ),
                ),
                (
                    "comparability",
                    "'REQUIRE_SAME_DATA'",
                    "do not identify the data that was evaluated",
                    policies.compare_policy("a.b", comparability="REQUIRE_SAME_DATA"),
                ),
            )
        ),
        fails(
            TypeError,
            "module_file must be a path (got 3). Pass the path of a Python file.",
            "module_file is a number",
            module_file=3,
        ),
        fails(
            ValueError,
            no_module_file("missing.py"),
            "module_file is missing",
            module_file="missing.py",
        ),
        fails(
            ValueError,
            no_module_file(""),
            "module_file is empty",
            module_file="",
        ),
        fails(
            ValueError,
            no_module_file("."),
            "module_file is a directory",
            module_file=".",
        ),
        fails(
            ValueError,
            no_python("'no_python.py': invalid syntax (no_python.py, line 1)"),
            "module_file is no Python",
            module_file="no_python.py",
        ),
        fails(
            ValueError,
            no_python("'bytes.py': source code string cannot contain null bytes"),
            "module_file is no text",
            module_file="bytes.py",
        ),
        fails(
            ValueError,
            no_function("compare_fn", "smaller", "larger, signatures"),
            "function is not in module_file",
            module_file="other_names.py",
            compare_fn="smaller",
        ),
        fails(
            ValueError,
            no_function("compare_fn", "larger", "none"),
            "module_file has no function",
            module_file="no_function.py",
            compare_fn="larger",
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "compare_fn(best, current)"),
            "function of default name with other arguments",
            module_file="wrong_parameters.py",
        ),
        fails(
            ValueError,
            elsewhere("compare_fn", "compare_fn(best_eval_result, current_eval_result, margin)"),
            "function of default name with one argument more",
            module_file="too_many_parameters.py",
        ),
        fails(
            ValueError,
            elsewhere("serving_signatures_fn", "'<lambda>'"),
            "serving_signatures_fn is a lambda",
            serving_signatures_fn=lambda model: {},
        ),
        fails(
            ValueError,
            no_function("serving_signatures_fn", "missing", "larger, signatures"),
            "serving_signatures_fn is not in module_file",
            module_file="other_names.py",
            serving_signatures_fn="missing",
        ),
        *(
            fails(
                kind,
                elsewhere("exports_to_keep", repr(value)),
                f"exports_to_keep {value!r}",
                exports_to_keep=value,
            )
            for value, kind in (
                (0, ValueError),
                (-1, ValueError),
                (True, TypeError),
                (2.0, TypeError),
                ("5", TypeError),
            )
        ),
        fails(
            TypeError,
            elsewhere("retention_policy", "5"),
            "retention_policy is a number",
            retention_policy=5,
        ),
        fails(
            ValueError,
            elsewhere("retention_policy", "none"),
            "retention_policy is empty",
            retention_policy={},
        ),
        *(
            fails(
                ValueError,
                elsewhere("exports_to_keep", str(value)),
                f"exports_to_keep {value} and retention_policy",
                exports_to_keep=value,
                retention_policy=pb.RetentionPolicy(keep_latest=2),
            )
            for value in (3, 5, None)
        ),
        fails(
            ValueError,
            elsewhere("retention_policy.keep_latest", "0"),
            "retention_policy keeps none",
            retention_policy={"keep_latest": 0},
        ),
        fails(
            ValueError,
            "retention_policy.keep_best needs a metric rule to rank exports by (got the compare"
            " function 'a.b'). Set compare_policy.metric, or leave keep_best unset.",
            "keep_best and a compare function",
            compare_fn="a.b",
            retention_policy=policies.retention_policy(keep_best=2),
        ),
        *(
            fails(
                ValueError,
                elsewhere("assets_extra", repr(destination)),
                f"assets_extra to {destination!r}",
                assets_extra={destination: "/a"},
            )
            for destination in ("../a", "/a", "", "a/../b", "./a", "a\\b")
        ),
        fails(
            ValueError,
            elsewhere("assets_extra", "'best_exporter/record.json'"),
            "assets_extra to our own folder",
            assets_extra={"best_exporter/record.json": "/a"},
        ),
        fails(
            ValueError,
            elsewhere("assets_extra['a']", "''"),
            "assets_extra from nowhere",
            assets_extra={"a": ""},
        ),
        fails(
            TypeError,
            elsewhere("assets_extra", "['a']"),
            "assets_extra is a list",
            assets_extra=["a"],
        ),
        fails(
            TypeError,
            "as_text must be True or False (got 1). Pass True to write saved_model.pbtxt.",
            "as_text is a number",
            as_text=1,
        ),
        fails(
            ValueError,
            elsewhere("unservable", "'fix'"),
            "unservable has another value",
            unservable="fix",
        ),
        fails(
            ValueError,
            known_too_late(
                "push_destination.filesystem.base_directory", "RuntimeParameter", "PushDestination"
            ),
            "a parameter inside push_destination",
            push_destination={"filesystem": {"base_directory": runtime_parameter()}},
        ),
        fails(
            ValueError,
            known_too_late(
                "compare_policy.metric.metric.name", "RuntimeParameter", "ComparePolicy"
            ),
            "a parameter as a metric's name",
            compare_policy={"metric": {"metric": {"name": runtime_parameter()}}},
        ),
        fails(
            ValueError,
            known_too_late(
                "compare_policy.metric.metric.name", "_ArtifactValueOperator", "ComparePolicy"
            ),
            "a placeholder as a metric's name",
            compare_policy={"metric": {"metric": {"name": value_of_a_channel()}}},
        ),
        fails(
            ValueError,
            known_too_late("retention_policy.keep_versions[1]", "RuntimeParameter"),
            "a parameter inside retention_policy",
            retention_policy={"keep_versions": [1, runtime_parameter(ptype=int)]},
        ),
        fails(
            TypeError,
            no_text("push_destination", "int"),
            "a number as push_destination",
            push_destination=runtime_parameter(ptype=int),
        ),
        fails(
            TypeError,
            no_text("compare_policy", "None"),
            "a parameter of no type as compare_policy",
            compare_policy=runtime_parameter(ptype=None),
        ),
        fails(
            ValueError,
            elsewhere("push_destination", "'{}'"),
            "a parameter without a base directory",
            push_destination=runtime_parameter("{}"),
        ),
        fails(
            ValueError,
            elsewhere("push_destination", "'{]'"),
            "a parameter that is no JSON",
            push_destination=runtime_parameter("{]"),
        ),
        fails(
            ValueError,
            elsewhere("compare_policy", "'auc'"),
            "a parameter with a metric's name",
            compare_policy=runtime_parameter("auc"),
        ),
        fails(
            ValueError,
            BOTH,
            "compare_fn and a parameter",
            compare_fn="a.b",
            compare_policy=runtime_parameter(),
        ),
        fails(
            ValueError,
            no_pattern("''"),
            "event_file_pattern is empty",
            event_file_pattern="",
        ),
        fails(
            ValueError,
            no_pattern("None"),
            "event_file_pattern is None",
            event_file_pattern=None,
        ),
    ],
)
@pytest.mark.usefixtures("modules")
def test_bad_input(
    arguments: dict[str, Any], kind: type[Exception], message: str | re.Pattern[str]
):
    with pytest.raises(kind) as caught:
        make(**arguments)
    check_text(caught.value, message)
    # A plain ValueError or TypeError, or the subclass that carries the path of the field.
    assert type(caught.value) in (kind, FieldValueError, FieldTypeError)


def test_a_function_of_an_imported_module_file_is_found_by_its_name(modules: Path):
    # An author may import the module file and pass the function itself.
    larger: Callable[..., bool] = comparing.larger_auc
    component = make(module_file=comparing.__file__, compare_fn=larger)
    assert exec_properties(component)["compare_policy"] == {"compare_fn": "larger_auc"}


def test_a_function_of_another_file_is_not_looked_for_in_the_module_file(modules: Path):
    (modules / "comparing.py").write_text(Path(comparing.__file__).read_text())
    component = make(module_file="comparing.py", compare_fn=comparing.larger_auc)
    name = f"{comparing.__name__}.larger_auc"
    assert exec_properties(component)["compare_policy"] == {"compare_fn": name}
