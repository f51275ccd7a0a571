"""Writes the inputs of the steps that proof.py runs: models, an evaluation and ExecutorInputs.

This module runs in the image, so that its TensorFlow and TFMA are tested too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.evaluations import write_evaluations

EVALUATION = "paired"
METRIC = "binary_accuracy"


def write_model(path: Path, scale: float) -> None:
    """Writes a SavedModel that multiplies by `scale`."""
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = tf.Variable(tf.constant(scale))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            return {"y": self.scale * x}

    model = Model()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})


def artifact(schema_title: str, uri: Path, **metadata: Any) -> dict[str, Any]:
    """Returns a list with one artifact, as the launcher of Kubeflow Pipelines writes it."""
    return {
        "artifacts": [
            {
                "name": f"projects/1/locations/here/metadataStores/default/artifacts/{uri.name}",
                "type": {"schemaTitle": schema_title, "schemaVersion": "0.0.1"},
                "uri": str(uri),
                "metadata": metadata,
            }
        ]
    }


def executor_input(root: Path, name: str, model: str, evaluation: str) -> dict[str, Any]:
    """Returns an ExecutorInput of BestExporter."""
    from tfx_best_exporter.component.artifacts import ExportDecision

    outputs = root / name
    return {
        "inputs": {
            "artifacts": {
                "model": artifact("tfx.Model", root / model),
                "evaluation": artifact("tfx.ModelEvaluation", root / evaluation),
                "model_blessing": artifact("tfx.ModelBlessing", root / "blessing", blessed=1),
            },
            "parameterValues": {
                "push_destination": json.dumps(
                    {"filesystem": {"base_directory": str(root / "serving")}}
                ),
                "compare_policy": json.dumps(
                    {"metric": {"metric": {"name": METRIC}, "direction": "HIGHER_IS_BETTER"}}
                ),
                "as_text": 0,
            },
        },
        "outputs": {
            "artifacts": {
                "pushed_model": artifact("tfx.PushedModel", outputs / "pushed_model"),
                "decision": artifact(
                    f"{ExportDecision.__module__}.{ExportDecision.__qualname__}",
                    outputs / "decision",
                ),
            },
            "outputFile": str(outputs / "executor_output.json"),
        },
    }


INPUTS_SPEC = {
    "parameters": {
        "push_destination": {"parameterType": "STRING"},
        "compare_policy": {"parameterType": "STRING"},
        "as_text": {"parameterType": "NUMBER_INTEGER"},
    }
}


def main() -> None:
    """Writes all inputs below the directory that the command line names."""
    root = Path(sys.argv[1])
    root.mkdir(exist_ok=True)
    for name, scale in (("model_a", 1.0), ("model_b", 2.0)):
        write_model(root / name / "Format-Serving", scale)
    write_evaluations(root, [EVALUATION])
    (root / "empty").mkdir()
    (root / "inputs_spec.json").write_text(json.dumps(INPUTS_SPEC))
    for name, model, evaluation in (
        ("first", "model_a", EVALUATION),
        # The metrics are the same as those of the first model, so this model is not better.
        ("second", "model_b", EVALUATION),
        ("broken", "model_b", "empty"),
    ):
        content = executor_input(root, name, model, evaluation)
        (root / f"{name}.json").write_text(json.dumps(content))
    content = executor_input(root, "heavy", "model_b", EVALUATION)
    content["inputs"]["artifacts"]["examples"] = artifact("tfx.Examples", root / "empty")
    (root / "heavy.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
