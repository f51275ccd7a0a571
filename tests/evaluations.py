"""Writes real TFMA evaluations of 4 or of 400 examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Columns of the 4 examples, with predictions of a binary model, a baseline and a multi-class model.
_COLUMNS = {
    "label": [1.0, 0.0, 1.0, 0.0],
    "prediction": [0.9, 0.2, 0.6, 0.6],
    "other_prediction": [0.1, 0.1, 0.1, 0.9],
    "weight": [1.0, 2.0, 3.0, 4.0],
    "species": ["a", "b", "a", "b"],
    "year": [1, 1, 2, 2],
    "ratio": [0.5, 0.5, 1.5, 1.5],
    "kind": [0, 1, 0, 1],
    "scores": [[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.5, 0.1, 0.4], [0.5, 0.4, 0.1]],
}

# 400 examples are enough for intervals. Candidate and baseline are wrong on different examples.
_MANY = 400
_MANY_COLUMNS = {
    "label": [float(i % 2) for i in range(_MANY)],
    "prediction": [(i % 2) * 0.5 + 0.25 if i % 10 else 0.75 - (i % 2) * 0.5 for i in range(_MANY)],
    "other_prediction": [
        (i % 2) * 0.5 + 0.25 if i % 5 else 0.75 - (i % 2) * 0.5 for i in range(_MANY)
    ],
    "species": ["ab"[i // 2 % 2] for i in range(_MANY)],
}

_CLASS_WEIGHTS = " ".join(f"class_weights {{ key: {index} value: 1 }}" for index in range(3))


def _with_intervals(method: str, *, is_paired: bool, has_slices: bool = False) -> str:
    baseline = """
        model_specs {
          name: "baseline" label_key: "label" prediction_key: "other_prediction" is_baseline: true
        }
    """
    return f"""
        model_specs {{
          name: "{"candidate" if is_paired else ""}" label_key: "label" prediction_key: "prediction"
        }}
        {baseline if is_paired else ""}
        slicing_specs {{}}
        {'slicing_specs { feature_keys: "species" }' if has_slices else ""}
        metrics_specs {{
          model_names: {'["candidate", "baseline"]' if is_paired else '[""]'}
          metrics {{ class_name: "ExampleCount" }}
          metrics {{ class_name: "BinaryAccuracy" }}
        }}
        options {{
          compute_confidence_intervals {{ value: true }}
          confidence_intervals {{ method: {method} }}
        }}
    """


# These evaluations have confidence intervals, for one model or for a candidate and a baseline.
_ON_MANY = {
    "bounds": _with_intervals("JACKKNIFE", is_paired=False),
    "paired_bounds": _with_intervals("JACKKNIFE", is_paired=True, has_slices=True),
    "paired_bootstrap": _with_intervals("POISSON_BOOTSTRAP", is_paired=True),
}
# EvalConfigs in text format by name.
EVAL_CONFIGS = {
    # One model with slices of each type, a cross slice, a plot, a matrix and both kinds of weights.
    "single": """
        model_specs {
          label_key: "label" prediction_key: "prediction" example_weight_key: "weight"
        }
        slicing_specs {}
        slicing_specs { feature_keys: "species" }
        slicing_specs { feature_keys: "year" feature_keys: "ratio" }
        cross_slicing_specs {
          baseline_spec {} slicing_specs { feature_keys: "species" }
        }
        metrics_specs {
          metrics { class_name: "ExampleCount" }
          metrics { class_name: "BinaryAccuracy" }
          example_weights { weighted: true unweighted: true }
        }
        metrics_specs {
          metrics { class_name: "MeanLabel" }
          metrics { class_name: "CalibrationPlot" }
          metrics { class_name: "ConfusionMatrixAtThresholds" config: '"thresholds": [0.5]' }
        }
    """,
    # A candidate and a baseline with user-defined names.
    "paired": """
        model_specs { name: "mine" label_key: "label" prediction_key: "prediction" }
        model_specs {
          name: "theirs" label_key: "label" prediction_key: "other_prediction" is_baseline: true
        }
        slicing_specs {}
        slicing_specs { feature_keys: "species" }
        metrics_specs {
          model_names: ["mine", "theirs"]
          metrics { class_name: "ExampleCount" }
          metrics {
            class_name: "BinaryAccuracy"
            threshold { change_threshold { absolute { value: -1 } direction: HIGHER_IS_BETTER } }
          }
        }
    """,
    # A candidate that does not meet its thresholds.
    "failing": """
        model_specs { name: "candidate" label_key: "label" prediction_key: "prediction" }
        model_specs {
          name: "baseline" label_key: "label" prediction_key: "other_prediction" is_baseline: true
        }
        slicing_specs {}
        slicing_specs { feature_keys: "species" }
        metrics_specs {
          model_names: ["candidate", "baseline"]
          metrics {
            class_name: "BinaryAccuracy"
            threshold {
              value_threshold { lower_bound { value: 0.8 } }
              change_threshold { absolute { value: 0.6 } direction: HIGHER_IS_BETTER }
            }
            per_slice_thresholds {
              slicing_specs { feature_keys: "species" }
              threshold { value_threshold { lower_bound { value: 0.7 } } }
            }
          }
        }
    """,
    # Two models without a baseline.
    "two": """
        model_specs { name: "a" label_key: "label" prediction_key: "prediction" }
        model_specs { name: "b" label_key: "label" prediction_key: "other_prediction" }
        slicing_specs {}
        metrics_specs { model_names: ["a", "b"] metrics { class_name: "BinaryAccuracy" } }
    """,
    # The same as "paired" with one more candidate, which has a metric of its own.
    "three": """
        model_specs { name: "mine" label_key: "label" prediction_key: "prediction" }
        model_specs { name: "yours" label_key: "label" prediction_key: "weight" }
        model_specs {
          name: "theirs" label_key: "label" prediction_key: "other_prediction" is_baseline: true
        }
        slicing_specs {}
        slicing_specs { feature_keys: "species" }
        metrics_specs {
          model_names: ["mine", "yours", "theirs"]
          metrics { class_name: "ExampleCount" }
          metrics { class_name: "BinaryAccuracy" }
        }
        metrics_specs { model_names: ["yours"] metrics { class_name: "MeanPrediction" } }
    """,
    # Each slice has too few examples, and the recall has two thresholds.
    "small": """
        model_specs { label_key: "label" prediction_key: "prediction" }
        slicing_specs {}
        slicing_specs { feature_keys: "species" }
        metrics_specs {
          metrics { class_name: "ExampleCount" }
          metrics { class_name: "Recall" config: '"thresholds": [0.25, 0.75]' }
        }
        options { min_slice_size { value: 3 } }
    """,
    # The same with large enough slices and one threshold.
    "not_small": """
        model_specs { label_key: "label" prediction_key: "prediction" }
        slicing_specs {}
        slicing_specs { feature_keys: "species" }
        metrics_specs {
          metrics { class_name: "ExampleCount" }
          metrics { class_name: "Recall" config: '"thresholds": [0.75]' }
        }
        options { min_slice_size { value: 2 } }
    """,
    # Two outputs; the second one has classes, ranks and averages. No example has class 2, so its
    # recall is NaN.
    "outputs": f"""
        model_specs {{
          label_keys {{ key: "click" value: "label" }}
          label_keys {{ key: "kind" value: "kind" }}
          prediction_keys {{ key: "click" value: "prediction" }}
          prediction_keys {{ key: "kind" value: "scores" }}
        }}
        slicing_specs {{}}
        metrics_specs {{ output_names: "click" metrics {{ class_name: "BinaryAccuracy" }} }}
        metrics_specs {{
          output_names: "kind"
          metrics {{ class_name: "Recall" }}
          binarize {{ class_ids {{ values: [0, 2] }} }}
        }}
        metrics_specs {{
          output_names: "kind"
          metrics {{ class_name: "Precision" }}
          binarize {{ top_k_list {{ values: 2 }} }}
        }}
        metrics_specs {{
          output_names: "kind"
          metrics {{ class_name: "Precision" }}
          binarize {{ k_list {{ values: 1 }} }}
        }}
        metrics_specs {{
          output_names: "kind"
          metrics {{ class_name: "Precision" }}
          aggregate {{ micro_average: true }}
        }}
        metrics_specs {{
          output_names: "kind"
          metrics {{ class_name: "AUC" }}
          aggregate {{ macro_average: true {_CLASS_WEIGHTS} }}
        }}
        metrics_specs {{
          output_names: "kind"
          metrics {{ class_name: "MeanSquaredError" config: '"name": "mse"' }}
          aggregate {{ weighted_macro_average: true {_CLASS_WEIGHTS} }}
        }}
    """,
    **_ON_MANY,
}
# Seed of the random buckets and samples of confidence intervals.
_SEED = 1


def write_evaluations(directory: Path, names: Sequence[str] = tuple(EVAL_CONFIGS)) -> None:
    """Writes an evaluation to <directory>/<name> for each EvalConfig, as Evaluator does."""
    import apache_beam as beam
    import pyarrow as pa
    import tensorflow_model_analysis as tfma
    from google.protobuf import text_format
    from tensorflow_model_analysis.extractors import (
        materialized_predictions_extractor,
        unbatch_extractor,
    )
    from tensorflow_model_analysis.proto import config_pb2

    def batch_of(columns: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict(
            {
                name: [value if isinstance(value, list) else [value] for value in values]
                for name, values in columns.items()
            }
        )

    # Each evaluation is a separate pipeline, because Beam is slower with one large pipeline.
    for name in names:
        eval_config = text_format.Parse(EVAL_CONFIGS[name], config_pb2.EvalConfig())
        extractors = [
            tfma.extractors.FeaturesExtractor(eval_config),
            tfma.extractors.LabelsExtractor(eval_config),
            tfma.extractors.ExampleWeightsExtractor(eval_config),
            materialized_predictions_extractor.MaterializedPredictionsExtractor(eval_config),
            unbatch_extractor.UnbatchExtractor(),
            tfma.extractors.SliceKeyExtractor(eval_config=eval_config),
        ]
        evaluator = tfma.evaluators.MetricsPlotsAndValidationsEvaluator(
            eval_config, random_seed_for_testing=_SEED
        )
        writers = tfma.default_writers(str(directory / name), eval_config=eval_config)
        columns = _MANY_COLUMNS if name in _ON_MANY else _COLUMNS
        with beam.Pipeline() as pipeline:
            _ = (
                pipeline
                | "Examples" >> beam.Create([batch_of(columns)])
                | "Extracts" >> tfma.BatchedInputsToExtracts()
                | "Evaluate" >> tfma.ExtractAndEvaluate(extractors, [evaluator])
                | "Write" >> tfma.WriteResults(writers=writers)
            )
