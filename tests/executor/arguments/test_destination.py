import pytest

from tfx_best_exporter.executor.arguments.destination import base_directory_of


@pytest.mark.parametrize(
    ("push_destination", "expected"),
    [
        pytest.param("gs://bucket/model", "gs://bucket/model", id="path"),
        pytest.param(" /serving\n", "/serving", id="path among blanks"),
        pytest.param('{"filesystem": {"base_directory": "/serving"}}', "/serving", id="message"),
        pytest.param(
            ' {"filesystem": {"baseDirectory": "/serving"}, "later": 1}', "/serving", id="newer"
        ),
    ],
)
def test_base_directory_of(push_destination: str, expected: str):
    assert base_directory_of(push_destination) == expected


@pytest.mark.parametrize(
    ("push_destination", "problem"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("{}", "", id="empty message"),
        pytest.param(
            "{]",
            ": Failed to load JSON: Expecting property name enclosed in double quotes: line 1"
            " column 2 (char 1).",
            id="no JSON",
        ),
    ],
)
def test_what_is_neither_is_refused(push_destination: str, problem: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        base_directory_of(push_destination)
    assert str(caught.value) == (
        "push_destination must be the path of the base directory, or a PushDestination as JSON"
        f" (got {push_destination!r}{problem}). Give the directory that the model server polls."
    )
