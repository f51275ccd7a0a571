"""The way in which a candidate is exported so that a model server can run it.

The check of a model reads only saved_model.pb. A model that fails it is saved again by TensorFlow
in `exports/resave.py`, and only for an export.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfx_best_exporter.executor.arguments import unservable
from tfx_best_exporter.executor.deciding.models import Best, Observation
from tfx_best_exporter.executor.exports import saved_model, servable
from tfx_best_exporter.executor.exports.assets_extra import with_assets_extra
from tfx_best_exporter.executor.running.observe import CandidateModel
from tfx_best_exporter.executor.running.settings import Settings
from tfx_best_exporter.executor.storage.location import Location
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def check_candidate(settings: Settings, model: CandidateModel) -> None:
    """Checks that a model server can run the export of a candidate.

    With serving_signatures_fn, the candidate only needs to be loadable: the model with the new
    signatures is checked after it is saved.

    Raises:
        InvalidModelError: A model server cannot run the candidate, and it cannot or must not be
            saved again.
    """
    problems = model.problems
    if settings.serving_signatures_fn is not None:
        problems = [problem for problem in problems if problem.prevents_loading]
    elif settings.unservable == unservable.RESAVE:
        problems = [problem for problem in problems if not problem.is_healable]
    if problems:
        raise servable.unservable_error(model.model, problems)


def with_serving(
    observation: Observation, settings: Settings, problems: Sequence[servable.Problem]
) -> Observation:
    """Returns an observation with the problems and the recipes of candidate and best.

    Args:
        observation: Observation without them.
        settings: Settings of the run.
        problems: Reasons why a model server cannot run the candidate, as `check_candidate` passed
            them.

    Raises:
        ValueError: A source of assets_extra is not a file.
        OSError: A file of the best cannot be read.
    """
    candidate, best = observation.candidate, observation.best
    if not candidate.is_blessed:
        # A candidate that is not blessed is not read, and does not get to the gates after that.
        return observation
    if settings.serving_signatures_fn is None:
        texts = tuple(problem.text for problem in problems)
        candidate = dataclasses.replace(candidate, serving_problems=texts)
    if best is not None:
        location = settings.exports.base / (best.name or str(best.version))
        best = dataclasses.replace(best, serving_problems=_problems_of(best, location))
        if best.digest == candidate.digest:
            recipe = recipe_of(settings, is_resaved=bool(candidate.serving_problems))
            candidate = dataclasses.replace(candidate, recipe=recipe)
    return dataclasses.replace(observation, candidate=candidate, best=best)


def recipe_of(settings: Settings, *, is_resaved: bool) -> pb.Recipe:
    """Returns the way in which these settings make an export from a model.

    Args:
        settings: Settings of the run.
        is_resaved: True if the model is saved again because a model server cannot run it.

    Raises:
        ValueError: A source of assets_extra is not a file.
    """
    return pb.Recipe(
        as_text=settings.as_text,
        assets_extra=[
            pb.ExtraAsset(
                destination=file.path.removeprefix(f"{saved_model.ASSETS_EXTRA}/"),
                digest=saved_model.digest_of([file]),
            )
            for file in with_assets_extra((), dict(sorted(settings.assets_extra.items())))
        ],
        serving_signatures_fn=settings.serving_signatures_name,
        resaved=is_resaved,
    )


def _problems_of(best: Best, location: Location) -> tuple[str, ...]:
    """Returns the reasons why a model server cannot run the best; reads it only if not known."""
    if best.is_unknown or (best.record is not None and best.record.servable_checked):
        return ()
    try:
        contents = saved_model.contents_of(location)
    except saved_model.InvalidModelError as error:
        return (str(error),)
    return tuple(problem.text for problem in servable.problems_of(contents.message, contents.sizes))
