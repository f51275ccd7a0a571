"""Valid and invalid compare functions, as an author would pass them."""

from collections.abc import Callable, Mapping
from typing import Any


def larger_auc(best_eval_result: Mapping[str, float], current_eval_result: Mapping[str, float]):
    return current_eval_result["auc"] > best_eval_result["auc"]


def other_names(best: Mapping[str, float], current: Mapping[str, float]):
    return current["auc"] > best["auc"]


def signatures(loaded_model: Any) -> Mapping[str, Any]:
    return dict(loaded_model.signatures)


class Comparer:
    def larger_auc(
        self, best_eval_result: Mapping[str, float], current_eval_result: Mapping[str, float]
    ):
        return current_eval_result["auc"] > best_eval_result["auc"]


def nested() -> Callable[..., bool]:
    def larger_auc(best_eval_result: Mapping[str, float], current_eval_result: Mapping[str, float]):
        return current_eval_result["auc"] > best_eval_result["auc"]

    return larger_auc


def in_main() -> Callable[..., bool]:
    """Returns a function of a script that was run by `python script.py`."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def larger_auc(best_eval_result, current_eval_result): return True", namespace)
    return namespace["larger_auc"]


class CallableObject:
    def __call__(
        self, best_eval_result: Mapping[str, float], current_eval_result: Mapping[str, float]
    ):
        return current_eval_result["auc"] > best_eval_result["auc"]

    def __repr__(self) -> str:
        return "an object"
