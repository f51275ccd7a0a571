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
    __slots__ = ("metric", "direction", "min_absolute_change", "min_relative_change")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    MIN_ABSOLUTE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    MIN_RELATIVE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    metric: MetricKey
    direction: MetricDirection
    min_absolute_change: float
    min_relative_change: float
    def __init__(self, metric: _Optional[_Union[MetricKey, _Mapping]] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., min_absolute_change: _Optional[float] = ..., min_relative_change: _Optional[float] = ...) -> None: ...

class ComparePolicy(_message.Message):
    __slots__ = ("metric", "compare_fn", "on_unknown_best")
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
    METRIC_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FN_FIELD_NUMBER: _ClassVar[int]
    ON_UNKNOWN_BEST_FIELD_NUMBER: _ClassVar[int]
    metric: MetricRule
    compare_fn: str
    on_unknown_best: ComparePolicy.OnUnknownBest
    def __init__(self, metric: _Optional[_Union[MetricRule, _Mapping]] = ..., compare_fn: _Optional[str] = ..., on_unknown_best: _Optional[_Union[ComparePolicy.OnUnknownBest, str]] = ...) -> None: ...

class RetentionPolicy(_message.Message):
    __slots__ = ("keep_latest", "keep_younger_than_seconds", "keep_versions")
    KEEP_LATEST_FIELD_NUMBER: _ClassVar[int]
    KEEP_YOUNGER_THAN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    KEEP_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    keep_latest: int
    keep_younger_than_seconds: int
    keep_versions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, keep_latest: _Optional[int] = ..., keep_younger_than_seconds: _Optional[int] = ..., keep_versions: _Optional[_Iterable[int]] = ...) -> None: ...

class MetricValue(_message.Message):
    __slots__ = ("key", "value", "lower_bound", "upper_bound")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    UPPER_BOUND_FIELD_NUMBER: _ClassVar[int]
    key: MetricKey
    value: float
    lower_bound: float
    upper_bound: float
    def __init__(self, key: _Optional[_Union[MetricKey, _Mapping]] = ..., value: _Optional[float] = ..., lower_bound: _Optional[float] = ..., upper_bound: _Optional[float] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("uri", "source", "metrics", "example_count", "model_name")
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
    uri: str
    source: Evaluation.Source
    metrics: _containers.RepeatedCompositeFieldContainer[MetricValue]
    example_count: float
    model_name: str
    def __init__(self, uri: _Optional[str] = ..., source: _Optional[_Union[Evaluation.Source, str]] = ..., metrics: _Optional[_Iterable[_Union[MetricValue, _Mapping]]] = ..., example_count: _Optional[float] = ..., model_name: _Optional[str] = ...) -> None: ...

class ManifestEntry(_message.Message):
    __slots__ = ("path", "size", "crc32c")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    path: str
    size: int
    crc32c: int
    def __init__(self, path: _Optional[str] = ..., size: _Optional[int] = ..., crc32c: _Optional[int] = ...) -> None: ...

class SourceModel(_message.Message):
    __slots__ = ("uri", "digest")
    URI_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    uri: str
    digest: str
    def __init__(self, uri: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("metric", "direction", "candidate", "best", "improvement", "required")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    IMPROVEMENT_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    metric: str
    direction: MetricDirection
    candidate: float
    best: float
    improvement: float
    required: float
    def __init__(self, metric: _Optional[str] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., candidate: _Optional[float] = ..., best: _Optional[float] = ..., improvement: _Optional[float] = ..., required: _Optional[float] = ...) -> None: ...

class ExportDecision(_message.Message):
    __slots__ = ("schema_version", "exported", "reason", "explanation", "base_directory", "version", "candidate", "candidate_evaluation", "best", "comparisons", "retired", "kept", "warnings", "decided_at", "provenance")
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
    class Best(_message.Message):
        __slots__ = ("version", "path", "model", "evaluation", "pushed_model_uri", "has_record")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        PATH_FIELD_NUMBER: _ClassVar[int]
        MODEL_FIELD_NUMBER: _ClassVar[int]
        EVALUATION_FIELD_NUMBER: _ClassVar[int]
        PUSHED_MODEL_URI_FIELD_NUMBER: _ClassVar[int]
        HAS_RECORD_FIELD_NUMBER: _ClassVar[int]
        version: int
        path: str
        model: SourceModel
        evaluation: Evaluation
        pushed_model_uri: str
        has_record: bool
        def __init__(self, version: _Optional[int] = ..., path: _Optional[str] = ..., model: _Optional[_Union[SourceModel, _Mapping]] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., pushed_model_uri: _Optional[str] = ..., has_record: bool = ...) -> None: ...
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
    def __init__(self, schema_version: _Optional[int] = ..., exported: bool = ..., reason: _Optional[_Union[ExportDecision.Reason, str]] = ..., explanation: _Optional[str] = ..., base_directory: _Optional[str] = ..., version: _Optional[int] = ..., candidate: _Optional[_Union[SourceModel, _Mapping]] = ..., candidate_evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., best: _Optional[_Union[ExportDecision.Best, _Mapping]] = ..., comparisons: _Optional[_Iterable[_Union[MetricComparison, _Mapping]]] = ..., retired: _Optional[_Iterable[_Union[ExportDecision.Retired, _Mapping]]] = ..., kept: _Optional[_Iterable[_Union[ExportDecision.Kept, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ...) -> None: ...

class ExportRecord(_message.Message):
    __slots__ = ("schema_version", "version", "name", "exported_at", "model", "evaluation", "manifest", "decision", "provenance", "pushed_model_uri")
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
    def __init__(self, schema_version: _Optional[int] = ..., version: _Optional[int] = ..., name: _Optional[str] = ..., exported_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[_Union[SourceModel, _Mapping]] = ..., evaluation: _Optional[_Union[Evaluation, _Mapping]] = ..., manifest: _Optional[_Iterable[_Union[ManifestEntry, _Mapping]]] = ..., decision: _Optional[_Union[ExportDecision, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., pushed_model_uri: _Optional[str] = ...) -> None: ...

class Tombstone(_message.Message):
    __slots__ = ("schema_version", "record", "retired_at", "why")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    RETIRED_AT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    record: ExportRecord
    retired_at: _timestamp_pb2.Timestamp
    why: str
    def __init__(self, schema_version: _Optional[int] = ..., record: _Optional[_Union[ExportRecord, _Mapping]] = ..., retired_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., why: _Optional[str] = ...) -> None: ...
