import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfx_best_exporter.executor.arguments import user_functions

EXPECTED = ("best_eval_result", "current_eval_result")
REMEDY = (
    " Define it at the top level of an installed module, or in a file that you pass as module_file."
)


def top_level(best_eval_result, current_eval_result):
    return True


def swapped(current_eval_result, best_eval_result):
    return True


class Comparing:
    def method(self, best_eval_result, current_eval_result):
        return True

    def __call__(self, best_eval_result, current_eval_result):
        return True


def nested() -> Callable[..., Any]:
    def inner(best_eval_result, current_eval_result):
        return True

    return inner


def in_main() -> Callable[..., Any]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def compare(best_eval_result, current_eval_result): return True", namespace)
    return namespace["compare"]


def test_reference_of_a_top_level_function_finds_it_again():
    reference = user_functions.reference_of(top_level)
    assert reference == f"{__name__}.top_level"
    assert user_functions.load(reference) is top_level


@pytest.mark.parametrize(
    ("function", "got"),
    [
        pytest.param(
            lambda best_eval_result, current_eval_result: True,
            "'<lambda>': a lambda has no importable name",
            id="lambda",
        ),
        pytest.param(
            nested(),
            "'nested.<locals>.inner': a nested function exists only while the outer one runs",
            id="nested",
        ),
        pytest.param(
            Comparing.method,
            "'Comparing.method': a method is not a top-level function",
            id="method",
        ),
        pytest.param(
            in_main(), "'compare': __main__ is a different module in the container", id="__main__"
        ),
    ],
)
def test_reference_of_refuses_what_a_container_cannot_import(function: Any, got: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        user_functions.reference_of(function)
    assert str(caught.value) == (
        f"must be a function that a container can import (got {got}).{REMEDY}"
    )


def test_reference_of_refuses_a_partial():
    partial = functools.partial(top_level)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        user_functions.reference_of(partial)
    assert str(caught.value) == (
        f"must be a function that a container can import (got {repr(partial)!r}:"
        f" partial has no importable name).{REMEDY}"
    )


def test_reference_of_refuses_what_is_no_function():
    with pytest.raises(TypeError) as caught:
        user_functions.reference_of(3)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "must be a function or its dotted name (got 3)."
        " Pass a function defined at the top level of a module."
    )


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        pytest.param("compare", "the name has no dot", id="no dot"),
        pytest.param("", "the name has no dot", id="empty"),
        pytest.param("no_such_package.compare", "No module named 'no_such_package'", id="module"),
        pytest.param("math.no_such", "math has no function no_such", id="function"),
        pytest.param("math.pi", "math has no function pi", id="no function"),
    ],
)
def test_load_refuses(reference: str, problem: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        user_functions.load(reference)
    assert str(caught.value) == (
        "must be the dotted name of an importable function"
        f" (got {reference!r}: {problem})."
        " Install its package where the component runs, for example in the container's image, or"
        " pass its file as module_file."
    )


class UnshownError(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise LookupError("no text")


UNSHOWN = "UnshownError whose text raises LookupError"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(ValueError("why"), "why", id="an exception"),
        pytest.param(SystemExit(0), "0", id="sys.exit"),
        pytest.param(UnshownError(), UNSHOWN, id="a text that raises"),
    ],
)
def test_text_of(value: object, text: str):
    assert user_functions.text_of(value) == text


def test_text_of_a_value_by_its_repr():
    assert user_functions.text_of("text", repr) == "'text'"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        pytest.param(
            "raise RuntimeError('its own trouble')", "RuntimeError: its own trouble", id="an error"
        ),
        pytest.param("import sys; sys.exit(0)", "SystemExit: 0", id="sys.exit"),
        pytest.param(
            "class UnshownError(Exception):\n    def __str__(self): raise LookupError\n"
            "raise UnshownError",
            f"UnshownError: {UNSHOWN}",
            id="a text that raises",
        ),
    ],
)
def test_load_refuses_a_module_that_cannot_be_imported(
    code: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "broken_compare_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(ValueError, match="importable function") as caught:
        user_functions.load("broken_compare_module.compare")
    assert f": importing broken_compare_module raises {problem})." in str(caught.value)
    assert type(caught.value.__cause__).__name__ == problem.partition(":")[0]


@pytest.mark.parametrize(
    "function", [top_level, swapped, Comparing()], ids=["in order", "swapped", "callable"]
)
def test_parameter_names_in_any_order(function: Callable[..., Any]):
    names = user_functions.parameter_names(function)
    user_functions.check_parameter_names(names, EXPECTED, "f")


@pytest.mark.parametrize(
    ("function", "got"),
    [
        pytest.param(lambda best, current: True, "f(best, current)", id="other names"),
        pytest.param(lambda best_eval_result: True, "f(best_eval_result)", id="one"),
        pytest.param(lambda: True, "f()", id="none"),
        pytest.param(
            lambda best_eval_result, current_eval_result, delta=0: True,
            "f(best_eval_result, current_eval_result, delta)",
            id="one more",
        ),
        pytest.param(lambda **kwargs: True, "f(**kwargs)", id="kwargs"),
        pytest.param(Comparing.method, "f(self, best_eval_result, current_eval_result)", id="self"),
    ],
)
def test_check_parameter_names_refuses(function: Callable[..., Any], got: str):
    names = user_functions.parameter_names(function)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        user_functions.check_parameter_names(names, EXPECTED, "f")
    assert str(caught.value) == (
        "must take exactly the arguments best_eval_result and current_eval_result"
        f" (got {got}). Change its parameters: the arguments are passed by keyword."
    )


def test_parameter_names_refuses_what_has_no_signature():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        user_functions.parameter_names(max)
    assert str(caught.value) == (
        "must be a Python function (got <built-in function max>: no signature found for"
        " builtin <built-in function max>)."
        " Wrap it in a Python function."
    )
