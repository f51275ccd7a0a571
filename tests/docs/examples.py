"""Compares the examples of the documents with generated texts, and updates the documents."""

import json
import os
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

UPDATE = "UPDATE_DOCS"


def compare(document: Path, written: str, generated: str) -> None:
    """Fails if a part of a document differs from the generated text; UPDATE_DOCS=1 replaces it.

    Args:
        document: The document.
        written: The part as it is in the document.
        generated: The part as the code generates it.
    """
    # An empty part would be everywhere in the document.
    assert written, f"{document.name} must have an example to replace by: {generated}"
    if os.environ.get(UPDATE):
        text = document.read_text(encoding="utf-8").replace(written, generated)
        document.write_text(text, encoding="utf-8")
        # A part that occurs twice was replaced together with the first one.
        assert generated in text
    else:
        assert written == generated


def with_texts_of(example: str, message: Message) -> str:
    """Returns a JSON example with the texts of a message and the example's own layout."""
    generated = json_format.MessageToDict(message, preserving_proto_field_name=True)
    place = 0
    for old, new in _texts(json.loads(example), generated):
        before, after = (json.dumps(text, ensure_ascii=False) for text in (old, new))
        place = example.index(before, place)
        example = example[:place] + after + example[place + len(before) :]
        place += len(after)
    return example


def _texts(old: Any, new: Any) -> list[tuple[str, str]]:
    """Returns pairs of the texts in two values of the same structure, in the order of the first."""
    if isinstance(old, dict):
        # Values that have their default are in the example only.
        return [pair for key in old if key in new for pair in _texts(old[key], new[key])]
    if isinstance(old, list):
        return [pair for each in zip(old, new, strict=True) for pair in _texts(*each)]
    return [(old, new)] if isinstance(old, str) else []
