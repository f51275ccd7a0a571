"""Input artifacts as values, and TFX's rules for the paths inside them."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

# Custom property that TFX's publisher and its containers set on every output. Its source is
# ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY of tfx.types.artifact_utils.
TFX_VERSION_PROPERTY = "tfx_version"

# Directory names from tfx.utils.path_constants, and from tfx.utils.path_utils for old artifacts.
_SERVING_MODEL_DIRECTORY = "Format-Serving"
_OLD_SERVING_MODEL_DIRECTORY = "serving_model_dir"
_STAMPED_MODEL_DIRECTORY = "stamped_model"
# First version of TFX that writes Format-Serving. Its source is
# _ARTIFACT_VERSION_FOR_MODEL_UPDATE of tfx.types.standard_artifact_utils.
_MODEL_UPDATE_VERSION = "0.29.0.dev"
# Its source is SPAN_PROPERTY_NAME of tfx.components.example_gen.utils.
_SPAN_PROPERTY = "span"
# Spans are stored as int64.
_LIMIT_OF_SPANS = 2**63


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputArtifact:
    """One artifact of an input channel.

    Numeric properties are int if ML Metadata stores an integer. They are float on Kubeflow
    Pipelines and Vertex AI, which pass properties as JSON.

    Attributes:
        uri: URI of the directory with the artifact's files.
        properties: Properties that the artifact's type declares.
        custom_properties: All other properties.
        artifact_id: ID in ML Metadata, or the name in the metadata store of Kubeflow Pipelines or
            Vertex AI; 0 if it is not known.
        is_published: True if ML Metadata knows the artifact's state. TFX assumes that every other
            artifact was written by the running version of TFX.
    """

    uri: str
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    custom_properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    artifact_id: int | str = 0
    is_published: bool = False

    def int_custom_property(self, name: str) -> int:
        """Returns a custom property as an integer; 0 if it is missing or not a number."""
        value = self.custom_properties.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return 0
        return int(value)


def span_of(examples: Sequence[InputArtifact]) -> int | None:
    """Returns the largest span of some Examples artifacts; None if one has no known span.

    ExampleGen sets a custom property, although the artifact type declares a property of that name.
    """
    spans = [_span(artifact) for artifact in examples]
    known = [span for span in spans if span is not None]
    return max(known, default=None) if len(known) == len(spans) else None


def _span(examples: InputArtifact) -> int | None:
    for properties in (examples.custom_properties, examples.properties):
        value = properties.get(_SPAN_PROPERTY)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if abs(value) < _LIMIT_OF_SPANS and value == int(value):
            return int(value)
    return None


def serving_model_directory(model: InputArtifact) -> str:
    """Returns the URI of the SavedModel directory of a Model artifact.

    The rule is that of `serving_model_dir` and `is_old_model_artifact` in tfx.utils.path_utils.

    Args:
        model: A Model artifact.
    """
    directory = _OLD_SERVING_MODEL_DIRECTORY if _is_old(model) else _SERVING_MODEL_DIRECTORY
    return posixpath.join(model.uri, directory)


def stamped_model_directory(infra_blessing_uri: str) -> str:
    """Returns the URI of the warmed-up SavedModel of an InfraBlessing.

    The rule is that of `stamped_model_path` in tfx.utils.path_utils.

    Args:
        infra_blessing_uri: URI of the InfraBlessing artifact.
    """
    return posixpath.join(infra_blessing_uri, _STAMPED_MODEL_DIRECTORY)


def _is_old(artifact: InputArtifact) -> bool:
    if not artifact.is_published:
        return False
    written_by = artifact.custom_properties.get(TFX_VERSION_PROPERTY)
    if written_by is None:
        return True
    # The import is local because containers never get here: their artifacts are not published.
    from packaging import version

    return version.parse(str(written_by)) < version.parse(_MODEL_UPDATE_VERSION)
