import json
import math
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tests import folder_filesystem
from tests.executor.plain import read_files
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.executor.evaluations import tfma as evaluation
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import tfma_pb2

Evaluations = dict[str, Path]


def test_pattern_is_that_of_the_predecessor():
    assert evaluation.DEFAULT_EVENT_FILE_PATTERN == "eval/*.tfevents.*"


# TFMA.


def test_metrics_of_one_model(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["single"])
    assert dict(result) == pytest.approx(
        {
            "example_count[weighted]": 10.0,
            "example_count[unweighted]": 4.0,
            "binary_accuracy[weighted]": 0.6,
            "binary_accuracy[unweighted]": 0.75,
            # Only one kind of it: no flag. Plots and matrices are no numbers.
            "mean_label": 0.4,
        }
    )
    assert result.uri == str(evaluations["single"])
    assert result.source == pb.Evaluation.TFMA
    assert result.model_name == ""
    assert result.example_count == 4.0


def test_weighted_and_unweighted_are_found_by_their_flag(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["single"])
    key = MetricKey(name="binary_accuracy")
    assert result.find(key) is None
    for flag, value in ((True, 0.6), (False, 0.75)):
        found = result.find(MetricKey(name="binary_accuracy", example_weighted=flag))
        assert found is not None
        assert found.value == pytest.approx(value)
    assert result.find(MetricKey(name="mean_label")) is not None


def test_slices_have_keys_of_their_own_type(evaluations: Evaluations):
    result = evaluation.from_tfma(str(evaluations["single"]))
    accuracy = {key: part["binary_accuracy[unweighted]"] for key, part in result.slices.items()}
    assert accuracy == {
        (("species", "a"),): 1.0,
        (("species", "b"),): 0.5,
        (("ratio", 0.5), ("year", 1)): 1.0,
        (("ratio", 1.5), ("year", 2)): 0.5,
    }
    types = {type(value) for key in result.slices for _, value in key}
    assert types == {str, float, int}


def test_a_candidate_beside_its_baseline(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["paired"])
    # Neither the baseline's 0.25 nor the difference, 0.5.
    assert dict(result) == {"example_count": 4.0, "binary_accuracy": 0.75}
    assert (result.model_name, result.example_count) == ("mine", 4.0)
    assert {key: dict(part)["binary_accuracy"] for key, part in result.slices.items()} == {
        (("species", "a"),): 1.0,
        (("species", "b"),): 0.5,
    }


@pytest.mark.parametrize("model_name", ["", "mine", "candidate"])
def test_the_candidate_is_found_by_each_of_its_names(evaluations: Evaluations, model_name: str):
    result = evaluation.from_tfma(evaluations["paired"])
    key = MetricKey(name="binary_accuracy", model_name=model_name)
    stored = pb.Evaluation.FromString(result.to_proto().SerializeToString())
    for each in (result, EvalResult.from_proto(stored)):
        assert each.find(key) == MetricValue(value=0.75)
    assert result.find(MetricKey(name="binary_accuracy", model_name="theirs")) is None


def test_two_models_without_a_baseline_keep_their_names(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["two"])
    assert dict(result) == {"a:binary_accuracy": 0.75, "b:binary_accuracy": 0.25}
    assert (result.model_name, result.example_count) == ("", None)
    assert result.find(MetricKey(name="binary_accuracy")) is None
    found = result.find(MetricKey(name="binary_accuracy", model_name="b"))
    assert found == MetricValue(value=0.25)


def test_outputs_classes_ranks_averages_and_nan(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["outputs"])
    assert dict(result) == pytest.approx(
        {
            "click/binary_accuracy": 0.75,
            "kind/recall[class_id=0]": 0.5,
            "kind/recall[class_id=2]": math.nan,
            "kind/precision[top_k=2]": 0.5,
            "kind/precision[k=1]": 1.0,
            "kind/precision[micro_average]": 1.0,
            "kind/auc[macro_average]": 0.625,
            # TFMA writes macro_average for weighted ones too.
            "kind/mse[macro_average]": 0.17125,
        },
        nan_ok=True,
    )
    key = MetricKey(name="recall", output_name="kind", sub_key=("class_id", 0))
    assert result.find(key) == MetricValue(value=0.5)


def test_confidence_intervals(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["bounds"])
    value = result.metrics[MetricKey(name="binary_accuracy")]
    assert value.lower_bound is not None
    assert value.upper_bound is not None
    assert value.value == pytest.approx(0.9)
    assert value.lower_bound < value.value < value.upper_bound
    count = result.metrics[MetricKey(name="example_count")]
    assert count == MetricValue(value=400.0)


def rewrite_metrics(
    source: Path, destination: Path, change: Callable[[Any], Iterable[Any]]
) -> Path:
    """Copies an evaluation, with what `change` makes of each of its MetricsForSlice."""
    import tensorflow as tf
    import tensorflow_model_analysis as tfma

    shutil.copytree(source, destination)
    (path,) = destination.glob("metrics-*")
    kept = [each for metrics in tfma.load_metrics(str(source)) for each in change(metrics)]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for metrics in kept:
            writer.write(metrics.SerializeToString())
    return destination


def test_no_overall_slice(tmp_path: Path, evaluations: Evaluations):
    path = rewrite_metrics(
        evaluations["paired"],
        tmp_path / "evaluation",
        lambda metrics: [metrics] if metrics.slice_key.single_slice_keys else [],
    )
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.from_tfma(path)
    assert str(caught.value) == (
        f"evaluation must hold metrics of the overall slice (got 2 other slices, at {path})."
        " Check that Evaluator finished, and that its slicing_specs include an empty one."
    )


# A candidate beside its baseline, and intervals.

ACCURACY = MetricKey(name="binary_accuracy")
COUNT = MetricKey(name="example_count")


def test_the_baseline_in_the_same_evaluation(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["paired"])
    assert result.baseline is not None
    assert dict(result.baseline) == {"example_count": 4.0, "binary_accuracy": 0.25}
    assert (result.baseline.model_name, result.baseline.example_count) == ("theirs", 4.0)
    assert result.baseline.baseline is None
    assert result.baseline.data == result.data
    assert result.baseline.find(MetricKey(name="binary_accuracy")) == MetricValue(value=0.25)
    assert {key: dict(part) for key, part in result.baseline.slices.items()} == {
        (("species", "a"),): {"example_count": 2.0, "binary_accuracy": 0.0},
        (("species", "b"),): {"example_count": 2.0, "binary_accuracy": 0.5},
    }


def test_differences_are_candidate_less_baseline(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["paired"])
    assert dict(result.differences) == {
        COUNT: MetricValue(value=0.0),
        ACCURACY: MetricValue(value=0.5),
    }
    assert result.difference(MetricKey(name="binary_accuracy", model_name="mine")) == (
        MetricValue(value=0.5)
    )


def test_a_slice_has_its_baseline_and_differences(evaluations: Evaluations):
    part = evaluation.from_tfma(evaluations["paired"]).slices[(("species", "a"),)]
    assert part.baseline is not None
    assert (part["binary_accuracy"], part.baseline["binary_accuracy"]) == (1.0, 0.0)
    assert part.difference(ACCURACY) == MetricValue(value=1.0)
    assert (part.example_count, part.baseline.example_count) == (2.0, 2.0)


@pytest.mark.parametrize("name", ["single", "two", "bounds"])
def test_without_a_baseline(evaluations: Evaluations, name: str):
    result = evaluation.from_tfma(evaluations[name])
    assert (result.baseline, dict(result.differences)) == (None, {})
    assert all(part.baseline is None for part in result.slices.values())


@pytest.mark.parametrize("name", ["paired_bounds", "paired_bootstrap"])
def test_intervals_of_a_candidate_its_baseline_and_their_difference(
    evaluations: Evaluations, name: str
):
    result = evaluation.from_tfma(evaluations[name])
    assert result.baseline is not None
    for found, value in (
        (result.find(ACCURACY), 0.9),
        (result.baseline.find(ACCURACY), 0.8),
        (result.difference(ACCURACY), 0.1),
    ):
        assert found is not None
        assert found.lower_bound is not None
        assert found.upper_bound is not None
        assert found.standard_error is not None
        assert found.value == pytest.approx(value)
        # TFMA's 20 buckets or samples, and its interval of 95 %.
        assert found.degrees_of_freedom == 19.0
        assert (found.upper_bound - found.lower_bound) / 2 == pytest.approx(
            2.093024 * found.standard_error
        )


def test_a_difference_is_surer_than_two_models_are(evaluations: Evaluations):
    """Both are wrong on many of the same examples: that is what pairing is for."""
    result = evaluation.from_tfma(evaluations["paired_bounds"])
    difference, candidate = result.difference(ACCURACY), result.find(ACCURACY)
    assert result.baseline is not None
    best = result.baseline.find(ACCURACY)
    errors = [each.standard_error for each in (difference, candidate, best) if each]
    assert len(errors) == 3
    assert all(error is not None for error in errors)
    paired, *others = [error or 0.0 for error in errors]
    assert 0 < paired < math.hypot(*others)


def test_intervals_of_a_slice(evaluations: Evaluations):
    part = evaluation.from_tfma(evaluations["paired_bounds"]).slices[(("species", "a"),)]
    difference = part.difference(ACCURACY)
    assert difference is not None
    assert difference.standard_error is not None


def test_intervals_of_one_model(evaluations: Evaluations):
    value = evaluation.from_tfma(evaluations["bounds"]).find(ACCURACY)
    assert value is not None
    assert value.value == pytest.approx(0.9)
    assert (value.standard_error or 0) > 0
    stored = EvalResult({ACCURACY: value}).to_proto()
    assert EvalResult.from_proto(stored).find(ACCURACY) == value


def test_a_slice_that_has_other_metrics_than_the_others(tmp_path: Path, evaluations: Evaluations):
    """Each is found in its own place: first one is missing, then they stand in another order."""

    def change(metrics: Any) -> Iterable[Any]:
        items = metrics.metric_keys_and_values
        value = "".join(
            single.bytes_value.decode() for single in metrics.slice_key.single_slice_keys
        )
        if value == "a":
            del items[0]
        if value == "b":
            reordered = [items[index] for index in reversed(range(len(items)))]
            copies = [type(item).FromString(item.SerializeToString()) for item in reordered]
            del items[:]
            items.extend(copies)
            items[0].key.name = "another"
        return [metrics]

    path = rewrite_metrics(evaluations["paired"], tmp_path / "evaluation", change)
    slices = evaluation.from_tfma(path).slices
    first, second = slices[(("species", "a"),)], slices[(("species", "b"),)]
    assert first.find(COUNT) is None
    assert first.find(ACCURACY) == MetricValue(value=1.0)
    assert dict(first) == {"binary_accuracy": 1.0}
    assert second.find(ACCURACY) == MetricValue(value=0.5)
    assert second.find(COUNT) == MetricValue(value=2.0)
    assert [str(key) for key in second.differences] == ["another", "example_count"]
    assert second.difference(MetricKey(name="another")) == MetricValue(value=0.0)
    assert second.difference(ACCURACY) is None
    result = evaluation.from_tfma(path)
    a, b = (("species", "a"),), (("species", "b"),)
    assert result.slice_values(ACCURACY) == {a: 1.0, b: 0.5}
    assert result.slice_values(COUNT) == {b: 2.0}
    assert result.slice_example_counts() == {a: None, b: 2.0}


@pytest.mark.parametrize("name", ["single", "paired", "two", "paired_bounds"])
def test_a_metric_of_all_slices_is_what_each_of_them_says(evaluations: Evaluations, name: str):
    candidate = evaluation.from_tfma(evaluations[name])
    for result in (candidate, candidate.baseline):
        if result is None:
            continue
        parts = dict(result.slices)
        keys = {key for part in parts.values() for key in part.metrics} | {COUNT, ACCURACY}
        for key in keys:
            expected = {where: part.find(key) for where, part in parts.items()}
            assert result.slice_values(key) == {
                where: value.value for where, value in expected.items() if value is not None
            }
        assert result.slice_example_counts() == {
            where: part.example_count for where, part in parts.items()
        }


def test_a_metric_that_is_damaged_in_a_slice(tmp_path: Path, evaluations: Evaluations):
    """It is looked at when it is asked for; the others are as they were."""

    def change(metrics: Any) -> Iterable[Any]:
        record = tfma_pb2.MetricsForSlice.FromString(metrics.SerializeToString())
        if metrics.slice_key.single_slice_keys:
            # The metric's key is whole, its value is not.
            record.metric_keys_and_values[0] += b"\x12\x7f"
        return [record]

    path = rewrite_metrics(evaluations["paired"], tmp_path / "evaluation", change)
    result = evaluation.from_tfma(path)
    assert result.find(COUNT) is not None
    for ask in (result.slice_values, next(iter(result.slices.values())).find):
        with pytest.raises(
            ValueError, match=r"\Aevaluation must be a TFMA evaluation \("
        ) as caught:
            ask(COUNT)
        assert f", at {path})" in str(caught.value)


# The EvalConfig.


def digest_of(text: str, *, has_baseline: bool | None = None) -> str:
    """The digest of a config as its author wrote it, or as Evaluator rewrites it."""
    from google.protobuf import text_format
    from tensorflow_model_analysis.proto import config_pb2
    from tensorflow_model_analysis.utils import config_util

    eval_config = text_format.Parse(text, config_pb2.EvalConfig())
    if has_baseline is not None:
        eval_config = config_util.update_eval_config_with_defaults(
            eval_config, has_baseline=has_baseline, rubber_stamp=True
        )
    return evaluation.eval_config_digest(json.loads(json_format.MessageToJson(eval_config)))


_ONE_MODEL = """
    model_specs { signature_name: "serving_default" label_key: "label" prediction_key: "p" }
    slicing_specs {}
    slicing_specs { feature_keys: "species" }
    metrics_specs {
      metrics { class_name: "ExampleCount" }
      metrics {
        class_name: "AUC"
        threshold {
          value_threshold { lower_bound { value: 0.5 } }
          change_threshold { absolute { value: -1 } direction: HIGHER_IS_BETTER }
        }
      }
    }
"""
_TWO_MODELS = """
    model_specs { name: "mine" label_key: "label" prediction_key: "p" }
    model_specs { name: "theirs" label_key: "label" prediction_key: "p" is_baseline: true }
    slicing_specs { feature_keys: "species" }
    slicing_specs {}
    metrics_specs {
      model_names: ["theirs", "mine"]
      metrics { class_name: "AUC" }
      metrics { class_name: "ExampleCount" }
    }
    metrics_specs { model_names: "theirs" metrics { class_name: "MeanLabel" } }
    options { compute_confidence_intervals { value: true } }
"""


def test_the_digest_of_an_eval_config_is_stable():
    """It is in records: another one would make the same data look like others."""
    assert digest_of(_ONE_MODEL) == (
        "sha256:cc1e20a6959fbd8f23786fb26b7cb47dc7b57c07132dbeb6e58f7f6f4e7122d7"
    )


@pytest.mark.parametrize(
    ("text", "has_baseline"),
    [
        pytest.param(_ONE_MODEL, False, id="evaluated alone"),
        pytest.param(_ONE_MODEL, True, id="beside a baseline"),
        pytest.param(_TWO_MODELS, None, id="written for two models, in another order"),
        pytest.param(_TWO_MODELS, True, id="two models"),
        pytest.param(_ONE_MODEL.replace("0.5", "0.7"), False, id="another bound"),
        pytest.param(_ONE_MODEL.replace("serving_default", "serve"), False, id="a signature"),
    ],
)
def test_the_same_metrics_slices_and_labels_have_the_same_digest(
    text: str, has_baseline: bool | None
):
    assert digest_of(text, has_baseline=has_baseline) == digest_of(_ONE_MODEL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('label_key: "label"', 'label_key: "other"', id="label"),
        pytest.param('prediction_key: "p"', 'prediction_key: "q"', id="prediction"),
        pytest.param(
            'prediction_key: "p"', 'prediction_key: "p" example_weight_key: "w"', id="weight"
        ),
        pytest.param('"species"', '"island"', id="slices"),
        pytest.param('"AUC"', '"Recall"', id="metrics"),
        pytest.param('class_name: "AUC"', "class_name: 'AUC' config: '{}'", id="their config"),
        pytest.param("metrics_specs {", 'metrics_specs { output_names: "o"', id="outputs"),
        pytest.param(
            "slicing_specs {}",
            "slicing_specs {} options { min_slice_size { value: 9 } }",
            id="size",
        ),
    ],
)
def test_other_metrics_slices_or_labels_have_another_digest(old: str, new: str):
    assert old in _ONE_MODEL
    for has_baseline in (None, False, True):
        changed = digest_of(_ONE_MODEL.replace(old, new), has_baseline=has_baseline)
        assert changed != digest_of(_ONE_MODEL)


def test_data_of_an_evaluation(evaluations: Evaluations):
    result = evaluation.from_tfma(
        evaluations["paired_bounds"], examples_uri="/examples/1", splits=["eval"]
    )
    assert result.data.examples_uri == "/examples/1"
    assert result.data.splits == ("eval",)
    eval_config = evaluation.eval_config_of(evaluations["paired_bounds"])
    assert result.data.eval_config_digest == evaluation.eval_config_digest(eval_config)
    assert result.data.is_same(EvalResult.from_proto(result.to_proto()).data)
    # Predictions that came with the examples: there was no model.
    assert dict(result.model_paths) == {}


def test_an_evaluation_without_its_config_has_no_digest(tmp_path: Path, evaluations: Evaluations):
    shutil.copytree(evaluations["bounds"], tmp_path / "evaluation")
    (tmp_path / "evaluation" / "eval_config.json").unlink()
    assert evaluation.from_tfma(tmp_path / "evaluation").data.eval_config_digest == ""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.eval_config_of(tmp_path / "evaluation")
    assert str(caught.value) == (
        f"evaluation must have its eval_config.json (got none, at {tmp_path / 'evaluation'})."
        " Check that Evaluator finished writing it."
    )


def test_values_of_other_kinds(tmp_path: Path, evaluations: Evaluations):
    """Kinds that TFMA reads still but no longer writes: bounded values and t-distributions."""

    def change(metrics: Any) -> Iterable[Any]:
        count, accuracy = metrics.metric_keys_and_values
        count.value.bounded_value.value.value = 0.5
        count.value.bounded_value.lower_bound.value = 0.25
        count.value.bounded_value.upper_bound.value = 0.75
        distribution = accuracy.value.t_distribution_value
        distribution.unsampled_value.value = 0.5
        distribution.sample_standard_deviation.value = 0.125
        distribution.sample_degrees_of_freedom.value = 9
        accuracy.ClearField("confidence_interval")
        return [metrics]

    path = rewrite_metrics(evaluations["bounds"], tmp_path / "evaluation", change)
    assert evaluation.from_tfma(path).metrics == {
        MetricKey(name="example_count"): MetricValue(value=0.5, lower_bound=0.25, upper_bound=0.75),
        MetricKey(name="binary_accuracy"): MetricValue(
            value=0.5, standard_error=0.125, degrees_of_freedom=9.0
        ),
    }


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        # TFMA's thresholds take float() of a value, which is right for one number.
        pytest.param({"float64_values": [0.25]}, {"binary_accuracy": 0.25}, id="one number"),
        pytest.param({"int32_values": [3]}, {"binary_accuracy": 3.0}, id="one integer"),
        pytest.param({"float32_values": [0.25, 0.5]}, {}, id="several numbers"),
        pytest.param({"bytes_values": [b"a"]}, {}, id="text"),
    ],
)
def test_arrays(
    tmp_path: Path, evaluations: Evaluations, numbers: dict[str, Any], expected: dict[str, float]
):
    def change(metrics: Any) -> Iterable[Any]:
        del metrics.metric_keys_and_values[0]
        [item] = metrics.metric_keys_and_values
        for name, values in numbers.items():
            getattr(item.value.array_value, name).extend(values)
        return [metrics]

    path = rewrite_metrics(evaluations["bounds"], tmp_path / "evaluation", change)
    assert dict(evaluation.from_tfma(path)) == expected


def test_a_class_among_the_first_predictions_has_no_key(tmp_path: Path, evaluations: Evaluations):
    def change(metrics: Any) -> Iterable[Any]:
        for item, top_k in zip(metrics.metric_keys_and_values, (2, 0), strict=True):
            item.key.sub_key.class_id.value = 1
            if top_k:
                item.key.sub_key.top_k.value = top_k
        return [metrics]

    path = rewrite_metrics(evaluations["bounds"], tmp_path / "evaluation", change)
    assert list(evaluation.from_tfma(path)) == ["binary_accuracy[class_id=1]"]


def test_weighted_macro_average_is_read(tmp_path: Path, evaluations: Evaluations):
    def change(metrics: Any) -> Iterable[Any]:
        del metrics.metric_keys_and_values[1:]
        (item,) = metrics.metric_keys_and_values
        item.key.aggregation_type.weighted_macro_average = True
        return [metrics]

    path = rewrite_metrics(evaluations["bounds"], tmp_path / "evaluation", change)
    assert list(evaluation.from_tfma(path)) == ["example_count[weighted_macro_average]"]


def test_a_slice_of_bytes_that_are_no_text(tmp_path: Path, evaluations: Evaluations):
    def change(metrics: Any) -> Iterable[Any]:
        for single in metrics.slice_key.single_slice_keys:
            single.bytes_value = b"\xff"
        return [metrics]

    path = rewrite_metrics(evaluations["paired"], tmp_path / "evaluation", change)
    assert list(evaluation.from_tfma(path).slices) == [(("species", "\ufffd"),)]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(
            lambda path: (path / "eval_config.json").write_text("{"),
            "got eval_config.json: Expecting property name enclosed in double quotes: ",
            id="eval config",
        ),
        pytest.param(
            lambda path: next(path.glob("metrics-*")).write_bytes(b"not a record file"),
            "got ",
            id="metrics",
        ),
    ],
)
def test_a_damaged_evaluation(
    tmp_path: Path, evaluations: Evaluations, damage: Callable[[Path], Any], problem: str
):
    path = tmp_path / "evaluation"
    shutil.copytree(evaluations["paired"], path)
    damage(path)
    with pytest.raises(ValueError, match=r"\Aevaluation must be a TFMA evaluation \(") as caught:
        evaluation.from_tfma(path)
    assert problem in str(caught.value)
    assert str(caught.value).endswith(f", at {path}). Check that Evaluator finished writing it.")


def test_no_evaluation(tmp_path: Path):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.from_tfma(tmp_path)
    assert f", at {tmp_path}). Check that Evaluator finished" in str(caught.value)


def test_an_evaluation_without_its_config(tmp_path: Path, evaluations: Evaluations):
    shutil.copytree(evaluations["bounds"], tmp_path / "evaluation")
    (tmp_path / "evaluation" / "eval_config.json").unlink()
    result = evaluation.from_tfma(tmp_path / "evaluation")
    assert (result.model_name, result.example_count) == ("", 400.0)


def test_what_is_kept_of_an_evaluation_gives_the_same(tmp_path: Path, evaluations: Evaluations):
    files = evaluation.tfma_files_of(location_of(evaluations["paired"]))
    assert [file.name for file in files] == ["eval_config.json", "metrics-00000-of-00001.tfrecord"]
    for file in files:
        shutil.copy(file.path, tmp_path)
    kept, original = map(evaluation.from_tfma, (tmp_path, evaluations["paired"]))
    assert kept.metrics == original.metrics
    assert {key: dict(part) for key, part in kept.slices.items()} == {
        key: dict(part) for key, part in original.slices.items()
    }


# Event files.


def write_v1(directory: Path, *steps: tuple[int, dict[str, float]], suffix: str = "") -> Path:
    import tensorflow as tf

    with tf.Graph().as_default():
        writer = tf.compat.v1.summary.FileWriter(str(directory), filename_suffix=suffix)
        for step, values in steps:
            summary = tf.compat.v1.Summary()
            for tag, value in values.items():
                summary.value.add(tag=tag, simple_value=value)
            writer.add_summary(summary, step)
        writer.close()
    return max(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def write_v2(directory: Path, *steps: tuple[int, dict[str, Any]]) -> None:
    """Writes tensors, as tf.summary.scalar, text and histogram do; these need TensorBoard."""
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(directory), filename_suffix=".v2")
    with writer.as_default():
        for step, values in steps:
            for tag, value in values.items():
                tf.summary.write(tag, tf.constant(value), step=step)
    writer.close()


def test_v1_summaries(tmp_path: Path):
    write_v1(tmp_path / "eval", (1, {"loss": 3.0}), (2, {"loss": 2.0, "auc": 0.5}))
    result = evaluation.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0, "auc": 0.5}
    assert (result.uri, result.source) == (str(tmp_path), pb.Evaluation.EVENT_FILES)
    assert (result.example_count, result.slices) == (None, {})


def test_v2_summaries(tmp_path: Path):
    write_v2(
        tmp_path / "eval",
        (1, {"loss": 3.0, "auc": 0.25}),
        (2, {"loss": 2.0, "note": "not a number", "weights": [[1.0, 2.0, 3.0]], "count": 7}),
        (2, {"empty": [], "one": [[5.0]]}),
    )
    result = evaluation.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0, "auc": 0.25, "count": 7.0, "one": 5.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_values_that_are_not_finite(tmp_path: Path, value: float):
    write_v1(tmp_path / "eval", (1, {"loss": value}))
    write_v2(tmp_path / "eval", (1, {"epoch_loss": value}))
    result = evaluation.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == pytest.approx({"loss": value, "epoch_loss": value}, nan_ok=True)


def test_the_last_value_has_the_largest_step(tmp_path: Path):
    # As after a restart from an earlier checkpoint: files in one order, steps in another.
    write_v1(tmp_path / "eval", (30, {"loss": 3.0}), suffix=".a")
    write_v1(tmp_path / "eval", (20, {"loss": 2.0}), (10, {"loss": 1.0}), suffix=".b")
    write_v1(tmp_path / "eval", (5, {"auc": 0.5}), suffix=".c")
    assert dict(evaluation.from_event_files(tmp_path, "eval/*")) == {"loss": 3.0, "auc": 0.5}


@pytest.mark.parametrize(
    "times",
    [
        pytest.param((1.0, 3.0, 2.0), id="of the same step: the latest"),
        pytest.param((1.0, 2.0, 2.0), id="of the same time: the last in the file"),
    ],
)
def test_of_one_step_the_last_written_counts(tmp_path: Path, times: tuple[float, ...]):
    import tensorflow as tf

    (tmp_path / "eval").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "eval" / "events")) as writer:
        for index, time in enumerate(times):
            event = tf.compat.v1.Event(wall_time=time, step=1)
            event.summary.value.add(tag="loss", simple_value=index)
            writer.write(event.SerializeToString())
    last = max(range(len(times)), key=lambda index: (times[index], index))
    assert dict(evaluation.from_event_files(tmp_path, "eval/*")) == {"loss": last}


def test_pattern_chooses_files(tmp_path: Path):
    write_v1(tmp_path / "train", (1, {"loss": 1.0}))
    write_v1(tmp_path / "eval", (1, {"loss": 2.0}))
    write_v1(tmp_path / "eval" / "below", (9, {"loss": 3.0}))
    assert evaluation.from_event_files(tmp_path, "eval/*.tfevents.*")["loss"] == 2.0
    assert evaluation.from_event_files(tmp_path, "train/*.tfevents.*")["loss"] == 1.0
    assert evaluation.from_event_files(tmp_path, "**/*.tfevents.*")["loss"] == 3.0


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        pytest.param("a/b/events.1", {"a/b/events.1"}, id="a name"),
        pytest.param("*", {"events.1"}, id="not below"),
        pytest.param("*/events.*", {"a/events.1"}, id="one folder"),
        pytest.param("a/**/events.*", {"a/events.1", "a/b/events.1"}, id="any number of folders"),
        pytest.param("**/*", {"events.1", "a/events.1", "a/b/events.1"}, id="everything"),
        pytest.param("**", set(), id="folders only"),
        pytest.param("**/b/*", {"a/b/events.1"}, id="folders and then a name"),
        pytest.param("[ab]/events.?", {"a/events.1"}, id="characters"),
        pytest.param("A/*", set(), id="case"),
        pytest.param("a", set(), id="a folder"),
        pytest.param("b/*", set(), id="not anchored"),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, matches: set[str]):
    paths = ("events.1", "a/events.1", "a/b/events.1")
    for path in paths:
        file_path = write_v1((tmp_path / path).parent, (1, {path: 1.0}), suffix=".new")
        file_path.rename(tmp_path / path)
    if matches:
        assert set(evaluation.from_event_files(tmp_path, pattern)) == matches
    else:
        with pytest.raises(ValueError, match=r"\Aevent_file_pattern must match an event file "):
            evaluation.from_event_files(tmp_path, pattern)


def test_a_file_cut_in_the_middle_is_read_up_to_there(tmp_path: Path):
    path = write_v1(tmp_path / "eval", (1, {"loss": 3.0}), (2, {"loss": 2.0}))
    path.write_bytes(path.read_bytes()[:-5])
    result = evaluation.from_event_files(tmp_path, "eval/*")
    assert dict(result) == {"loss": 3.0}
    told = f"{path} ends in the middle of an event, and is read up to there"
    assert result.warnings == (told,)


def test_a_file_that_is_damaged_in_the_middle(tmp_path: Path):
    path = write_v1(tmp_path / "eval", (1, {"loss": 3.0}), (2, {"loss": 2.0}))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"loss", b"lose", 1))
    with pytest.raises(ValueError, match=r"\Aevent files must be whole \(got ") as caught:
        evaluation.from_event_files(tmp_path, "eval/*")
    assert str(caught.value).endswith(
        f", at {tmp_path}/eval/{path.name}). What stands behind the damage is lost: evaluate again."
    )


def test_no_file(tmp_path: Path):
    write_v1(tmp_path / "train", (1, {"loss": 1.0}))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert str(caught.value) == (
        f"event_file_pattern must match an event file (got 'eval/*.tfevents.*', at {tmp_path})."
        " Write summaries of the evaluation there, or change the pattern."
    )


def test_no_scalar(tmp_path: Path):
    write_v2(tmp_path / "eval", (1, {"note": "not a number"}))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert str(caught.value) == (
        "event_file_pattern must match files with scalar summaries (got 'eval/*.tfevents.*' with 1"
        f" files and no scalar, at {tmp_path})."
        " Write summaries of the evaluation there, or change the pattern."
    )


def test_a_directory_that_matches_is_no_event_file(tmp_path: Path):
    write_v1(tmp_path / "eval", (1, {"loss": 2.0}))
    (tmp_path / "eval" / "events.out.tfevents.1.profile-empty").mkdir()
    result = evaluation.from_event_files(tmp_path, "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0}


def test_what_is_read_here_is_not_needed_elsewhere():
    # Who exports metrics of their own must not wait for TFMA.
    import subprocess

    code = (
        "import sys; from tfx_best_exporter.executor import exporter;"
        "print([name for name in ('tensorflow', 'tensorflow_model_analysis', 'tfx', 'apache_beam')"
        " if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def test_nothing_of_an_evaluation_is_changed(tmp_path: Path, evaluations: Evaluations):
    shutil.copytree(evaluations["paired"], tmp_path / "evaluation")
    evaluation.from_tfma(tmp_path / "evaluation")
    assert read_files(tmp_path / "evaluation") == read_files(evaluations["paired"])


# In another storage.


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Returns the URI of tmp_path in a storage that is not local."""
    folder_filesystem.register(str(tmp_path))
    return f"{folder_filesystem.SCHEME}://bucket"


def test_an_evaluation_elsewhere(tmp_path: Path, evaluations: Evaluations, folder: str):
    shutil.copytree(evaluations["paired"], tmp_path / "bucket" / "evaluation")
    result = evaluation.from_tfma(f"{folder}/evaluation")
    assert result.uri == f"{folder}/evaluation"
    assert dict(result) == {"example_count": 4.0, "binary_accuracy": 0.75}
    (metrics_path,) = (tmp_path / "bucket" / "evaluation").glob("metrics-*")
    metrics_path.write_bytes(b"not a record file")
    with pytest.raises(ValueError, match=r"\Aevaluation must be a TFMA evaluation \(") as caught:
        evaluation.from_tfma(f"{folder}/evaluation")
    assert f", at {folder}/evaluation). Check that Evaluator finished" in str(caught.value)


def test_event_files_elsewhere(tmp_path: Path, folder: str):
    write_v1(tmp_path / "bucket" / "run" / "eval", (1, {"loss": 2.0}))
    result = evaluation.from_event_files(f"{folder}/run", "eval/*.tfevents.*")
    assert dict(result) == {"loss": 2.0}
    assert result.uri == f"{folder}/run"
