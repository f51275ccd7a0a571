"""Reads everything that a decision needs: the candidate, the best, and their evaluations."""

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
from tfx_best_exporter.executor.evaluations.best import NO_CHALLENGERS, Reevaluated, with_evaluation
from tfx_best_exporter.executor.exports import saved_model, servable
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.exports.operators import Instructions
from tfx_best_exporter.executor.exports.records import EVALUATION_DIRECTORY, RecordError
from tfx_best_exporter.executor.exports.versions import Export, Inspection, Served, Status
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ForeignBest:
    """Lineage of a best without a record, from ML Metadata or the caller.

    Attributes:
        version: Version of the export.
        eval_result: Evaluation of the export; None if it is not known.
        model_uri: URI of the Model that was pushed; empty if it is not known.
    """

    version: int
    eval_result: EvalResult | None
    model_uri: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CandidateModel:
    """The candidate and its files for the export.

    Attributes:
        model: Directory of the SavedModel.
        uri: URI of the artifact that contains the SavedModel.
        files: Files of the SavedModel, with their digests; empty if the candidate is not blessed.
        candidate: The candidate's values for the decision.
        problems: Reasons why a model server cannot run the SavedModel as it is.
        evaluation: Files of the evaluation to keep in an export; None to read them at the URI of
            the candidate's evaluation.
        is_export: True if the files are those of an earlier export, and are published unchanged.
    """

    model: Location
    uri: str
    files: Sequence[saved_model.ModelFile]
    candidate: Candidate
    problems: Sequence[servable.Problem] = ()
    evaluation: Sequence[saved_model.ModelFile] | None = None
    is_export: bool = False


class Reevaluate(Protocol):
    """Evaluates an export and challengers on the candidate's examples."""

    def __call__(
        self,
        export: Location,
        candidate: Location | None,
        challengers: Mapping[str, Location] = NO_CHALLENGERS,
    ) -> Reevaluated:
        """Returns the evaluations of the export and of the challengers.

        Args:
            export: Version directory of the export.
            candidate: Directory of the candidate's SavedModel, to evaluate both together if the
                EvalConfig allows it, so that their differences have confidence intervals; None to
                evaluate the export alone.
            challengers: Directories of further SavedModels, by content digest, to evaluate
                together with the export. One that cannot be evaluated is a warning of the result.
        """
        ...


def observe_candidate(
    model: Location,
    uri: str,
    eval_result: EvalResult,
    blessings: Sequence[Blessing],
) -> CandidateModel:
    """Reads and checks the candidate.

    Args:
        model: Directory of the SavedModel.
        uri: URI of the artifact that contains the SavedModel.
        eval_result: Evaluation of the candidate.
        blessings: All blessings of the candidate. A model that is not blessed is not read, and
            may be missing.

    Returns:
        The candidate and its files.

    Raises:
        InvalidModelError: The candidate is not a complete SavedModel.
        OSError: The candidate cannot be read.
    """
    candidate = Candidate(digest="", eval_result=eval_result, uri=uri, blessings=tuple(blessings))
    if not candidate.is_blessed:
        return CandidateModel(model=model, uri=uri, files=(), candidate=candidate)
    with tempfile.TemporaryDirectory(prefix="best_exporter-") as work_path:
        contents = saved_model.check(model, Path(work_path))
    # A candidate that is a copy of an export contains an old record, which is left out.
    files = [file for file in saved_model.files_of(model) if not file.is_reserved]
    candidate = dataclasses.replace(
        candidate,
        digest=saved_model.digest_of(files),
        size_bytes=sum(file.digest.size for file in files),
    )
    return CandidateModel(
        model=model,
        uri=uri,
        files=files,
        candidate=candidate,
        problems=servable.problems_of(contents.message, contents.sizes),
    )


def observe(
    exports: ExportDirectory,
    served: Served,
    candidate: Candidate,
    needs: Needs,
    *,
    comparability: pb.ComparePolicy.Comparability,
    instructions: Instructions,
    foreign_best: ForeignBest | None = None,
    reevaluate: Callable[[Location], Reevaluated] | None = None,
    measures_challengers: bool = False,
) -> Observation:
    """Returns everything that a decision uses, except serving signatures.

    Args:
        exports: The base directory.
        served: The versions of the base directory, and the best among them.
        candidate: The candidate.
        needs: The values that the decision needs.
        comparability: Under REQUIRE_SAME_DATA, a failure of `reevaluate` is an error.
        instructions: The instructions of operators.
        foreign_best: Lineage of a best without a record; None if it is not known.
        reevaluate: Evaluates an export on the candidate's examples. It is called only if candidate
            and best will be compared and the candidate's own evaluation lacks the best's metrics.
        measures_challengers: True if `reevaluate` measures challengers too, which the candidate's
            own evaluation lacks.

    Raises:
        RuntimeError: The best could not be evaluated again, and comparability requires it.
        OSError: A file of the base directory or of the candidate cannot be read.
    """
    warnings = list(served.warnings)
    names, rejection = instructions.names, None
    if candidate.digest in names.rejected:
        rejection = exports.operators.rejection(candidate.digest)
    best = None
    if served.best is not None:
        best, found = _best(served.best, foreign_best)
        warnings.extend(found)
        best = dataclasses.replace(best, is_released=best.version in names.released)
        is_stopped = served.being_written or rejection is not None or instructions.hold is not None
        # An evaluation takes minutes to hours, so it runs only if the two will be compared.
        is_compared = candidate.is_blessed and not is_stopped
        if is_compared and best.digest != candidate.digest and not best.is_unknown:
            best, found = _compared_best(
                best,
                served.best.export,
                candidate.eval_result,
                needs,
                comparability,
                reevaluate,
                measures_challengers=measures_challengers,
            )
            warnings.extend(found)
    latest, found = latest_record(exports, served) if best else (None, ())
    return Observation(
        candidate=candidate,
        best=best,
        being_written=served.being_written,
        hold=instructions.hold,
        rejection=rejection,
        versions=served.listing.versions,
        latest_record=latest,
        warnings=(*warnings, *found),
    )


def _best(found: Inspection, foreign_best: ForeignBest | None) -> tuple[Best, tuple[str, ...]]:
    """Returns the best with its recorded or foreign evaluation, and warnings."""
    export, record = found.export, found.record
    best = Best(
        version=export.version,
        digest="",
        eval_result=None,
        is_foreign=record is None,
        path=export.path,
        name=export.location.name,
        problem=found.problem,
        record=record,
    )
    if record is not None:
        evaluation = EvalResult.from_proto(record.evaluation)
        return dataclasses.replace(best, digest=record.model.digest, eval_result=evaluation), ()
    if found.status is Status.UNKNOWN:
        return dataclasses.replace(best, is_unknown=True), ()
    warnings = ()
    try:
        digest = saved_model.digest_of(saved_model.files_of(export.location))
        best = dataclasses.replace(best, digest=digest)
    except saved_model.InvalidModelError as error:
        # An export written by another tool may break the rules of this exporter.
        warnings = (str(error),)
    # The lineage of a version that was edited is that of its former content.
    if foreign_best is None or foreign_best.version != export.version or found.problem:
        return best, warnings
    return dataclasses.replace(
        best, eval_result=foreign_best.eval_result, model_uri=foreign_best.model_uri
    ), warnings


def _compared_best(
    best: Best,
    export: Export,
    eval_result: EvalResult,
    needs: Needs,
    comparability: pb.ComparePolicy.Comparability,
    reevaluate: Callable[[Location], Reevaluated] | None,
    *,
    measures_challengers: bool,
) -> tuple[Best, tuple[str, ...]]:
    """Returns the best with the evaluation to compare with, and warnings."""
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
        measures_challengers=measures_challengers,
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

    Signatures are in the largest files that a decision reads. They are read only for a candidate
    that every other gate would export.

    Args:
        observation: Observation without signatures.
        exports: The base directory.
        model: The candidate, with the files of the future export.

    Raises:
        InvalidModelError: The candidate's signatures cannot be read.
    """
    best = observation.best
    if best is None:
        return observation
    export = Export(version=best.version, base=exports.base, name=best.name)
    if best.is_unknown:
        best = dataclasses.replace(best, signatures_problem=best.problem)
    else:
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
    """Reads the slices of an export's recorded evaluation.

    Returns:
        A function that returns the slices. It raises the error of a failed read, so that the error
        matters only to a policy that uses slices.
    """
    if record.evaluation.source != pb.Evaluation.TFMA:
        return dict
    try:
        slices = tfma.from_tfma((export.location / EVALUATION_DIRECTORY).uri).slices
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
    """Returns True if a path has a SavedModel with this content digest."""
    try:
        files = saved_model.files_of(location_of(path))
    except (ImportError, OSError, ValueError):
        return False
    return saved_model.digest_of(files) == digest


def latest_record(
    exports: ExportDirectory, served: Served
) -> tuple[pb.ExportRecord | None, tuple[str, ...]]:
    """Returns the newest record, or a warning if it cannot be read."""
    if served.record is not None:
        return served.record, ()
    for export in reversed(served.listing.exports):
        try:
            if exports.has_record(export):
                return exports.record(export), ()
        except (OSError, RecordError) as error:
            # The record is only needed for the history in the report, so the run continues.
            warning = (
                f"the report has no history: the record of version {export.version} cannot be read:"
                f" {error}"
            )
            return None, (warning,)
    return None, ()
