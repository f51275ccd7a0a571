from __future__ import annotations

from typing import Any

import pytest

from tests.executor.operating.desk import Desk
from tfx_best_exporter.executor.operating.operation import (
    OperationError,
    Order,
    check_exists,
    export_of,
    listed,
    version_of,
)
from tfx_best_exporter.executor.storage.location import Location


@pytest.mark.parametrize("value", [7, "7", " 7", "007", "+7"])
def test_a_version_may_be_a_text(value: Any) -> None:
    assert version_of(value) == 7


@pytest.mark.parametrize("value", ["", "latest", "-7", "7.0", True, None, 2**63])
def test_refuses_what_is_no_version(value: Any) -> None:
    with pytest.raises(OperationError) as caught:
        version_of(value)
    assert str(caught.value) == (
        f"version must be a number (got {value!r}). `best-exporter history` lists the versions."
    )


def test_names_the_versions_that_exist(desk: Desk) -> None:
    with pytest.raises(OperationError) as caught:
        export_of(desk.exports.exports(), 6)
    assert str(caught.value) == (
        "version must be in the base directory (got 6; the latest are 7, 8, 9)."
        " `best-exporter history` lists all versions."
    )


def test_names_both_entries_of_a_version(desk: Desk) -> None:
    desk.push("09", "other")
    with pytest.raises(OperationError) as caught:
        export_of(desk.exports.exports(), 9)
    assert str(caught.value) == (
        "version must be one directory (got 9, from '09' and '9'). Remove the one that is not"
        " needed."
    )


def test_refuses_a_base_directory_that_does_not_exist(desk: Desk) -> None:
    base = desk.exports.base
    check_exists(base)
    other = Location(base.storage, f"{base.path}x")
    with pytest.raises(OperationError) as caught:
        check_exists(other)
    assert str(caught.value) == (
        f"base directory must exist (got {str(other)!r}). Check the spelling; only a run of the"
        " exporter creates a base directory."
    )
    assert not other.exists()


def test_an_empty_directory_exists(disk: Desk) -> None:
    path = disk.tmp_path / "empty"
    path.mkdir()
    check_exists(Location(disk.exports.base.storage, str(path)))


@pytest.mark.parametrize("field", ["reason", "operator"])
@pytest.mark.parametrize("value", ["", " ", "\u200b", None])
def test_refuses_an_order_without_a_text(field: str, value: Any) -> None:
    texts: dict[str, Any] = {"reason": "R", "operator": "ann", field: value}
    with pytest.raises(OperationError) as caught:
        Order(now=0.0, **texts)
    assert str(caught.value) == (
        f"{field} must be a text (got {value!r}). The decision log shows it to everybody who asks"
        " later."
    )


def test_an_error_hides_secrets() -> None:
    assert "1234" not in str(OperationError("cannot reach http://me:1234@store/models"))


def test_sentences() -> None:
    assert listed([7]) == "version 7"
    assert listed([7, 8, 9]) == "versions 7, 8 and 9"
