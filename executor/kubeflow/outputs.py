"""Removes what an earlier attempt, or TensorFlow, leaves in the output directories of a step."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tfx_best_exporter.executor import keys
from tfx_best_exporter.executor.storage import location_of

_GS = "gs://"

_logger = logging.getLogger(__name__)


def remove_leftovers(output_uris: Mapping[str, str]) -> None:
    """Removes all files in the output directories of a step.

    A pod that is evicted and retried gets the same URIs. TFX's own runners remove the outputs of a
    failed execution too (remove_output_dirs of tfx.orchestration.portable.outputs_utils). The
    ModelRun of Trainer is kept, because a user's run_fn may continue from checkpoints in it.

    Args:
        output_uris: URI of each output, by channel.
    """
    for channel, uri in output_uris.items():
        if channel != keys.MODEL_RUN_KEY:
            try:
                _remove_files(uri)
            except (ImportError, OSError, ValueError) as error:
                # TFX may access the URI by a plug-in of which this package has no counterpart.
                _logger.warning("cannot remove files of an earlier attempt in %s: %s", uri, error)


def _remove_files(uri: str) -> None:
    location = location_of(uri)
    if found := location.sizes():
        _logger.warning("removing %d files of an earlier attempt in %s", len(found), uri)
        location.remove()


def remove_directory_markers(output_uris: Mapping[str, str]) -> None:
    """Deletes TensorFlow's empty objects for directories below outputs on gs://.

    The launcher of Kubeflow downloads such an object as a file, and then cannot make the directory
    of the same name: https://github.com/kubeflow/pipelines/issues/13476

    Args:
        output_uris: URI of each output, by channel.
    """
    for uri in output_uris.values():
        if not uri.startswith(_GS):
            continue
        # Other schemes do not need the client of Google Cloud Storage.
        from tfx_best_exporter.executor.storage.gs import GsStorage

        location = location_of(uri)
        if isinstance(location.storage, GsStorage):
            try:
                location.storage.remove_directory_markers(location.path)
            except OSError as error:
                # The outputs are complete. Only a launcher that copies them needs this.
                _logger.warning("cannot delete the markers of directories in %s: %s", uri, error)
