import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_DIRECTION_UNSPECIFIED: _ClassVar[MetricDirection]
    LOWER_IS_BETTER: _ClassVar[MetricDirection]
    HIGHER_IS_BETTER: _ClassVar[MetricDirection]
METRIC_DIRECTION_UNSPECIFIED: MetricDirection
LOWER_IS_BETTER: MetricDirection
HIGHER_IS_BETTER: MetricDirection

class SubKey(_message.Message):
    __slots__ = ("class_id", "k", "top_k")
    CLASS_ID_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    class_id: int
    k: int
    top_k: int
    def __init__(self, class_id: _Optional[int] = ..., k: _Optional[int] = ..., top_k: _Optional[int] = ...) -> None: ...

class MetricKey(_message.Message):
    __slots__ = ("name", "model_name", "output_name", "sub_key", "aggregation", "example_weighted")
    class Aggregation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        AGGREGATION_UNSPECIFIED: _ClassVar[MetricKey.Aggregation]
        MICRO_AVERAGE: _ClassVar[MetricKey.Aggregation]
        MACRO_AVERAGE: _ClassVar[MetricKey.Aggregation]
        WEIGHTED_MACRO_AVERAGE: _ClassVar[MetricKey.Aggregation]
    AGGREGATION_UNSPECIFIED: MetricKey.Aggregation
    MICRO_AVERAGE: MetricKey.Aggregation
    MACRO_AVERAGE: MetricKey.Aggregation
    WEIGHTED_MACRO_AVERAGE: MetricKey.Aggregation
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_NAME_FIELD_NUMBER: _ClassVar[int]
    SUB_KEY_FIELD_NUMBER: _ClassVar[int]
    AGGREGATION_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_WEIGHTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    model_name: str
    output_name: str
    sub_key: SubKey
    aggregation: MetricKey.Aggregation
    example_weighted: bool
    def __init__(self, name: _Optional[str] = ..., model_name: _Optional[str] = ..., output_name: _Optional[str] = ..., sub_key: _Optional[_Union[SubKey, _Mapping]] = ..., aggregation: _Optional[_Union[MetricKey.Aggregation, str]] = ..., example_weighted: bool = ...) -> None: ...

class MetricRule(_message.Message):
    __slots__ = ("metric", "direction", "min_absolute_change", "min_relative_change", "significance", "tie_tolerance")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    MIN_ABSOLUTE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    MIN_RELATIVE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANCE_FIELD_NUMBER: _ClassVar[int]
    TIE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    metric: MetricKey
    direction: MetricDirection
    min_absolute_change: float
    min_relative_change: float
    significance: Significance
    tie_tolerance: float
    def __init__(self, metric: _Optional[_Union[MetricKey, _Mapping]] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., min_absolute_change: _Optional[float] = ..., min_relative_change: _Optional[float] = ..., significance: _Optional[_Union[Significance, _Mapping]] = ..., tie_tolerance: _Optional[float] = ...) -> None: ...

class Significance(_message.Message):
    __slots__ = ("alpha", "challengers", "guarantee")
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    CHALLENGERS_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    challengers: int
    guarantee: bool
    def __init__(self, alpha: _Optional[float] = ..., challengers: _Optional[int] = ..., guarantee: bool = ...) -> None: ...

class Slice(_message.Message):
    __slots__ = ("features",)
    class FeaturesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    features: _containers.ScalarMap[str, str]
    def __init__(self, features: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Guardrail(_message.Message):
    __slots__ = ("metric", "direction", "bound", "max_absolute_regression", "max_relative_regression", "slices", "every_slice_min_examples", "significance")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    MAX_ABSOLUTE_REGRESSION_FIELD_NUMBER: _ClassVar[int]
    MAX_RELATIVE_REGRESSION_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    EVERY_SLICE_MIN_EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANCE_FIELD_NUMBER: _ClassVar[int]
    metric: MetricKey
    direction: MetricDirection
    bound: float
    max_absolute_regression: float
    max_relative_regression: float
    slices: _containers.RepeatedCompositeFieldContainer[Slice]
    every_slice_min_examples: float
    significance: Significance
    def __init__(self, metric: _Optional[_Union[MetricKey, _Mapping]] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., bound: _Optional[float] = ..., max_absolute_regression: _Optional[float] = ..., max_relative_regression: _Optional[float] = ..., slices: _Optional[_Iterable[_Union[Slice, _Mapping]]] = ..., every_slice_min_examples: _Optional[float] = ..., significance: _Optional[_Union[Significance, _Mapping]] = ...) -> None: ...

class ComparePolicy(_message.Message):
    __slots__ = ("metric", "compare_fn", "on_unknown_best", "tie_breakers", "guardrails", "min_example_count", "comparability", "allow_signature_change", "force", "max_best_evaluation_age_seconds", "approval", "force_model", "min_seconds_between_exports", "allow_older_data", "max_best_age_seconds", "old_best_margin", "max_challenger_bytes")
    class OnUnknownBest(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ON_UNKNOWN_BEST_UNSPECIFIED: _ClassVar[ComparePolicy.OnUnknownBest]
        EXPORT: _ClassVar[ComparePolicy.OnUnknownBest]
        KEEP: _ClassVar[ComparePolicy.OnUnknownBest]
        FAIL: _ClassVar[ComparePolicy.OnUnknownBest]
    ON_UNKNOWN_BEST_UNSPECIFIED: ComparePolicy.OnUnknownBest
    EXPORT: ComparePolicy.OnUnknownBest
    KEEP: ComparePolicy.OnUnknownBest
    FAIL: ComparePolicy.OnUnknownBest
    class Comparability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COMPARABILITY_UNSPECIFIED: _ClassVar[ComparePolicy.Comparability]
        REQUIRE_SAME_DATA: _ClassVar[ComparePolicy.Comparability]
        PREFER_SAME_DATA: _ClassVar[ComparePolicy.Comparability]
        ANY: _ClassVar[ComparePolicy.Comparability]
    COMPARABILITY_UNSPECIFIED: ComparePolicy.Comparability
    REQUIRE_SAME_DATA: ComparePolicy.Comparability
    PREFER_SAME_DATA: ComparePolicy.Comparability
    ANY: ComparePolicy.Comparability
    class Approval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        APPROVAL_UNSPECIFIED: _ClassVar[ComparePolicy.Approval]
        NOT_REQUIRED: _ClassVar[ComparePolicy.Approval]
        REQUIRED: _ClassVar[ComparePolicy.Approval]
    APPROVAL_UNSPECIFIED: ComparePolicy.Approval
    NOT_REQUIRED: ComparePolicy.Approval
    REQUIRED: ComparePolicy.Approval
    METRIC_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FN_FIELD_NUMBER: _ClassVar[int]
    ON_UNKNOWN_BEST_FIELD_NUMBER: _ClassVar[int]
    TIE_BREAKERS_FIELD_NUMBER: _ClassVar[int]
    GUARDRAILS_FIELD_NUMBER: _ClassVar[int]
    MIN_EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    COMPARABILITY_FIELD_NUMBER: _ClassVar[int]
    ALLOW_SIGNATURE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    MAX_BEST_EVALUATION_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    FORCE_MODEL_FIELD_NUMBER: _ClassVar[int]
    MIN_SECONDS_BETWEEN_EXPORTS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_OLDER_DATA_FIELD_NUMBER: _ClassVar[int]
    MAX_BEST_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OLD_BEST_MARGIN_FIELD_NUMBER: _ClassVar[int]
    MAX_CHALLENGER_BYTES_FIELD_NUMBER: _ClassVar[int]
    metric: MetricRule
    compare_fn: str
    on_unknown_best: ComparePolicy.OnUnknownBest
    tie_breakers: _containers.RepeatedCompositeFieldContainer[MetricRule]
    guardrails: _containers.RepeatedCompositeFieldContainer[Guardrail]
    min_example_count: float
    comparability: ComparePolicy.Comparability
    allow_signature_change: bool
    force: str
    max_best_evaluation_age_seconds: int
    approval: ComparePolicy.Approval
    force_model: str
    min_seconds_between_exports: int
    allow_older_data: bool
    max_best_age_seconds: int
    old_best_margin: float
    max_challenger_bytes: int
    def __init__(self, metric: _Optional[_Union[MetricRule, _Mapping]] = ..., compare_fn: _Optional[str] = ..., on_unknown_best: _Optional[_Union[ComparePolicy.OnUnknownBest, str]] = ..., tie_breakers: _Optional[_Iterable[_Union[MetricRule, _Mapping]]] = ..., guardrails: _Optional[_Iterable[_Union[Guardrail, _Mapping]]] = ..., min_example_count: _Optional[float] = ..., comparability: _Optional[_Union[ComparePolicy.Comparability, str]] = ..., allow_signature_change: bool = ..., force: _Optional[str] = ..., max_best_evaluation_age_seconds: _Optional[int] = ..., approval: _Optional[_Union[ComparePolicy.Approval, str]] = ..., force_model: _Optional[str] = ..., min_seconds_between_exports: _Optional[int] = ..., allow_older_data: bool = ..., max_best_age_seconds: _Optional[int] = ..., old_best_margin: _Optional[float] = ..., max_challenger_bytes: _Optional[int] = ...) -> None: ...

class DefaultRule(_message.Message):
    __slots__ = ("rule", "why")
    RULE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    rule: MetricRule
    why: str
    def __init__(self, rule: _Optional[_Union[MetricRule, _Mapping]] = ..., why: _Optional[str] = ...) -> None: ...

class RetentionPolicy(_message.Message):
    __slots__ = ("keep_latest", "keep_younger_than_seconds", "keep_versions", "keep_best", "keep_every_seconds", "max_bytes")
    KEEP_LATEST_FIELD_NUMBER: _ClassVar[int]
    KEEP_YOUNGER_THAN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    KEEP_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    KEEP_BEST_FIELD_NUMBER: _ClassVar[int]
    KEEP_EVERY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    keep_latest: int
    keep_younger_than_seconds: int
    keep_versions: _containers.RepeatedScalarFieldContainer[int]
    keep_best: int
    keep_every_seconds: int
    max_bytes: int
    def __init__(self, keep_latest: _Optional[int] = ..., keep_younger_than_seconds: _Optional[int] = ..., keep_versions: _Optional[_Iterable[int]] = ..., keep_best: _Optional[int] = ..., keep_every_seconds: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class MetricValue(_message.Message):
    __slots__ = ("key", "value", "lower_bound", "upper_bound", "standard_error", "degrees_of_freedom")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    DEGREES_OF_FREEDOM_FIELD_NUMBER: _ClassVar[int]
    key: MetricKey
    value: float
    lower_bound: float
    upper_bound: float
    standard_error: float
    degrees_of_freedom: float
    def __init__(self, key: _Optional[_Union[MetricKey, _Mapping]] = ..., value: _Optional[float] = ..., lower_bound: _Optional[float] = ..., upper_bound: _Optional[float] = ..., standard_error: _Optional[float] = ..., degrees_of_freedom: _Optional[float] = ...) -> None: ...

class EvaluatedData(_message.Message):
    __slots__ = ("examples_uri", "splits", "eval_config_digest", "span")
    EXAMPLES_URI_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    EVAL_CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    examples_uri: str
    splits: _containers.RepeatedScalarFieldContainer[str]
    eval_config_digest: str
    span: int
    def __init__(self, examples_uri: _Optional[str] = ..., splits: _Optional[_Iterable[str]] = ..., eval_config_digest: _Optional[str] = ..., span: _Optional[int] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("uri", "source", "metrics", "example_count", "model_name", "data", "evaluated_at")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[Evaluation.Source]
        TFMA: _ClassVar[Evaluation.Source]
        EVENT_FILES: _ClassVar[Evaluation.Source]
        MAPPING: _ClassVar[Evaluation.Source]
    SOURCE_UNSPECIFIED: Evaluation.Source
    TFMA: Evaluation.Source
    EVENT_FILES: Evaluation.Source
    MAPPING: Evaluation.Source
    URI_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EVALUATED_AT_FIELD_NUMBER: _ClassVar[int]
    uri: str
    source: Evaluation.Source
    metrics: _containers.RepeatedCompositeFieldContainer[MetricValue]
    example_count: float
    model_name: str
    data: EvaluatedData
    evaluated_at: _timestamp_pb2.Timestamp
    def __init__(self, uri: _Optional[str] = ..., source: _Optional[_Union[Evaluation.Source, str]] = ..., metrics: _Optional[_Iterable[_Union[MetricValue, _Mapping]]] = ..., example_count: _Optional[float] = ..., model_name: _Optional[str] = ..., data: _Optional[_Union[EvaluatedData, _Mapping]] = ..., evaluated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ManifestEntry(_message.Message):
    __slots__ = ("path", "size", "crc32c", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    size: int
    crc32c: int
    sha256: str
    def __init__(self, path: _Optional[str] = ..., size: _Optional[int] = ..., crc32c: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class SourceModel(_message.Message):
    __slots__ = ("uri", "digest", "size_bytes")
    URI_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    uri: str
    digest: str
    size_bytes: int
    def __init__(self, uri: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("pipeline_name", "run_id", "node_id", "exporter_version")
    PIPELINE_NAME_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    EXPORTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    pipeline_name: str
    run_id: str
    node_id: str
    exporter_version: str
    def __init__(self, pipeline_name: _Optional[str] = ..., run_id: _Optional[str] = ..., node_id: _Optional[str] = ..., exporter_version: _Optional[str] = ...) -> None: ...

class MetricComparison(_message.Message):
    __slots__ = ("metric", "direction", "candidate", "best", "improvement", "required", "candidate_lower_bound", "candidate_upper_bound", "best_lower_bound", "best_upper_bound", "significance")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    IMPROVEMENT_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    BEST_LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    BEST_UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    SIGNIFICANCE_FIELD_NUMBER: _ClassVar[int]
    metric: str
    direction: MetricDirection
    candidate: float
    best: float
    improvement: float
    required: float
    candidate_lower_bound: float
    candidate_upper_bound: float
    best_lower_bound: float
    best_upper_bound: float
    significance: SignificanceTest
    def __init__(self, metric: _Optional[str] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., candidate: _Optional[float] = ..., best: _Optional[float] = ..., improvement: _Optional[float] = ..., required: _Optional[float] = ..., candidate_lower_bound: _Optional[float] = ..., candidate_upper_bound: _Optional[float] = ..., best_lower_bound: _Optional[float] = ..., best_upper_bound: _Optional[float] = ..., significance: _Optional[_Union[SignificanceTest, _Mapping]] = ...) -> None: ...

class SignificanceTest(_message.Message):
    __slots__ = ("method", "alpha", "standard_error", "degrees_of_freedom", "lower_bound", "is_significant")
    class Method(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        METHOD_UNSPECIFIED: _ClassVar[SignificanceTest.Method]
        PAIRED: _ClassVar[SignificanceTest.Method]
        WELCH: _ClassVar[SignificanceTest.Method]
    METHOD_UNSPECIFIED: SignificanceTest.Method
    PAIRED: SignificanceTest.Method
    WELCH: SignificanceTest.Method
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    DEGREES_OF_FREEDOM_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    IS_SIGNIFICANT_FIELD_NUMBER: _ClassVar[int]
    method: SignificanceTest.Method
    alpha: float
    standard_error: float
    degrees_of_freedom: float
    lower_bound: float
    is_significant: bool
    def __init__(self, method: _Optional[_Union[SignificanceTest.Method, str]] = ..., alpha: _Optional[float] = ..., standard_error: _Optional[float] = ..., degrees_of_freedom: _Optional[float] = ..., lower_bound: _Optional[float] = ..., is_significant: bool = ...) -> None: ...

class GuardrailResult(_message.Message):
    __slots__ = ("metric", "direction", "slice", "candidate", "best", "worst_allowed", "holds", "explanation", "example_count", "best_fails")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    WORST_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEST_FAILS_FIELD_NUMBER: _ClassVar[int]
    metric: str
    direction: MetricDirection
    slice: Slice
    candidate: float
    best: float
    worst_allowed: float
    holds: bool
    explanation: str
    example_count: float
    best_fails: bool
    def __init__(self, metric: _Optional[str] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., slice: _Optional[_Union[Slice, _Mapping]] = ..., candidate: _Optional[float] = ..., best: _Optional[float] = ..., worst_allowed: _Optional[float] = ..., holds: bool = ..., explanation: _Optional[str] = ..., example_count: _Optional[float] = ..., best_fails: bool = ...) -> None: ...

class FailedThreshold(_message.Message):
    __slots__ = ("metric", "slice", "value", "is_change", "lower_bound", "upper_bound", "explanation")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    IS_CHANGE_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    metric: str
    slice: Slice
    value: float
    is_change: bool
    lower_bound: float
    upper_bound: float
    explanation: str
    def __init__(self, metric: _Optional[str] = ..., slice: _Optional[_Union[Slice, _Mapping]] = ..., value: _Optional[float] = ..., is_change: bool = ..., lower_bound: _Optional[float] = ..., upper_bound: _Optional[float] = ..., explanation: _Optional[str] = ...) -> None: ...

class SliceChange(_message.Message):
    __slots__ = ("slice", "metric", "candidate", "best", "improvement", "example_count", "improvement_lower_bound", "improvement_upper_bound")
    SLICE_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    IMPROVEMENT_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    IMPROVEMENT_LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    IMPROVEMENT_UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    slice: Slice
    metric: str
    candidate: float
    best: float
    improvement: float
    example_count: float
    improvement_lower_bound: float
    improvement_upper_bound: float
    def __init__(self, slice: _Optional[_Union[Slice, _Mapping]] = ..., metric: _Optional[str] = ..., candidate: _Optional[float] = ..., best: _Optional[float] = ..., improvement: _Optional[float] = ..., example_count: _Optional[float] = ..., improvement_lower_bound: _Optional[float] = ..., improvement_upper_bound: _Optional[float] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ("version", "exported_at", "metric", "value", "lower_bound", "upper_bound", "retired")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    version: int
    exported_at: _timestamp_pb2.Timestamp
    metric: str
    value: float
    lower_bound: float
    upper_bound: float
    retired: bool
    def __init__(self, version: _Optional[int] = ..., exported_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metric: _Optional[str] = ..., value: _Optional[float] = ..., lower_bound: _Optional[float] = ..., upper_bound: _Optional[float] = ..., retired: bool = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("decided_at", "reason", "explanation", "metric", "value", "digest", "run_id")
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    decided_at: _timestamp_pb2.Timestamp
    reason: str
    explanation: str
    metric: str
    value: float
    digest: str
    run_id: str
    def __init__(self, decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., explanation: _Optional[str] = ..., metric: _Optional[str] = ..., value: _Optional[float] = ..., digest: _Optional[str] = ..., run_id: _Optional[str] = ...) -> None: ...

class ExportDecision(_message.Message):
    __slots__ = ("schema_version", "exported", "reason", "explanation", "base_directory", "version", "candidate", "candidate_evaluation", "best", "comparisons", "retired", "kept", "warnings", "decided_at", "provenance", "basis", "guardrails", "slices", "slice_count", "signature_changes", "history", "compare_policy", "guardrail_count", "refusals", "default_rule", "failed_thresholds", "challenger_evidence", "exported_challenger", "recommendations")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[ExportDecision.Reason]
        FIRST_EXPORT: _ClassVar[ExportDecision.Reason]
        BETTER: _ClassVar[ExportDecision.Reason]
        BEST_IS_NAN: _ClassVar[ExportDecision.Reason]
        BEST_UNKNOWN_EXPORTED: _ClassVar[ExportDecision.Reason]
        ALREADY_BEST: _ClassVar[ExportDecision.Reason]
        NOT_BETTER: _ClassVar[ExportDecision.Reason]
        NOT_BLESSED: _ClassVar[ExportDecision.Reason]
        BLESSING_NOT_COMPUTED: _ClassVar[ExportDecision.Reason]
        CANDIDATE_IS_NAN: _ClassVar[ExportDecision.Reason]
        BEST_UNKNOWN_KEPT: _ClassVar[ExportDecision.Reason]
        FORCED: _ClassVar[ExportDecision.Reason]
        GUARDRAIL_FAILED: _ClassVar[ExportDecision.Reason]
        NOT_SIGNIFICANT: _ClassVar[ExportDecision.Reason]
        NOT_COMPARABLE: _ClassVar[ExportDecision.Reason]
        TOO_FEW_EXAMPLES: _ClassVar[ExportDecision.Reason]
        SIGNATURES_CHANGED: _ClassVar[ExportDecision.Reason]
        BEST_EVALUATION_TOO_OLD: _ClassVar[ExportDecision.Reason]
        BEING_WRITTEN: _ClassVar[ExportDecision.Reason]
        REEXPORTED: _ClassVar[ExportDecision.Reason]
        ON_HOLD: _ClassVar[ExportDecision.Reason]
        REJECTED: _ClassVar[ExportDecision.Reason]
        AWAITING_APPROVAL: _ClassVar[ExportDecision.Reason]
        EXPORTED_RECENTLY: _ClassVar[ExportDecision.Reason]
        OLDER_DATA: _ClassVar[ExportDecision.Reason]
        BEST_TOO_OLD: _ClassVar[ExportDecision.Reason]
        CHALLENGER_BETTER: _ClassVar[ExportDecision.Reason]
        KEPT_AS_CHALLENGER: _ClassVar[ExportDecision.Reason]
    REASON_UNSPECIFIED: ExportDecision.Reason
    FIRST_EXPORT: ExportDecision.Reason
    BETTER: ExportDecision.Reason
    BEST_IS_NAN: ExportDecision.Reason
    BEST_UNKNOWN_EXPORTED: ExportDecision.Reason
    ALREADY_BEST: ExportDecision.Reason
    NOT_BETTER: ExportDecision.Reason
    NOT_BLESSED: ExportDecision.Reason
    BLESSING_NOT_COMPUTED: ExportDecision.Reason
    CANDIDATE_IS_NAN: ExportDecision.Reason
    BEST_UNKNOWN_KEPT: ExportDecision.Reason
    FORCED: ExportDecision.Reason
    GUARDRAIL_FAILED: ExportDecision.Reason
    NOT_SIGNIFICANT: ExportDecision.Reason
    NOT_COMPARABLE: ExportDecision.Reason
    TOO_FEW_EXAMPLES: ExportDecision.Reason
    SIGNATURES_CHANGED: ExportDecision.Reason
    BEST_EVALUATION_TOO_OLD: ExportDecision.Reason
    BEING_WRITTEN: ExportDecision.Reason
    REEXPORTED: ExportDecision.Reason
    ON_HOLD: ExportDecision.Reason
    REJECTED: ExportDecision.Reason
    AWAITING_APPROVAL: ExportDecision.Reason
    EXPORTED_RECENTLY: ExportDecision.Reason
    OLDER_DATA: ExportDecision.Reason
    BEST_TOO_OLD: ExportDecision.Reason
    CHALLENGER_BETTER: ExportDecision.Reason
    KEPT_AS_CHALLENGER: ExportDecision.Reason
    class Basis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        BASIS_UNSPECIFIED: _ClassVar[ExportDecision.Basis]
        SAME_EVALUATION: _ClassVar[ExportDecision.Basis]
        EVALUATED_AGAIN: _ClassVar[ExportDecision.Basis]
        RECORDED_SAME_DATA: _ClassVar[ExportDecision.Basis]
        RECORDED_OTHER_DATA: _ClassVar[ExportDecision.Basis]
    BASIS_UNSPECIFIED: ExportDecision.Basis
    SAME_EVALUATION: ExportDecision.Basis
    EVALUATED_AGAIN: ExportDecision.Basis
    RECORDED_SAME_DATA: ExportDecision.Basis
    RECORDED_OTHER_DATA: ExportDecision.Basis
    class Best(_message.Message):
        __slots__ = ("version", "path", "model", "evaluation", "pushed_model_uri", "has_record", "compare_policy", "recorded_data", "recorded_example_count")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        PATH_FIELD_NUMBER: _ClassVar[int]
        MODEL_FIELD_NUMBER: _ClassVar[int]
        EVALUATION_FIELD_NUMBER: _ClassVar[int]
        PUSHED_MODEL_URI_FIELD_NUMBER: _ClassVar[int]
        HAS_RECORD_FIELD_NUMBER: _ClassVar[int]
        COMPARE_POLICY_FIELD_NUMBER: _ClassVar[int]
        RECORDED_DATA_FIELD_NUMBER: _ClassVar[int]
        RECORDED_EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
        version: int
        path: str
        model: SourceModel
        evaluation: Evaluation
        pushed_model_uri: str
        has_record: bool
        compare_policy: ComparePolicy
        recorded_data: EvaluatedData
        recorded_example_count: float
        def __init__(self, version: _Optional[int] = ..., path: _Optional[str] = ..., model: _Optional[_Union[SourceModel, _Mapping]] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., pushed_model_uri: _Optional[str] = ..., has_record: bool = ..., compare_policy: _Optional[_Union[ComparePolicy, _Mapping]] = ..., recorded_data: _Optional[_Union[EvaluatedData, _Mapping]] = ..., recorded_example_count: _Optional[float] = ...) -> None: ...
    class Retired(_message.Message):
        __slots__ = ("version", "why", "error")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        WHY_FIELD_NUMBER: _ClassVar[int]
        ERROR_FIELD_NUMBER: _ClassVar[int]
        version: int
        why: str
        error: str
        def __init__(self, version: _Optional[int] = ..., why: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...
    class Kept(_message.Message):
        __slots__ = ("version", "why")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        WHY_FIELD_NUMBER: _ClassVar[int]
        version: int
        why: str
        def __init__(self, version: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    BASE_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_EVALUATION_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    RETIRED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    GUARDRAILS_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    SLICE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_CHANGES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    COMPARE_POLICY_FIELD_NUMBER: _ClassVar[int]
    GUARDRAIL_COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_RULE_FIELD_NUMBER: _ClassVar[int]
    FAILED_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    CHALLENGER_EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_CHALLENGER_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATIONS_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    exported: bool
    reason: ExportDecision.Reason
    explanation: str
    base_directory: str
    version: int
    candidate: SourceModel
    candidate_evaluation: Evaluation
    best: ExportDecision.Best
    comparisons: _containers.RepeatedCompositeFieldContainer[MetricComparison]
    retired: _containers.RepeatedCompositeFieldContainer[ExportDecision.Retired]
    kept: _containers.RepeatedCompositeFieldContainer[ExportDecision.Kept]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    decided_at: _timestamp_pb2.Timestamp
    provenance: Provenance
    basis: ExportDecision.Basis
    guardrails: _containers.RepeatedCompositeFieldContainer[GuardrailResult]
    slices: _containers.RepeatedCompositeFieldContainer[SliceChange]
    slice_count: int
    signature_changes: _containers.RepeatedScalarFieldContainer[str]
    history: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    compare_policy: ComparePolicy
    guardrail_count: int
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    default_rule: DefaultRule
    failed_thresholds: _containers.RepeatedCompositeFieldContainer[FailedThreshold]
    challenger_evidence: ChallengerEvidence
    exported_challenger: SourceModel
    recommendations: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, schema_version: _Optional[int] = ..., exported: bool = ..., reason: _Optional[_Union[ExportDecision.Reason, str]] = ..., explanation: _Optional[str] = ..., base_directory: _Optional[str] = ..., version: _Optional[int] = ..., candidate: _Optional[_Union[SourceModel, _Mapping]] = ..., candidate_evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., best: _Optional[_Union[ExportDecision.Best, _Mapping]] = ..., comparisons: _Optional[_Iterable[_Union[MetricComparison, _Mapping]]] = ..., retired: _Optional[_Iterable[_Union[ExportDecision.Retired, _Mapping]]] = ..., kept: _Optional[_Iterable[_Union[ExportDecision.Kept, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., basis: _Optional[_Union[ExportDecision.Basis, str]] = ..., guardrails: _Optional[_Iterable[_Union[GuardrailResult, _Mapping]]] = ..., slices: _Optional[_Iterable[_Union[SliceChange, _Mapping]]] = ..., slice_count: _Optional[int] = ..., signature_changes: _Optional[_Iterable[str]] = ..., history: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ..., compare_policy: _Optional[_Union[ComparePolicy, _Mapping]] = ..., guardrail_count: _Optional[int] = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., default_rule: _Optional[_Union[DefaultRule, _Mapping]] = ..., failed_thresholds: _Optional[_Iterable[_Union[FailedThreshold, _Mapping]]] = ..., challenger_evidence: _Optional[_Union[ChallengerEvidence, _Mapping]] = ..., exported_challenger: _Optional[_Union[SourceModel, _Mapping]] = ..., recommendations: _Optional[_Iterable[str]] = ...) -> None: ...

class ChallengerEvidence(_message.Message):
    __slots__ = ("metric", "direction", "alpha", "guarantee", "is_pooled", "consistency", "standings")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    IS_POOLED_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    STANDINGS_FIELD_NUMBER: _ClassVar[int]
    metric: str
    direction: MetricDirection
    alpha: float
    guarantee: bool
    is_pooled: bool
    consistency: float
    standings: _containers.RepeatedCompositeFieldContainer[ModelStanding]
    def __init__(self, metric: _Optional[str] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., alpha: _Optional[float] = ..., guarantee: bool = ..., is_pooled: bool = ..., consistency: _Optional[float] = ..., standings: _Optional[_Iterable[_Union[ModelStanding, _Mapping]]] = ...) -> None: ...

class ModelStanding(_message.Message):
    __slots__ = ("model", "is_candidate", "trained_at", "run_id", "run_count", "gain", "gain_error", "chance_no_better", "difference", "difference_error", "log_e_value", "runs", "next", "why", "value")
    class Next(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NEXT_UNSPECIFIED: _ClassVar[ModelStanding.Next]
        EXPORTED: _ClassVar[ModelStanding.Next]
        KEPT: _ClassVar[ModelStanding.Next]
        DROPPED: _ClassVar[ModelStanding.Next]
        STAGED: _ClassVar[ModelStanding.Next]
    NEXT_UNSPECIFIED: ModelStanding.Next
    EXPORTED: ModelStanding.Next
    KEPT: ModelStanding.Next
    DROPPED: ModelStanding.Next
    STAGED: ModelStanding.Next
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IS_CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    TRAINED_AT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_COUNT_FIELD_NUMBER: _ClassVar[int]
    GAIN_FIELD_NUMBER: _ClassVar[int]
    GAIN_ERROR_FIELD_NUMBER: _ClassVar[int]
    CHANCE_NO_BETTER_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_ERROR_FIELD_NUMBER: _ClassVar[int]
    LOG_E_VALUE_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    model: SourceModel
    is_candidate: bool
    trained_at: _timestamp_pb2.Timestamp
    run_id: str
    run_count: int
    gain: float
    gain_error: float
    chance_no_better: float
    difference: float
    difference_error: float
    log_e_value: float
    runs: _containers.RepeatedCompositeFieldContainer[RunDifference]
    next: ModelStanding.Next
    why: str
    value: float
    def __init__(self, model: _Optional[_Union[SourceModel, _Mapping]] = ..., is_candidate: bool = ..., trained_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., run_id: _Optional[str] = ..., run_count: _Optional[int] = ..., gain: _Optional[float] = ..., gain_error: _Optional[float] = ..., chance_no_better: _Optional[float] = ..., difference: _Optional[float] = ..., difference_error: _Optional[float] = ..., log_e_value: _Optional[float] = ..., runs: _Optional[_Iterable[_Union[RunDifference, _Mapping]]] = ..., next: _Optional[_Union[ModelStanding.Next, str]] = ..., why: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class RunDifference(_message.Message):
    __slots__ = ("data", "measured_at", "run_id", "difference", "standard_error")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    data: str
    measured_at: _timestamp_pb2.Timestamp
    run_id: str
    difference: float
    standard_error: float
    def __init__(self, data: _Optional[str] = ..., measured_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., run_id: _Optional[str] = ..., difference: _Optional[float] = ..., standard_error: _Optional[float] = ...) -> None: ...

class ChallengerLedger(_message.Message):
    __slots__ = ("schema_version", "eval_config_digest", "rule", "rows")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    EVAL_CONFIG_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    eval_config_digest: str
    rule: MetricRule
    rows: _containers.RepeatedCompositeFieldContainer[LedgerRow]
    def __init__(self, schema_version: _Optional[int] = ..., eval_config_digest: _Optional[str] = ..., rule: _Optional[_Union[MetricRule, _Mapping]] = ..., rows: _Optional[_Iterable[_Union[LedgerRow, _Mapping]]] = ...) -> None: ...

class LedgerRow(_message.Message):
    __slots__ = ("data", "example_count", "best_digest", "models", "measured_at", "run_id")
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    data: str
    example_count: float
    best_digest: str
    models: _containers.RepeatedCompositeFieldContainer[MeasuredModel]
    measured_at: _timestamp_pb2.Timestamp
    run_id: str
    def __init__(self, data: _Optional[str] = ..., example_count: _Optional[float] = ..., best_digest: _Optional[str] = ..., models: _Optional[_Iterable[_Union[MeasuredModel, _Mapping]]] = ..., measured_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., run_id: _Optional[str] = ...) -> None: ...

class MeasuredModel(_message.Message):
    __slots__ = ("digest", "value", "standard_error", "degrees_of_freedom")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    DEGREES_OF_FREEDOM_FIELD_NUMBER: _ClassVar[int]
    digest: str
    value: float
    standard_error: float
    degrees_of_freedom: float
    def __init__(self, digest: _Optional[str] = ..., value: _Optional[float] = ..., standard_error: _Optional[float] = ..., degrees_of_freedom: _Optional[float] = ...) -> None: ...

class Challenger(_message.Message):
    __slots__ = ("schema_version", "record", "kept_at")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    KEPT_AT_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    record: ExportRecord
    kept_at: _timestamp_pb2.Timestamp
    def __init__(self, schema_version: _Optional[int] = ..., record: _Optional[_Union[ExportRecord, _Mapping]] = ..., kept_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OperatorAction(_message.Message):
    __slots__ = ("operator", "reason", "at")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    operator: str
    reason: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, operator: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("schema_version", "action", "until")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    action: OperatorAction
    until: _timestamp_pb2.Timestamp
    def __init__(self, schema_version: _Optional[int] = ..., action: _Optional[_Union[OperatorAction, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("schema_version", "action", "digest", "version", "model_uri")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_URI_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    action: OperatorAction
    digest: str
    version: int
    model_uri: str
    def __init__(self, schema_version: _Optional[int] = ..., action: _Optional[_Union[OperatorAction, _Mapping]] = ..., digest: _Optional[str] = ..., version: _Optional[int] = ..., model_uri: _Optional[str] = ...) -> None: ...

class Pin(_message.Message):
    __slots__ = ("schema_version", "action", "version")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    action: OperatorAction
    version: int
    def __init__(self, schema_version: _Optional[int] = ..., action: _Optional[_Union[OperatorAction, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("schema_version", "action", "version")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    action: OperatorAction
    version: int
    def __init__(self, schema_version: _Optional[int] = ..., action: _Optional[_Union[OperatorAction, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class Withdrawal(_message.Message):
    __slots__ = ("schema_version", "action", "version", "state", "digest", "record", "files", "rejects_model")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Withdrawal.State]
        WITHDRAWING: _ClassVar[Withdrawal.State]
        WITHDRAWN: _ClassVar[Withdrawal.State]
        RESTORING: _ClassVar[Withdrawal.State]
        PURGED: _ClassVar[Withdrawal.State]
    STATE_UNSPECIFIED: Withdrawal.State
    WITHDRAWING: Withdrawal.State
    WITHDRAWN: Withdrawal.State
    RESTORING: Withdrawal.State
    PURGED: Withdrawal.State
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    REJECTS_MODEL_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    action: OperatorAction
    version: int
    state: Withdrawal.State
    digest: str
    record: ExportRecord
    files: _containers.RepeatedScalarFieldContainer[str]
    rejects_model: bool
    def __init__(self, schema_version: _Optional[int] = ..., action: _Optional[_Union[OperatorAction, _Mapping]] = ..., version: _Optional[int] = ..., state: _Optional[_Union[Withdrawal.State, str]] = ..., digest: _Optional[str] = ..., record: _Optional[_Union[ExportRecord, _Mapping]] = ..., files: _Optional[_Iterable[str]] = ..., rejects_model: bool = ...) -> None: ...

class AwaitingApproval(_message.Message):
    __slots__ = ("schema_version", "record", "staged_at", "expires_at", "best_version", "best_digest")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    STAGED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    BEST_VERSION_FIELD_NUMBER: _ClassVar[int]
    BEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    record: ExportRecord
    staged_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    best_version: int
    best_digest: str
    def __init__(self, schema_version: _Optional[int] = ..., record: _Optional[_Union[ExportRecord, _Mapping]] = ..., staged_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., best_version: _Optional[int] = ..., best_digest: _Optional[str] = ...) -> None: ...

class ExtraAsset(_message.Message):
    __slots__ = ("destination", "digest")
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    destination: str
    digest: str
    def __init__(self, destination: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class Recipe(_message.Message):
    __slots__ = ("as_text", "assets_extra", "serving_signatures_fn", "resaved")
    AS_TEXT_FIELD_NUMBER: _ClassVar[int]
    ASSETS_EXTRA_FIELD_NUMBER: _ClassVar[int]
    SERVING_SIGNATURES_FN_FIELD_NUMBER: _ClassVar[int]
    RESAVED_FIELD_NUMBER: _ClassVar[int]
    as_text: bool
    assets_extra: _containers.RepeatedCompositeFieldContainer[ExtraAsset]
    serving_signatures_fn: str
    resaved: bool
    def __init__(self, as_text: bool = ..., assets_extra: _Optional[_Iterable[_Union[ExtraAsset, _Mapping]]] = ..., serving_signatures_fn: _Optional[str] = ..., resaved: bool = ...) -> None: ...

class ExportRecord(_message.Message):
    __slots__ = ("schema_version", "version", "name", "exported_at", "model", "evaluation", "manifest", "decision", "provenance", "pushed_model_uri", "recipe", "servable_checked", "promotion", "approval", "adoption")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_AT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    PUSHED_MODEL_URI_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    SERVABLE_CHECKED_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    ADOPTION_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    version: int
    name: str
    exported_at: _timestamp_pb2.Timestamp
    model: SourceModel
    evaluation: Evaluation
    manifest: _containers.RepeatedCompositeFieldContainer[ManifestEntry]
    decision: ExportDecision
    provenance: Provenance
    pushed_model_uri: str
    recipe: Recipe
    servable_checked: bool
    promotion: OperatorAction
    approval: OperatorAction
    adoption: OperatorAction
    def __init__(self, schema_version: _Optional[int] = ..., version: _Optional[int] = ..., name: _Optional[str] = ..., exported_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[_Union[SourceModel, _Mapping]] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., manifest: _Optional[_Iterable[_Union[ManifestEntry, _Mapping]]] = ..., decision: _Optional[_Union[ExportDecision, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., pushed_model_uri: _Optional[str] = ..., recipe: _Optional[_Union[Recipe, _Mapping]] = ..., servable_checked: bool = ..., promotion: _Optional[_Union[OperatorAction, _Mapping]] = ..., approval: _Optional[_Union[OperatorAction, _Mapping]] = ..., adoption: _Optional[_Union[OperatorAction, _Mapping]] = ...) -> None: ...

class Tombstone(_message.Message):
    __slots__ = ("schema_version", "record", "retired_at", "why", "files_deleted", "files")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    RETIRED_AT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    FILES_DELETED_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    record: ExportRecord
    retired_at: _timestamp_pb2.Timestamp
    why: str
    files_deleted: bool
    files: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, schema_version: _Optional[int] = ..., record: _Optional[_Union[ExportRecord, _Mapping]] = ..., retired_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ..., files_deleted: bool = ..., files: _Optional[_Iterable[str]] = ...) -> None: ...
