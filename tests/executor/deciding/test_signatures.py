import pytest

from tfx_best_exporter.executor.deciding import signatures
from tfx_best_exporter.executor.deciding.signatures import Shape, Signature, TensorSpec


def tensor(shape: Shape = (None, 4), dtype: str = "DT_FLOAT") -> TensorSpec:
    return TensorSpec(dtype=dtype, shape=shape)


def signature(
    inputs: dict[str, TensorSpec] | None = None,
    outputs: dict[str, TensorSpec] | None = None,
    method: str = "tensorflow/serving/predict",
) -> Signature:
    return Signature(
        method=method,
        inputs={"x": tensor()} if inputs is None else inputs,
        outputs={"y": tensor()} if outputs is None else outputs,
    )


IN, OUT = "input 'x' of signature 's'", "output 'y' of signature 's'"


@pytest.mark.parametrize(
    ("best", "candidate", "text", "is_breaking"),
    [
        pytest.param({"s": signature()}, {}, "signature 's' was removed", True, id="gone"),
        pytest.param({}, {"s": signature()}, "signature 's' was added", False, id="new"),
        pytest.param(
            {"s": signature()},
            {"s": signature(method="tensorflow/serving/classify")},
            "the method of signature 's' changed from 'tensorflow/serving/predict' to"
            " 'tensorflow/serving/classify'",
            True,
            id="another method",
        ),
        pytest.param(
            {"s": signature()}, {"s": signature({})}, f"{IN} was removed", True, id="no input"
        ),
        pytest.param(
            {"s": signature({})}, {"s": signature()}, f"{IN} was added", True, id="+input"
        ),
        pytest.param(
            {"s": signature()}, {"s": signature(None, {})}, f"{OUT} was removed", True, id="-output"
        ),
        pytest.param(
            {"s": signature(None, {})}, {"s": signature()}, f"{OUT} was added", False, id="+output"
        ),
        pytest.param(
            {"s": signature()},
            {"s": signature({"x": tensor(dtype="DT_INT64")})},
            f"{IN} changed from float[?,4] to int64[?,4]",
            True,
            id="input's dtype",
        ),
        pytest.param(
            {"s": signature()},
            {"s": signature(None, {"y": tensor(dtype="DT_HALF")})},
            f"{OUT} changed from float[?,4] to half[?,4]",
            True,
            id="output's dtype",
        ),
    ],
)
def test_changes(
    best: dict[str, Signature], candidate: dict[str, Signature], text: str, is_breaking: bool
):
    assert signatures.changes(best, candidate) == [
        signatures.Change(text=text, is_breaking=is_breaking)
    ]


@pytest.mark.parametrize(
    ("before", "after", "breaks_input", "breaks_output"),
    [
        pytest.param((None, 4), (None, 5), True, True, id="another size"),
        pytest.param((None, 4), (None, None), False, True, id="any size now"),
        pytest.param((None, None), (None, 4), True, False, id="one size now"),
        pytest.param((None, 4), (None, 4, 1), True, True, id="more dimensions"),
        pytest.param((None, 4), None, False, True, id="any rank now"),
        pytest.param(None, (None, 4), True, False, id="one rank now"),
        pytest.param((1, 4), (None, 4), False, True, id="any batch now"),
    ],
)
def test_shapes(before: Shape, after: Shape, breaks_input: bool, breaks_output: bool):
    (of_input,) = signatures.changes(
        {"s": signature({"x": tensor(before)})}, {"s": signature({"x": tensor(after)})}
    )
    (of_output,) = signatures.changes(
        {"s": signature(None, {"y": tensor(before)})}, {"s": signature(None, {"y": tensor(after)})}
    )
    assert (of_input.is_breaking, of_output.is_breaking) == (breaks_input, breaks_output)


def test_no_change_and_breaking_changes_first():
    both = {"s": signature()}
    assert signatures.changes(both, both) == []
    found = signatures.changes({"b": signature()}, {"a": signature()})
    assert [change.text for change in found] == [
        "signature 'b' was removed",
        "signature 'a' was added",
    ]


def test_text_of_a_tensor():
    assert str(tensor(None, "DT_STRING")) == "string[...]"
    assert str(tensor(())) == "float[]"
