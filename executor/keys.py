"""Names stored in pipelines, in ML Metadata and in artifacts; they never change."""

# Version of ExportDecision, ExportRecord and Tombstone.
SCHEMA_VERSION = 1

# These names equal those of tfx.types.standard_component_specs, which imports TFMA and Apache Beam.
MODEL_KEY = "model"
EXAMPLES_KEY = "examples"
EXAMPLE_SPLITS_KEY = "example_splits"
EVALUATION_KEY = "evaluation"
MODEL_RUN_KEY = "model_run"
MODEL_BLESSING_KEY = "model_blessing"
INFRA_BLESSING_KEY = "infra_blessing"
PUSHED_MODEL_KEY = "pushed_model"
BLESSING_KEY = "blessing"
PUSH_DESTINATION_KEY = "push_destination"
MODULE_FILE_KEY = "module_file"
MODULE_PATH_KEY = "module_path"

# Exec properties without a name in TFX.
COMPARE_POLICY_KEY = "compare_policy"
DEFAULT_RULE_KEY = "default_rule"
RETENTION_POLICY_KEY = "retention_policy"
EVENT_FILE_PATTERN_KEY = "event_file_pattern"
SERVING_SIGNATURES_FN_KEY = "serving_signatures_fn"
ASSETS_EXTRA_KEY = "assets_extra"
AS_TEXT_KEY = "as_text"
UNSERVABLE_KEY = "unservable"
STATE_DIRECTORY_KEY = "state_directory"
IS_GATED_KEY = "is_gated"

# Exec properties that the driver sets; absent if no driver runs.
BEST_FINGERPRINT_KEY = "best_fingerprint"
PRIOR_EXPORT_KEY = "prior_export"
DRIVER_ERROR_KEY = "driver_error"

# Outputs without a name in TFX.
DECISION_KEY = "decision"

# Custom properties of PushedModel that Pusher writes too.
PUSHED_PROPERTY = "pushed"
PUSHED_DESTINATION_PROPERTY = "pushed_destination"
PUSHED_VERSION_PROPERTY = "pushed_version"

# Custom properties of ModelBlessing that Evaluator writes too. The source of the names is
# tfx.components.evaluator.constants.
BLESSED_PROPERTY = "blessed"
CURRENT_MODEL_PROPERTY = "current_model"
CURRENT_MODEL_ID_PROPERTY = "current_model_id"

# Files of which Evaluator writes one, empty, to a ModelBlessing.
BLESSED_FILE = "BLESSED"
NOT_BLESSED_FILE = "NOT_BLESSED"

# Custom properties of PushedModel and ExportDecision.
REASON_PROPERTY = "reason"
EXPLANATION_PROPERTY = "explanation"
BEST_VERSION_PROPERTY = "best_version"
NUMBER_RETIRED_PROPERTY = "number_retired"
# Source of the exported model, if an earlier run has trained it: the URI of its Model, and the run.
EXPORTED_MODEL_PROPERTY = "exported_model"
EXPORTED_MODEL_RUN_PROPERTY = "exported_model_run"
# Prefixes of a metric's name, as in "candidate_metric_loss".
CANDIDATE_METRIC_PREFIX = "candidate_metric_"
BEST_METRIC_PREFIX = "best_metric_"

# Custom properties of ExportDecision.
EXPORTED_PROPERTY = "exported"

# Files in an ExportDecision artifact.
DECISION_FILE = "decision.json"
REPORT_FILE = "report.html"
# Directory next to these files; its subdirectory <version> has the new evaluation of that best.
BEST_EVALUATION_DIRECTORY = "best_evaluation"

# Default names of the functions in module_file.
COMPARE_FN_NAME = "compare_fn"
SERVING_SIGNATURES_FN_NAME = "serving_signatures_fn"
