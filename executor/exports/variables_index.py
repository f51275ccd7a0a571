"""Reads variables.index of a SavedModel: the shard, offset and size of each variable.

The format is TensorFlow's tensor bundle: a table with a header under the key "" and an entry for
each tensor under its name. A partitioned variable has one entry without bytes under its name, and
one entry for each slice under a key that begins with a zero byte.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfx_best_exporter.executor.exports import sstable
from tfx_best_exporter.proto import saved_model_pb2 as pb

_SHARD_PREFIX = "variables/variables.data"
_SLICE_PREFIX = b"\0"
# TensorFlow's limit for a tensor.
_MAX_DIMENSIONS = 254
# Bytes per element. The types that are left out are strings, and types whose elements may share a
# byte in a later TensorFlow.
_ELEMENT_BYTES = {
    **dict.fromkeys((pb.DT_BOOL, pb.DT_INT8, pb.DT_UINT8, pb.DT_QINT8, pb.DT_QUINT8), 1),
    **dict.fromkeys((pb.DT_HALF, pb.DT_BFLOAT16, pb.DT_INT16, pb.DT_UINT16), 2),
    **dict.fromkeys((pb.DT_FLOAT, pb.DT_INT32, pb.DT_UINT32, pb.DT_QINT32), 4),
    **dict.fromkeys((pb.DT_DOUBLE, pb.DT_INT64, pb.DT_UINT64, pb.DT_COMPLEX64), 8),
    pb.DT_COMPLEX128: 16,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VariablesIndex:
    """The content of variables.index.

    Attributes:
        shard_count: Number of files variables.data-*.
        tensors: Entries by name. An entry of a partitioned variable has `slices`, and no bytes.
        slices: Entries of the slices of all partitioned variables, in order of their keys.
    """

    shard_count: int
    tensors: Mapping[str, pb.BundleEntryProto]
    slices: Sequence[pb.BundleEntryProto]


def parse(content: bytes) -> VariablesIndex:
    """Returns the content of variables.index.

    Raises:
        sstable.CompressedError: A block is compressed.
        ValueError: The content is damaged.
        google.protobuf.message.DecodeError: A value is not a header or an entry.
    """
    pairs = sstable.read(content)
    key, value = next(pairs, (None, b""))
    if key != b"":
        raise sstable.TableError("the index does not begin with a header")
    shard_count = pb.BundleHeaderProto.FromString(value).num_shards
    tensors: dict[str, pb.BundleEntryProto] = {}
    slices: list[pb.BundleEntryProto] = []
    for key, value in pairs:
        entry = pb.BundleEntryProto.FromString(value)
        if not _is_possible(entry, shard_count):
            raise sstable.TableError(f"the entry of {key!r} is invalid")
        if key.startswith(_SLICE_PREFIX):
            slices.append(entry)
        else:
            tensors[key.decode()] = entry
    return VariablesIndex(shard_count=shard_count, tensors=tensors, slices=slices)


def _is_possible(entry: pb.BundleEntryProto, shard_count: int) -> bool:
    sizes = [dimension.size for dimension in entry.shape.dim]
    if not 0 <= entry.shard_id < shard_count or entry.offset < 0 or entry.size < 0:
        return False
    if entry.shape.unknown_rank or len(sizes) > _MAX_DIMENSIONS or any(size < 0 for size in sizes):
        return False
    element_bytes = _ELEMENT_BYTES.get(entry.dtype)
    if entry.slices or element_bytes is None:
        return True
    return entry.size == element_bytes * math.prod(sizes)


def why_incomplete(index: VariablesIndex, sizes: Mapping[str, int]) -> str:
    """Returns the first shard that is missing or too short for its tensors, or an empty text.

    Args:
        index: Content of variables.index.
        sizes: Size of each file in bytes, by path relative to the SavedModel.
    """
    expected: dict[int, int] = {}
    for entry in (*index.tensors.values(), *index.slices):
        end = entry.offset + entry.size
        expected[entry.shard_id] = max(end, expected.get(entry.shard_id, 0))
    # The index of a damaged model may name any number of shards, so the loop stops at the first one
    # that is missing.
    for shard in range(index.shard_count):
        path = f"{_SHARD_PREFIX}-{shard:05}-of-{index.shard_count:05}"
        if path not in sizes:
            return f"{path} is missing"
        if sizes[path] < expected.get(shard, 0):
            return f"{path} has {sizes[path]:,} bytes, but needs {expected[shard]:,}"
    return ""


def why_incomplete_by_tensorflow(variables_path: Path, sizes: Mapping[str, int]) -> str:
    """Returns the total size of the shards if it is too small, or an empty text.

    TensorFlow's reader reports neither shards nor offsets. This function therefore compares total
    sizes, without strings.

    Args:
        variables_path: Local directory with variables.index; it need not have the shards.
        sizes: Size of each file in bytes, by path relative to the SavedModel.
    """
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(variables_path / "variables"))
    dtypes = reader.get_variable_to_dtype_map()
    expected = sum(
        dtypes[name].size * math.prod(shape)
        for name, shape in reader.get_variable_to_shape_map().items()
    )
    # The reader does not report the number of shards. An earlier save may have left shards of
    # another number, so each number is added up on its own.
    totals = collections.Counter[str]()
    for path, size in sizes.items():
        if path.startswith(f"{_SHARD_PREFIX}-"):
            totals[path.rpartition("-of-")[2]] += size
    actual = max(totals.values(), default=0)
    if actual < expected:
        return f"{_SHARD_PREFIX}-* have {actual:,} bytes, but need {expected:,}"
    return ""
