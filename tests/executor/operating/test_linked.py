from __future__ import annotations

import os
import shutil

import pytest

from tests.executor import plain
from tests.executor.operating.desk import WHO, Desk
from tfx_best_exporter.executor.operating.linked import sentences_of
from tfx_best_exporter.executor.operating.operation import OperationError
from tfx_best_exporter.executor.operating.rollback import rollback


def test_refuses_links_inside_a_version_that_stays(disk: Desk) -> None:
    base_path = plain.path_of(disk.exports.base)
    shutil.rmtree(base_path / "8/variables")
    os.symlink("../9/variables", base_path / "8/variables")
    for dry_run in (True, False):
        with pytest.raises(OperationError, match=r"^version 9 must not be the target of a link"):
            rollback(disk.exports, dry_run=dry_run, **WHO)
    assert disk.served == 9
    # Both of them move.
    assert rollback(disk.exports, to=7, **WHO).versions == (8, 9)
    assert disk.served == 7


def test_names_each_link_that_leads_nowhere(disk: Desk) -> None:
    base_path = plain.path_of(disk.exports.base)
    os.symlink("9", base_path / "production")
    os.symlink("9/assets", base_path / "words")
    os.symlink("8", base_path / "old")
    planned = rollback(disk.exports, dry_run=True, **WHO)
    assert planned.sentences[-2:] == (
        "the link 'production' leads to version 9, and leads nowhere afterwards",
        "the link 'words' leads to version 9, and leads nowhere afterwards",
    )
    assert rollback(disk.exports, **WHO) == planned
    assert disk.served == 8


def test_an_object_store_has_no_links(bucket: Desk) -> None:
    assert sentences_of(bucket.exports, bucket.exports.exports(), {7, 8, 9}) == []
