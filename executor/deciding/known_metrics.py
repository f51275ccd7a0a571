"""The directions of well-known metrics of TFMA and Keras, by metric name."""

from __future__ import annotations

import re

from tfx_best_exporter.proto import best_exporter_pb2 as pb

_HIGHER = frozenset(
    (
        "accuracy",
        "auc",
        "auc_precision_recall",
        "average_precision",
        "average_recall",
        "balanced_accuracy",
        "binary_accuracy",
        "binary_io_u",
        "categorical_accuracy",
        "coefficient_of_discrimination",
        "concordance_correlation",
        "exact_match",
        "f1_score",
        "fbeta_score",
        "fowlkes_mallows_index",
        "informedness",
        "io_u",
        "markedness",
        "matthews_correlation_coefficient",
        "max_recall",
        "mean_average_precision",
        "mean_average_recall",
        "mean_io_u",
        "ndcg",
        "negative_predictive_value",
        "npv",
        "object_detection_max_recall",
        "object_detection_precision",
        "object_detection_precision_at_recall",
        "object_detection_recall",
        "one_hot_io_u",
        "one_hot_mean_io_u",
        "pearson_correlation",
        "positive_predictive_value",
        "ppv",
        "precision",
        "precision_at_recall",
        "r2_score",
        "recall",
        "recall_at_false_positive_rate",
        "recall_at_precision",
        "relative_coefficient_of_discrimination",
        "sensitivity_at_specificity",
        "set_match_precision",
        "set_match_recall",
        "sparse_categorical_accuracy",
        "sparse_top_k_categorical_accuracy",
        "specificity",
        "specificity_at_sensitivity",
        "squared_pearson_correlation",
        "threat_score",
        "tnr",
        "top_k_categorical_accuracy",
        "tpr",
        "true_negative_rate",
        "true_positive_rate",
    )
)
_LOWER = frozenset(
    (
        "binary_crossentropy",
        "binary_focal_crossentropy",
        "categorical_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_hinge",
        "fall_out",
        "false_discovery_rate",
        "false_negative_rate",
        "false_omission_rate",
        "false_positive_rate",
        "fnr",
        "fpr",
        "hinge",
        "huber_loss",
        "kl_divergence",
        "log_cosh",
        "logcosh",
        "loss",
        "mae",
        "mape",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_error",
        "mean_squared_logarithmic_error",
        "miss_rate",
        "mse",
        "msle",
        "poisson",
        "rmse",
        "root_mean_squared_error",
        "sparse_categorical_crossentropy",
        "squared_hinge",
    )
)
# Names that TFMA and Keras give to the metrics of a class, where they are not the class's name in
# lower case with underscores. Example: LogCoshError().name == "logcosh".
_NAMES_OF_CLASSES = {
    "BinaryCrossEntropy": "binary_crossentropy",
    "Bleu": "BLEU",
    "COCOAveragePrecision": "average_precision",
    "COCOAverageRecall": "average_recall",
    "COCOMeanAveragePrecision": "mean_average_precision",
    "COCOMeanAverageRecall": "mean_average_recall",
    "CategoricalCrossEntropy": "categorical_crossentropy",
    "FBetaScore": "fbeta_score",
    "Huber": "huber_loss",
    "LogCosh": "log_cosh",
    "LogCoshError": "logcosh",
}


def known_direction(name: str) -> pb.MetricDirection:
    """Returns the direction of a well-known metric, or METRIC_DIRECTION_UNSPECIFIED.

    Args:
        name: Name of the metric. A number that Keras appends, as in "auc_1", does not count.
    """
    for each in (name, re.sub(r"_\d+$", "", name)):
        if each in _HIGHER:
            return pb.HIGHER_IS_BETTER
        if each in _LOWER:
            return pb.LOWER_IS_BETTER
    return pb.METRIC_DIRECTION_UNSPECIFIED


def name_of_class(class_name: str) -> str:
    """Returns the name that a metric has if its config sets none.

    Args:
        class_name: Name of the metric's class in an EvalConfig, for example "BinaryAccuracy".
    """
    if class_name in _NAMES_OF_CLASSES:
        return _NAMES_OF_CLASSES[class_name]
    # Keras derives names of metrics in this way: keras.utils.naming.to_snake_case.
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()
