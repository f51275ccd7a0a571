"""destination.base_directory_of, compared with TFX's own PushDestination."""

import pytest
from google.protobuf import json_format
from tfx.proto import pusher_pb2

from tfx_best_exporter.executor.arguments import destination


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"filesystem": {"base_directory": "/serving"}}', id="name of the field"),
        pytest.param('{"filesystem": {"baseDirectory": "/serving"}}', id="name in JSON"),
        pytest.param(' {"filesystem": {"baseDirectory": "/serving"}}\n', id="blanks around"),
        pytest.param(
            '{"new": 1, "filesystem": {"versioning": "AUTO", "base_directory": "/serving"}}',
            id="other fields",
        ),
        pytest.param(
            '{"filesystem": {"base_directory": "/a", "baseDirectory": "/serving"}}',
            id="both names",
        ),
    ],
)
def test_a_message(text: str):
    message = json_format.Parse(text, pusher_pb2.PushDestination(), ignore_unknown_fields=True)
    assert destination.base_directory_of(text) == message.filesystem.base_directory == "/serving"


@pytest.mark.parametrize("text", ["/serving", " /serving\n", "s3://bucket/serving"])
def test_the_directory_itself(text: str):
    assert destination.base_directory_of(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "problem", "is_message"),
    [
        pytest.param("", "", None, id="empty"),
        pytest.param("{}", "", True, id="no field"),
        pytest.param('{"filesystem": null}', "", True, id="null"),
        pytest.param('{"filesystem": {"base_directory": null}}', "", True, id="null inside"),
        pytest.param('{"filesystem": {"base_directory": ""}}', "", True, id="an empty directory"),
        pytest.param(
            "{]",
            ": Failed to load JSON: Expecting property name enclosed in double quotes: line 1"
            " column 2 (char 1).",
            False,
            id="no JSON",
        ),
        pytest.param('{"filesystem": 1}', ": filesystem is not an object", False, id="no object"),
        pytest.param(
            '{"filesystem": {"base_directory": 1}}',
            ": filesystem.base_directory is not a string",
            False,
            id="a number",
        ),
    ],
)
def test_neither(text: str, problem: str, is_message: bool | None):
    if is_message is not None:
        message = pusher_pb2.PushDestination()
        try:
            json_format.Parse(text, message, ignore_unknown_fields=True)
            assert not message.filesystem.base_directory
            assert is_message
        except json_format.ParseError:
            assert not is_message
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is checked below.
        destination.base_directory_of(text)
    assert str(caught.value) == (
        "push_destination must be the path of the base directory, or a PushDestination as JSON"
        f" (got {text!r}{problem}). Pass the directory that the model server polls."
    )
