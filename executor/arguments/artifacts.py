"""The artifacts that a step is given, as values, and TFX's rules for the paths inside them."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping
from typing import Any

# The custom property that TFX's publisher and its containers set on every output. It is
# ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY of tfx.types.artifact_utils.
TFX_VERSION_PROPERTY = "tfx_version"

# Directories as in tfx.utils.path_constants, and as in tfx.utils.path_utils for old artifacts.
_SERVING_MODEL_DIRECTORY = "Format-Serving"
_OLD_SERVING_MODEL_DIRECTORY = "serving_model_dir"
_STAMPED_MODEL_DIRECTORY = "stamped_model"
# _ARTIFACT_VERSION_FOR_MODEL_UPDATE of tfx.types.standard_artifact_utils: TFX of this version and
# later writes Format-Serving.
_MODEL_UPDATE_VERSION = "0.29.0.dev"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InputArtifact:
    """One artifact of an input channel.

    A number is an int where ML Metadata stores an integer, and a float where it was JSON, as on
    Kubeflow Pipelines and Vertex AI.

    Attributes:
        uri: Directory with its files.
        properties: Those that its type declares.
        custom_properties: All others.
        is_published: Whether ML Metadata knows its state. TFX takes every other artifact for one
            that this version of TFX wrote.
    """

    uri: str
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    custom_properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_published: bool = False

    def int_custom_property(self, name: str) -> int:
        """Returns a custom property as an integer; 0 if it is missing or not a number."""
        value = self.custom_properties.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return 0
        return int(value)


def serving_model_directory(model: InputArtifact) -> str:
    """Returns the directory of a Model artifact in which its SavedModel lies.

    As `serving_model_dir` and `is_old_model_artifact` of tfx.utils.path_utils.

    Args:
        model: A Model artifact.
    """
    directory = _OLD_SERVING_MODEL_DIRECTORY if _is_old(model) else _SERVING_MODEL_DIRECTORY
    return posixpath.join(model.uri, directory)


def stamped_model_directory(infra_blessing_uri: str) -> str:
    """Returns the directory of an InfraBlessing in which its warmed-up SavedModel lies.

    As `stamped_model_path` of tfx.utils.path_utils.
    """
    return posixpath.join(infra_blessing_uri, _STAMPED_MODEL_DIRECTORY)


def _is_old(artifact: InputArtifact) -> bool:
    if not artifact.is_published:
        return False
    written_by = artifact.custom_properties.get(TFX_VERSION_PROPERTY)
    if written_by is None:
        return True
    # Containers, where nothing is published, do not pay for this import.
    from packaging import version

    return version.parse(str(written_by)) < version.parse(_MODEL_UPDATE_VERSION)
