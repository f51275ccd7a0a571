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


@pytest.mark.parametrize("base_directory", ["~", "~/serving", "~user/serving"])
@pytest.mark.parametrize("form", ["{}", '{{"filesystem": {{"base_directory": "{}"}}}}'])
def test_a_home_directory_that_no_shell_replaces(base_directory: str, form: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is checked below.
        destination.base_directory_of(form.format(base_directory))
    assert str(caught.value) == (
        "push_destination.filesystem.base_directory must not begin with '~' (got"
        f" {base_directory!r}). Pass the whole path, for example"
        f" os.path.expanduser({base_directory!r})."
    )


@pytest.mark.parametrize("base_directory", ["/serving/~", "./~serving", "s3://bucket/~me"])
def test_a_tilde_elsewhere_is_a_name(base_directory: str):
    assert destination.base_directory_of(base_directory) == base_directory


def test_a_destination_in_an_error_has_no_secrets():
    with pytest.raises(ValueError, match="must be the path") as caught:
        destination.base_directory_of('{"base": "hdfs://me:pa55@host/serving"}')
    assert "pa55" not in str(caught.value)
    assert "hdfs://***@host/serving" in str(caught.value)
