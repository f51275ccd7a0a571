import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WriteModel
from tests.executor.bucket import Bucket
from tests.executor.exports import tables
from tests.executor.plain import FILES, files_of, read_files, write_files
from tfx_best_exporter.executor.deciding.signatures import Signature
from tfx_best_exporter.executor.exports import saved_model, sstable
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.storage import location_of

INDEX = "variables/variables.index"
SHARD = "variables/variables.data-00000-of-00001"


def check(path: Path) -> None:
    work_path = path.parent / "work of the check"
    saved_model.check(location_of(path), work_path)
    # Local files are never copied.
    assert not work_path.exists()


def why_incomplete(path: Path) -> str:
    return saved_model.why_incomplete(location_of(path).sizes())


def refusal(path: Path, problem: str) -> str:
    return (
        f"model must be a complete SavedModel (got {str(path)!r}: {problem})."
        " Check that Trainer finished writing it."
    )


# Completeness.


def test_a_real_model_is_complete(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    assert why_incomplete(path) == ""
    check(path)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param(FILES, "", id="complete"),
        pytest.param(
            {"saved_model.pbtxt": b"x", **{name: FILES[name] for name in (INDEX, SHARD)}},
            "",
            id="as text",
        ),
        pytest.param({}, "saved_model.pb is missing or empty", id="empty directory"),
        pytest.param(
            {**FILES, "saved_model.pb": b""},
            "saved_model.pb is missing or empty",
            id="empty saved_model.pb",
        ),
        pytest.param(
            {"saved_model.pb": b"x", SHARD: b"x"}, f"{INDEX} is missing or empty", id="no index"
        ),
        pytest.param({**FILES, INDEX: b""}, f"{INDEX} is missing or empty", id="empty index"),
        pytest.param(
            {"saved_model.pb": b"x", INDEX: b"x"},
            "variables/variables.data-?????-of-????? is missing",
            id="no shard",
        ),
        pytest.param(
            {
                "saved_model.pb": b"x",
                INDEX: b"x",
                "variables/variables.data-00000-of-00002": b"x",
            },
            "variables/ has 1 of 2 files variables.data-*",
            id="a shard is missing",
        ),
        pytest.param(
            {
                "saved_model.pb": b"x",
                INDEX: b"x",
                "variables/variables.data-00000-of-00002": b"x",
                "variables/variables.data-00001-of-00002": b"x",
                "variables/variables.data-00001-of-00002.tempstate": b"x",
            },
            "",
            id="two shards",
        ),
        pytest.param(
            {**FILES, "variables/variables.data-00001-of-00003": b"x"},
            "",
            id="a stale shard of another number",
        ),
        pytest.param(
            {
                "saved_model.pb": b"x",
                INDEX: b"x",
                "variables/variables.data-00000-of-00002": b"x",
                "variables/variables.data-00000-of-00003": b"x",
                "variables/variables.data-00001-of-00003": b"x",
            },
            "variables/ has 2 of 3 files variables.data-*",
            id="two numbers of shards, none complete",
        ),
    ],
)
def test_why_incomplete(tmp_path: Path, files: dict[str, bytes], problem: str):
    (tmp_path / "model").mkdir()
    assert why_incomplete(write_files(tmp_path / "model", files)) == problem


def test_check_refuses_what_is_no_directory(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(InvalidModelError) as caught:
            check(path)
        assert str(caught.value) == refusal(path, "the directory does not exist or is empty")


def truncate(name: str, size_of: Callable[[int], int]) -> Callable[[Path], None]:
    return lambda path: os.truncate(path / name, size_of((path / name).stat().st_size))


def change_a_byte(path: Path) -> None:
    content = bytearray((path / INDEX).read_bytes())
    content[1] ^= 1
    (path / INDEX).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(
            lambda path: (path / "saved_model.pb").unlink(),
            "saved_model.pb is missing",
            id="no saved_model.pb",
        ),
        pytest.param(lambda path: (path / INDEX).unlink(), f"{INDEX} is missing", id="no index"),
        pytest.param(
            lambda path: shutil.rmtree(path / "variables"),
            f"{INDEX} is missing",
            id="no variables",
        ),
        pytest.param(
            truncate("saved_model.pb", lambda size: size // 2),
            "saved_model.pb cannot be parsed: ",
            id="half of saved_model.pb",
        ),
        pytest.param(
            truncate(INDEX, lambda size: size // 2),
            "the variables cannot be read: ",
            id="half of the index",
        ),
        pytest.param(
            lambda path: (path / INDEX).write_bytes(b"not an index"),
            "the variables cannot be read: ",
            id="another index",
        ),
        pytest.param(
            truncate(INDEX, lambda size: size - 1),
            "the variables cannot be read: ",
            id="a byte less of the index",
        ),
        pytest.param(change_a_byte, "the variables cannot be read: ", id="a byte of the index"),
        pytest.param(truncate(SHARD, lambda size: 0), f"{SHARD} has ", id="empty shard"),
        pytest.param(truncate(SHARD, lambda size: size // 2), f"{SHARD} has ", id="half a shard"),
        pytest.param(
            truncate(SHARD, lambda size: size - 1), f"{SHARD} has ", id="a byte less of the shard"
        ),
        pytest.param(
            truncate(INDEX, lambda size: (256 << 20) + 1),
            f"{INDEX} has 268,435,457 bytes, and at most 268,435,456 are allowed",
            id="huge index",
        ),
        pytest.param(
            truncate("saved_model.pb", lambda size: (2 << 30) + 1),
            "saved_model.pb has 2,147,483,649 bytes, and at most 2,147,483,648 are allowed",
            id="huge graph",
        ),
    ],
)
def test_check_refuses_what_is_damaged(
    tmp_path: Path, write_model: WriteModel, damage: Callable[[Path], None], problem: str
):
    path = write_model(tmp_path / "model")
    damage(path)
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    # The tests of the other modules pin the rest of the problem.
    head, tail = refusal(path, "|").split("|")
    assert str(caught.value).startswith(head + problem)
    assert str(caught.value).endswith(tail)


def test_check_knows_the_length_of_the_variables_to_the_byte(tmp_path: Path):
    """Covers a shard of TensorFlow 1 that ends with numbers, whose checksum is not verified."""
    import tensorflow as tf

    path = tmp_path / "model"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("a", initializer=tf.constant(["", "word", "w" * 200]))
        tf.compat.v1.get_variable("b", initializer=tf.ones([10, 3]), use_resource=True)
        tf.compat.v1.get_variable("c", initializer=tf.constant(7, tf.int64), use_resource=True)
        session.run(tf.compat.v1.global_variables_initializer())
        builder = tf.compat.v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()
    check(path)
    size = (path / SHARD).stat().st_size
    assert size == (1 + 1 + 2) + 4 + (0 + 4 + 200) + 10 * 3 * 4 + 8
    os.truncate(path / SHARD, size - 1)
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    problem = f"{SHARD} has {size - 1:,} bytes, but needs {size:,}"
    assert str(caught.value) == refusal(path, problem)


def test_shards_of_an_earlier_save_do_no_harm(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    (path / "variables/variables.data-00000-of-00002").write_bytes(b"stale")
    check(path)
    # The check of a compressed index uses TensorFlow's reader.
    pairs = list(sstable.read((path / INDEX).read_bytes()))
    (path / INDEX).write_bytes(tables.table([tables.block(pairs)], is_compressed=True))
    check(path)
    os.truncate(path / SHARD, 3)
    (path / "variables/variables.data-00000-of-00002").write_bytes(b"xyz")
    with pytest.raises(InvalidModelError, match=r"\* have 3 bytes, but need 4\)"):
        check(path)


@pytest.mark.parametrize(
    ("name", "other", "remedy"),
    [
        pytest.param(
            "model.keras",
            "'model.keras' is a Keras file",
            "Save the model with model.export(path), which writes a SavedModel.",
            id="Keras",
        ),
        pytest.param(
            "lite/model.tflite",
            "'lite/model.tflite' is a TensorFlow Lite file",
            "Save the model that it was converted from as a SavedModel, for example with"
            " model.export(path) or tf.saved_model.save.",
            id="TensorFlow Lite",
        ),
        pytest.param(
            "saved_model.cpb",
            "'saved_model.cpb' is a SavedModel in chunks",
            "Save the model without experimental_image_format in tf.saved_model.SaveOptions.",
            id="chunks",
        ),
        pytest.param(
            "model.pkl",
            "'model.pkl' is a Python pickle",
            "TensorFlow Serving loads only SavedModels. Save the model as one, for example with"
            " tf.saved_model.save.",
            id="pickle",
        ),
    ],
)
def test_a_model_in_another_format(tmp_path: Path, name: str, other: str, remedy: str):
    path = write_files(tmp_path / "model", {name: b"x"})
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value) == (
        f"model must be a complete SavedModel (got {str(path)!r}: saved_model.pb is missing or"
        f" empty, and {other}). {remedy}"
    )
    (path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value) == refusal(path, "saved_model.pb is missing or empty")


def test_contents_of_a_model(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    shutil.rmtree(path / "variables")
    contents = saved_model.contents_of(location_of(path))
    assert contents.sizes == location_of(path).sizes()
    assert "serving_default" in contents.message.meta_graphs[0].signature_def
    (path / "saved_model.pb").write_bytes(b"no message")
    with pytest.raises(InvalidModelError) as caught:
        saved_model.contents_of(location_of(path))
    assert str(caught.value).startswith(
        f"cannot read the SavedModel at {path}: saved_model.pb cannot be parsed: "
    )


def test_shards_of_another_number_than_the_index_has(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    for shard in range(2):
        shutil.copy(path / SHARD, path / f"variables/variables.data-0000{shard}-of-00002")
    (path / SHARD).unlink()
    assert why_incomplete(path) == ""
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value) == refusal(path, f"{SHARD} is missing")


def test_an_index_that_only_tensorflow_can_read(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    pairs = list(sstable.read((path / INDEX).read_bytes()))
    content = tables.table([tables.block(pairs)], is_compressed=True)
    (path / INDEX).write_bytes(content)
    check(path)
    elsewhere = Bucket(tmp_path).location("model")
    saved_model.check(elsewhere, tmp_path / "check")
    assert list(read_files(tmp_path / "check")) == [INDEX]
    # The model has one number of four bytes. TensorFlow's reader reports no length of strings.
    os.truncate(path / SHARD, 3)
    problem = "variables/variables.data-* have 3 bytes, but need 4"
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value) == refusal(path, problem)
    # This table has a correct checksum, and content that Snappy cannot expand.
    handle = tables.footer(len(tables.sealed(b"")), 5)
    (path / INDEX).write_bytes(tables.sealed(b"") + tables.sealed(b"\xff" * 5, 1) + handle)
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value).startswith(refusal(path, "the variables cannot be read: ")[:-48])


def test_a_model_without_variables_is_complete(tmp_path: Path):
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "model"))
    check(tmp_path / "model")


# Files, links, digests.


def test_files_of(tmp_path: Path):
    path = write_files(tmp_path / "model")
    files = files_of(path)
    assert [file.path for file in files] == sorted(FILES)
    assert {file.path: Path(file.source.path).read_bytes() for file in files} == FILES
    assert {file.path: file.digest.size for file in files} == {
        name: len(content) for name, content in FILES.items()
    }


def test_a_link_inside_stands_for_its_file(tmp_path: Path):
    path = write_files(tmp_path / "model")
    expected = saved_model.digest_of(files_of(path))
    (path / "assets" / "words.txt").rename(path / "assets" / "real.txt")
    (path / "assets" / "words.txt").symlink_to("real.txt")
    files = {file.path: file for file in files_of(path)}
    assert files["assets/words.txt"].source == location_of((path / "assets" / "real.txt").resolve())
    del files["assets/real.txt"]
    assert saved_model.digest_of(list(files.values())) == expected


def test_a_model_may_be_reached_by_a_link(tmp_path: Path):
    write_files(tmp_path / "model")
    (tmp_path / "link").symlink_to("model")
    assert files_of(tmp_path / "link") == files_of(tmp_path / "model")


@pytest.mark.parametrize(
    "target",
    ["../outside.txt", "/etc/hostname", "words", "nowhere", "../../outside", "link", ".."],
)
def test_links_that_lead_elsewhere_are_refused(tmp_path: Path, target: str):
    path = write_files(tmp_path / "model")
    (tmp_path / "outside.txt").write_bytes(b"secret")
    write_files(tmp_path / "outside")
    (path / "assets" / "words").mkdir()
    (path / "assets" / "link").symlink_to(target)
    with pytest.raises(InvalidModelError) as caught:
        files_of(path)
    assert str(caught.value) == (
        f"model must have links only to files inside the model (got 'assets/link' -> {target!r}, at"
        f" {path}). Replace the link with the file."
    )


def test_a_link_to_a_model_beside_with_a_longer_name_is_refused(tmp_path: Path):
    path = write_files(tmp_path / "model")
    write_files(tmp_path / "model2")
    (path / "link").symlink_to("../model2/saved_model.pb")
    with pytest.raises(InvalidModelError):
        files_of(path)


def test_what_is_no_file_is_refused(tmp_path: Path):
    path = write_files(tmp_path / "model")
    os.mkfifo(path / "assets" / "pipe")
    with pytest.raises(InvalidModelError) as caught:
        files_of(path)
    assert str(caught.value) == (
        f"model must have only files and directories (got 'assets/pipe', at {path}). Remove this"
        " entry."
    )


def test_digest_is_the_same_wherever_the_model_lies(tmp_path: Path):
    one = write_files(tmp_path / "one")
    other = write_files(tmp_path / "a" / "b", dict(reversed(FILES.items())))
    (other / "empty directory").mkdir()
    (other / "saved_model.pb").chmod(0o600)
    os.utime(other / "saved_model.pb", (0, 0))
    write_files(other / "assets.extra" / "best_exporter", {"record.json": b"{}", "e/m": b"x"})
    digests = {saved_model.digest_of(files_of(path)) for path in (one, other)}
    digests.add(saved_model.digest_of(files_of(one)[::-1]))
    (digest,) = digests
    assert digest.startswith("sha256:")
    assert len(digest) == len("sha256:") + 64


def test_digest_is_stored_and_therefore_stable(tmp_path: Path):
    write_files(tmp_path / "model", {"saved_model.pb": b"123456789"})
    assert saved_model.digest_of(files_of(tmp_path / "model")) == (
        "sha256:0da8e3fd72974765e738f9734723e8c7f24d2f168968535bcf1e9d2ad34a605e"
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"assets/words.txt": b"Words"}, id="content"),
        pytest.param({"assets/new.txt": b""}, id="an empty file more"),
        pytest.param({"assets.extra/warmup": b"x"}, id="assets.extra"),
    ],
)
def test_digest_changes_with(tmp_path: Path, change: dict[str, bytes]):
    path = write_files(tmp_path / "model")
    before = saved_model.digest_of(files_of(path))
    write_files(path, change)
    assert saved_model.digest_of(files_of(path)) != before


def test_digest_changes_with_a_name(tmp_path: Path):
    path = write_files(tmp_path / "model")
    before = saved_model.digest_of(files_of(path))
    (path / "assets" / "words.txt").rename(path / "assets" / "other.txt")
    assert saved_model.digest_of(files_of(path)) != before


# The graph.


def as_text(path: Path, change: Callable[[Any], None] = lambda proto: None) -> Path:
    """Changes a model's message, and writes it as text, as TensorFlow does."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    change(proto)
    (path / "saved_model.pb").unlink()
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(proto))
    return path


def signatures_of(path: Path) -> dict[str, Signature]:
    return saved_model.signatures_of({file.path: file.source for file in files_of(path)})


def test_signatures_of_a_real_model(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    found = signatures_of(path)
    assert set(found) == {"serving_default"}
    serving = found["serving_default"]
    assert serving.method == "tensorflow/serving/predict"
    assert {str(each) for each in (*serving.inputs.values(), *serving.outputs.values())} == {
        "float[?]"
    }
    assert signatures_of(as_text(path)) == found


def test_signatures_of_what_is_no_model(tmp_path: Path):
    (tmp_path / "saved_model.pb").write_bytes(b"no proto")
    source = location_of(str(tmp_path / "saved_model.pb"))
    with pytest.raises(InvalidModelError) as caught:
        saved_model.signatures_of({"saved_model.pb": source})
    assert str(caught.value).startswith(f"cannot read the signatures in {source}: ")
    assert str(caught.value).endswith(". Check that the file belongs to a SavedModel.")


def test_all_that_a_text_may_hold_is_skipped(tmp_path: Path, write_model: WriteModel):
    def change(proto: Any) -> None:
        graph = proto.meta_graphs[0]
        # Text format writes this value as [type.googleapis.com/tensorflow.SaverDef] {...}.
        graph.meta_info_def.any_info.Pack(graph.saver_def)
        graph.collection_def["any"].any_list.value.add().Pack(graph.saver_def)
        graph.collection_def["bytes"].bytes_list.value.append(b"\0'\"{}\xff\n")
        graph.collection_def["floats"].float_list.value.extend([float("nan"), float("-inf"), -1.5])
        graph.collection_def["integers"].int64_list.value.extend([-(2**63), 2**63 - 1])

    path = write_model(tmp_path / "model")
    expected = signatures_of(path)
    as_text(path, change)
    text = (path / "saved_model.pbtxt").read_text()
    assert "[type.googleapis.com/tensorflow.SaverDef]" in text
    check(path)
    assert signatures_of(path) == expected


def test_tensors_of_a_signature(tmp_path: Path, write_model: WriteModel):
    """Covers many dtypes and shapes, and a type that only a later TensorFlow has."""

    def change(proto: Any) -> None:
        inputs = proto.meta_graphs[0].signature_def["serving_default"].inputs
        inputs["any rank"].tensor_shape.unknown_rank = True
        inputs["scalar"].dtype = 3
        inputs["reference"].dtype = 101
        inputs["later"].dtype = 99

    def change_binary(proto: Any) -> None:
        change(proto)
        (path / "binary").write_bytes(proto.SerializeToString())

    path = write_model(tmp_path / "model")
    as_text(path, change_binary)
    binary = {"saved_model.pb": location_of(str(path / "binary"))}
    for found in (signatures_of(path), saved_model.signatures_of(binary)):
        assert {name: str(each) for name, each in found["serving_default"].inputs.items()} == {
            "x": "float[?]",
            "any rank": "invalid[...]",
            "scalar": "int32[]",
            "reference": "float_ref[]",
            "later": "unknown_99[]",
        }


_READ = """
import sys
from pathlib import Path
from tfx_best_exporter.executor.exports import assets_extra, resave, saved_model
from tfx_best_exporter.executor.storage import location_of

model = location_of(sys.argv[1])
saved_model.check(model, Path(sys.argv[1] + " work"))
files = saved_model.files_of(model)
print(saved_model.digest_of(files))
print(*saved_model.signatures_of({file.path: file.source for file in files}))
print(*({"numpy", "tensorflow", "tfx"} & set(sys.modules)))
"""


@pytest.mark.parametrize("is_text", [False, True], ids=["binary", "text"])
def test_a_model_is_read_without_tensorflow(tmp_path: Path, write_model: WriteModel, is_text: bool):
    path = write_model(tmp_path / "model")
    if is_text:
        as_text(path)
    command = [sys.executable, "-c", _READ, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    digest = saved_model.digest_of(files_of(path))
    assert result.stdout.splitlines() == [digest, "serving_default", ""]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: b"no proto", id="another text"),
        pytest.param(lambda text: text[: len(text) // 2], id="half of it"),
        pytest.param(lambda text: text[:-2], id="without its last brace"),
        pytest.param(lambda text: text + b"}", id="one brace more"),
        pytest.param(lambda text: text + b"garbage", id="garbage behind it"),
        pytest.param(lambda text: b"\xff" + text, id="not UTF-8"),
        pytest.param(lambda text: b"deep {" * 100_000, id="nested without end"),
        pytest.param(
            lambda text: text.replace(b"graph_def {", b"graph_def { garbage", 1),
            id="garbage in a field that is not read",
        ),
        pytest.param(
            lambda text: text.replace(b"dtype: DT_FLOAT", b"dtype: FLOAT"), id="unknown name"
        ),
        pytest.param(
            lambda text: text.replace(b"tensor_shape {", b"tensor_shape: 1 {", 1), id="a number"
        ),
    ],
)
def test_check_refuses_damaged_text(
    tmp_path: Path, write_model: WriteModel, damage: Callable[[bytes], bytes]
):
    path = as_text(write_model(tmp_path / "model"))
    text = (path / "saved_model.pbtxt").read_bytes()
    check(path)
    assert damage(text) != text
    (path / "saved_model.pbtxt").write_bytes(damage(text))
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value).startswith(
        f"model must be a complete SavedModel (got {str(path)!r}: saved_model.pbtxt cannot be"
        " parsed: "
    )


def test_a_text_beside_the_binary_is_no_part_of_the_model(tmp_path: Path):
    path = write_files(tmp_path / "model", {"saved_model.pb": b"x", "saved_model.pbtxt": b"y"})
    assert [file.path for file in files_of(path) if file.is_marker] == ["saved_model.pb"]
    (path / "saved_model.pb").unlink()
    assert [file.path for file in files_of(path) if file.is_marker] == ["saved_model.pbtxt"]


def test_check_refuses_a_model_without_a_graph(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    # The message has only saved_model_schema_version: 1.
    (path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value) == refusal(path, "saved_model.pb has no graph")


# Models in another storage.


def test_a_model_elsewhere(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model", scale=3.0)
    bucket = Bucket(tmp_path)
    model = bucket.location("model")
    saved_model.check(model, tmp_path / "check")
    # The check copies no file.
    assert not (tmp_path / "check").exists()
    files = saved_model.files_of(model)
    assert {file.source.storage for file in files} == {bucket}
    assert saved_model.digest_of(files) == saved_model.digest_of(files_of(path))
    # The check does not read the variables.
    size = (path / SHARD).stat().st_size
    (path / SHARD).unlink()
    (path / SHARD).touch()
    os.truncate(path / SHARD, size)
    saved_model.check(model, tmp_path / "check")


def test_a_damaged_model_elsewhere(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    size = (path / SHARD).stat().st_size
    os.truncate(path / SHARD, 3)
    with pytest.raises(InvalidModelError) as caught:
        saved_model.check(Bucket(tmp_path).location("model"), tmp_path / "check")
    assert str(caught.value) == (
        f"model must be a complete SavedModel (got 'bucket://model': {SHARD} has 3 bytes, but needs"
        f" {size:,}). Check that Trainer finished writing it."
    )


@pytest.mark.parametrize(
    ("removed", "problem"),
    [
        pytest.param([], "", id="complete"),
        pytest.param(["saved_model.pb"], "saved_model.pb is missing or empty", id="no graph"),
        pytest.param([INDEX], f"{INDEX} is missing or empty", id="no index"),
        pytest.param([INDEX, SHARD], f"{INDEX} is missing or empty", id="no variables"),
        pytest.param(
            [SHARD], "variables/variables.data-?????-of-????? is missing", id="some variables"
        ),
    ],
)
def test_a_model_server_can_load_a_real_model(
    tmp_path: Path, write_model: WriteModel, removed: list[str], problem: str
):
    path = write_model(tmp_path / "model")
    for name in removed:
        (path / name).unlink()
    model = location_of(path)
    assert saved_model.why_not_loadable(model, model.sizes()) == problem
