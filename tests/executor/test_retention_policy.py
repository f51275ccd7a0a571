"""policies.retention_policy: valid and invalid arguments."""

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tfx_best_exporter.executor.arguments.errors import FieldTypeError, FieldValueError
from tfx_best_exporter.executor.policies import retention_policy
from tfx_best_exporter.proto import best_exporter_pb2 as pb


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({}, pb.RetentionPolicy(), id="nothing"),
        pytest.param(
            {
                "keep_latest": 3,
                "keep_younger_than": timedelta(days=7),
                "keep_versions": (1732240000, 7),
                "keep_best": 2,
                "keep_every": timedelta(days=30),
                "max_bytes": 50 * 2**30,
            },
            pb.RetentionPolicy(
                keep_latest=3,
                keep_younger_than_seconds=604800,
                keep_versions=[1732240000, 7],
                keep_best=2,
                keep_every_seconds=2592000,
                max_bytes=53687091200,
            ),
            id="everything",
        ),
        pytest.param(
            {"keep_younger_than": 60, "keep_every": 3600.0},
            pb.RetentionPolicy(keep_younger_than_seconds=60, keep_every_seconds=3600),
            id="seconds",
        ),
        pytest.param(
            {"keep_latest": np.int64(3), "keep_best": np.int32(2), "keep_versions": np.array([7])},
            pb.RetentionPolicy(keep_latest=3, keep_best=2, keep_versions=[7]),
            id="numpy",
        ),
        pytest.param({"max_bytes": 5e10}, pb.RetentionPolicy(max_bytes=50000000000), id="a float"),
        pytest.param(
            {"max_bytes": 2**63 - 1, "keep_every": 2**63 - 1, "keep_latest": 2**31 - 1},
            pb.RetentionPolicy(
                max_bytes=2**63 - 1, keep_every_seconds=2**63 - 1, keep_latest=2**31 - 1
            ),
            id="the largest",
        ),
        pytest.param({"keep_every": Fraction(4, 2)}, pb.RetentionPolicy(keep_every_seconds=2)),
    ],
)
def test_retention_policy(arguments: dict[str, Any], expected: pb.RetentionPolicy):
    assert retention_policy(**arguments) == expected


COUNT = (
    "{} must be a whole number from 1 to {} (got {}). Leave it out if you do not need this rule."
)
DURATION = (
    "{} must be a timedelta or a number of seconds, whole and from 1 to 9223372036854775807"
    " (got {}). Leave it out if you do not need this rule."
)
VERSION = (
    "keep_versions[1] must be a whole number from 1 to 9223372036854775807 (got {})."
    " Pass the number that is the name of a version directory."
)


def _counts() -> list[Any]:
    return [
        pytest.param(
            {field: value}, error, COUNT.format(field, largest, repr(value)), id=f"{field} {value}"
        )
        for field, largest in (
            ("keep_latest", 2**31 - 1),
            ("keep_best", 2**31 - 1),
            ("max_bytes", 2**63 - 1),
        )
        for value, error in (
            (0, ValueError),
            (-1, ValueError),
            (2.5, ValueError),
            (largest + 1, ValueError),
            (float("nan"), ValueError),
            (float("inf"), ValueError),
            (True, TypeError),
            ("5", TypeError),
        )
    ]


def _durations() -> list[Any]:
    return [
        pytest.param(
            {field: value}, error, DURATION.format(field, repr(value)), id=f"{field} {value}"
        )
        for field in ("keep_younger_than", "keep_every")
        for value, error in (
            (0, ValueError),
            (timedelta(0), ValueError),
            (timedelta(days=-1), ValueError),
            (timedelta(milliseconds=1500), ValueError),
            (1.5, ValueError),
            (2**63, ValueError),
            (False, TypeError),
            ("7 days", TypeError),
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        *_counts(),
        *_durations(),
        *(
            pytest.param(
                {"keep_versions": [7, value]},
                error,
                VERSION.format(repr(value)),
                id=f"keep_versions {value}",
            )
            for value, error in (
                (0, ValueError),
                (-1, ValueError),
                (1.5, ValueError),
                (2**63, ValueError),
                (True, TypeError),
                ("7", TypeError),
                (None, TypeError),
            )
        ),
        *(
            pytest.param(
                {"keep_versions": value},
                TypeError,
                f"keep_versions must be a list of versions (got {value!r})."
                " Pass a list even for one version.",
                id=f"keep_versions {value!r}",
            )
            for value in (7, "7", {7: 8}, None)
        ),
    ],
)
def test_retention_policy_refuses(arguments: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error) as caught:
        retention_policy(**arguments)
    assert str(caught.value) == text
    # Some errors of Python are ValueErrors too.
    assert type(caught.value) in (FieldTypeError, FieldValueError)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: retention_policy(max_bytes=10**5000), id="max_bytes"),
        pytest.param(lambda: retention_policy(keep_every=10**5000), id="keep_every"),
        pytest.param(lambda: retention_policy(keep_versions=[10**5000]), id="keep_versions"),
    ],
)
def test_a_number_too_large_to_print_is_refused(make: Callable[[], object]):
    with pytest.raises(ValueError, match="must be a number that fits into a float"):
        make()
