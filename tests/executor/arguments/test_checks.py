import pytest

from tfx_best_exporter.executor.arguments.checks import is_name, is_visible


@pytest.mark.parametrize(
    ("text", "visible", "name"),
    [
        pytest.param("auc", True, True, id="letters"),
        pytest.param("click/auc @ 0.5", True, True, id="symbols and blanks"),
        pytest.param("准确率", True, True, id="Chinese"),
        # Between Persian letters it is spelling.
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
