"""All reading that a decision needs: the candidate, what is served, and its evaluation."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tfx_best_exporter.executor.deciding.eval_result import EvalResult, SliceKey
from tfx_best_exporter.executor.deciding.models import Best, Blessing, Candidate, Observation
from tfx_best_exporter.executor.deciding.policy import Needs
from tfx_best_exporter.executor.evaluations import tfma
from tfx_best_exporter.executor.evaluations.best import Reevaluated, with_evaluation
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.directory import Export, ExportDirectory, Served
from tfx_best_exporter.executor.exports.records import EVALUATION_DIRECTORY, RecordError
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ForeignBest:
    """What is known from elsewhere of a best that has no record.

    Attributes:
        version: The export it is known of.
        eval_result: Its evaluation, or None.
        model_uri: Of the Model that was pushed; empty if that is not known.
    """

    version: int
    eval_result: EvalResult | None
    model_uri: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CandidateModel:
    """The candidate, and its files for the export.

    Attributes:
        model: Directory of the SavedModel.
        uri: Of the artifact that it belongs to.
        files: Of the SavedModel, with their digests; none for a candidate that is not blessed.
        candidate: The candidate's value for the decision.
    """

    model: Location
    uri: str
    files: Sequence[saved_model.ModelFile]
    candidate: Candidate


class Reevaluate(Protocol):
    """Evaluates an export on the candidate's examples."""

    def __call__(self, export: Location, candidate: Location | None) -> Reevaluated:
        """Returns the evaluation of the export.

        Args:
            export: Its version directory.
            candidate: Directory of the candidate's SavedModel, where both are to be evaluated
                together if the EvalConfig allows that: their differences then have intervals of
                their own.
        """
        ...


def observe_candidate(
    model: Location,
    uri: str,
    eval_result: EvalResult,
    blessings: Sequence[Blessing],
) -> CandidateModel:
    """Returns a candidate that was read and checked.

    Args:
        model: Directory of its SavedModel.
        uri: Of the artifact that it belongs to.
        eval_result: Its evaluation.
        blessings: Those that were given. A model that is not blessed is not touched: it need not
            even be there.

    Raises:
        InvalidModelError: The candidate is no complete SavedModel.
        OSError: It cannot be read.
    """
    candidate = Candidate(digest="", eval_result=eval_result, blessings=tuple(blessings))
    if not candidate.is_blessed:
        return CandidateModel(model=model, uri=uri, files=(), candidate=candidate)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        saved_model.check(model, Path(work_path))
    # A candidate that was an export once has a record already: it gets one of its own.
    files = [file for file in saved_model.files_of(model) if not file.is_reserved]
    candidate = dataclasses.replace(candidate, digest=saved_model.digest_of(files))
    return CandidateModel(model=model, uri=uri, files=files, candidate=candidate)


def observe(
    exports: ExportDirectory,
    candidate: Candidate,
    needs: Needs,
    *,
    comparability: pb.ComparePolicy.Comparability,
    foreign_best: ForeignBest | None = None,
    reevaluate: Callable[[Location], Reevaluated] | None = None,
) -> Observation:
    """Returns everything that a decision looks at, but serving signatures.

    Args:
        exports: The base directory.
        candidate: The candidate.
        needs: The values that the decision needs.
        comparability: Whether the best must be known on the candidate's data.
        foreign_best: What is known of a best without a record.
        reevaluate: Evaluates an export on the candidate's examples. Called only where candidate and
            best are going to be compared, and the candidate's own evaluation has no metrics of the
            best.

    Raises:
        RecordError: The best's record cannot be read.
        RuntimeError: The best could not be evaluated again, and that is required.
        OSError: Something cannot be read.
    """
    served = exports.served()
    warnings = list(served.warnings)
    best = None
    if served.export is not None:
        best, found = _best(served.export, served.record, foreign_best)
        warnings.extend(found)
        # Evaluating costs: only where the two are going to be compared.
        if candidate.is_blessed and best.digest != candidate.digest:
            best, found = _compared_best(
                best, served.export, candidate.eval_result, needs, comparability, reevaluate
            )
            warnings.extend(found)
    latest, found = _latest_record(exports, served) if best else (None, ())
    return Observation(
        candidate=candidate,
        best=best,
        versions=tuple(export.version for export in served.exports),
        largest_version=served.largest_version,
        latest_record=latest,
        warnings=(*warnings, *found),
    )


def _best(
    export: Export, record: pb.ExportRecord | None, foreign_best: ForeignBest | None
) -> tuple[Best, tuple[str, ...]]:
    """Returns the best with what is known of its evaluation without looking for more."""
    if record is not None:
        best = Best(
            version=export.version,
            digest=record.model.digest,
            eval_result=EvalResult.from_proto(record.evaluation),
            path=export.path,
            record=record,
        )
        return best, ()
    digest, warnings = "", ()
    try:
        digest = saved_model.digest_of(saved_model.files_of(export.location))
    except saved_model.InvalidModelError as error:
        # Somebody else's export need not be one that we would write.
        warnings = (str(error),)
    is_known = foreign_best is not None and foreign_best.version == export.version
    best = Best(
        version=export.version,
        digest=digest,
        eval_result=foreign_best.eval_result if foreign_best and is_known else None,
        is_foreign=True,
        path=export.path,
        model_uri=foreign_best.model_uri if foreign_best and is_known else "",
    )
    return best, warnings


def _compared_best(
    best: Best,
    export: Export,
    eval_result: EvalResult,
    needs: Needs,
    comparability: pb.ComparePolicy.Comparability,
    reevaluate: Callable[[Location], Reevaluated] | None,
) -> tuple[Best, tuple[str, ...]]:
    """Returns the best with everything that it is compared by."""
    recorded = best.eval_result
    found, warnings = with_evaluation(
        best,
        candidate=eval_result,
        model_uri=best.record.model.uri if best.record else best.model_uri,
        export_uri=export.path,
        needed=needs.metrics,
        has_content_of_best=lambda path: _has_digest(path, best.digest),
        reevaluate=(lambda: reevaluate(export.location)) if reevaluate else None,
        comparability=comparability,
    )
    if best.record is not None and found.eval_result is recorded and needs.slices:
        found = dataclasses.replace(
            found,
            eval_result=EvalResult.from_proto(
                best.record.evaluation, slices=_recorded_slices(export, best.record)
            ),
        )
    return found, warnings


def observe_signatures(
    observation: Observation, exports: ExportDirectory, model: CandidateModel
) -> Observation:
    """Returns an observation with the serving signatures of candidate and best.

    They lie in the largest files that a decision reads, and only a candidate that would be exported
    without them is compared by them.

    Args:
        observation: Without signatures.
        exports: The base directory.
        model: The candidate, with the files that the export will have.

    Raises:
        InvalidModelError: Those of the candidate cannot be read.
    """
    best = observation.best
    if best is None:
        return observation
    export = Export(version=best.version, base=exports.base)
    try:
        best = dataclasses.replace(best, signatures=_signatures_of_export(export))
    except saved_model.InvalidModelError as error:
        best = dataclasses.replace(best, signatures_problem=str(error))
    signatures = saved_model.signatures_of({file.path: file.source for file in model.files})
    candidate = dataclasses.replace(observation.candidate, signatures=signatures)
    return dataclasses.replace(observation, best=best, candidate=candidate)


def _recorded_slices(
    export: Export, record: pb.ExportRecord
) -> Callable[[], Mapping[SliceKey, EvalResult]]:
    """Returns the slices of the evaluation that an export holds, read now.

    Slices that cannot be read are an error only for what asks for them.
    """
    if record.evaluation.source != pb.Evaluation.TFMA:
        return dict
    try:
        slices = tfma.from_tfma(str(export.location / EVALUATION_DIRECTORY)).slices
    except ValueError as error:
        problem = error

        def fail() -> Mapping[SliceKey, EvalResult]:
            raise problem

        return fail
    return lambda: slices


def _signatures_of_export(export: Export) -> Mapping[str, saved_model.Signature]:
    sizes = export.location.sizes()
    return saved_model.signatures_of(
        {name: export.location / name for name in saved_model.MARKERS if name in sizes}
    )


def _has_digest(path: str, digest: str) -> bool:
    """Returns whether the SavedModel at a path is there, and has a content digest."""
    try:
        files = saved_model.files_of(location_of(path))
    except (OSError, ValueError):
        return False
    return saved_model.digest_of(files) == digest


def _latest_record(
    exports: ExportDirectory, served: Served
) -> tuple[pb.ExportRecord | None, tuple[str, ...]]:
    """Returns the record of the newest export that has one, or a warning if it cannot be read."""
    if served.record is not None:
        return served.record, ()
    for export in reversed(served.exports):
        try:
            if exports.has_record(export):
                return exports.record(export), ()
        except (OSError, RecordError) as error:
            # It is for the history alone: no reason not to export.
            warning = f"the history before version {export.version} is not known: {error}"
            return None, (warning,)
    return None, ()
