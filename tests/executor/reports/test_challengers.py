"""The part of the report about challengers."""

import math

import pytest

from tests.executor.reports import decisions
from tests.executor.reports.html_page import Element, parse
from tfx_best_exporter.executor.reports.report import to_html
from tfx_best_exporter.proto import best_exporter_pb2 as pb

D = pb.ExportDecision


def section_of(decision: D) -> Element | None:
    found = parse(to_html(decision)).all("section", aria_labelledby="challengers")
    return found[0] if found else None


def shown(decision: D) -> Element:
    section = section_of(decision)
    assert section
    return section


# --- the table ------------------------------------------------------------------------------------


def test_table_of_candidate_and_challengers():
    section = shown(decisions.challengers())
    (table,) = section.all("table")
    assert [head.text for head in table.one("thead").all("th")] == [
        "Model",
        "Runs",
        "Gain",
        "Chance that it is no better",
        "Next",
    ]
    assert table.rows == [
        [
            (
                "Challenger 1 trained 2026-11-20 06:38:39 UTC run 2026-11-20T06:38:39.000000"
                " /pipelines/penguin/Trainer/model/8"
            ),
            "3",
            "0.0058 ± 0.0021",
            "1.1 % at most 5 % is allowed",
            "exported the best gain",
        ],
        [
            (
                "This run's candidate trained 2026-11-22 06:38:39 UTC"
                " run 2026-11-22T06:38:39.000000 /pipelines/penguin/Trainer/model/14"
            ),
            "1",
            "0.002 ± 0.0021",
            "36 % at most 5 % is allowed",
            "kept it may be better",
        ],
        [
            (
                "Challenger 2 trained 2026-11-21 06:38:39 UTC run 2026-11-21T06:38:39.000000"
                " /pipelines/penguin/Trainer/model/11"
            ),
            "2",
            "-0.0035 ± 0.0021",
            "97 % at most 5 % is allowed",
            "dropped its chance is below 20 %",
        ],
    ]


def test_a_sentence_for_each_model_names_what_is_required():
    sentences = [each.one("p").text for each in shown(decisions.challengers()).all("figcaption")]
    assert len(sentences) == 3
    assert sentences[0].startswith("auc 0.936: over 3 runs 0.0058 ± 0.0021 better than the best;")
    assert all("not better by more than 0.001" in sentence for sentence in sentences)


def test_with_a_guarantee_the_e_value_decides():
    decision = decisions.challengers()
    decision.challenger_evidence.guarantee = True
    for each, value in zip(decision.challenger_evidence.standings, (3.4, -0.7, -9.0), strict=True):
        each.log_e_value = value
    rows = shown(decision).one("table").rows
    assert [row[3] for row in rows] == [
        f"{value} at least 20 is required" for value in ("29.96", "0.4966", "0.0001234")
    ]


def test_the_exported_challenger_is_named():
    facts = shown(decisions.challengers()).one("dl")
    assert [(each.one("dt").text, each.one("dd").text) for each in facts.all("div")] == [
        ("Trained by run", decisions.RUNS[0]),
        ("Trained", "2026-11-20 06:38:39 UTC"),
        ("Model", "/pipelines/penguin/Trainer/model/8"),
        ("Digest", decisions.CHALLENGER_DIGEST),
    ]


def test_the_candidate_is_not_what_the_new_version_contains():
    page = parse(to_html(decisions.challengers()))
    assert not page.all("g", class_="candidate")
    assert len(page.all("g", class_="refused")) == 1
    (models,) = page.all("table", class_="models")
    assert [row for row in models.rows if row[0] == "Version"] == [
        ["Version", "none", str(decisions.SERVED)]
    ]


# --- the forest plot ------------------------------------------------------------------------------


def plots_of(decision: D) -> list[Element]:
    return shown(decision).all("svg", class_="differences")


def test_a_plot_has_the_runs_and_the_estimates():
    plots = plots_of(decisions.challengers())
    assert [plot.one("desc").raw for plot in plots] == [
        (
            "2026-11-20 06:38: 0.007, interval -0.00084 to 0.01484."
            " 2026-11-21 06:38: 0.009, interval 0.00116 to 0.01684."
            " 2026-11-22 06:38: 0.006, interval -0.00184 to 0.01384."
            " 3 runs pooled: 0.007333, interval 0.002581 to 0.01209."
            " estimated gain: 0.0058, interval 0.001684 to 0.009916."
            " Required: more than 0.001."
        ),
        (
            "2026-11-22 06:38: 0.004, interval -0.00384 to 0.01184."
            " 1 run pooled: 0.004, interval -0.004232 to 0.01223."
            " estimated gain: 0.002, interval -0.002116 to 0.006116."
            " Required: more than 0.001."
        ),
        (
            "2026-11-21 06:38: -0.004, interval -0.01184 to 0.00384."
            " 2026-11-22 06:38: -0.006, interval -0.01384 to 0.00184."
            " 2 runs pooled: -0.005, interval -0.01082 to 0.0008209."
            " estimated gain: -0.0035, interval -0.007616 to 0.000616."
            " Required: more than 0.001."
        ),
    ]
    assert [plot.one("title").raw for plot in plots][1] == (
        "This run's candidate, differences to the best"
    )


def place(line: Element) -> float:
    return float(line.attributes["x1"].removesuffix("%"))


def test_all_plots_have_one_axis_with_zero_and_the_required_gain():
    plots = plots_of(decisions.challengers())
    (zero,) = {place(plot.one("line", class_="zero")) for plot in plots}
    (goal,) = {place(plot.one("line", class_="goal")) for plot in plots}
    # The axis is from -0.01384 to 0.01684, between margins of 4 %.
    assert zero == pytest.approx(4 + 92 * 0.01384 / 0.03068, abs=0.01)
    assert goal == pytest.approx(4 + 92 * 0.01484 / 0.03068, abs=0.01)


def test_marks_are_where_their_labels_are():
    plot = plots_of(decisions.challengers())[0]
    marks = [
        (float(each.attributes["x"].removesuffix("%")), float(each.attributes["y"]))
        for each in plot.all("svg")
        if "x" in each.attributes
    ]
    (labels,) = list(shown(decisions.challengers()).all("svg", class_="runs"))[:1]
    assert [y for _, y in marks] == [
        float(label.attributes["y"]) - 4 for label in labels.all("text")
    ]
    assert marks[1][0] > marks[0][0] > marks[2][0]


def test_long_histories_are_cut():
    decision = decisions.challengers()
    standing = decision.challenger_evidence.standings[0]
    for _ in range(17):
        standing.runs.insert(0, standing.runs[0])
    section = shown(decision)
    assert len(section.all("svg", class_="differences")[0].all("circle")) == 12
    assert "8 earlier runs are in decision.json." in section.text


def test_the_evidence_of_one_run_has_no_estimates():
    decision = decisions.challengers()
    evidence = decision.challenger_evidence
    evidence.is_pooled = False
    del evidence.standings[0], evidence.standings[1]
    del decision.comparisons[:]
    section = shown(decision)
    (plot,) = section.all("svg", class_="differences")
    assert plot.one("desc").raw == "2026-11-22 06:38: 0.004, interval -0.00384 to 0.01184."
    assert not plot.all("line", class_="goal")
    assert "The differences" not in section.text
    assert "estimated gain" not in section.text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_no_chart_can_show(value: float):
    decision = decisions.challengers()
    for each in decision.challenger_evidence.standings:
        each.gain = each.gain_error = each.difference = each.chance_no_better = value
        each.log_e_value = value
        for run in each.runs:
            run.difference = value
    decision.challenger_evidence.alpha = 0
    decision.challenger_evidence.consistency = value
    assert not plots_of(decision)


# --- names, recommendation, policy ----------------------------------------------------------------


def test_texts_are_escaped():
    decision = decisions.challengers(metric=decisions.HOSTILE)
    standing = decision.challenger_evidence.standings[0]
    standing.run_id = standing.why = standing.model.uri = decisions.HOSTILE
    decision.exported_challenger.uri = decisions.HOSTILE
    page = parse(to_html(decision))
    assert not page.all("script")
    assert not page.all("img")
    section = shown(decision)
    assert section.raw.count(decisions.HOSTILE) >= 7


def words_of(decision: D) -> dict[str, str]:
    section = parse(to_html(decision)).one("section", aria_labelledby="policy")
    return {each.one("dt").text: each.one("dd").text for each in section.one("dl").all("div")}


def test_recommendations_stand_beside_the_policy():
    decision = decisions.guardrail_failed()
    del decision.recommendations[:]
    assert "Recommended" not in words_of(decision)
    decision.recommendations.append("Try <this>.")
    assert words_of(decision)["Recommended"] == "Try <this>."


def test_without_evidence_there_is_no_section():
    assert section_of(decisions.guardrail_failed()) is None


@pytest.mark.parametrize(
    ("significance", "max_bytes", "sentence"),
    [
        pytest.param(
            pb.Significance(challengers=1),
            None,
            "Up to 1 refused model is measured again in each run.",
            id="one",
        ),
        pytest.param(
            pb.Significance(challengers=2, guarantee=True),
            10 << 30,
            "Up to 2 refused models are measured again in each run, of at most 10,737,418,240 bytes"
            " in total. The test has a guarantee.",
            id="all",
        ),
    ],
)
def test_policy_in_words(significance: pb.Significance, max_bytes: int | None, sentence: str):
    decision = D(
        compare_policy=pb.ComparePolicy(
            metric=pb.MetricRule(significance=significance), max_challenger_bytes=max_bytes
        )
    )
    assert words_of(decision)["Challengers"] == sentence
