from __future__ import annotations

import os
import socket

import pytest

from tfx_best_exporter.executor.operating.person import this_operator


def test_names_the_user_and_the_host() -> None:
    assert this_operator(lambda: "ann") == f"ann@{socket.gethostname()}"


@pytest.mark.parametrize("error", [KeyError, OSError, ImportError])
def test_a_user_without_a_name(error: type[Exception]) -> None:
    def fail() -> str:
        raise error

    assert this_operator(fail) == f"uid-{os.getuid()}@{socket.gethostname()}"
