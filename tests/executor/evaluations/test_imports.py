"""Checks that reading an evaluation imports no heavy package."""

import subprocess
import sys
from pathlib import Path

from tests.executor.evaluations.test_event_files import write_v1, write_v2

# The modules reevaluation and joint are left out: they need TFX's Evaluator and TFMA.
CODE = """
import importlib, pkgutil, sys
from tfx_best_exporter.executor import deciding, evaluations
for room in (deciding, evaluations):
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        if not module.name.endswith((".reevaluation", ".joint")):
            importlib.import_module(module.name)
from tfx_best_exporter.executor.evaluations import event_files, tfma
result = tfma.from_tfma(sys.argv[1])
assert result.baseline and result.slices
print(result["binary_accuracy"], len(result.slice_values(tfma.MetricKey(name="binary_accuracy"))))
print(sorted(event_files.from_event_files(sys.argv[2], "*.tfevents.*").items()))
print([name for name in HEAVY if name in sys.modules])
"""
HEAVY = ("tensorflow", "tensorflow_model_analysis", "tfx", "apache_beam", "numpy")


def run(code: str, *arguments: Path) -> list[str]:
    return subprocess.run(
        [sys.executable, "-c", code.replace("HEAVY", repr(HEAVY)), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


def test_reading_evaluations_and_event_files_loads_nothing_heavy(
    tmp_path: Path, evaluations: dict[str, Path]
):
    write_v1(tmp_path, (1, {"loss": 0.5}))
    write_v2(tmp_path, (1, {"auc": 0.75}))
    assert run(CODE, evaluations["paired"], tmp_path) == [
        "0.75 2",
        "[('auc', 0.75), ('loss', 0.5)]",
        "[]",
    ]


def test_what_is_read_here_is_not_needed_elsewhere():
    # A program that passes its own metrics must not wait for TFMA.
    code = (
        "import sys; from tfx_best_exporter.executor import exporter;"
        "print([name for name in HEAVY if name in sys.modules])"
    )
    assert run(code) == ["[]"]
