import gzip
import math
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests import folder_filesystem
from tests.errors import about
from tests.executor.plain import read_files
from tests.proto_subset import messages_of, shape_of, the_message
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, MetricKey, MetricValue
from tfx_best_exporter.executor.evaluations import eval_config
from tfx_best_exporter.executor.evaluations import tfma as evaluation
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from tfx_best_exporter.proto import tfma_pb2

Evaluations = dict[str, Path]


def test_metrics_of_one_model(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["single"])
    assert dict(result) == pytest.approx(
        {
            "example_count[weighted]": 10.0,
            "example_count[unweighted]": 4.0,
            "binary_accuracy[weighted]": 0.6,
            "binary_accuracy[unweighted]": 0.75,
            # A key has a flag only if there are both kinds. Plots and matrices are not numbers.
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
    # The baseline has 0.25, and the difference is 0.5.
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


def test_one_of_two_candidates_is_read_as_if_it_were_the_only_one(evaluations: Evaluations):
    mine = evaluation.from_tfma(evaluations["three"], model_name="mine")
    only = evaluation.from_tfma(evaluations["paired"])
    assert mine.model_name == only.model_name == "mine"
    assert dict(mine.metrics) == dict(only.metrics)
    assert dict(mine.differences) == dict(only.differences)
    assert mine.data == only.data
    assert mine.baseline is not None
    assert only.baseline is not None
    assert dict(mine.baseline) == dict(only.baseline)
    assert {key: dict(part) for key, part in mine.slices.items()} == {
        key: dict(part) for key, part in only.slices.items()
    }
    assert [each.name for each in mine.configured.metrics] == ["example_count", "binary_accuracy"]
    yours = evaluation.from_tfma(evaluations["three"], model_name="yours")
    assert dict(yours) == {"example_count": 4.0, "binary_accuracy": 0.5, "mean_prediction": 2.5}
    assert yours.difference(MetricKey(name="binary_accuracy")) == MetricValue(value=0.25)
    assert yours.data.eval_config_digest != mine.data.eval_config_digest
    assert "mine:binary_accuracy" in evaluation.from_tfma(evaluations["three"])


@pytest.mark.parametrize("model_name", ["", "ours", "theirs"])
def test_a_candidate_that_was_not_evaluated(evaluations: Evaluations, model_name: str):
    with pytest.raises(ValueError, match=about("evaluation")) as caught:
        evaluation.from_tfma(evaluations["three"], model_name=model_name)
    assert str(caught.value) == (
        f"evaluation must be a TFMA evaluation (got eval_config.json: no model {model_name!r}, only"
        f" mine, yours, at {evaluations['three']}). Check that Evaluator finished writing it."
    )


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
            # TFMA writes macro_average for weighted averages too.
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
    """Copies an evaluation; `change` returns the replacements of a MetricsForSlice."""
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
        f"evaluation must contain the overall slice (got 2 other slices, at {path})."
        " Check that Evaluator finished, and that its EvalConfig has an empty slicing_specs entry."
    )


# Slices that TFMA leaves out, and files that it does not write.


def test_slices_that_tfma_leaves_out(evaluations: Evaluations):
    result = evaluation.from_tfma(evaluations["small"])
    reason = (
        "Example count for this slice key is lower than the minimum required value: 3. No data is"
        " aggregated for this slice"
    )
    slice_keys = [(("species", "a"),), (("species", "b"),)]
    assert result.suppressed_slices == dict.fromkeys(slice_keys, reason)
    assert (result.slices, result.slice_example_counts()) == ({}, {})
    assert result.example_count == 4.0
    whole = evaluation.from_tfma(evaluations["not_small"])
    assert (whole.suppressed_slices, [*whole.slices]) == ({}, slice_keys)
    assert next(iter(whole.slices.values())).suppressed_slices == {}


def test_a_metric_with_several_thresholds(evaluations: Evaluations):
    key = MetricKey(name="recall")
    result = evaluation.from_tfma(evaluations["small"])
    assert dict(result) == {"example_count": 4.0}
    assert result.remedy(key) == (
        "recall is in the evaluation, but it is not one number. If the metric has several"
        " thresholds, set one in Evaluator's EvalConfig."
    )
    # Whoever follows the remedy finds the metric.
    assert evaluation.from_tfma(evaluations["not_small"]).find(key) is not None


def test_bytes_that_are_no_text_are_distinct_slices(tmp_path: Path, evaluations: Evaluations):
    def change(metrics: Any) -> Iterable[Any]:
        for single in metrics.slice_key.single_slice_keys:
            single.bytes_value = {b"a": b"\xff", b"b": b"\xfe"}[single.bytes_value]
        return [metrics]

    path = rewrite_metrics(evaluations["paired"], tmp_path / "evaluation", change)
    slices = evaluation.from_tfma(path).slices
    assert {key: part["binary_accuracy"] for key, part in slices.items()} == {
        (("species", b"\xff"),): 1.0,
        (("species", b"\xfe"),): 0.5,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [("", "the overall slice"), ("a", "species=a")],
    ids=["the overall slice", "another slice"],
)
def test_a_slice_with_two_rows(tmp_path: Path, evaluations: Evaluations, value: str, text: str):
    def change(metrics: Any) -> Iterable[Any]:
        values = [each.bytes_value.decode() for each in metrics.slice_key.single_slice_keys]
        return [metrics, metrics] if "".join(values) == value else [metrics]

    path = rewrite_metrics(evaluations["paired"], tmp_path / "evaluation", change)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.from_tfma(path)
    assert str(caught.value) == (
        f"evaluation must have the metrics of each slice once (got {text} twice, at {path}). The"
        " files may be those of several evaluations. Evaluate the candidate again, into an empty"
        " directory."
    )


def test_metrics_by_name(tmp_path: Path, evaluations: Evaluations):
    def change(metrics: Any) -> Iterable[Any]:
        del metrics.metric_keys_and_values[:]
        metrics.metrics["auc"].double_value.value = 0.5
        return [metrics]

    path = rewrite_metrics(evaluations["paired"], tmp_path / "evaluation", change)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.from_tfma(path)
    assert str(caught.value) == (
        "evaluation must have metrics by key (got metrics by name, as TFMA writes them for an"
        f" EvalSavedModel, at {path}). Evaluate the SavedModel that is served instead."
    )


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"serialized_value": [b"1"]}), path)


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(b"any content"))


@pytest.mark.parametrize(
    ("format_", "suffix", "write"),
    [
        pytest.param("Parquet", ".parquet", write_parquet, id="parquet"),
        pytest.param("gzip", ".tfrecord", write_gzip, id="gzip"),
        pytest.param("gzip", ".tfrecord.gz", write_gzip, id="gzip by name"),
    ],
)
def test_metrics_in_another_format(
    tmp_path: Path,
    evaluations: Evaluations,
    format_: str,
    suffix: str,
    write: Callable[[Path], None],
):
    path = tmp_path / "evaluation"
    shutil.copytree(evaluations["paired"], path)
    (metrics_path,) = path.glob("metrics-*")
    metrics_path.unlink()
    name = metrics_path.name.partition(".")[0] + suffix
    write(path / name)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        evaluation.from_tfma(path)
    assert str(caught.value) == (
        f"evaluation must have metrics in uncompressed TFRecord files (got a {format_} file,"
        f" {name}, at {path}). Leave TFMA's output_file_format at its default, and do not compress"
        " the files."
    )


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_metrics_that_are_no_file(
    tmp_path: Path, evaluations: Evaluations, make: Callable[[Path], None]
):
    path = tmp_path / "evaluation"
    shutil.copytree(evaluations["paired"], path)
    make(path / "metrics-00001-of-00002.tfrecord")
    with pytest.raises(ValueError, match=r"\Aevaluation must be a TFMA evaluation \(") as caught:
        evaluation.from_tfma(path)
    assert "not a regular file" in str(caught.value)


# A candidate with its baseline, and intervals.

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
        # TFMA uses 20 buckets or samples, and an interval of 95 %.
        assert found.degrees_of_freedom == 19.0
        assert (found.upper_bound - found.lower_bound) / 2 == pytest.approx(
            2.093024 * found.standard_error
        )


def test_a_difference_is_surer_than_two_models_are(evaluations: Evaluations):
    """Both models are wrong on many of the same examples, which a paired test uses."""
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
    """Slice a lacks a metric, and slice b has the metrics in another order."""

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
    """A metric is decoded on first use, so damage to one does not affect the others."""

    def change(metrics: Any) -> Iterable[Any]:
        record = tfma_pb2.MetricsForSlice.FromString(metrics.SerializeToString())
        if metrics.slice_key.single_slice_keys:
            # Only the value is damaged, not the key.
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


def test_data_of_an_evaluation(evaluations: Evaluations):
    result = evaluation.from_tfma(
        evaluations["paired_bounds"], examples_uri="/examples/1", splits=["eval"], span=9
    )
    assert result.data.examples_uri == "/examples/1"
    assert result.data.span == 9
    assert result.data.splits == ("eval",)
    content = eval_config.eval_config_of(evaluations["paired_bounds"])
    assert result.data.eval_config_digest == eval_config.eval_config_digest(content)
    assert result.data.is_same(EvalResult.from_proto(result.to_proto()).data)
    # The predictions are part of the examples, so there is no model.
    assert dict(result.model_paths) == {}


def test_values_of_other_kinds(tmp_path: Path, evaluations: Evaluations):
    """TFMA still reads bounded values and t-distributions, but no longer writes them."""

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
        # TFMA's thresholds call float() on a value, which works for one number.
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


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(
            lambda path: (path / "eval_config.json").write_text("{"),
            "got eval_config.json: the file cannot be parsed (Expecting property name enclosed in",
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


def test_nothing_of_an_evaluation_is_changed(tmp_path: Path, evaluations: Evaluations):
    shutil.copytree(evaluations["paired"], tmp_path / "evaluation")
    evaluation.from_tfma(tmp_path / "evaluation")
    assert read_files(tmp_path / "evaluation") == read_files(evaluations["paired"])


# An evaluation in another storage.


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
    copies = tmp_path / "copies"
    evaluation.from_tfma(f"{folder}/evaluation", work_path=copies)
    kept = {"eval_config.json", "metrics-00000-of-00001.tfrecord"}
    whole = read_files(evaluations["paired"])
    assert read_files(copies) == {name: whole[name] for name in kept}
    (metrics_path,) = (tmp_path / "bucket" / "evaluation").glob("metrics-*")
    metrics_path.write_bytes(b"not a record file")
    with pytest.raises(ValueError, match=r"\Aevaluation must be a TFMA evaluation \(") as caught:
        evaluation.from_tfma(f"{folder}/evaluation")
    assert f", at {folder}/evaluation). Check that Evaluator finished" in str(caught.value)


# The messages, compared with TFMA's.


@pytest.mark.parametrize(
    "message", messages_of(tfma_pb2.DESCRIPTOR), ids=lambda message: message.full_name
)
def test_messages_are_those_of_tfma(message: Any):
    from tensorflow_model_analysis.proto import (
        config_pb2,
        metrics_for_slice_pb2,
        validation_result_pb2,
    )

    name = message.full_name.removeprefix("tfx_best_exporter.tfma.")
    files = (metrics_for_slice_pb2, config_pb2, validation_result_pb2)
    theirs = the_message(name, [each.DESCRIPTOR for each in files])
    for field in message.fields:
        their_field = theirs.fields_by_name[field.name]
        number, kind, message_name, *rest = shape_of(their_field)
        if field.type == field.TYPE_BYTES and kind == field.TYPE_MESSAGE:
            # A message field can be read as bytes, and parsed on first use.
            assert message_name.rpartition(".")[2] in message.nested_types_by_name
            kind, message_name = field.TYPE_BYTES, None
        assert shape_of(field) == (number, kind, message_name, *rest)
