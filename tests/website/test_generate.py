"""docs/cli.md and docs/policy-fields.md are those that website/generate.py writes."""

from pathlib import Path

import click
import pytest

from tests.docs import examples
from tfx_best_exporter.cli.commands import best_exporter
from tfx_best_exporter.proto import best_exporter_pb2 as pb
from website import generate


@pytest.mark.parametrize("path", generate.PAGES, ids=lambda path: path.name)
def test_the_page_is_fresh(path: Path):
    examples.compare(path, path.read_text(encoding="utf-8"), generate.PAGES[path]())


@pytest.mark.parametrize("name", best_exporter.commands)
def test_every_option_of_a_command_is_on_the_page(name: str):
    section = generate.cli_page().partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    assert f"\n    best-exporter {name} " in section
    for parameter in best_exporter.commands[name].params:
        if isinstance(parameter, click.Option):
            assert f"\n| `{', '.join(parameter.opts)}" in section
        else:
            assert parameter.make_metavar(click.Context(best_exporter)) in section
    assert "Example:" in section


POLICIES = [
    pb.ComparePolicy,
    pb.MetricRule,
    pb.MetricKey,
    pb.SubKey,
    pb.Significance,
    pb.Guardrail,
    pb.Slice,
    pb.RetentionPolicy,
]


@pytest.mark.parametrize("message", POLICIES, ids=lambda message: message.DESCRIPTOR.name)
def test_every_field_of_a_policy_is_on_the_page(message: type):
    descriptor = message.DESCRIPTOR
    known = generate.definitions(generate.PROTO.read_text(encoding="utf-8"))
    definition = known[descriptor.name]
    assert [name for name, *_ in definition.members] == [field.name for field in descriptor.fields]
    for enum in descriptor.enum_types:
        assert [name for name, *_ in known[f"{descriptor.name}.{enum.name}"].members] == [
            value.name for value in enum.values
        ]
    page = generate.PAGES[generate.ROOT / "docs" / "policy-fields.md"]()
    section = page.partition(f"\n## {descriptor.name}\n")[2].partition("\n## ")[0]
    for name, _, comment in definition.members:
        assert f"\n| `{name}` | " in section
        assert comment, name


def test_a_definition():
    text = """
    // A message.
    message M {
      // An enum.
      enum E {
        // Nothing.
        E_UNSPECIFIED = 0;
        A = 1;
      }
      // One of these.
      oneof kind {
        // A number | of things.
        int32 n = 1;
      }
      // Many,
      // in order.
      repeated E each = 2;
    }
    """
    found = generate.definitions(text)
    assert found["M"] == generate.Definition(
        name="M",
        comment="A message.",
        is_enum=False,
        members=[("n", "int32", "A number | of things."), ("each", "list of E", "Many, in order.")],
    )
    assert found["M.E"].members == [("E_UNSPECIFIED", "", "Nothing."), ("A", "", "")]
