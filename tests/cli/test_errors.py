from __future__ import annotations

import pytest

from tests.cli.world import World, invoke
from tfx_best_exporter.cli.errors import DEBUG_VARIABLE, Failure, explained, text_of
from tfx_best_exporter.executor.deciding.eval_result import MissingMetricError

DEFECT = "This is a defect of best-exporter; BEST_EXPORTER_DEBUG=1 shows where it happened."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a must be b"), "a must be b"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (KeyError("a must be b"), "a must be b"),
        (
            ZeroDivisionError("by zero"),
            f"ZeroDivisionError: by zero. {DEFECT}",
        ),
        (
            ValueError(),
            f"ValueError: . {DEFECT}",
        ),
    ],
)
def test_the_text_of_an_error(error: Exception, text: str) -> None:
    assert text_of(error) == text


def test_a_missing_metric_is_one_sentence() -> None:
    assert not text_of(MissingMetricError("metric", "must be there")).startswith("'")


def test_a_failure_is_one_line_without_secrets() -> None:
    with pytest.raises(Failure) as raised, explained():
        raise OSError("cannot reach http://me:1234@store/a\nb")
    assert raised.value.message == "cannot reach http://***@store/a\\nb"
    assert raised.value.exit_code == 2


def test_the_traceback_for_a_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    with pytest.raises(ZeroDivisionError), explained():
        raise ZeroDivisionError


def test_no_command_shows_a_traceback(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(path: str) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(
        type(world.exports.base.storage), "children", lambda self, path: defect(path)
    )
    for name in ("status", "history", "verify", "lock"):
        result = invoke(name, world.base)
        assert result.exit_code == (0 if name == "lock" else 2)
        assert "Traceback" not in result.output
