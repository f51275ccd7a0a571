"""Makes docs/report.png: the report of a real decision, as Chromium shows it. `make picture`.

Runs with small models fill a base directory, which is mounted as /serving/penguin, so the picture
has no path of this machine. The picture shows the report of the last run.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests import browser
from tests.children import REPOSITORY
from tests.cli.world import World
from tests.executor.deciding.decided import interval, metrics_of
from tfx_best_exporter.executor import storage
from tfx_best_exporter.executor.deciding.eval_result import EvalResult, EvaluatedData, SliceKey
from tfx_best_exporter.executor.deciding.models import Blessing, BlessingStatus
from tfx_best_exporter.executor.evaluations.best import Reevaluated
from tfx_best_exporter.executor.policies import at_least, at_most, compare_policy, larger
from tfx_best_exporter.executor.reports.report import to_html
from tfx_best_exporter.proto import best_exporter_pb2 as pb

PATH = REPOSITORY / "docs" / "report.png"
BASE = "/serving/penguin"
WIDTH, HEIGHT, SCALE = 960, 1180, 1.5

POLICY = compare_policy(
    larger("auc", by=0.002),
    guardrails=[
        at_least("recall", 0.8),
        at_most("loss", max_relative_regression=0.05),
        at_least("auc", max_regression=0.02, every_slice_min_examples=500),
    ],
)
BLESSED = Blessing(
    name="model_blessing",
    uri="/pipelines/penguin/Evaluator/blessing/7",
    status=BlessingStatus.BLESSED,
)
# auc, loss and recall of one model a day, and the auc on three slices. The fourth is refused.
MODELS = (
    (0.861, 0.412, 0.802, (0.842, 0.871, 0.855)),
    (0.874, 0.401, 0.811, (0.859, 0.88, 0.87)),
    (0.889, 0.388, 0.824, (0.868, 0.895, 0.884)),
    (0.881, 0.391, 0.82, (0.866, 0.887, 0.879)),
    (0.902, 0.371, 0.835, (0.881, 0.911, 0.894)),
    (0.921, 0.342, 0.857, (0.9, 0.932, 0.909)),
)
COUNTRIES = {"nl": 1400, "de": 5200, "be": 900}


def evaluation_of(number: int) -> EvalResult:
    """Returns the evaluation of a model, counted from 0."""
    auc, loss, recall, by_country = MODELS[number]
    slices: Mapping[SliceKey, Mapping[str, float]] = {
        (("country", country),): {"auc": value, "example_count": count}
        for (country, count), value in zip(COUNTRIES.items(), by_country, strict=True)
    }
    metrics = {"auc": interval(auc, 0.004), "loss": interval(loss, 0.006), "recall": recall}
    return EvalResult(
        metrics_of(metrics),
        uri=f"/pipelines/penguin/Evaluator/evaluation/{number + 1}",
        example_count=7500.0,
        slices={
            key: EvalResult(metrics_of(each), example_count=each["example_count"])
            for key, each in slices.items()
        },
        data=EvaluatedData(span=number + 1),
    )


def decision_of(root: Path) -> pb.ExportDecision:
    """Returns the decision of the last run.

    Args:
        root: Empty directory for the models and the base directory.
    """
    world = World(root=root, uri=BASE)
    world.base.mkdir()
    storage.mount(BASE, str(world.base))
    best = 0
    decision = pb.ExportDecision()
    for number in range(len(MODELS)):
        # As with `examples`, the best is evaluated again on the candidate's data.
        reevaluated = Reevaluated(best=evaluation_of(best))
        decision = world.run(
            f"model-{number}",
            evaluation_of(number),
            policy=POLICY,
            exports_to_keep=3,
            reevaluate=lambda *_, result=reevaluated: result,
            blessings=[BLESSED],
        )
        best = number if decision.exported else best
    return decision


def main() -> None:
    """Writes the picture."""
    chromium = browser.find_chromium()
    if chromium is None:
        sys.exit("Chromium must be installed to show the report (got none). Run: make chromium")
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "world").mkdir()
        report = root / "report.html"
        report.write_text(to_html(decision_of(root / "world")), encoding="utf-8")
        with browser.running(chromium, root / "profile") as running:
            page = running.page()
            page.open(report.as_uri())
            page.resize(WIDTH, HEIGHT)
            page.screenshot(PATH, height=HEIGHT, scale=SCALE)
    sys.stdout.write(f"{PATH.relative_to(REPOSITORY)}: {PATH.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
