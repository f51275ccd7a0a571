from typing import Any

import pytest

from tfx_best_exporter.executor.arguments.checks import checked_number, is_name, is_visible


@pytest.mark.parametrize(
    ("text", "visible", "name"),
    [
        pytest.param("auc", True, True, id="letters"),
        pytest.param("click/auc @ 0.5", True, True, id="symbols and blanks"),
        pytest.param("准确率", True, True, id="Chinese"),
        # A zero-width non-joiner between Persian letters is part of the spelling.
        pytest.param("می\u200cشود", True, True, id="an invisible character among others"),
        pytest.param("auc\n", True, False, id="a line's end"),
        pytest.param("a\x00b", True, False, id="a null"),
        pytest.param("", False, False, id="nothing"),
        pytest.param(" \t\u00a0\u3000", False, False, id="blanks"),
        pytest.param("\u200b\u2060\ufeff", False, False, id="of no width"),
        pytest.param("\ufe0f", False, False, id="a variation of nothing"),
    ],
)
def test_text_that_is_visible_and_text_that_is_a_name(text: str, visible: bool, name: bool):
    assert (is_visible(text), is_name(text)) == (visible, name)


@pytest.mark.parametrize(
    ("value", "got"),
    [
        pytest.param("0.5", "'0.5'", id="text"),
        pytest.param(True, "True", id="a bool"),
        pytest.param(None, "None", id="None"),
    ],
)
def test_what_is_no_number_is_refused(value: Any, got: str):
    with pytest.raises(TypeError) as caught:
        checked_number(value)
    assert str(caught.value) == (
        f"must be a number (got {got}). Convert it to a float, or leave it out."
    )


def test_a_number_that_no_float_can_hold_is_refused():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        checked_number(10**400)
    assert str(caught.value) == (
        "must be a number that fits into a float (got a larger int). Scale it, or leave it out."
    )
