from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExecutorInput(_message.Message):
    __slots__ = ("inputs", "outputs")
    class Inputs(_message.Message):
        __slots__ = ("parameters", "artifacts", "parameter_values")
        class ParametersEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: Value
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
        class ArtifactsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: ArtifactList
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ArtifactList, _Mapping]] = ...) -> None: ...
        class ParameterValuesEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: _struct_pb2.Value
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
        PARAMETERS_FIELD_NUMBER: _ClassVar[int]
        ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
        PARAMETER_VALUES_FIELD_NUMBER: _ClassVar[int]
        parameters: _containers.MessageMap[str, Value]
        artifacts: _containers.MessageMap[str, ArtifactList]
        parameter_values: _containers.MessageMap[str, _struct_pb2.Value]
        def __init__(self, parameters: _Optional[_Mapping[str, Value]] = ..., artifacts: _Optional[_Mapping[str, ArtifactList]] = ..., parameter_values: _Optional[_Mapping[str, _struct_pb2.Value]] = ...) -> None: ...
    class Outputs(_message.Message):
        __slots__ = ("artifacts", "output_file")
        class ArtifactsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: ArtifactList
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ArtifactList, _Mapping]] = ...) -> None: ...
        ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_FILE_FIELD_NUMBER: _ClassVar[int]
        artifacts: _containers.MessageMap[str, ArtifactList]
        output_file: str
        def __init__(self, artifacts: _Optional[_Mapping[str, ArtifactList]] = ..., output_file: _Optional[str] = ...) -> None: ...
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    inputs: ExecutorInput.Inputs
    outputs: ExecutorInput.Outputs
    def __init__(self, inputs: _Optional[_Union[ExecutorInput.Inputs, _Mapping]] = ..., outputs: _Optional[_Union[ExecutorInput.Outputs, _Mapping]] = ...) -> None: ...

class ExecutorOutput(_message.Message):
    __slots__ = ("artifacts",)
    class ArtifactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ArtifactList
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ArtifactList, _Mapping]] = ...) -> None: ...
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.MessageMap[str, ArtifactList]
    def __init__(self, artifacts: _Optional[_Mapping[str, ArtifactList]] = ...) -> None: ...

class ArtifactList(_message.Message):
    __slots__ = ("artifacts",)
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[RuntimeArtifact]
    def __init__(self, artifacts: _Optional[_Iterable[_Union[RuntimeArtifact, _Mapping]]] = ...) -> None: ...

class RuntimeArtifact(_message.Message):
    __slots__ = ("name", "uri", "properties", "custom_properties", "metadata")
    class PropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    class CustomPropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    uri: str
    properties: _containers.MessageMap[str, Value]
    custom_properties: _containers.MessageMap[str, Value]
    metadata: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., uri: _Optional[str] = ..., properties: _Optional[_Mapping[str, Value]] = ..., custom_properties: _Optional[_Mapping[str, Value]] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("int_value", "double_value", "string_value")
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    int_value: int
    double_value: float
    string_value: str
    def __init__(self, int_value: _Optional[int] = ..., double_value: _Optional[float] = ..., string_value: _Optional[str] = ...) -> None: ...

class ComponentInputsSpec(_message.Message):
    __slots__ = ("parameters",)
    class ParameterSpec(_message.Message):
        __slots__ = ("parameter_type",)
        PARAMETER_TYPE_FIELD_NUMBER: _ClassVar[int]
        parameter_type: ParameterType.ParameterTypeEnum
        def __init__(self, parameter_type: _Optional[_Union[ParameterType.ParameterTypeEnum, str]] = ...) -> None: ...
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ComponentInputsSpec.ParameterSpec
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ComponentInputsSpec.ParameterSpec, _Mapping]] = ...) -> None: ...
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    parameters: _containers.MessageMap[str, ComponentInputsSpec.ParameterSpec]
    def __init__(self, parameters: _Optional[_Mapping[str, ComponentInputsSpec.ParameterSpec]] = ...) -> None: ...

class ParameterType(_message.Message):
    __slots__ = ()
    class ParameterTypeEnum(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PARAMETER_TYPE_ENUM_UNSPECIFIED: _ClassVar[ParameterType.ParameterTypeEnum]
        NUMBER_DOUBLE: _ClassVar[ParameterType.ParameterTypeEnum]
        NUMBER_INTEGER: _ClassVar[ParameterType.ParameterTypeEnum]
        STRING: _ClassVar[ParameterType.ParameterTypeEnum]
        BOOLEAN: _ClassVar[ParameterType.ParameterTypeEnum]
        LIST: _ClassVar[ParameterType.ParameterTypeEnum]
        STRUCT: _ClassVar[ParameterType.ParameterTypeEnum]
        TASK_FINAL_STATUS: _ClassVar[ParameterType.ParameterTypeEnum]
    PARAMETER_TYPE_ENUM_UNSPECIFIED: ParameterType.ParameterTypeEnum
    NUMBER_DOUBLE: ParameterType.ParameterTypeEnum
    NUMBER_INTEGER: ParameterType.ParameterTypeEnum
    STRING: ParameterType.ParameterTypeEnum
    BOOLEAN: ParameterType.ParameterTypeEnum
    LIST: ParameterType.ParameterTypeEnum
    STRUCT: ParameterType.ParameterTypeEnum
    TASK_FINAL_STATUS: ParameterType.ParameterTypeEnum
    def __init__(self) -> None: ...
