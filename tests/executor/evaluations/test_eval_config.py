import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import json_format

from tfx_best_exporter.executor.evaluations import eval_config, tfma

Evaluations = dict[str, Path]


def digest_of(text: str, *, has_baseline: bool | None = None) -> str:
    """Returns the digest of a config, as its author wrote it or as Evaluator rewrites it."""
    from google.protobuf import text_format
    from tensorflow_model_analysis.proto import config_pb2
    from tensorflow_model_analysis.utils import config_util

    content = text_format.Parse(text, config_pb2.EvalConfig())
    if has_baseline is not None:
        content = config_util.update_eval_config_with_defaults(
            content, has_baseline=has_baseline, rubber_stamp=True
        )
    return eval_config.eval_config_digest(json.loads(json_format.MessageToJson(content)))


_ONE_MODEL = """
    model_specs { signature_name: "serving_default" label_key: "label" prediction_key: "p" }
    slicing_specs {}
    slicing_specs { feature_keys: "species" }
    metrics_specs {
      metrics { class_name: "ExampleCount" }
      metrics {
        class_name: "AUC"
        threshold {
          value_threshold { lower_bound { value: 0.5 } }
          change_threshold { absolute { value: -1 } direction: HIGHER_IS_BETTER }
        }
      }
    }
"""
_TWO_MODELS = """
    model_specs { name: "mine" label_key: "label" prediction_key: "p" }
    model_specs { name: "theirs" label_key: "label" prediction_key: "p" is_baseline: true }
    slicing_specs { feature_keys: "species" }
    slicing_specs {}
    metrics_specs {
      model_names: ["theirs", "mine"]
      metrics { class_name: "AUC" }
      metrics { class_name: "ExampleCount" }
    }
    metrics_specs { model_names: "theirs" metrics { class_name: "MeanLabel" } }
    options { compute_confidence_intervals { value: true } }
"""


def test_the_digest_of_an_eval_config_is_stable():
    """Records contain the digest: another one would make equal data look different."""
    assert digest_of(_ONE_MODEL) == (
        "sha256:cc1e20a6959fbd8f23786fb26b7cb47dc7b57c07132dbeb6e58f7f6f4e7122d7"
    )


@pytest.mark.parametrize(
    ("text", "has_baseline"),
    [
        pytest.param(_ONE_MODEL, False, id="evaluated alone"),
        pytest.param(_ONE_MODEL, True, id="with a baseline"),
        pytest.param(_TWO_MODELS, None, id="written for two models, in another order"),
        pytest.param(_TWO_MODELS, True, id="two models"),
        pytest.param(_ONE_MODEL.replace("0.5", "0.7"), False, id="another bound"),
        pytest.param(_ONE_MODEL.replace("serving_default", "serve"), False, id="a signature"),
    ],
)
def test_the_same_metrics_slices_and_labels_have_the_same_digest(
    text: str, has_baseline: bool | None
):
    assert digest_of(text, has_baseline=has_baseline) == digest_of(_ONE_MODEL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('label_key: "label"', 'label_key: "other"', id="label"),
        pytest.param('prediction_key: "p"', 'prediction_key: "q"', id="prediction"),
        pytest.param(
            'prediction_key: "p"', 'prediction_key: "p" example_weight_key: "w"', id="weight"
        ),
        pytest.param('"species"', '"island"', id="slices"),
        pytest.param('"AUC"', '"Recall"', id="metrics"),
        pytest.param('class_name: "AUC"', "class_name: 'AUC' config: '{}'", id="their config"),
        pytest.param("metrics_specs {", 'metrics_specs { output_names: "o"', id="outputs"),
        pytest.param(
            "slicing_specs {}",
            "slicing_specs {} options { min_slice_size { value: 9 } }",
            id="size",
        ),
    ],
)
def test_other_metrics_slices_or_labels_have_another_digest(old: str, new: str):
    assert old in _ONE_MODEL
    for has_baseline in (None, False, True):
        changed = digest_of(_ONE_MODEL.replace(old, new), has_baseline=has_baseline)
        assert changed != digest_of(_ONE_MODEL)


def test_an_evaluation_without_its_config_has_no_digest(tmp_path: Path, evaluations: Evaluations):
    shutil.copytree(evaluations["bounds"], tmp_path / "evaluation")
    (tmp_path / "evaluation" / "eval_config.json").unlink()
    assert tfma.from_tfma(tmp_path / "evaluation").data.eval_config_digest == ""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        eval_config.eval_config_of(tmp_path / "evaluation")
    assert str(caught.value) == (
        f"evaluation must contain eval_config.json (got none, at {tmp_path / 'evaluation'})."
        " Check that Evaluator finished writing it."
    )


def test_one_of_two_candidates(tmp_path: Path):
    def run_of(names: list[str], model_name: str | None = None) -> eval_config.EvalRun:
        own = {"modelNames": ["yours"], "metrics": [{"className": "MeanPrediction"}]}
        content = {
            "modelSpecs": [
                *({"name": name, "labelKey": "label"} for name in names),
                {"name": "theirs", "labelKey": "label", "isBaseline": True},
            ],
            "metricsSpecs": [
                {"modelNames": [*names, "theirs"], "metrics": [{"className": "AUC"}]},
                *([own] if "yours" in names else []),
            ],
        }
        (tmp_path / "eval_config.json").write_text(json.dumps({"evalConfig": content}))
        return eval_config.EvalRun.read(tmp_path, "/evaluation/4", model_name)

    alone = run_of(["mine"])
    assert run_of(["mine"], "mine") == alone
    mine = run_of(["mine", "yours"], "mine")
    assert (mine.model_name, mine.baseline_name) == ("mine", "theirs")
    assert mine.other_names == {"yours"}
    assert (mine.digest, mine.configured) == (alone.digest, alone.configured)
    yours = run_of(["mine", "yours"], "yours")
    assert (yours.model_name, yours.other_names) == ("yours", {"mine"})
    assert yours.digest != alone.digest
    every = run_of(["mine", "yours"])
    assert (every.model_name, every.other_names) == ("", frozenset())
    with pytest.raises(ValueError, match="no model 'theirs', only mine, yours"):
        run_of(["mine", "yours"], "theirs")


NESTED = "[" * 20_000 + "]" * 20_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="another document"),
        pytest.param(f'{{"evalConfig": {NESTED}}}', id="nested"),
        pytest.param('{"version": NaN}', id="not a number"),
        pytest.param(f'{{"version": {"9" * 10_000}}}', id="many digits"),
        pytest.param(
            '{"evalConfig": {"modelSpecs": [{"name": "\\ud800"}]}}', id="half a character"
        ),
        pytest.param('{"evalConfig": []}', id="a list as config"),
        pytest.param('{"evalConfig": {"modelSpecs": ["name"]}}', id="a text as model"),
        pytest.param('{"evalConfig": {"modelSpecs": [{"name": 1}]}}', id="a number as name"),
        pytest.param('{"evalConfig": {"slicingSpecs": 1}}', id="a number as slices"),
        pytest.param('{"modelLocations": {"": 1}}', id="a number as path"),
        pytest.param('{"modelLocations": []}', id="a list of models"),
    ],
)
def test_a_config_that_cannot_be_read(tmp_path: Path, content: str):
    (tmp_path / "eval_config.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"\Aevaluation must be a TFMA evaluation \(got eval_config.json: "
    ) as caught:
        eval_config.EvalRun.read(tmp_path, "/evaluation/4")
    assert str(caught.value).endswith(
        ", at /evaluation/4). Check that Evaluator finished writing it."
    )


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(Path.mkdir, "it is not a regular file", id="directory"),
        pytest.param(os.mkfifo, "it is not a regular file", id="pipe"),
        pytest.param(
            lambda path: path.symlink_to("nowhere"), "the file does not exist", id="dangling link"
        ),
    ],
)
def test_a_config_that_is_no_file(tmp_path: Path, make: Callable[[Path], None], problem: str):
    make(tmp_path / "eval_config.json")
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        eval_config.EvalRun.read(tmp_path, "/evaluation/4")
    assert str(caught.value) == (
        f"evaluation must be a TFMA evaluation (got eval_config.json: {problem}, at /evaluation/4)."
        " Check that Evaluator finished writing it."
    )
