import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from tests.executor.exports import tables
from tfx_best_exporter.executor.exports import sstable, variables_index
from tfx_best_exporter.executor.exports.variables_index import VariablesIndex
from tfx_best_exporter.executor.storage.digest import masked_crc32c
from tfx_best_exporter.proto import saved_model_pb2 as pb

# Variables that TensorFlow writes.


def write_objects(directory: Path) -> None:
    """Writes variables as TensorFlow 2 does."""
    import tensorflow as tf

    module = tf.Module()
    values = {
        "scalar": tf.constant(7, tf.int64),
        "nothing": tf.zeros([0, 3]),
        "half": tf.constant([1, 2, 3], tf.bfloat16),
        "double": tf.ones([2, 3], tf.float64),
        "text": tf.constant(["", "word", "w" * 200]),
        "complex": tf.cast([[1.0]], tf.complex128),
        "flag": tf.constant([True, False]),
        "small": tf.cast(tf.constant([1, 2, 3], tf.int8), tf.dtypes.experimental.int4),
    }
    for name, value in values.items():
        setattr(module, name, tf.Variable(value))
    tf.saved_model.save(module, str(directory.parent))


def write_partitions(directory: Path) -> None:
    """Writes variables as TensorFlow 1 does, one of them in three slices."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        partitioner = v1.fixed_size_partitioner(3)
        v1.get_variable("sliced", shape=[10, 3], partitioner=partitioner, use_resource=False)
        v1.get_variable("text", initializer=tf.constant(["", "word", "w" * 200]))
        v1.get_variable("scalar", initializer=tf.constant(7, tf.int64))
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(directory.parent))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()


def write_shards(directory: Path, count: int = 3, tensors: int = 2) -> None:
    """Writes variables as several machines do: one shard each, with a merged index."""
    import tensorflow as tf

    parts_path = directory.parent / "parts"
    parts_path.mkdir(parents=True)
    prefixes = [str(parts_path / str(shard)) for shard in range(count)]
    for shard, prefix in enumerate(prefixes):
        # Names without a common prefix make the index large.
        names = [
            f"{google_crc32c.value(b'%d/%d' % (shard, n)):08x}" * 12 + f"/{shard}/{n}"
            for n in range(tensors)
        ]
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=[*names, f"text/{shard}"],
            shape_and_slices=[""] * (tensors + 1),
            tensors=[*(tf.fill([shard, 2], float(n)) for n in range(tensors)), tf.constant("text")],
        )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=prefixes,
        destination_prefix=str(directory / "variables"),
        delete_old_dirs=True,
    )


def write_many(directory: Path) -> None:
    write_shards(directory, count=2, tensors=4000)


WRITERS = [write_objects, write_partitions, write_shards, write_many]


@pytest.fixture(
    scope="module", params=WRITERS, ids=lambda write: write.__name__.removeprefix("write_")
)
def variables_path(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("model") / "variables"
    request.param(path)
    return path


def read_index(variables_path: Path) -> VariablesIndex:
    return variables_index.parse((variables_path / "variables.index").read_bytes())


def sizes_of(variables_path: Path) -> dict[str, int]:
    return {f"variables/{path.name}": path.stat().st_size for path in variables_path.iterdir()}


def test_tensors_are_those_that_tensorflow_reads(variables_path: Path):
    import tensorflow as tf

    index = read_index(variables_path)
    reader = tf.train.load_checkpoint(str(variables_path / "variables"))
    dtypes = reader.get_variable_to_dtype_map()
    found = {
        name: (entry.dtype, [dimension.size for dimension in entry.shape.dim])
        for name, entry in index.tensors.items()
    }
    assert found == {
        name: (dtypes[name].as_datatype_enum, shape)
        for name, shape in reader.get_variable_to_shape_map().items()
    }


def test_tensors_lie_where_the_index_says(variables_path: Path):
    index = read_index(variables_path)
    count = index.shard_count
    shards = [
        (variables_path / f"variables.data-{shard:05}-of-{count:05}").read_bytes()
        for shard in range(count)
    ]
    assert len(sizes_of(variables_path)) == count + 1
    used = [0] * count
    for entry in (*index.tensors.values(), *index.slices):
        used[entry.shard_id] += entry.size
        if entry.dtype != pb.DT_STRING and not entry.slices:
            content = shards[entry.shard_id][entry.offset : entry.offset + entry.size]
            assert masked_crc32c(content) == entry.crc32c
    # Each byte of a shard belongs to exactly one tensor.
    assert used == [len(shard) for shard in shards]


def test_complete_to_the_byte(variables_path: Path):
    index, sizes = read_index(variables_path), sizes_of(variables_path)
    assert variables_index.why_incomplete(index, sizes) == ""
    for path, size in sizes.items():
        if path.endswith(".index") or not size:
            continue
        assert variables_index.why_incomplete(index, {**sizes, path: size - 1}) == (
            f"{path} has {size - 1:,} bytes, but needs {size:,}"
        )
        others = {other: sizes[other] for other in sizes if other != path}
        assert variables_index.why_incomplete(index, others) == f"{path} is missing"


def test_a_partitioned_variable(tmp_path: Path):
    write_partitions(tmp_path / "variables")
    index = read_index(tmp_path / "variables")
    assert len(index.tensors["sliced"].slices) == 3
    assert index.tensors["sliced"].size == 0
    shapes = [[dimension.size for dimension in entry.shape.dim] for entry in index.slices]
    assert shapes == [[4, 3], [3, 3], [3, 3]]


def test_a_large_index_has_several_blocks(tmp_path: Path):
    write_many(tmp_path / "variables")
    content = (tmp_path / "variables" / "variables.index").read_bytes()
    assert len(content) > 2 * 262144
    start = time.process_time()
    assert len(variables_index.parse(content).tensors) == 2 * 4001
    assert time.process_time() - start < 5


# Damaged indices.


def entry(dtype: int = pb.DT_FLOAT, shape: Sequence[int] = (2,), **fields: Any) -> bytes:
    dimensions = [pb.TensorShapeProto.Dim(size=size) for size in shape]
    values: dict[str, Any] = {"dtype": dtype, "size": 8, **fields}
    message = pb.BundleEntryProto(shape=pb.TensorShapeProto(dim=dimensions), **values)
    return message.SerializeToString()


def index_of(*entries: bytes, shards: int = 1, is_compressed: bool = False) -> bytes:
    header = pb.BundleHeaderProto(num_shards=shards).SerializeToString()
    pairs = [(b"", header), *((b"v%d" % number, each) for number, each in enumerate(entries))]
    return tables.table([tables.block(pairs)], is_compressed=is_compressed)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="floats"),
        pytest.param({"shape": (), "size": 4}, id="scalar"),
        pytest.param({"shape": (5, 0), "size": 0}, id="no elements"),
        pytest.param({"shape": (1,) * 254, "size": 4}, id="many dimensions"),
        pytest.param({"dtype": pb.DT_STRING, "size": 17}, id="strings"),
        pytest.param({"dtype": 99, "size": 17}, id="a type of a later TensorFlow"),
        pytest.param({"slices": [pb.TensorSliceProto()], "size": 0}, id="partitioned"),
        pytest.param({"offset": 2**62}, id="far away"),
    ],
)
def test_possible_entries(fields: dict[str, Any]):
    (parsed,) = variables_index.parse(index_of(entry(**fields))).tensors.values()
    assert parsed.SerializeToString() == entry(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"shard_id": 1}, id="shard above the last"),
        pytest.param({"shard_id": -1}, id="negative shard"),
        pytest.param({"offset": -1}, id="negative offset"),
        pytest.param({"dtype": pb.DT_STRING, "size": -1}, id="negative size"),
        pytest.param({"size": 7}, id="fewer bytes than its shape"),
        pytest.param({"size": 9}, id="more bytes than its shape"),
        pytest.param({"shape": (-1, -2)}, id="negative dimensions"),
        pytest.param({"shape": (2**62,) * 255}, id="too many dimensions"),
        pytest.param({"dtype": pb.DT_COMPLEX128, "size": 16}, id="one of two complex numbers"),
    ],
)
def test_impossible_entries_are_refused(fields: dict[str, Any]):
    with pytest.raises(ValueError, match=r"\Athe entry of b'v0' is invalid\Z"):
        variables_index.parse(index_of(entry(**fields)))


def test_an_unknown_rank_is_refused():
    message = pb.BundleEntryProto(shape=pb.TensorShapeProto(unknown_rank=True))
    with pytest.raises(ValueError, match=r"\Athe entry of b'v0' is invalid\Z"):
        variables_index.parse(index_of(message.SerializeToString()))


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([], id="nothing"),
        pytest.param([tables.block([(b"v", entry())])], id="an entry first"),
    ],
)
def test_an_index_without_a_header_is_refused(blocks: list[bytes]):
    with pytest.raises(ValueError, match=r"\Athe index does not begin with a header\Z"):
        variables_index.parse(tables.table(blocks))


@pytest.mark.parametrize("shards", [2, 2**31 - 1])
def test_shards_that_the_header_counts_and_nobody_wrote(shards: int):
    index = variables_index.parse(index_of(entry(), shards=shards))
    sizes = {f"variables/variables.data-00000-of-{shards:05}": 8}
    assert variables_index.why_incomplete(index, sizes) == (
        f"variables/variables.data-00001-of-{shards:05} is missing"
    )


@pytest.mark.parametrize("shards", [0, -1])
def test_tensors_without_shards_are_refused(shards: int):
    assert variables_index.parse(index_of(shards=shards)).tensors == {}
    with pytest.raises(ValueError, match=r"\Athe entry of b'v0' is invalid\Z"):
        variables_index.parse(index_of(entry(), shards=shards))


# Indices that only TensorFlow can read.


def compress(variables_path: Path) -> None:
    index_path = variables_path / "variables.index"
    pairs = list(sstable.read(index_path.read_bytes()))
    index_path.write_bytes(tables.table([tables.block(pairs)], is_compressed=True))


@pytest.mark.parametrize("write", [write_partitions, write_shards])
def test_a_compressed_index_is_read_by_tensorflow(tmp_path: Path, write: Any):
    write(tmp_path / "model" / "variables")
    sizes = sizes_of(tmp_path / "model" / "variables")
    index = read_index(tmp_path / "model" / "variables")
    numbers = sum(
        entry.size
        for entry in (*index.tensors.values(), *index.slices)
        if entry.dtype != pb.DT_STRING
    )
    # The reader needs the index only, not the shards.
    (tmp_path / "work").mkdir()
    shutil.copy(tmp_path / "model" / "variables" / "variables.index", tmp_path / "work")
    compress(tmp_path / "work")
    with pytest.raises(sstable.CompressedError):
        read_index(tmp_path / "work")
    why_incomplete = variables_index.why_incomplete_by_tensorflow
    assert why_incomplete(tmp_path / "work", sizes) == ""
    shard = "variables/variables.data-00000-of-00001"
    assert why_incomplete(tmp_path / "work", {shard: numbers}) == ""
    assert why_incomplete(tmp_path / "work", {shard: numbers - 1}) == (
        f"variables/variables.data-* have {numbers - 1:,} bytes, but need {numbers:,}"
    )
