import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WriteModel
from tests.executor.bucket import Bucket
from tests.executor.plain import FILES, files_of, read_files, write_files
from tfx_best_exporter.executor.exports import saved_model
from tfx_best_exporter.executor.exports.saved_model import InvalidModelError
from tfx_best_exporter.executor.storage import location_of

INDEX = "variables/variables.index"
SHARD = "variables/variables.data-00000-of-00001"


def check(path: Path) -> None:
    work_path = path.parent / "work of the check"
    saved_model.check(location_of(path), work_path)
    # Nothing is copied of what is local.
    assert not work_path.exists()


def why_incomplete(path: Path) -> str:
    return saved_model.why_incomplete(location_of(path).sizes())


def refusal(path: Path, problem: str) -> str:
    return (
        f"model must be a complete SavedModel (got {str(path)!r}: {problem})."
        " Check that Trainer finished writing it."
    )


# What is complete.


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
        pytest.param({}, "there is no saved_model.pb", id="empty directory"),
        pytest.param(
            {**FILES, "saved_model.pb": b""},
            "there is no saved_model.pb",
            id="empty saved_model.pb",
        ),
        pytest.param({"saved_model.pb": b"x", SHARD: b"x"}, f"there is no {INDEX}", id="no index"),
        pytest.param({**FILES, INDEX: b""}, f"there is no {INDEX}", id="empty index"),
        pytest.param(
            {"saved_model.pb": b"x", INDEX: b"x"},
            "there is no variables/variables.data-?????-of-?????",
            id="no shard",
        ),
        pytest.param(
            {
                "saved_model.pb": b"x",
                INDEX: b"x",
                "variables/variables.data-00000-of-00002": b"x",
            },
            "there are 1 of 2 files variables/variables.data-*",
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
        assert str(caught.value) == refusal(path, "there is no such directory")


def truncate(name: str, size_of: Callable[[int], int]) -> Callable[[Path], None]:
    return lambda path: os.truncate(path / name, size_of((path / name).stat().st_size))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(
            lambda path: (path / "saved_model.pb").unlink(),
            "there is no saved_model.pb",
            id="no saved_model.pb",
        ),
        pytest.param(lambda path: (path / INDEX).unlink(), f"there is no {INDEX}", id="no index"),
        pytest.param(
            lambda path: shutil.rmtree(path / "variables"),
            f"there is no {INDEX}",
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
            truncate(SHARD, lambda size: 0), "the variables cannot be read: ", id="empty shard"
        ),
        pytest.param(
            truncate(SHARD, lambda size: size // 2),
            "the variables cannot be read: ",
            id="half of the shard",
        ),
        pytest.param(
            truncate(SHARD, lambda size: size - 1),
            "the variables cannot be read: ",
            id="a byte less of the shard",
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
    # What follows the problem is TensorFlow's own text.
    head, tail = refusal(path, "|").split("|")
    assert str(caught.value).startswith(head + problem)
    assert str(caught.value).endswith(tail)


def test_check_knows_the_length_of_the_variables_to_the_byte(tmp_path: Path):
    """As TensorFlow 1 writes them: with numbers at the end, which no checksum covers unread."""
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
    problem = f"variables/variables.data-* have {size - 1} bytes, the index asks for {size}"
    assert str(caught.value) == refusal(path, problem)


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
        "model must have no link that leads out of it or to a directory (got 'assets/link' ->"
        f" {target!r}, at {path}). Replace the link by the file."
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
        f"model must consist of files and directories (got 'assets/pipe', at {path}). Remove it."
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


# assets_extra.


@pytest.mark.parametrize(
    ("assets_extra", "expected"),
    [
        pytest.param(None, {}, id="None"),
        pytest.param({}, {}, id="none"),
        pytest.param({"warmup": "/a"}, {"warmup": "/a"}, id="file"),
        pytest.param({"a/b/c.txt": "d"}, {"a/b/c.txt": "d"}, id="below"),
        pytest.param({"best_exporter.txt": "d"}, {"best_exporter.txt": "d"}, id="like ours"),
        pytest.param({"a..b": "d"}, {"a..b": "d"}, id="dots in a name"),
    ],
)
def test_check_assets_extra(assets_extra: Any, expected: dict[str, str]):
    assert saved_model.check_assets_extra(assets_extra) == expected


@pytest.mark.parametrize(
    "destination", ["", ".", "..", "../x", "a/../x", "a/..", "/x", "a/", "a//b", "./a", "a\\b"]
)
def test_destinations_outside_are_refused(destination: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        saved_model.check_assets_extra({destination: "/a"})
    assert str(caught.value) == (
        f"assets_extra must have destinations below assets.extra/ (got {destination!r})."
        " Give a relative path including the file name, without '..'."
    )


@pytest.mark.parametrize("destination", ["best_exporter", "best_exporter/record.json"])
def test_destinations_of_ours_are_refused(destination: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        saved_model.check_assets_extra({destination: "/a"})
    assert str(caught.value) == (
        f"assets_extra must have destinations outside best_exporter/ (got {destination!r})."
        " That is where the export's record lies: choose another name."
    )


def test_an_empty_source_is_refused():
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        saved_model.check_assets_extra({"a": ""})
    assert str(caught.value) == (
        "assets_extra['a'] must be the path of a file (got '')."
        " Give the full path of the source file."
    )


@pytest.mark.parametrize("value", [["a"], "a", {"a": 1}, {1: "a"}, {"a": None}], ids=repr)
def test_assets_extra_of_another_type_is_refused(value: Any):
    with pytest.raises(TypeError) as caught:
        saved_model.check_assets_extra(value)
    assert str(caught.value) == (
        f"assets_extra must be a dictionary of destination path to source path (got {value!r})."
        " Give paths as str."
    )


def test_with_assets_extra(tmp_path: Path):
    files = files_of(write_files(tmp_path / "model"))
    (tmp_path / "source").write_bytes(b"warmup")
    (tmp_path / "link").symlink_to("source")
    extras = {"a/b": str(tmp_path / "source"), "a/c": str(tmp_path / "link")}
    result = saved_model.with_assets_extra(files, extras)
    assert result[: len(files)] == files
    assert [file.path for file in result[len(files) :]] == ["assets.extra/a/b", "assets.extra/a/c"]
    assert {Path(file.source.path).read_bytes() for file in result[len(files) :]} == {b"warmup"}


@pytest.mark.parametrize("name", ["nothing", "directory"])
def test_a_source_that_is_no_file_is_refused(tmp_path: Path, name: str):
    (tmp_path / "directory").mkdir()
    source = str(tmp_path / name)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        saved_model.with_assets_extra([], {"a": source})
    assert str(caught.value) == (
        f"assets_extra['a'] must be the path of a file (got {source!r})."
        " Give the full path of the source file."
    )


@pytest.mark.parametrize(
    ("destinations", "collision"),
    [
        pytest.param(["a/file"], "a/file", id="the same"),
        pytest.param(["a"], "a", id="a directory of the model"),
        pytest.param(["a/file/b"], "a/file/b", id="below a file of the model"),
        pytest.param(["b", "b/c"], "b/c", id="below another"),
        pytest.param(["b/c", "b"], "b", id="above another"),
    ],
)
def test_destinations_that_collide_are_refused(
    tmp_path: Path, destinations: list[str], collision: str
):
    files = files_of(write_files(tmp_path / "model", {"assets.extra/a/file": b""}))
    (tmp_path / "source").write_bytes(b"")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        saved_model.with_assets_extra(
            files, {destination: str(tmp_path / "source") for destination in destinations}
        )
    assert str(caught.value) == (
        f"assets_extra must have destinations that nothing else uses (got {collision!r})."
        " Choose another name."
    )


# as_text.


def test_as_text(tmp_path: Path, write_model: WriteModel):
    import tensorflow as tf

    path = write_model(tmp_path / "model", scale=3.0)
    (tmp_path / "work").mkdir()
    files = saved_model.as_text(files_of(path), tmp_path / "work")
    for file in files:
        (tmp_path / "text" / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.source.path, tmp_path / "text" / file.path)
    names = set(read_files(path)) - {"saved_model.pb"} | {"saved_model.pbtxt"}
    assert {file.path for file in files} == set(read_files(tmp_path / "text")) == names
    check(tmp_path / "text")
    loaded = tf.saved_model.load(str(tmp_path / "text"))
    assert serve(loaded, "serving_default", x=[2.0]) == {"y": [6.0]}


def test_as_text_leaves_text_as_it_is(tmp_path: Path):
    files = files_of(write_files(tmp_path / "model", {"saved_model.pbtxt": b"x"}))
    assert saved_model.as_text(files, tmp_path) == files


def test_as_text_of_a_model_in_both_forms(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    (path / "saved_model.pbtxt").write_text("TensorFlow does not load this one")
    files = saved_model.as_text(files_of(path), tmp_path / "work")
    (text,) = (file for file in files if file.is_marker)
    assert text.source == location_of(tmp_path / "work" / "saved_model.pbtxt")
    assert "meta_graphs" in Path(text.source.path).read_text()


@pytest.mark.parametrize("content", [b"GRAPH", b"a longer graph", b""], ids=["", "more", "less"])
def test_as_text_refuses_what_has_another_content(tmp_path: Path, content: bytes):
    path = write_files(tmp_path / "model")
    files = files_of(path)
    (path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ValueError, match=r"\Amodel must stay as it was when it was decided about "):
        saved_model.as_text(files, tmp_path / "work")


def test_check_refuses_damaged_text(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    (path / "saved_model.pb").unlink()
    (path / "saved_model.pbtxt").write_text("no proto")
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
    # saved_model_schema_version: 1, and nothing else.
    (path / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(InvalidModelError) as caught:
        check(path)
    assert str(caught.value) == refusal(path, "saved_model.pb holds no graph")


# serving_signatures_fn.


def serve(loaded: Any, signature: str, **inputs: list[float]) -> dict[str, list[float]]:
    import tensorflow as tf

    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    outputs = loaded.signatures[signature](**tensors)
    return {name: value.numpy().tolist() for name, value in outputs.items()}


def squared(loaded: Any) -> dict[str, Any]:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def square(x: Any) -> Any:
        return {"z": (loaded.scale * x) ** 2}

    return {"squared": square, "serving_default": loaded.signatures["serving_default"]}


def test_with_signatures(tmp_path: Path, write_model: WriteModel):
    import tensorflow as tf

    path = write_model(tmp_path / "model", scale=3.0)
    write_files(path, {"assets.extra/warmup": b"w", "assets.extra/best_exporter/record.json": b""})
    files = saved_model.with_signatures(
        location_of(path), files_of(path), squared, tmp_path / "work"
    )
    names = [file.path for file in files]
    assert len(names) == len(set(names))
    assert "assets.extra/warmup" in names
    assert "assets.extra/best_exporter/record.json" not in names
    loaded = tf.saved_model.load(str(tmp_path / "work" / "saved"))
    assert set(loaded.signatures) == {"squared", "serving_default"}
    assert serve(loaded, "squared", x=[2.0]) == {"z": [36.0]}
    assert serve(loaded, "serving_default", x=[2.0]) == {"y": [6.0]}
    assert loaded.scale.numpy() == 3.0
    words = (path / "assets" / "words.txt").read_bytes()
    assert (tmp_path / "work" / "saved" / "assets" / "words.txt").read_bytes() == words


@pytest.mark.parametrize("value", [None, {}, [], {"a": 1}, {1: print}, "serve"], ids=repr)
def test_signatures_of_another_type_are_refused(
    tmp_path: Path, write_model: WriteModel, value: Any
):
    path = write_model(tmp_path / "model")
    with pytest.raises(TypeError) as caught:
        saved_model.with_signatures(
            location_of(path), files_of(path), lambda loaded: value, tmp_path / "work"
        )
    assert str(caught.value) == (
        f"serving_signatures_fn must return signature name -> tf.function (got {value!r})."
        " Mend the function; nothing was exported."
    )
    assert not (tmp_path / "work").exists()


def test_with_signatures_refuses_a_model_that_changed(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    files = files_of(path)
    (path / "assets" / "words.txt").write_text("other words")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        saved_model.with_signatures(location_of(path), files, squared, tmp_path / "work")
    assert str(caught.value) == (
        f"model must stay as it was when it was decided about (got another content, at {path})."
        " Nothing was published: run again, and see what else writes there."
    )


def test_signatures_function_that_raises(tmp_path: Path, write_model: WriteModel):
    def fail(loaded: Any) -> dict[str, Any]:
        raise AttributeError("no such layer")

    path = write_model(tmp_path / "model")
    with pytest.raises(RuntimeError) as caught:
        saved_model.with_signatures(location_of(path), files_of(path), fail, tmp_path / "work")
    assert str(caught.value) == (
        "serving_signatures_fn must return signature name -> tf.function (got AttributeError: no"
        " such layer). Mend the function; nothing was exported."
    )


def test_signatures_that_cannot_be_saved(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    with pytest.raises(RuntimeError) as caught:
        saved_model.with_signatures(
            location_of(path), files_of(path), lambda loaded: {"a": print}, tmp_path / "work"
        )
    assert str(caught.value).startswith(
        "serving_signatures_fn must return functions that tf.saved_model.save takes (got"
        " ValueError: "
    )
    assert str(caught.value).endswith(
        ". Give each an input_signature, and use only what the loaded model holds."
    )


# In another storage.


def test_a_model_elsewhere(tmp_path: Path, write_model: WriteModel):
    import tensorflow as tf

    path = write_model(tmp_path / "model", scale=3.0)
    bucket = Bucket(tmp_path)
    model = bucket.location("model")
    saved_model.check(model, tmp_path / "check")
    # To be checked, the variables need not be read.
    assert sorted(read_files(tmp_path / "check")) == ["saved_model.pb", INDEX]
    files = saved_model.files_of(model)
    assert {file.source.storage for file in files} == {bucket}
    assert saved_model.digest_of(files) == saved_model.digest_of(files_of(path))
    (text,) = (file for file in saved_model.as_text(files, tmp_path / "text") if file.is_marker)
    assert "meta_graphs" in Path(text.source.path).read_text()
    saved_model.with_signatures(model, files, squared, tmp_path / "work")
    loaded = tf.saved_model.load(str(tmp_path / "work" / "saved"))
    assert serve(loaded, "squared", x=[2.0]) == {"z": [36.0]}


def test_a_damaged_model_elsewhere(tmp_path: Path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    # Its one number has four bytes. Strings, whose length the index does not tell, are not counted.
    os.truncate(path / SHARD, 3)
    with pytest.raises(InvalidModelError) as caught:
        saved_model.check(Bucket(tmp_path).location("model"), tmp_path / "check")
    assert str(caught.value) == (
        "model must be a complete SavedModel (got 'bucket://model': variables/variables.data-* have"
        " 3 bytes, the index asks for 4). Check that Trainer finished writing it."
    )


def test_a_model_that_changed_since_it_was_decided_about_is_refused(
    tmp_path: Path, write_model: WriteModel
):
    path = write_model(tmp_path / "model")
    files = files_of(path)
    content = bytearray((path / "saved_model.pb").read_bytes())
    content[-1] ^= 1
    (path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        saved_model.as_text(files, tmp_path / "text")
    assert str(caught.value) == (
        "model must stay as it was when it was decided about (got another content, at"
        f" {path / 'saved_model.pb'}). Nothing was published: run again, and see what else writes"
        " there."
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        pytest.param(["saved_model.pb"], "", id="no variables"),
        pytest.param(["assets/a"], "there is no saved_model.pb", id="no graph"),
        pytest.param(
            ["saved_model.pb", "variables/variables.data-00000-of-00001"],
            "there is no variables/variables.index",
            id="some variables",
        ),
    ],
)
def test_what_somebody_else_pushed_may_have_no_variables(names: list[str], problem: str):
    assert saved_model.why_not_loadable(dict.fromkeys(names, 1)) == problem


# Signatures.


def test_signatures_of_a_real_model(tmp_path, write_model: WriteModel):
    path = write_model(tmp_path / "model")
    files = saved_model.files_of(location_of(str(path)))
    binary = {file.path: file.source for file in files}
    found = saved_model.signatures_of(binary)
    assert set(found) == {"serving_default"}
    serving = found["serving_default"]
    assert serving.method == "tensorflow/serving/predict"
    assert {str(each) for each in (*serving.inputs.values(), *serving.outputs.values())} == {
        "float[?]"
    }
    text = saved_model.as_text(files, tmp_path / "text")
    assert saved_model.signatures_of({file.path: file.source for file in text}) == found


def test_signatures_of_what_is_no_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no proto")
    source = location_of(str(tmp_path / "saved_model.pb"))
    with pytest.raises(InvalidModelError) as caught:
        saved_model.signatures_of({"saved_model.pb": source})
    assert str(caught.value).startswith("saved_model.pb must be that of a SavedModel (got ")
    assert str(caught.value).endswith(f", at {source}). Check who wrote it.")
