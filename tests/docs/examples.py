"""Compares the examples of the documents with what the code generates, and writes them there."""

import json
import os
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

UPDATE = "UPDATE_DOCS"


def compare(document: Path, written: str, generated: str) -> None:
    """Fails where a document differs from what the code generates, or writes that there.

    Args:
        document: The document, which UPDATE_DOCS=1 changes.
        written: A part of it.
        generated: What that part has to be.
    """
    if os.environ.get(UPDATE):
        text = document.read_text(encoding="utf-8").replace(written, generated)
        document.write_text(text, encoding="utf-8")
        # A part that stands there twice was replaced with the first.
        assert generated in text
    else:
        assert written == generated


def with_texts_of(example: str, message: Message) -> str:
    """Returns a JSON example with the texts of a message, and otherwise as it is laid out."""
    generated = json_format.MessageToDict(message, preserving_proto_field_name=True)
    place = 0
    for old, new in _texts(json.loads(example), generated):
        before, after = (json.dumps(text, ensure_ascii=False) for text in (old, new))
        place = example.index(before, place)
        example = example[:place] + after + example[place + len(before) :]
        place += len(after)
    return example


def _texts(old: Any, new: Any) -> list[tuple[str, str]]:
    """Returns the texts of two values of one structure, in pairs, in the order of the first."""
    if isinstance(old, dict):
        # Where a value has its default, only the example has it.
        return [pair for key in old if key in new for pair in _texts(old[key], new[key])]
    if isinstance(old, list):
        return [pair for each in zip(old, new, strict=True) for pair in _texts(*each)]
    return [(old, new)] if isinstance(old, str) else []
