"""Conditions of a pipeline under which the component runs."""

from collections.abc import Callable
from typing import Any

import pytest
from tfx import types
from tfx import v1 as tfx
from tfx.dsl.placeholder import placeholder as ph
from tfx.types import standard_artifacts

from tests.component.test_component import exec_properties, make

Blessed = Callable[[], Any]


def output_of(artifact_type: type[types.Artifact]) -> Any:
    """Returns an output of a component; only outputs can be in a condition."""
    importer = tfx.dsl.Importer(source_uri="/1", artifact_type=artifact_type)
    return importer.with_id(str(artifact_type.TYPE_NAME)).outputs["result"]


def blessed(artifact_type: type[types.Artifact], name: str = "blessed") -> Any:
    return output_of(artifact_type).future()[0].custom_property(name)


def by_evaluator() -> Any:
    return blessed(standard_artifacts.ModelBlessing) == 1


def other() -> Any:
    return output_of(standard_artifacts.Integer).future()[0].value == 1


@pytest.mark.parametrize(
    ("predicate", "is_gated"),
    [
        pytest.param(by_evaluator, True, id="as in TFX's own pipeline"),
        pytest.param(lambda: blessed(standard_artifacts.InfraBlessing) == 1, True, id="infra"),
        pytest.param(lambda: ph.logical_and(other(), by_evaluator()), True, id="and"),
        pytest.param(lambda: ph.logical_or(other(), by_evaluator()), False, id="or"),
        pytest.param(lambda: ph.logical_not(by_evaluator()), False, id="not"),
        pytest.param(lambda: blessed(standard_artifacts.ModelBlessing) == 0, False, id="refused"),
        pytest.param(lambda: blessed(standard_artifacts.ModelBlessing) != 1, False, id="unequal"),
        pytest.param(
            lambda: blessed(standard_artifacts.ModelBlessing, "mine") == 1, False, id="property"
        ),
        pytest.param(lambda: blessed(standard_artifacts.Model) == 1, False, id="artifact"),
        pytest.param(other, False, id="no blessing"),
    ],
)
def test_a_condition_on_a_blessing(predicate: Blessed, is_gated: bool):
    with tfx.dsl.Cond(predicate()):
        component = make()
    assert exec_properties(component)["is_gated"] == (1 if is_gated else None)


def test_conditions_in_each_other():
    with tfx.dsl.Cond(by_evaluator()), tfx.dsl.Cond(other()):
        component = make()
    assert exec_properties(component)["is_gated"] == 1
    assert exec_properties(make())["is_gated"] is None
