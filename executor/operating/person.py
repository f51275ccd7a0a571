"""The name of the person who gives an order, as far as the system knows it."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable


def this_operator(user: Callable[[], str] = getpass.getuser) -> str:
    """Returns the user and the host of this process, for example "ann@build-7".

    Args:
        user: Returns the name of the user; raises an error if the system does not know it.
    """
    try:
        name = user()
    except (ImportError, KeyError, OSError):
        # A container may run with a user ID that has no name.
        name = f"uid-{os.getuid()}"
    return f"{name}@{socket.gethostname()}"
