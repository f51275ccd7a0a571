"""docs/decision-json.md describes the message that a run writes, field by field."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from tests.docs import examples
from tests.executor.deciding.decided import decide_by, evaluation, interval
from tests.executor.plain import publish, retire
from tfx_best_exporter.executor.deciding import signatures
from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.exports import retention
from tfx_best_exporter.executor.exports.directory import ExportDirectory
from tfx_best_exporter.executor.reports.report import to_html
from tfx_best_exporter.executor.storage import location_of
from tfx_best_exporter.proto import best_exporter_pb2 as pb

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "decision-json.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
EXAMPLE = re.findall(r"^```json\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)[0]

SCALARS = {
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_ENUM: "enum",
    FieldDescriptor.CPPTYPE_INT32: "number",
    FieldDescriptor.CPPTYPE_INT64: "string",
    FieldDescriptor.CPPTYPE_STRING: "text",
}


def messages_of(descriptor: Any, seen: dict[str, Any]) -> dict[str, Any]:
    """Returns a message and the messages in its fields, by name, except those of a policy."""
    if descriptor.name not in {*seen, "ComparePolicy", "MetricRule", "Timestamp", "FeaturesEntry"}:
        seen[descriptor.name] = descriptor
        for field in descriptor.fields:
            if field.message_type:
                messages_of(field.message_type, seen)
    return seen


MESSAGES = messages_of(pb.ExportDecision.DESCRIPTOR, {})


def rows_of(message: str) -> list[list[str]]:
    section = re.split(rf"^## {message}$", TEXT, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def type_of(field: FieldDescriptor) -> str:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return "object"
    if field.message_type:
        name = "time" if field.message_type.name == "Timestamp" else field.message_type.name
    else:
        name = SCALARS[field.cpp_type]
    return f"list of {name}" if field.is_repeated else name


def test_every_message_has_a_section():
    assert set(re.findall(r"^## (\w+)$", TEXT, re.MULTILINE)) == set(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_field_has_a_row(message: str):
    fields = MESSAGES[message].fields
    rows = rows_of(message)
    assert [row[0].strip("`") for row in rows] == [field.name for field in fields]
    for row, field in zip(rows, fields, strict=True):
        type_name, _, unset = row[1].partition(", ")
        assert type_name == type_of(field)
        is_optional = field.has_presence and not field.message_type
        # These two fields are always present.
        if is_optional and row[0] not in ("`exported`", "`version`"):
            assert unset == "or unset"
        elif not field.message_type:
            assert unset == ""


def with_generated_texts(
    example: pb.ExportDecision, warnings: Sequence[str], error: str
) -> pb.ExportDecision:
    """Returns the example with the texts that the code generates for its numbers.

    Args:
        example: The example.
        warnings: Texts for its warnings.
        error: Text for the export that could not be deleted.
    """
    generated = pb.ExportDecision()
    generated.CopyFrom(example)
    (comparison,), (guardrail,) = example.comparisons, example.guardrails
    test = comparison.significance
    key = tuple(guardrail.slice.features.items())
    candidate, best = (
        evaluation(
            {comparison.metric: metric},
            {key: {guardrail.metric: recall, "example_count": guardrail.example_count}},
            {
                comparison.metric: interval(
                    comparison.improvement, test.standard_error, test.degrees_of_freedom
                )
            },
        )
        for metric, recall in (
            (comparison.candidate, guardrail.candidate),
            (comparison.best, guardrail.best),
        )
    )
    decision = decide_by(
        example.compare_policy, candidate, best, basis=example.basis, together=candidate
    )
    assert decision.reason == example.reason
    (compared,), (result,) = decision.comparisons, decision.guardrails
    assert compared.significance
    assert compared.significance.lower_bound == pytest.approx(test.lower_bound, abs=1e-6)
    assert (result.holds, result.worst_allowed) == (False, guardrail.worst_allowed)
    generated.explanation = decision.explanation
    generated.guardrails[0].explanation = result.explanation
    generated.warnings[:] = warnings
    generated.signature_changes[:] = [
        change.text
        for change in signatures.changes(
            *(
                {"serving_default": Signature(method="predict", inputs={}, outputs=outputs)}
                for outputs in ({}, {"probabilities": TensorSpec(dtype="DT_FLOAT", shape=None)})
            )
        )
    ]
    best_version, oldest = example.best.version, example.retired[0].version
    plan = retention.plan(
        [
            retention.RetainedExport(version=version, is_foreign=False, exported_at=0.0)
            for version in (oldest, *range(best_version - 4, best_version + 1))
        ],
        best_version=best_version,
        policy=retention.Policy.from_proto(pb.RetentionPolicy(keep_latest=5)),
        now=0.0,
    )
    generated.retired[0].why = plan.retire[0].why
    generated.retired[0].error = error
    generated.kept[0].why = plan.keep[-1].why
    return generated


def error_of_retiring(base_path: Path, version: int) -> str:
    """Publishes a version that cannot be retired, and returns the error."""
    exports = ExportDirectory(location_of(base_path))
    export = publish(exports, version, base_path.with_name("model"))
    # A file in the place of the directory that retired exports are moved to.
    (base_path / ".best_exporter" / "trash").write_bytes(b"")
    with pytest.raises(OSError, match="trash") as error:
        retire(exports, export)
    return str(error.value)


def test_the_texts_of_the_example_are_those_of_the_code(tmp_path: Path):
    decision = json_format.Parse(EXAMPLE, pb.ExportDecision())
    base_path = Path(f"{tmp_path}{decision.base_directory}")
    base_path.mkdir(parents=True)
    (base_path / "007").mkdir()
    warnings = ExportDirectory(location_of(base_path)).served().warnings
    error = error_of_retiring(base_path, decision.retired[0].version)
    generated = with_generated_texts(decision, warnings, error.replace(str(tmp_path), ""))
    examples.compare(DOCUMENT, EXAMPLE, examples.with_texts_of(EXAMPLE, generated))


def test_example_is_a_decision():
    decision = json_format.Parse(EXAMPLE, pb.ExportDecision())
    assert pb.ExportDecision.Reason.Name(decision.reason) == "GUARDRAIL_FAILED"
    written = json_format.MessageToDict(decision, preserving_proto_field_name=True)
    example = json.loads(EXAMPLE)
    # The example also shows some fields that have their default.
    assert written == without_defaults(example)
    assert decision.guardrails[0].explanation.partition(",")[0] in to_html(decision)


def without_defaults(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: without_defaults(item)
            for key, item in value.items()
            if key not in ("best_fails", "holds", "retired") or item is not False
        }
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


def keys_of(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from keys_of(item)


def test_example_has_every_field_of_a_decision():
    example = json.loads(EXAMPLE)
    names = {field.name for field in pb.ExportDecision.DESCRIPTOR.fields}
    # The policy of the example is its author's and has no challengers; the candidate is blessed.
    left_out = {
        "default_rule",
        "failed_thresholds",
        "challenger_evidence",
        "exported_challenger",
        "recommendations",
    }
    assert set(example) == names - left_out
    for message in ("MetricComparison", "SignificanceTest", "GuardrailResult", "SliceChange"):
        assert {field.name for field in MESSAGES[message].fields} <= set(keys_of(example))
