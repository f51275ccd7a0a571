"""The texts of docs/troubleshooting.md are those that the mistakes cause."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.docs import examples
from tests.docs.test_documents import rows_of, section_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
AUC = {"metric": "auc", "direction": "HIGHER_IS_BETTER"}

# The arguments of each mistake that differ from those of a correct pipeline.
MISTAKES: Mapping[str, Mapping[str, Any]] = {
    "another metric": {"compare_policy": {"metric": {**AUC, "metric": "accuracy"}}},
    "the wrong direction": {"compare_policy": {"metric": {**AUC, "direction": "LOWER_IS_BETTER"}}},
    "no confidence intervals": {"compare_policy": {"metric": {**AUC, "significance": {}}}},
    "a lambda": {"compare_fn": lambda best_eval_result, current_eval_result: True},
    "both policies": {"compare_policy": {"metric": AUC}, "compare_fn": "comparing.larger_auc"},
    "no evaluation": {"evaluation": None, "examples": None},
    "another channel": {"model": "evaluation"},
    "a relative path": {"push_destination": {"filesystem": {"base_directory": "serving"}}},
    "a blessing that is never computed": {"model_blessing": "blessing"},
    "a misspelled slice": {
        "compare_policy": {
            "metric": AUC,
            "guardrails": [{**AUC, "bound": 0.5, "slices": [{"features": {"contry": "nl"}}]}],
        }
    },
}
ROWS = rows_of(section_of(DOCUMENT, "When the pipeline is built"))


@pytest.fixture(scope="module")
def build() -> Callable[..., Any]:
    """Returns a function that builds BestExporter with some arguments replaced."""
    import tensorflow_model_analysis as tfma
    from google.protobuf import json_format
    from tfx import v1 as tfx

    from tfx_best_exporter.component import BestExporter

    metrics = [{"class_name": "ExampleCount"}, {"class_name": "AUC"}]
    eval_config = {
        "slicing_specs": [{}, {"feature_keys": ["country"]}],
        "metrics_specs": [{"metrics": metrics}],
    }
    example_gen = tfx.components.ImportExampleGen(input_base="/data/penguin")
    trainer = tfx.components.Trainer(
        run_fn="training.run_fn", examples=example_gen.outputs["examples"]
    )
    evaluator = tfx.components.Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        eval_config=json_format.ParseDict(eval_config, tfma.EvalConfig()),
    )
    correct = {
        "model": trainer.outputs["model"],
        "evaluation": evaluator.outputs["evaluation"],
        "examples": example_gen.outputs["examples"],
        "push_destination": {"filesystem": {"base_directory": "/serving/penguin"}},
    }

    def build(**mistake: Any) -> Any:
        outputs = {
            name: evaluator.outputs[value]
            for name, value in mistake.items()
            if name in ("model", "model_blessing") and isinstance(value, str)
        }
        arguments: dict[str, Any] = {**correct, **mistake, **outputs}
        return BestExporter(**arguments)

    return build


def test_every_mistake_has_a_row():
    assert [row[0] for row in ROWS] == list(MISTAKES)


@pytest.mark.slow
def test_a_correct_pipeline(build: Callable[..., Any]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build()


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_texts_are_those_of_the_code(build: Callable[..., Any], row: list[str]):
    mistake, written = row
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            build(**MISTAKES[mistake])
        except (TypeError, ValueError) as error:
            text = str(error)
        else:
            [warning] = caught
            text = str(warning.message)
    examples.compare(DOCUMENT, f"| {mistake} | {written} |", f"| {mistake} | {text} |")
