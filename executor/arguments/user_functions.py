"""User functions by name: from a function to a name that a container can import, and back."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any


def reference_of(function: Callable[..., Any], field: str) -> str:
    """Returns the dotted name under which another process finds a function.

    Args:
        function: A function defined at the top level of an importable module.
        field: The argument's name, for the error.

    Raises:
        TypeError: It is not callable.
        ValueError: It is a lambda, a nested function, a method or lives in __main__.
    """
    if not callable(function):
        raise TypeError(
            f"{field} must be a function or its dotted name (got {function!r})."
            " Pass a function defined at the top level of a module."
        )
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    reason = ""
    if not module or not name:
        reason = f"{type(function).__name__} has no importable name"
    elif name.rpartition(".")[2] == "<lambda>":
        reason = "a lambda has no name"
    elif "<locals>" in name:
        reason = "a nested function exists only while the outer one runs"
    elif "." in name:
        reason = "a method is not a top-level function"
    elif module == "__main__":
        reason = "__main__ is another module in the container"
    elif getattr(sys.modules.get(module), name, None) is not function:
        reason = f"{module}.{name} is another function, such as the one that this one wraps"
    if reason:
        raise ValueError(
            f"{field} must be a function that a container can import"
            f" (got {getattr(function, '__qualname__', repr(function))!r}: {reason})."
            " Define it at the top level of an installed module, or put it into a file and pass"
            " that as module_file."
        )
    return f"{module}.{name}"


def load(reference: str, field: str) -> Callable[..., Any]:
    """Returns the function that a dotted name refers to.

    Args:
        reference: For example "my_package.comparing.auc_larger".
        field: The argument's name, for the error.

    Raises:
        ValueError: There is no such module or function.
    """
    module_name, _, name = reference.rpartition(".")
    problem = "it is no dotted name"
    if module_name:
        try:
            function = getattr(importlib.import_module(module_name), name, None)
        except ImportError as error:
            problem = str(error)
        else:
            if callable(function):
                return function
            problem = f"{module_name} has no function {name}"
    raise ValueError(
        f"{field} must be the dotted name of an importable function (got {reference!r}: {problem})."
        " Install its package where the component runs, such as in the container's image, or pass"
        " its file as module_file."
    )


def check_parameter_names(
    names: Sequence[str], expected: Sequence[str], field: str, function_name: str
) -> None:
    """Checks that a function takes exactly the parameters it will be called with by keyword.

    Raises:
        ValueError: It takes others.
    """
    if sorted(names) != sorted(expected):
        raise ValueError(
            f"{field} must take exactly the arguments {' and '.join(expected)}"
            f" (got {function_name}({', '.join(names)})). Rename them: they are passed by keyword."
        )


def parameter_names(function: Callable[..., Any], field: str) -> list[str]:
    """Returns the names of a function's parameters.

    Raises:
        ValueError: The function cannot be inspected.
    """
    try:
        return [_as_written(item) for item in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{field} must be a Python function (got {function!r}: {error})."
            " Wrap it in one that takes best_eval_result and current_eval_result."
        ) from error


def _as_written(parameter: inspect.Parameter) -> str:
    """Returns a parameter's name, with what keeps it from being passed by keyword alone."""
    marks = {
        inspect.Parameter.POSITIONAL_ONLY: "{}, /",
        inspect.Parameter.VAR_POSITIONAL: "*{}",
        inspect.Parameter.VAR_KEYWORD: "**{}",
    }
    return marks.get(parameter.kind, "{}").format(parameter.name)
