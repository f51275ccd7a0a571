"""Errors that carry the path of the invalid field."""

import pytest

from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError, within

TEXT = "must be a finite number (got nan). Leave it out for no limit."


@pytest.mark.parametrize(
    ("parents", "path", "expected"),
    [
        pytest.param((), "bound", "bound", id="no parent"),
        pytest.param(("metric",), "bound", "metric.bound", id="one parent"),
        pytest.param(
            ("compare_policy", "guardrails[0]"),
            "bound",
            "compare_policy.guardrails[0].bound",
            id="parents from outside to inside",
        ),
        pytest.param(("compare_policy",), "", "compare_policy", id="the value itself"),
        pytest.param(("", "metric"), "bound", "metric.bound", id="a parent without a name"),
        pytest.param(
            ("guardrails", "[2]"), "bound", "guardrails[2].bound", id="an element of a list"
        ),
    ],
)
def test_paths(parents: tuple[str, ...], path: str, expected: str):
    error = FieldValueError(path, TEXT)
    for parent in reversed(parents):
        error.add_parent(parent)

    assert error.path == expected
    assert str(error) == f"{expected} {TEXT}"


def test_a_block_adds_its_parent():
    with pytest.raises(FieldTypeError) as caught, within("retention_policy"), within("any[1]"):
        raise FieldTypeError("keep_latest", TEXT)

    assert str(caught.value) == f"retention_policy.any[1].keep_latest {TEXT}"


def test_other_errors_pass_unchanged():
    problem = ValueError(TEXT)
    with pytest.raises(ValueError, match="finite") as caught, within("retention_policy"):
        raise problem

    assert caught.value is problem
    assert str(problem) == TEXT


def test_an_error_without_a_path_is_its_text():
    assert str(FieldValueError("", TEXT)) == TEXT


def test_errors_are_errors_of_values_and_types():
    assert issubclass(FieldValueError, ValueError)
    assert issubclass(FieldTypeError, TypeError)
