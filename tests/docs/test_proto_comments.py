"""The example sentences in the comments of best_exporter.proto are those that the code writes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import examples
from tests.executor.deciding.contested import CANDIDATE, decided
from tests.executor.deciding.decided import decide_by
from tfx_best_exporter.executor.deciding import default_rule, signatures
from tfx_best_exporter.executor.deciding.configured import Configured, ConfiguredMetric
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.deciding.thresholds import FailedThreshold, Threshold
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.versions import listing_of
from tfx_best_exporter.executor.policies import at_least, compare_policy, larger
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.executor.storage.protocol import Entry, Kind
from tfx_best_exporter.proto import best_exporter_pb2 as pb

PROTO = Path(__file__).resolve().parents[2] / "proto" / "best_exporter.proto"
# Sentences that a user writes.
INPUTS = {"ComparePolicy.force", "OperatorAction.reason"}


def sentences_of(text: str) -> Iterator[tuple[str, str]]:
    """Yields each field whose comment has an example sentence, and the sentence."""
    messages: list[str] = []
    comment = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("//"):
            comment += line.removeprefix("//")
            continue
        if opened := re.fullmatch(r"(?:message|enum|oneof) (\w+) \{", line):
            messages.append(opened[1])
        elif line == "}":
            messages.pop()
        example = re.search(r'Example: "([^"]* [^"]*)"', comment)
        if example:
            (name,) = re.findall(r"(\w+) = \d+;", line)
            yield ".".join([*messages, name]), example[1]
        comment = ""


SENTENCES = dict(sentences_of(PROTO.read_text(encoding="utf-8")))


def retired_and_kept() -> tuple[str, str]:
    """Returns the reasons of a plan: for the oldest of six exports, and for the best."""
    plan = retention.plan(
        [
            retention.RetainedExport(version=version, is_foreign=False, exported_at=0.0)
            for version in range(1, 7)
        ],
        best_version=6,
        policy=retention.Policy.from_proto(pb.RetentionPolicy(keep_latest=5)),
        now=0.0,
    )
    return plan.retire[0].why, plan.keep[-1].why


def generated() -> dict[str, str]:
    """Returns the sentence that the code writes into each field."""
    rail = at_least("auc", max_regression=0.02)
    guarded = decide_by(
        compare_policy(larger("auc"), guardrails=[rail]), {"auc": 0.86}, {"auc": 0.9}
    )
    entries = [Entry(name="latest", kind=Kind.DIRECTORY)]
    (stray,) = listing_of(entries, location_of("/serving")).strays
    before, after = (
        {"serving_default": Signature(method="predict", inputs={}, outputs=outputs)}
        for outputs in ({}, {"probabilities": TensorSpec(dtype="DT_FLOAT", shape=None)})
    )
    (change,) = signatures.changes(before, after)
    retired, kept = retired_and_kept()
    metric = ConfiguredMetric(name="auc", has_threshold=True, direction=pb.HIGHER_IS_BETTER)
    by_threshold = default_rule.by_threshold(Configured(metrics=(metric,)))
    assert by_threshold is not None
    failed = FailedThreshold(
        key=MetricKey(name="auc"), value=0.58, threshold=Threshold(lower_bound=0.6)
    )
    stopped = decided(
        {CANDIDATE: -0.04},
        policy=compare_policy(larger("auc", alpha=0.05, challengers=2), guardrails=[rail]),
    ).judged
    assert stopped is not None
    refused = decide_by(compare_policy(larger("auc")), {"auc": 0.91}, {"auc": 0.93})
    return {
        "GuardrailResult.explanation": guarded.guardrails[0].explanation,
        "ExportDecision.Retired.why": retired,
        "ExportDecision.Kept.why": kept,
        "ExportDecision.explanation": refused.explanation,
        "Refusal.explanation": refused.explanation,
        "DefaultRule.why": by_threshold.why,
        "ModelStanding.why": stopped.why[CANDIDATE],
        "FailedThreshold.explanation": failed.explanation,
        "ExportDecision.warnings": stray,
        "ExportDecision.signature_changes": change.text,
        "Tombstone.why": retired,
    }


def test_every_example_sentence_is_checked():
    assert set(SENTENCES) == {*generated(), *INPUTS}


@pytest.mark.parametrize("field", generated())
def test_texts_of_comments_are_those_of_the_code(field: str):
    examples.compare(PROTO, f'"{SENTENCES[field]}"', f'"{generated()[field]}"')
