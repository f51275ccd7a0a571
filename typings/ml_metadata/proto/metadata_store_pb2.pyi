# Generated code builds its messages at run time. The package has a py.typed but no stub for them.
from typing import Any

def __getattr__(name: str) -> Any: ...
