import pytest

from tfx_best_exporter.executor.arguments.unservable import checked_unservable


@pytest.mark.parametrize("value", ["resave", "refuse"])
def test_values(value: str):
    assert checked_unservable(value) == value


@pytest.mark.parametrize("value", ["", "RESAVE", None, True, []], ids=repr)
def test_other_values_are_refused(value: object):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        checked_unservable(value)
    assert str(caught.value) == (
        f"unservable must be 'resave' or 'refuse' (got {value!r}). Use 'resave' to save a candidate"
        " again if a model server cannot run it, or 'refuse' to fail the run."
    )
