"""Functions of users: the dotted name of a function, and the function of a dotted name."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError

# Exceptions by which a function of a user fails. `sys.exit` raises a SystemExit, which is not an
# Exception, and whose status 0 would end the run as if it had succeeded.
FAILURES = (Exception, SystemExit)


def text_of(value: object, text: Callable[[object], str] = str) -> str:
    """Returns an object of a user as text, even if the object cannot be shown.

    Args:
        value: An exception that a user's function raised, or a value that it returned.
        text: str or repr.
    """
    try:
        return text(value)
    except FAILURES as error:
        return f"{type(value).__name__} whose text raises {type(error).__name__}"


def reference_of(function: Callable[..., Any]) -> str:
    """Returns the dotted name by which another process can import a function.

    Args:
        function: A function defined at the top level of an importable module.

    Raises:
        FieldTypeError: The value is not callable.
        FieldValueError: The function is a lambda, a nested function, a method or one of __main__.
    """
    if not callable(function):
        raise FieldTypeError(
            "",
            f"must be a function or its dotted name (got {function!r})."
            " Pass a function defined at the top level of a module.",
        )
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    reason = ""
    if not module or not name:
        reason = f"{type(function).__name__} has no importable name"
    elif name.rpartition(".")[2] == "<lambda>":
        reason = "a lambda has no importable name"
    elif "<locals>" in name:
        reason = "a nested function exists only while the outer one runs"
    elif "." in name:
        reason = "a method is not a top-level function"
    elif module == "__main__":
        reason = "__main__ is a different module in the container"
    elif getattr(sys.modules.get(module), name, None) is not function:
        reason = f"{module}.{name} is a different function; a decorator may have replaced it"
    if reason:
        raise FieldValueError(
            "",
            "must be a function that a container can import"
            f" (got {getattr(function, '__qualname__', repr(function))!r}: {reason})."
            " Define it at the top level of an installed module, or in a file that you pass as"
            " module_file.",
        )
    return f"{module}.{name}"


def name_of(function: Callable[..., Any]) -> str:
    """Returns the name of any callable for records; for a top-level function, its dotted name."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", type(function).__module__)
    return f"{module}.{name}"


def load(reference: str) -> Callable[..., Any]:
    """Returns the function of a dotted name.

    Args:
        reference: For example "my_package.comparing.auc_larger".

    Raises:
        FieldValueError: The module cannot be imported, or has no such function.
    """
    module_name, _, name = reference.rpartition(".")
    problem, cause = "the name has no dot", None
    if module_name:
        try:
            function = getattr(importlib.import_module(module_name), name, None)
        except ImportError as error:
            problem, cause = text_of(error), error
        except FAILURES as error:
            cause = error
            problem = f"importing {module_name} raises {type(error).__name__}: {text_of(error)}"
        else:
            if callable(function):
                return function
            problem = f"{module_name} has no function {name}"
    raise FieldValueError(
        "",
        f"must be the dotted name of an importable function (got {reference!r}: {problem})."
        " Install its package where the component runs, for example in the container's image, or"
        " pass its file as module_file.",
    ) from cause


def check_parameter_names(
    names: Sequence[str], expected: Sequence[str], function_name: str
) -> None:
    """Checks that a function has exactly the parameters that it is called with by keyword.

    Args:
        names: Parameters of the function, as `parameter_names` returns them.
        expected: Required parameters, in any order.
        function_name: Name of the function, for the error.

    Raises:
        FieldValueError: The function has other parameters.
    """
    if sorted(names) != sorted(expected):
        raise FieldValueError(
            "",
            f"must take exactly the arguments {' and '.join(expected)}"
            f" (got {function_name}({', '.join(names)})). Change its parameters: the arguments are"
            " passed by keyword.",
        )


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """Returns the names of a function's parameters.

    Raises:
        FieldValueError: Python cannot read the function's signature.
    """
    try:
        return [_as_written(item) for item in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError) as error:
        raise FieldValueError(
            "",
            f"must be a Python function (got {function!r}: {error}). Wrap it in a Python function.",
        ) from error


def _as_written(parameter: inspect.Parameter) -> str:
    """Returns a parameter's name, marked if the parameter cannot be passed by keyword alone."""
    marks = {
        inspect.Parameter.POSITIONAL_ONLY: "{}, /",
        inspect.Parameter.VAR_POSITIONAL: "*{}",
        inspect.Parameter.VAR_KEYWORD: "**{}",
    }
    return marks.get(parameter.kind, "{}").format(parameter.name)
