"""Changes between the serving signatures of two models that clients would notice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TypeAlias

# Unknown sizes are None; an unknown number of dimensions makes the whole shape None.
Shape: TypeAlias = "tuple[int | None, ...] | None"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a signature.

    Attributes:
        dtype: Name of TensorFlow's DataType, for example "DT_FLOAT".
        shape: Sizes of the dimensions.
    """

    dtype: str
    shape: Shape

    def __str__(self) -> str:
        """Returns the type and the shape, for example "float[?,4]"."""
        sizes = (
            "..."
            if self.shape is None
            else ",".join("?" if size is None else str(size) for size in self.shape)
        )
        return f"{self.dtype.removeprefix('DT_').lower()}[{sizes}]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One serving signature.

    Attributes:
        method: For example "tensorflow/serving/predict".
        inputs: Inputs, by the names that clients use.
        outputs: Outputs, by the names that clients use.
    """

    method: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two models' signatures.

    Attributes:
        text: One clause.
        is_breaking: True if a client that works with the best may fail with the candidate.
    """

    text: str
    is_breaking: bool


def changes(best: Mapping[str, Signature], candidate: Mapping[str, Signature]) -> list[Change]:
    """Returns the changes that a client of the best would notice, breaking changes first."""
    found = []
    for name in sorted({*best, *candidate}):
        if name not in candidate:
            found.append(Change(text=f"signature {name!r} was removed", is_breaking=True))
        elif name not in best:
            found.append(Change(text=f"signature {name!r} was added", is_breaking=False))
        else:
            found.extend(_changes_of(name, best[name], candidate[name]))
    return sorted(found, key=lambda change: not change.is_breaking)


def _changes_of(name: str, best: Signature, candidate: Signature) -> Iterator[Change]:
    if best.method != candidate.method:
        yield Change(
            text=(
                f"the method of signature {name!r} changed from {best.method!r} to"
                f" {candidate.method!r}"
            ),
            is_breaking=True,
        )
    for kind in ("inputs", "outputs"):
        before, after = getattr(best, kind), getattr(candidate, kind)
        for tensor in sorted({*before, *after}):
            where = f"{kind.removesuffix('s')} {tensor!r} of signature {name!r}"
            if tensor not in after:
                yield Change(text=f"{where} was removed", is_breaking=True)
            elif tensor not in before:
                # No client sends an added input yet, but the model requires it. Clients may ignore
                # an added output.
                yield Change(text=f"{where} was added", is_breaking=kind == "inputs")
            elif before[tensor] != after[tensor]:
                old, new = before[tensor], after[tensor]
                # The candidate must accept every input of the best, and return only its outputs.
                fits = (
                    _holds(new.shape, old.shape)
                    if kind == "inputs"
                    else _holds(old.shape, new.shape)
                )
                yield Change(
                    text=f"{where} changed from {old} to {new}",
                    is_breaking=old.dtype != new.dtype or not fits,
                )


def _holds(wide: Shape, narrow: Shape) -> bool:
    """Returns True if every tensor of the narrow shape fits the wide shape."""
    if wide is None:
        return True
    if narrow is None or len(wide) != len(narrow):
        return False
    return all(size in (None, other) for size, other in zip(wide, narrow, strict=True))
