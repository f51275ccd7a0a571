"""Keeps the evaluations of a run, so that it can make them before it takes the lock."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfx_best_exporter.executor.evaluations.best import NO_CHALLENGERS, Reevaluated
from tfx_best_exporter.executor.running.observe import Reevaluate
from tfx_best_exporter.executor.storage.location import Location


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    """The models of an evaluation.

    Attributes:
        export: URI of the export.
        files: Path, size and time of the last change of each of the export's files.
        candidate: URI of the candidate; empty if the export was evaluated alone.
        challengers: Content digest and URI of each challenger.
    """

    export: str
    files: frozenset[tuple[str, int, float]]
    candidate: str
    challengers: frozenset[tuple[str, str]]


class Measurements:
    """Evaluates an export and challengers, and makes no evaluation of the same models twice.

    An evaluation takes minutes to hours. A run makes it before it takes the lock, and then reads
    again what is served. If the models have changed in the meantime, the run evaluates again. An
    evaluation that failed is not repeated: it raises the same error.
    """

    def __init__(self, reevaluate: Reevaluate):
        """Makes Measurements; evaluates nothing.

        Args:
            reevaluate: Makes an evaluation.
        """
        self._reevaluate = reevaluate
        self._found: dict[_Models, Reevaluated | Exception] = {}

    def __call__(
        self,
        export: Location,
        candidate: Location | None,
        challengers: Mapping[str, Location] = NO_CHALLENGERS,
    ) -> Reevaluated:
        """Returns the evaluations; see Reevaluate.

        Raises:
            Exception: The evaluation failed, now or before.
        """
        # A person may edit a version in place. Its files are listed before they are evaluated.
        files = export.tree().files.items()
        models = _Models(
            export=export.uri,
            files=frozenset((path, status.size, status.changed_at) for path, status in files),
            candidate=candidate.uri if candidate else "",
            challengers=frozenset((digest, each.uri) for digest, each in challengers.items()),
        )
        if models not in self._found:
            self._found[models] = self._result_of(export, candidate, challengers)
        found = self._found[models]
        if isinstance(found, Exception):
            raise found
        return found

    def _result_of(
        self, export: Location, candidate: Location | None, challengers: Mapping[str, Location]
    ) -> Reevaluated | Exception:
        try:
            # A function of a caller that knows no challengers is not given any.
            if challengers:
                return self._reevaluate(export, candidate, challengers)
            return self._reevaluate(export, candidate)
        except Exception as error:
            # Beam and TFMA pass on every exception of the model's own code.
            return error
