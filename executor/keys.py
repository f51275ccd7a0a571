"""Names that are stored: in pipelines, in ML Metadata and in artifacts. Stable once released."""

# Version of ExportDecision, ExportRecord and Tombstone.
SCHEMA_VERSION = 1

# As in tfx.types.standard_component_specs, which imports TFMA and Apache Beam.
MODEL_KEY = "model"
EXAMPLES_KEY = "examples"
EXAMPLE_SPLITS_KEY = "example_splits"
EVALUATION_KEY = "evaluation"
MODEL_RUN_KEY = "model_run"
MODEL_BLESSING_KEY = "model_blessing"
INFRA_BLESSING_KEY = "infra_blessing"
PUSHED_MODEL_KEY = "pushed_model"
PUSH_DESTINATION_KEY = "push_destination"
MODULE_FILE_KEY = "module_file"
MODULE_PATH_KEY = "module_path"

# Exec properties beyond those that TFX has names for.
COMPARE_POLICY_KEY = "compare_policy"
RETENTION_POLICY_KEY = "retention_policy"
EVENT_FILE_PATTERN_KEY = "event_file_pattern"
SERVING_SIGNATURES_FN_KEY = "serving_signatures_fn"
ASSETS_EXTRA_KEY = "assets_extra"
AS_TEXT_KEY = "as_text"

# Exec properties that the driver sets; absent where no driver runs.
BEST_FINGERPRINT_KEY = "best_fingerprint"
PRIOR_EXPORT_KEY = "prior_export"
DRIVER_ERROR_KEY = "driver_error"

# Inputs and outputs beyond those that TFX has names for.
DECISION_KEY = "decision"

# Custom properties of PushedModel, as Pusher writes them.
PUSHED_PROPERTY = "pushed"
PUSHED_DESTINATION_PROPERTY = "pushed_destination"
PUSHED_VERSION_PROPERTY = "pushed_version"

# Custom properties of PushedModel and ExportDecision.
REASON_PROPERTY = "reason"
EXPLANATION_PROPERTY = "explanation"
BEST_VERSION_PROPERTY = "best_version"
NUMBER_RETIRED_PROPERTY = "number_retired"
# Each followed by a metric's name: "candidate_metric_loss".
CANDIDATE_METRIC_PREFIX = "candidate_metric_"
BEST_METRIC_PREFIX = "best_metric_"

# Custom properties of ExportDecision.
EXPORTED_PROPERTY = "exported"

# The files in an ExportDecision artifact.
DECISION_FILE = "decision.json"
REPORT_FILE = "report.html"
# Beside them, by version: the evaluation of a best that was evaluated again.
BEST_EVALUATION_DIRECTORY = "best_evaluation"

# Names of the functions that are looked for in module_file where no other is given.
COMPARE_FN_NAME = "compare_fn"
SERVING_SIGNATURES_FN_NAME = "serving_signatures_fn"
