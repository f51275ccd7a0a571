"""Checks the typed values of the exec properties that TFX stores."""

import json
from typing import Any

import pytest

from tfx_best_exporter.executor.running import exec_properties
from tfx_best_exporter.executor.running.exec_properties import ExecProperties, PriorExport
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DESTINATION = {"push_destination": '{"filesystem": {"base_directory": "/serving"}}'}


@pytest.mark.parametrize("nothing", [None, ""], ids=["None", "empty"])
def test_what_is_not_given_has_its_default(nothing: str | None):
    names = [
        "compare_policy",
        "retention_policy",
        "event_file_pattern",
        "example_splits",
        "serving_signatures_fn",
        "assets_extra",
        "as_text",
        "unservable",
        "module_file",
        "module_path",
        "prior_export",
        "driver_error",
    ]
    found = exec_properties.parsed({**DESTINATION, **dict.fromkeys(names, nothing)})
    assert found == exec_properties.parsed(DESTINATION) == ExecProperties(base_directory="/serving")
    assert found.event_file_pattern == "eval/*.tfevents.*"
    assert found.example_splits == ("eval",)


def test_what_is_given():
    prior: dict[str, Any] = {
        "version": 7,
        "is_foreign": True,
        "pushed_model_uri": "/pushed_model",
        "model_uri": "/model",
        "evaluation_uri": "/evaluation",
        "model_blessing_uri": "",
        "warnings": ["from the driver"],
    }
    assert exec_properties.parsed(
        {
            **DESTINATION,
            "compare_policy": '{"compare_fn": "package.larger"}',
            "retention_policy": '{"keep_latest": 2}',
            "event_file_pattern": "a/*",
            "example_splits": '["test", "eval"]',
            "serving_signatures_fn": "signatures",
            "assets_extra": '{"a": "b"}',
            "as_text": 1,
            "unservable": "refuse",
            "module_file": "/module.py",
            "module_path": "module@/module.whl",
            "prior_export": json.dumps(prior),
            "best_fingerprint": "for the cache key only",
        }
    ) == ExecProperties(
        base_directory="/serving",
        compare_policy=pb.ComparePolicy(compare_fn="package.larger"),
        retention_policy=pb.RetentionPolicy(keep_latest=2),
        event_file_pattern="a/*",
        example_splits=("test", "eval"),
        serving_signatures_fn="signatures",
        assets_extra={"a": "b"},
        as_text=True,
        unservable="refuse",
        module_file="/module.py",
        module_path="module@/module.whl",
        prior_export=PriorExport(
            version=7,
            is_foreign=True,
            pushed_model_uri="/pushed_model",
            model_uri="/model",
            evaluation_uri="/evaluation",
            warnings=("from the driver",),
        ),
    )


def test_the_error_of_the_driver_comes_first():
    with pytest.raises(RuntimeError) as caught:
        exec_properties.parsed({"push_destination": "", "driver_error": "Traceback: the cause"})
    assert str(caught.value) == (
        "the driver of this run failed, so nothing was exported: Traceback: the cause"
    )


def test_a_policy_that_is_no_message():
    with pytest.raises(ValueError, match=r"^compare_policy must be a ComparePolicy as JSON"):
        exec_properties.parsed({**DESTINATION, "compare_policy": "auc"})
