import base64
import hashlib
import itertools
import math
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.executor.reports import decisions
from tests.executor.reports.decisions import EXPORTED, HOSTILE, REVERSED, SERVED
from tests.executor.reports.html_page import Element, parse
from tfx_best_exporter.executor.reports import pages, report
from tfx_best_exporter.executor.reports.links import Link, Neighbors
from tfx_best_exporter.executor.reports.report import to_html
from tfx_best_exporter.proto import best_exporter_pb2 as pb

D = pb.ExportDecision
NAN, INF = math.nan, math.inf


def page_of(decision: D) -> Element:
    return parse(to_html(decision))


def sections_of(page: Element) -> dict[str, Element]:
    return {section.one("h2").text: section for section in page.all("section")}


def section_of(decision: D, name: str) -> Element:
    return sections_of(page_of(decision))[name]


# --- the verdict ----------------------------------------------------------------------------------

VERDICTS = {
    "FIRST_EXPORT": "Exported: the first export",
    "BETTER": "Exported: better than the best",
    "BEST_IS_NAN": "Exported: the best's metric is NaN",
    "BEST_UNKNOWN_EXPORTED": "Exported: the evaluation of the best is not known",
    "ALREADY_BEST": "Already served: the candidate has the same content as the best",
    "NOT_BETTER": "Not exported: not better than the best",
    "NOT_BLESSED": "Not exported: not blessed",
    "BLESSING_NOT_COMPUTED": "Not exported: a blessing was not computed",
    "CANDIDATE_IS_NAN": "Not exported: the candidate's metric is NaN",
    "BEST_UNKNOWN_KEPT": "Not exported: the evaluation of the best is not known",
    "FORCED": "Exported: forced by compare_policy.force",
    "GUARDRAIL_FAILED": "Not exported: a guardrail failed",
    "NOT_SIGNIFICANT": "Not exported: better, but not significantly",
    "NOT_COMPARABLE": "Not exported: the best was not evaluated on the candidate's data",
    "TOO_FEW_EXAMPLES": "Not exported: evaluated on too few examples",
    "SIGNATURES_CHANGED": "Not exported: the serving signatures would break clients",
    "BEST_EVALUATION_TOO_OLD": "Not exported: the best's evaluation is too old",
    "BEING_WRITTEN": "Not exported: a newer version is being copied",
    "REEXPORTED": "Exported: the same model as the best, exported another way",
    "ON_HOLD": "Not exported: an operator holds exports to this base directory",
    "REJECTED": "Not exported: an operator has rejected this model",
    "AWAITING_APPROVAL": "Not exported: staged until a person approves it",
    "BEST_TOO_OLD": "Exported: the best is too old, and the candidate is not much worse",
    "OLDER_DATA": "Not exported: the best was evaluated on newer data",
    "EXPORTED_RECENTLY": "Not exported: the last export was too short a time ago",
    "CHALLENGER_BETTER": "Exported: a model of an earlier run is better than the best",
    "KEPT_AS_CHALLENGER": "Not exported: kept as a challenger, which the next runs measure again",
}


@pytest.mark.parametrize("reason", D.Reason.keys()[1:])
def test_verdict_and_reason_in_one_sentence(reason: str):
    verdict = VERDICTS[reason]
    decision = decisions.base(getattr(D, reason), "auc 0.91 is compared with 0.93")
    decision.exported = verdict.startswith("Exported")
    decision.version = 0 if verdict.startswith("Not") else SERVED
    page = page_of(decision)
    assert page.one("h1").text == verdict
    assert page.one("head").one("title").raw == f"{verdict} · penguin"
    assert page.one("p", class_="explanation").text == "auc 0.91 is compared with 0.93"
    assert page.one("p", class_="code").text == reason


@pytest.mark.parametrize(
    ("reason", "exported", "version", "tone"),
    [
        (D.BETTER, True, SERVED, "exported"),
        (D.ALREADY_BEST, False, SERVED, "served"),
        (D.NOT_BETTER, False, 0, "kept"),
        (D.NOT_SIGNIFICANT, False, 0, "kept"),
        (D.NOT_BLESSED, False, 0, "refused"),
    ],
)
def test_verdicts_have_signs_of_different_shape(
    reason: D.Reason, exported: bool, version: int, tone: str
):
    page = page_of(D(reason=reason, exported=exported, version=version))
    sign = page.one("div", class_="verdict").one("svg")
    assert sign.attributes["class"] == tone
    lines = [path.attributes["d"] for path in sign.all("path")]
    assert (
        lines
        == {
            "exported": ["M14 25 21 32 34 17"],
            "served": ["M15 20H33M15 28H33"],
            "kept": ["M14 24H34"],
            "refused": ["M24 3 46 43H2z", "M24 18v11M24 36v.01"],
        }[tone]
    )


def test_nothing_that_is_unset_is_shown():
    page = page_of(D())
    assert page.one("body").text == (
        "Not exported REASON_UNSPECIFIED Served now nothing"
        " Written by tfx-best-exporter. decision.json contains the same data in machine-readable"
        " form."
    )
    assert page.one("head").one("title").raw == "Not exported"


def test_values_of_a_later_release_are_shown_as_numbers():
    comparison = {"metric": "auc", "direction": 97, "candidate": 0.9}
    decision = json_format.ParseDict({"reason": 99, "basis": 98, "comparisons": [comparison]}, D())
    text = page_of(decision).one("body").text
    assert "Not exported reason 99" in text
    assert "Compared on basis 98" in text


@pytest.mark.parametrize(
    ("basis", "text"),
    [
        (D.SAME_EVALUATION, "the same data one evaluation of both models"),
        (
            D.EVALUATED_AGAIN,
            "the same data the best was evaluated again on the candidate's examples",
        ),
        (D.RECORDED_SAME_DATA, "the same data the best's recorded evaluation"),
        (
            D.RECORDED_OTHER_DATA,
            "other data, or data that was not recorded the best's recorded evaluation",
        ),
    ],
)
def test_basis(basis: D.Basis, text: str):
    facts = page_of(D(basis=basis)).one("dl", class_="facts")
    assert facts.text == f"Served now nothing Compared on {text}"


def test_a_number_of_examples_differs_from_the_least_one():
    decision = decisions.better()
    decision.candidate_evaluation.example_count = 999.9999999
    decision.compare_policy.min_example_count = 1000
    facts = page_of(decision).one("dl", class_="facts").text
    assert facts.endswith("Candidate evaluated on 999.9999999 examples")


def test_facts():
    page = page_of(decisions.better())
    assert page.one("dl", class_="run").text == (
        "Pipeline penguin Run 2026-11-22T06:38:39.000000 Decided 2026-11-22 06:40:12 UTC"
    )
    assert page.one("dl", class_="facts").text == (
        f"Served now version {EXPORTED} exported 2026-11-22 06:40:12 UTC"
        f" Served before version {SERVED} exported 2026-11-22 07:18:29 UTC"
        " Compared on the same data one evaluation of both models"
        " Candidate evaluated on 10,000 examples"
    )


def test_reason_of_force_is_said_where_it_was_what_decided():
    policy = pb.ComparePolicy(force="labels before June were wrong")
    forced = page_of(D(reason=D.FORCED, exported=True, version=7, compare_policy=policy))
    assert "Forced because labels before June were wrong" in forced.text
    better = page_of(D(reason=D.BETTER, exported=True, version=7, compare_policy=policy))
    assert "Forced because" not in better.text


# --- sections -------------------------------------------------------------------------------------

SECTIONS: dict[str, D] = {
    "Metrics": D(comparisons=[pb.MetricComparison(metric="auc", candidate=0.9)]),
    "Guardrails": D(guardrails=[pb.GuardrailResult(metric="auc", holds=True)]),
    "Slices": D(slices=[pb.SliceChange(metric="auc", improvement=0.1)]),
    "Thresholds": D(failed_thresholds=[pb.FailedThreshold(explanation="auc 0.5 is too small")]),
    "Signatures": D(signature_changes=["input 'x' is gone"]),
    "History": D(history=[pb.HistoryEntry(version=7)]),
    "Retired and kept": D(kept=[D.Kept(version=7, why="the best")]),
    "Policy": D(compare_policy=pb.ComparePolicy(force="because")),
    "Provenance": D(candidate=pb.SourceModel(uri="/model/14")),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_is_there_if_it_has_something(name: str):
    assert list(sections_of(page_of(SECTIONS[name]))) == [name]


def test_sections_in_order():
    page = page_of(decisions.better())
    assert list(sections_of(page)) == [
        "Metrics",
        "Significance",
        "Guardrails",
        "Slices",
        "Changed since the best",
        "Signatures",
        "History",
        "Earlier runs without an export",
        "Retired and kept",
        "Policy",
        "Commands",
        "Provenance",
    ]
    assert page.all("div", class_="warnings") == []


def test_all_warnings_are_shown():
    page = page_of(decisions.guardrail_failed())
    assert page.one("div", class_="warnings").text == (f"2 warnings {' '.join(decisions.WARNINGS)}")
    assert "1 warning beware" in page_of(D(warnings=["beware"])).text


# --- metrics --------------------------------------------------------------------------------------


def test_metrics_beside_each_other():
    section = section_of(decisions.better(), "Metrics")
    assert [head.text for head in section.one("thead").all("th")] == [
        "Metric",
        "Chart",
        "Candidate",
        "Best",
        "Change",
    ]
    assert section.rows == [
        [
            "auc higher is better",
            "",
            "0.951 0.944 to 0.958",
            "0.93 0.922 to 0.938",
            "better by 0.021 required: more than 0.005",
        ],
        ["loss lower is better", "", "0.182", "0.214", "better by 0.032 required: more than 0"],
    ]


def evaluation_of(**values: float) -> pb.Evaluation:
    evaluation = pb.Evaluation(example_count=100)
    for name, value in values.items():
        key = pb.MetricKey(name=name.removeprefix("click_"))
        key.output_name = "click" if name.startswith("click_") else ""
        evaluation.metrics.add(key=key, value=value)
    return evaluation


def test_metrics_that_the_rule_does_not_compare():
    decision = D(
        candidate_evaluation=evaluation_of(
            auc=0.9, mine=7.0, click_loss=0.2, example_count=100, new=1
        ),
        best=D.Best(evaluation=evaluation_of(auc=0.8, mine=6.0, click_loss=0.1, gone=2.0)),
    )
    decision.candidate_evaluation.metrics[0].lower_bound = 0.85
    decision.candidate_evaluation.metrics[0].upper_bound = 0.95
    decision.comparisons.add(
        metric="mine", direction=pb.HIGHER_IS_BETTER, candidate=7, best=6, improvement=1, required=0
    )
    rows = [[cell for cell in row if cell] for row in section_of(decision, "Metrics").rows]
    assert rows == [
        ["mine higher is better", "7", "6", "better by 1 required: more than 0"],
        ["auc higher is better", "0.9 0.85 to 0.95", "0.8", "better by 0.1"],
        ["click/loss lower is better", "0.2", "0.1", "worse by 0.1"],
        ["gone", "none", "2", "not computed"],
        ["new", "1", "none", "not computed"],
    ]


def test_metrics_of_a_candidate_that_is_not_compared():
    section = section_of(D(candidate_evaluation=evaluation_of(auc=0.5)), "Metrics")
    assert section.rows == [["auc", "0.5"]]


def test_a_served_version_whose_time_is_not_known():
    for history in ((), (pb.HistoryEntry(version=6),), (pb.HistoryEntry(version=7),)):
        decision = D(best=D.Best(version=7), history=history)
        assert page_of(decision).one("dl", class_="facts").text == "Served now version 7"


def percent(element: Element, name: str) -> float:
    value = element.attributes[name]
    assert value.endswith("%")
    return float(value[:-1])


def test_intervals_are_drawn():
    (chart, other) = section_of(decisions.better(), "Metrics").all("svg", class_="plot")
    assert chart.one("title").raw == "auc"
    assert " ".join(chart.one("desc").raw.split()) == (
        "Candidate 0.951, interval 0.944 to 0.958. Best 0.93, interval 0.922 to 0.938."
        " Value to beat: 0.935."
    )
    places = {}
    for kind in ("candidate", "best"):
        line, low_cap, high_cap = chart.one("g", class_=f"{kind}-mark").all("line")
        low, high = percent(line, "x1"), percent(line, "x2")
        assert percent(low_cap, "x1") == percent(low_cap, "x2") == low
        assert percent(high_cap, "x1") == percent(high_cap, "x2") == high
        (mark,) = [
            percent(svg, "x")
            for svg in chart.all("svg")
            if svg is not chart
            and any(svg.all(tag, class_=f"{kind}-mark") for tag in ("circle", "path"))
        ]
        places[kind] = low, mark, high
    goal = percent(chart.one("line", class_="goal"), "x1")
    # 0.922 < 0.93 < 0.935 (goal) < 0.938 < 0.944 < 0.951 < 0.958, to scale.
    low, high = places["best"][0], places["candidate"][2]
    assert (low, high) == (4, 96)
    scaled = [
        (place - low) / (high - low) * 0.036 + 0.922
        for place in (places["best"][1], goal, places["best"][2], *places["candidate"][:2])
    ]
    assert scaled == pytest.approx([0.93, 0.935, 0.938, 0.944, 0.951], abs=1e-5)
    # Lower is better, so the candidate is on the left. There is no interval and no required margin.
    assert [percent(svg, "x") for svg in other.all("svg")[1:]] == [4, 96]
    assert other.all("g") == other.all("line", class_="goal") == []


@pytest.mark.parametrize(
    ("direction", "goal"), [(pb.HIGHER_IS_BETTER, "0.95."), (pb.LOWER_IS_BETTER, "0.85.")]
)
def test_goal_is_on_the_better_side(direction: pb.MetricDirection, goal: str):
    decision = D()
    decision.comparisons.add(
        metric="m", direction=direction, candidate=0.7, best=0.9, improvement=0.1, required=0.05
    )
    assert section_of(decision, "Metrics").one("desc").raw.endswith(f"Value to beat: {goal}")


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        pytest.param(
            {"improvement": 0.02, "required": 0.01},
            "better by 0.02 required: more than 0.01",
            id="enough",
        ),
        pytest.param(
            {"improvement": 0.02, "required": 0.01, "significance": pb.SignificanceTest()},
            "better by 0.02, not significant required: more than 0.01",
            id="noise",
        ),
        pytest.param(
            {"improvement": 0.02, "required": 0.02},
            "better by 0.02 required: more than 0.02",
            id="a tie",
        ),
        pytest.param({"improvement": -0.02}, "worse by 0.02", id="nothing required"),
        pytest.param({}, "not computed", id="a function decided"),
        pytest.param(
            {"improvement": NAN, "required": 0.0}, "not comparable required: more than 0", id="NaN"
        ),
    ],
)
def test_change(fields: dict[str, Any], change: str):
    decision = D()
    decision.comparisons.add(metric="m", candidate=0.9, best=0.9, **fields)
    assert section_of(decision, "Metrics").rows[0][-1] == change


@pytest.mark.parametrize(
    ("improvement", "significance", "sign"),
    [
        (0.02, None, "M3 8.5 6.5 12 13 4.5"),
        (0.02, pb.SignificanceTest(is_significant=True), "M3 8.5 6.5 12 13 4.5"),
        (0.02, pb.SignificanceTest(), "M2 9c2-5 4-5 6-1s4 4 6-1"),
        (0.01, None, "M4 4 12 12M12 4 4 12"),
        (NAN, None, "M4 4 12 12M12 4 4 12"),
    ],
)
def test_change_has_a_sign(improvement: float, significance: pb.SignificanceTest | None, sign: str):
    decision = D()
    decision.comparisons.add(
        metric="m", improvement=improvement, required=0.01, best=1, significance=significance
    )
    cell = section_of(decision, "Metrics").one("td", class_="change")
    assert cell.one("path").attributes["d"] == sign


def test_first_export_has_no_column_of_a_best_and_no_chart_of_one_mark():
    section = section_of(decisions.first_export(), "Metrics")
    assert [head.text for head in section.all("th", scope="col")] == ["Metric", "Candidate"]
    assert section.rows == [["loss lower is better", "0.738"]]
    assert section.all("svg", role="img") == []


def test_values_that_no_chart_can_show_are_named():
    decision = D()
    decision.comparisons.add(metric="loss", candidate=NAN, best=INF, improvement=NAN)
    section = section_of(decision, "Metrics")
    assert section.rows == [["loss", "NaN", "∞", "not comparable"]]


def test_significance_in_words():
    section = section_of(decisions.better(), "Significance")
    assert section.one("h3").text == "auc: significant"
    assert [paragraph.text for paragraph in section.all("p")] == [
        (
            "The candidate is better by 0.021, with a standard error of 0.004 and 19 degrees of"
            " freedom. With 95 % confidence (one-sided, alpha 0.05), the improvement is larger than"
            " 0.0141. This is more than the required 0.005."
        ),
        "Paired test: both models were evaluated together, on the same examples.",
    ]


def test_numbers_that_are_nearly_equal_are_distinguished():
    sections = sections_of(page_of(decisions.crowded()))
    (row,) = sections["Metrics"].rows
    assert row[2:] == [
        "0.93500001 0.93500000999 to 0.93500001001",
        "0.93 0.922 to 0.938",
        "better by 0.00500001 required: more than 0.005",
    ]
    assert sections["Metrics"].one("desc").raw.endswith("Value to beat: 0.935.")
    assert sections["Significance"].all("p")[0].text == (
        "The candidate is better by 0.00500001, with a standard error of 1e-12 and 19 degrees of"
        " freedom. With 99.9999999 % confidence (one-sided, alpha 1e-09), the improvement is larger"
        " than 0.005000009. This is more than the required 0.005."
    )
    failed = [row for row in sections["Guardrails"].rows if row[2].endswith("n = 2")]
    assert failed[0][3:] == ["0.86999999999999", "at least 0.87", "0.9", "1,002"]
    decision = D()
    decision.slices.add(metric="auc", candidate=0.930000001, best=0.93, improvement=1e-9)
    assert section_of(decision, "Slices").rows == [
        ["overall", "better by 1e-09", "0.930000001", "0.93"]
    ]
    decision = D(history=[entry(6, "auc", 0.93), entry(7, "auc", 0.930000001)])
    assert (
        section_of(decision, "History")
        .one("desc")
        .raw.startswith("2 values, from 0.93 to 0.930000001.")
    )


def test_numbers_with_many_digits_are_distinguished_on_both_sides():
    smaller, larger = 0.12345678912, 0.12345678943
    decision = D()
    decision.comparisons.add(
        metric="m",
        direction=pb.LOWER_IS_BETTER,
        candidate=smaller,
        best=larger,
        improvement=smaller,
        required=larger,
        significance=pb.SignificanceTest(lower_bound=smaller, alpha=0.05),
    )
    decision.guardrails.add(
        metric="m",
        direction=pb.LOWER_IS_BETTER,
        candidate=larger,
        worst_allowed=smaller,
        best=0.12345678999,
    )
    sections = sections_of(page_of(decision))
    assert sections["Metrics"].rows[0][2:] == [
        "0.1234567891",
        "0.1234567894",
        "better by 0.1234567891 required: more than 0.1234567894",
    ]
    assert (
        sections["Significance"]
        .one("p")
        .text.endswith(
            "the improvement is larger than 0.1234567891. This is not more than the required"
            " 0.1234567894."
        )
    )
    assert sections["Guardrails"].rows[0][3:] == [
        "0.1234567894",
        "at most 0.1234567891",
        "0.12345679",
    ]


def test_many_tests_and_changes_are_folded():
    decision = D(signature_changes=[f"input x{place} is gone" for place in range(30)])
    for place in range(20):
        decision.comparisons.add(metric=f"m{place}", significance=pb.SignificanceTest(alpha=0.05))
    sections = sections_of(page_of(decision))
    for name, summary, tag, at_once in (
        ("Significance", "Show 12 more tests", "h3", 12),
        ("Signatures", "Show 22 more changes", "li", 22),
    ):
        details = sections[name].one("details")
        assert details.one("summary").text == summary
        assert len(details.all(tag)) == at_once
        assert len(sections[name].all(tag)) == at_once + 8


def test_no_significance_in_words():
    section = section_of(decisions.not_significant(), "Significance")
    assert section.all("h3")[1].text.endswith(": not significant")
    assert section.all("p")[0].text == (
        "The candidate is better by 0.0012, with a standard error of 0.021 and 37.4 degrees of"
        " freedom. With 95 % confidence (one-sided, alpha 0.05), the improvement is larger than"
        " -0.0342. This is not more than the required 0.001."
    )
    assert section.all("p")[1].text == (
        "Unpaired test (Welch): the two models were evaluated independently."
    )


# --- guardrails and slices ------------------------------------------------------------------------


def test_guardrails_with_their_bounds():
    section = section_of(decisions.better(), "Guardrails")
    assert section.one("caption").text == "All 3 passed"
    assert section.rows == [
        ["auc", "passed", "overall", "0.951", "at least 0.9", "0.93", "10,000"],
        ["calibration", "passed", "overall", "0.031", "at most 0.04", "0.029", "10,000"],
        [
            "recall",
            "passed",
            "country = nl device = phone",
            "0.88",
            "at least 0.87",
            "0.9",
            "1,200",
        ],
    ]


def test_guardrails_that_failed_come_first_and_are_explained():
    section = section_of(decisions.guardrail_failed(), "Guardrails")
    assert section.one("caption").text == "2 of 4 failed"
    assert [row[1:3] for row in section.rows] == [
        ["failed", "country = nl"],
        ["failed", "country = de"],
        ["passed", "country = be"],
        ["passed", "country = fr"],
    ]
    nl, de = (
        each.explanation for each in decisions.guardrail_failed().guardrails if not each.holds
    )
    assert section.one("ul").text == f"{nl} {de}"


def guardrails(failed: int, holding: int, count: int = 0) -> D:
    decision = D(guardrail_count=count)
    for place in range(failed + holding):
        holds = place >= failed
        decision.guardrails.add(
            metric=f"m{place}", holds=holds, explanation=f"m{place} is {'' if holds else 'not '}1"
        )
    return decision


LEFT_OUT = "are not listed: decision.json lists 200, failures first."


@pytest.mark.parametrize(
    ("decision", "caption", "note"),
    [
        pytest.param(guardrails(0, 1, 1), "Passed", [], id="one"),
        pytest.param(guardrails(1, 0), "1 of 1 failed", [], id="written without a count"),
        pytest.param(guardrails(200, 0, 200), "200 of 200 failed", [], id="all are listed"),
        pytest.param(
            guardrails(200, 0, 5001),
            "At least 200 of 5,001 failed",
            [f"4,801 more {LEFT_OUT}"],
            id="more may have failed",
        ),
        pytest.param(
            guardrails(200, 0, 201),
            "At least 200 of 201 failed",
            ["1 more is not listed: decision.json lists 200, failures first."],
            id="one more",
        ),
        pytest.param(
            guardrails(199, 1, 5001),
            "199 of 5,001 failed",
            [f"4,801 more {LEFT_OUT}"],
            id="all that failed are listed",
        ),
        pytest.param(
            guardrails(0, 200, 5001),
            "All 5,001 passed",
            [f"4,801 more {LEFT_OUT}"],
            id="all passed",
        ),
        pytest.param(
            guardrails(2, 199, 300),
            "2 of 300 failed",
            [
                "1 more guardrail is in decision.json.",
                "99 more are not listed: decision.json lists 201, failures first.",
            ],
            id="more than a page has",
        ),
    ],
)
def test_guardrails_that_are_not_listed_count_too(decision: D, caption: str, note: list[str]):
    section = section_of(decision, "Guardrails")
    assert section.all("caption")[0].text == caption
    assert [paragraph.text for paragraph in section.all("p", class_="note")] == note


@pytest.mark.parametrize(
    ("failed", "holding", "at_once", "summaries"),
    [
        (0, 30, 8, ["Show 22 more guardrails"]),
        (3, 30, 8, ["Show 25 more guardrails"]),
        (12, 30, 12, ["Show 30 more guardrails", "Show the explanations of 12 failures"]),
        (21, 0, 21, ["Show the explanations of 21 failures"]),
        (
            30,
            10,
            20,
            [
                "Show 20 more guardrails, 10 of them failed",
                "Show the explanations of 20 failures",
            ],
        ),
        (
            200,
            0,
            20,
            ["Show 180 more guardrails, all failed", "Show the explanations of 20 failures"],
        ),
    ],
)
def test_many_guardrails_are_folded(failed: int, holding: int, at_once: int, summaries: list[str]):
    section = section_of(guardrails(failed, holding), "Guardrails")
    tables = section.all("table")
    assert len(tables[0].rows) == at_once
    assert len(section.rows) == failed + holding
    assert [row[1] for row in section.rows] == ["failed"] * failed + ["passed"] * holding
    assert [summary.text for summary in section.all("summary")] == summaries
    assert [item.text for item in section.all("li")] == [
        f"m{place} is not 1" for place in range(min(failed, at_once))
    ]
    folded = [item for details in section.all("details") for item in details.all("li")]
    assert len(folded) == (min(failed, at_once) if failed > 8 else 0)


def test_guardrails_that_failed_are_not_folded_where_they_are_few():
    decision = D()
    for place in range(40):
        decision.guardrails.add(metric=f"m{place}", holds=place % 2 == 0)
    section = section_of(decision, "Guardrails")
    assert section.one("summary").text == "Show 20 more guardrails"
    assert {row[1] for row in section.one("details").rows} == {"passed"}
    assert [row[0] for row in section.rows[:3]] == ["m1", "m3", "m5"]


def test_a_best_that_fails_a_guardrail_itself():
    section = section_of(decisions.guardrail_failed(), "Guardrails")
    assert section.one("p", class_="caution").text == (
        f"The best, version {SERVED}, itself fails the bound of 1 guardrail."
    )
    assert [row[5] for row in section.rows] == ["0.9", "0.91", "0.9", "0.89 fails the bound"]
    decision = decisions.better()
    assert section_of(decision, "Guardrails").all("p", class_="caution") == []
    for each in decision.guardrails:
        each.best_fails = True
    text = section_of(decision, "Guardrails").one("p", class_="caution").text
    assert text.endswith("itself fails the bound of 3 guardrails.")


def test_unknown_values_of_a_guardrail():
    decision = D(guardrails=[pb.GuardrailResult(metric="auc")])
    assert section_of(decision, "Guardrails").rows == [["auc", "failed", "overall", "none", "none"]]


def test_slices_worst_first():
    section = section_of(decisions.better(), "Slices")
    assert section.all("p")[0].text == (
        "auc: the 28 slices that changed most, of 12,000. A slice got worse or better if the"
        " interval of its change does not contain 0. All intervals together hold at 95 %"
        " confidence."
    )
    assert [caption.text for caption in section.all("caption")] == [
        "Got worse",
        "Got better",
        "Within noise",
        "Within noise, continued",
    ]
    tables = section.all("table")
    assert tables[0].rows[0] == [
        "country = nl device = phone",
        "worse by 0.042 improvement: -0.057 to -0.027",
        "0.888",
        "0.93",
        "400",
    ]
    # Changes of at most 0.015, the half of an interval, are noise, whatever their direction.
    assert [len(table.rows) for table in tables] == [2, 2, 8, 16]
    noise = [*tables[2].rows, *tables[3].rows]
    assert [row[1].split()[0] for row in noise] == ["worse"] * 12 + ["better"] * 12
    assert noise[0][1] == "worse by 0.014 improvement: -0.029 to 0.001"
    bars = [[percent(bar, "width") for bar in table.all("rect")] for table in tables[:3]]
    assert bars[:2] == [[100, 50], [100, 50]]
    assert bars[2][:2] == [33.33, 25]
    colors = [{bar.attributes["class"] for bar in table.all("rect")} for table in tables]
    assert colors == [{"worse-bar"}, {"better-bar"}, {"noise-bar"}, {"noise-bar"}]


@pytest.mark.parametrize(
    ("improvement", "bounds", "title"),
    [
        (-0.1, (-0.2, -0.01), "Got worse"),
        (-0.1, (-0.2, 0.0), "Within noise"),
        (0.1, (0.0, 0.2), "Within noise"),
        (0.1, (0.01, 0.2), "Got better"),
        (-0.1, None, "Worse, not tested"),
        (0.1, None, "Better, not tested"),
        (-INF, None, "Got worse"),
        (INF, None, "Got better"),
        (0.0, (-0.1, 0.1), "No change"),
        (NAN, None, "Not comparable"),
    ],
)
def test_only_a_change_that_is_more_than_noise_is_worse_or_better(
    improvement: float, bounds: tuple[float, float] | None, title: str
):
    decision = D()
    change = decision.slices.add(metric="auc", improvement=improvement)
    if bounds is not None:
        change.improvement_lower_bound, change.improvement_upper_bound = bounds
    section = section_of(decision, "Slices")
    assert section.one("caption").text == title
    colors = {element.attributes.get("class") for element in section if element.tag == "span"}
    assert ("bad" in colors, "good" in colors) == (title == "Got worse", title == "Got better")


def test_slices_are_the_same_whatever_their_order():
    decision = decisions.better()
    page = to_html(decision)
    changes = sorted(decision.slices, key=lambda change: sorted(change.slice.features.items()))
    del decision.slices[:]
    decision.slices.extend(changes)
    assert to_html(decision) == page


def test_slices_that_are_neither_worse_nor_better():
    decision = D()
    for improvement in (NAN, 0.0, -INF, 0.1):
        decision.slices.add(
            metric="auc", improvement=improvement, slice=pb.Slice(features={"n": str(improvement)})
        )
    decision.slices.add(metric="loss", improvement=0.2)
    section = section_of(decision, "Slices")
    assert section.all("p")[0].text == (
        "The 5 slices that both evaluations have. Changes without confidence intervals may be"
        " noise. To test them, add options=tfma.Options(compute_confidence_intervals={'value':"
        " True}) to Evaluator's EvalConfig."
    )
    assert [
        (table.one("caption").text, [row[:3] for row in table.rows])
        for table in section.all("table")
    ] == [
        ("Got worse", [["n = -inf", "auc", "worse by ∞"]]),
        (
            "Better, not tested",
            [["overall", "loss", "better by 0.2"], ["n = 0.1", "auc", "better by 0.1"]],
        ),
        ("No change", [["n = 0.0", "auc", "no change"]]),
        ("Not comparable", [["n = nan", "auc", "not comparable"]]),
    ]
    assert [percent(bar, "width") for bar in section.all("rect")] == [100, 50]


def test_slice_of_many_features():
    decision = D()
    features = {f"f{place:02}": "x" for place in range(40)}
    decision.slices.add(metric="auc", improvement=0.1, slice=pb.Slice(features=features))
    (row,) = section_of(decision, "Slices").rows
    assert row[0].startswith("f00 = x f01 = x ")
    assert row[0].endswith("f11 = x and 28 more features")


# --- since the best -------------------------------------------------------------------------------


def test_changes_since_the_best_was_exported():
    section = section_of(decisions.better(), "Changed since the best")
    assert section.rows == [
        [
            "Policy: Better",
            "auc: higher is better, by more than 0.002, and significantly (alpha 0.05).",
            "auc: higher is better, by more than 0.005, and significantly (alpha 0.05).",
        ],
        ["Policy: Examples", "none", "At least 1,000 in the candidate's evaluation."],
        [
            "Examples artifact",
            "/pipelines/penguin/CsvExampleGen/examples/1",
            "/pipelines/penguin/CsvExampleGen/examples/9",
        ],
        ["Span", "7", "15"],
        ["Number of examples", "8,000", "10,000"],
        ["Size of the model", "50 MiB", "55 MiB, 10 % larger"],
    ]


def test_no_change_is_no_section():
    decision = decisions.with_recorded_best(decisions.with_best(decisions.base(D.NOT_BETTER, "")))
    decision.compare_policy.CopyFrom(decision.best.compare_policy)
    decision.candidate_evaluation.CopyFrom(decision.best.evaluation)
    decision.candidate_evaluation.example_count = 8000
    decision.candidate.size_bytes = decision.best.model.size_bytes
    assert "Changed since the best" not in sections_of(page_of(decision))
    decision.candidate.size_bytes = 0
    rows = section_of(decision, "Changed since the best").rows
    assert rows == [["Size of the model", "50 MiB", "0 bytes, 100 % smaller"]]
    # A fact that one record lacks is no change.
    for field in ("compare_policy", "recorded_data", "recorded_example_count"):
        decision.best.ClearField(field)
    decision.best.model.ClearField("size_bytes")
    assert "Changed since the best" not in sections_of(page_of(decision))


# --- commands and links ---------------------------------------------------------------------------


def commands_of(decision: D) -> list[str]:
    sections = sections_of(page_of(decision))
    return [code.raw for code in sections["Commands"].all("code")] if "Commands" in sections else []


def test_commands_of_an_export():
    base = "best-exporter {} /serving/penguin"
    assert commands_of(decisions.better()) == [
        f"{base.format('show')} {EXPORTED}",
        f"{base.format('diff')} {SERVED} {EXPORTED}",
        f"{base.format('rollback')} --to {SERVED} --reason REASON",
        f"{base.format('verify')} {EXPORTED}",
        f"{base.format('history')} --why",
    ]


def test_commands_of_a_refusal():
    decision = decisions.not_better()
    base = "best-exporter {} /serving/penguin"
    assert commands_of(decision) == [
        f"{base.format('show')} 2026-11-22T06:38:39.000000",
        f"{base.format('show')} {SERVED}",
        f"{base.format('verify')} {SERVED}",
        f"{base.format('rollback')} --reason REASON",
        f"{base.format('history')} --why",
    ]
    # Without an older export there is no way back.
    for each in decision.history[:-1]:
        each.retired = True
    del decision.kept[1:]
    assert not [each for each in commands_of(decision) if "rollback" in each]


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        (D.ON_HOLD, "best-exporter release /serving/penguin"),
        (D.REJECTED, f"best-exporter unreject /serving/penguin {decisions.DIGEST}"),
        (
            D.AWAITING_APPROVAL,
            f"best-exporter approve /serving/penguin {decisions.DIGEST} --reason REASON",
        ),
    ],
)
def test_the_command_that_changes_the_decision_comes_first(reason: D.Reason, command: str):
    assert commands_of(decisions.base(reason, "so it is"))[0] == command


@pytest.mark.parametrize(
    ("base", "first"),
    [
        ("/my models/it's", """best-exporter show '/my models/it'"'"'s' 9"""),
        ("/a;rm -rf $HOME", "best-exporter show '/a;rm -rf $HOME' 9"),
        ("gs://models/penguin", "best-exporter show gs://models/penguin 9"),
        ("", None),
        ("s3://***@host/penguin", None),
        ("/new\nline", None),
        ("/right\u202eto left", None),
        ("--help", None),
    ],
)
def test_commands_are_for_the_base_directory_itself(base: str, first: str | None):
    commands = commands_of(D(exported=True, version=9, base_directory=base))
    assert (commands[0] if commands else None) == first


def test_links_to_versions_and_artifacts():
    page = page_of(decisions.better())
    links = {link.text: link.attributes["href"] for link in page.all("a")}
    assert links[f"version {EXPORTED}"] == f"file:///serving/penguin/{EXPORTED}"
    assert links[f"version {SERVED}"] == f"file:///serving/penguin/{SERVED}"
    for path in ("Trainer/model/14", "Evaluator/evaluation/7", "CsvExampleGen/examples/9"):
        assert links[f"/pipelines/penguin/{path}"] == f"file:///pipelines/penguin/{path}"
    # A frame in a notebook opens links only in another tab.
    assert {link.attributes["target"] for link in page.all("a")} == {"_blank"}
    assert page.all("nav") == []
    # Without a base directory, a version has no address.
    assert page_of(D(exported=True, version=9)).all("a") == []


def test_links_to_other_decisions():
    neighbors = Neighbors(
        index=Link(label="All decisions", href="index.html"),
        previous=Link(label=HOSTILE, href="version-7.html"),
    )
    navigation = parse(to_html(decisions.first_export(), neighbors)).one("nav")
    assert [(link.text, link.attributes["href"]) for link in navigation.all("a")] == [
        (f"Previous: {HOSTILE}", "version-7.html"),
        ("All decisions", "index.html"),
    ]


# --- exports --------------------------------------------------------------------------------------


def points_of(section: Element) -> list[tuple[str, str]]:
    return [
        (point.attributes["class"].split()[1], point.one("title").raw)
        for point in section.all("g", class_="point")
    ]


def test_history_with_the_export_of_this_run():
    section = section_of(decisions.better(), "History")
    points = points_of(section)
    # The run has retired two exports that were there before.
    exports = ["retired"] * 5 + ["kept"] * 4 + ["candidate"]
    assert [state for state, _ in points if state != "declined"] == exports
    assert points[0] == ("retired", "version 1794640709, retired, exported 2026-11-14: 0.8737")
    last = f"version {EXPORTED}, served, exported 2026-11-23: 0.951"
    assert points[-1] == ("candidate", last)
    assert section.one("div", class_="ends").text == "2026-11-14 2026-11-23"
    assert section.one("desc").raw == (
        "13 values, from 0.868 to 0.951. The first: version 1794640709, retired, exported"
        f" 2026-11-14: 0.8737. The last: {last}."
    )
    assert section.one("ul").text == (
        "this run's candidate, served an earlier candidate, not exported kept retired"
    )
    xs = [percent(point.one("svg"), "x") for point in section.all("g", class_="point")]
    assert xs == sorted(xs)
    assert (xs[0], xs[-1]) == (4, 96)
    # y counts from the top, so the largest value has the smallest y.
    ys = [percent(point.one("svg"), "y") for point in section.all("g", class_="point")]
    assert min(ys) == ys[-1]
    assert max(ys) == ys[1]
    assert len(section.all("line", class_="path")) == 9
    assert len(section.all("line", class_="interval")) == 10


def test_refused_candidates_stand_between_the_exports_of_their_time():
    points = points_of(section_of(decisions.better(), "History"))
    refused = [place for place, (state, _) in enumerate(points) if state == "declined"]
    # A refusal without a value of the metric, or with another metric, is not drawn.
    assert refused == [1, 4, 10]
    assert points[1][1] == "a candidate that was not exported, 2026-11-15: 0.868"
    assert "exported 2026-11-14" in points[0][1]
    assert "exported 2026-11-15" in points[2][1]
    assert "exported 2026-11-17" in points[5][1]


def test_history_has_the_export_of_this_run_before_it_is_on_record():
    decision = decisions.better()
    del decision.history[-1]
    section = section_of(decision, "History")
    assert section.rows[0] == [
        str(EXPORTED),
        "served",
        "2026-11-22 06:40:12 UTC",
        "0.951 0.944 to 0.958",
    ]
    assert section.rows[1][:2] == [str(SERVED), "kept"]
    # The next run finds it in the history.
    assert len(section.rows) == len(section_of(decisions.better(), "History").rows)


@pytest.mark.parametrize("make", decisions.CASES.values(), ids=decisions.CASES)
def test_history_agrees_with_the_retired_and_kept_exports(make: Callable[[], D]):
    sections = sections_of(page_of(make()))
    if not {"History", "Retired and kept"} <= {*sections}:
        pytest.skip("the decision has no history, or no retention")
    states = {row[0]: row[1] for row in sections["History"].rows}
    for version, outcome, *_ in sections["Retired and kept"].rows:
        state = states.get(version, outcome)
        assert state == outcome or (state, outcome) == ("served", "kept")


def test_history_as_a_table_the_newest_first():
    section = section_of(decisions.better(), "History")
    assert [summary.text for summary in section.all("summary")] == [
        "Show the history as a table",
        "Show 2 more exports",
    ]
    rows = section.rows
    assert rows[0] == [str(EXPORTED), "served", "2026-11-23 07:18:29 UTC", "0.951 0.944 to 0.958"]
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)


def test_earlier_runs_without_an_export_the_newest_first():
    decision = decisions.better()
    del decision.refusals[:]
    assert "Earlier runs without an export" not in sections_of(page_of(decision))
    for day, reason in enumerate(["NOT_BETTER", "FAILED"], start=21):
        refusal = decision.refusals.add(reason=reason, explanation=HOSTILE)
        refusal.decided_at.FromJsonString(f"2026-11-{day}T06:38:39Z")
    decision.refusals[0].metric, decision.refusals[0].value = "auc", 0.91
    decision.refusals[0].run_id = "5"
    rows = section_of(decision, "Earlier runs without an export").rows
    assert [row[:3] for row in rows] == [
        ["2026-11-22 06:38:39 UTC", "FAILED", "none"],
        ["2026-11-21 06:38:39 UTC run 5", "NOT_BETTER", "0.91 auc"],
    ]
    assert all("<script>" in row[3] for row in rows)


def test_history_with_a_candidate_that_is_not_exported():
    section = section_of(decisions.guardrail_failed(), "History")
    points = points_of(section)
    assert points[-2:] == [
        ("served", f"version {SERVED}, served, exported 2026-11-22: 0.93"),
        ("refused", "this run's candidate, not exported: 0.942"),
    ]
    assert section.one("div", class_="ends").text == "2026-11-14 this run"
    # The line of exports does not lead to a candidate that was not exported.
    assert len(section.all("line", class_="path")) == len(points) - 2
    assert "this run's candidate, not exported" in section.one("ul").text


def entry(version: int, metric: str, value: float | None = None) -> pb.HistoryEntry:
    return pb.HistoryEntry(version=version, metric=metric, value=value)


@pytest.mark.parametrize(
    ("decision", "points"),
    [
        pytest.param(
            D(
                exported=True,
                version=8,
                history=[entry(7, "auc", 0.9)],
                comparisons=[pb.MetricComparison(metric="auc", candidate=0.95)],
            ),
            [
                ("kept", "version 7, kept: 0.9"),
                ("candidate", "this run's candidate: 0.95"),
            ],
            id="the history lacks the export of this run",
        ),
        pytest.param(
            D(version=7, history=[entry(7, "auc", 0.9), entry(6, "auc", 0.8)]),
            [("kept", "version 6, kept: 0.8"), ("candidate", "version 7, served: 0.9")],
            id="the candidate is the best already",
        ),
        pytest.param(
            D(
                history=[entry(6, "auc", 0.8), entry(7, "auc", 0.9)],
                candidate_evaluation=pb.Evaluation(
                    metrics=[pb.MetricValue(key=decisions.AUC, value=0.7)]
                ),
            ),
            [
                ("kept", "version 6, kept: 0.8"),
                ("kept", "version 7, kept: 0.9"),
                ("refused", "this run's candidate, not exported: 0.7"),
            ],
            id="the value is that of the evaluation",
        ),
        pytest.param(
            D(
                history=[
                    entry(3, "auc", 0.7),
                    entry(4, "auc"),
                    entry(5, "loss", 0.3),
                    entry(6, "auc", NAN),
                    entry(7, "auc", 0.9),
                ],
                comparisons=[pb.MetricComparison(metric="auc", candidate=NAN)],
            ),
            [("kept", "version 3, kept: 0.7"), ("kept", "version 7, kept: 0.9")],
            id="only finite values of one metric",
        ),
        pytest.param(D(history=[entry(7, "auc", 0.9)]), [], id="one value is no history"),
    ],
)
def test_points_of_the_history(decision: D, points: list[tuple[str, str]]):
    assert points_of(section_of(decision, "History")) == points


def test_history_says_what_it_cannot_draw():
    decision = D(
        history=[entry(5, "loss", 0.3), entry(6, "auc", 0.8), entry(7, "auc", 0.9)],
    )
    section = section_of(decision, "History")
    assert "1 export has no finite auc on record." in section.text
    assert section.rows[2] == ["5", "kept", "unknown", "0.3 loss"]


def test_history_of_200_exports_has_small_points():
    section = section_of(decisions.not_significant(), "History")
    points = section.all("g", class_="point")
    assert len(points) == 201
    radii = {circle.attributes["r"] for point in points for circle in point.all("circle")}
    assert radii == {"2"}
    assert len(section.rows) == 200


def classes(elements: list[Element]) -> list[list[str]]:
    return [element.attributes["class"].split() for element in elements]


def test_dense_history_shows_its_points_and_not_its_intervals():
    section = section_of(decisions.crowded(), "History")
    chart = section.one("svg", class_="plot")
    # Elements drawn first are below the others: intervals, the line, the points.
    drawn = [
        child.attributes["class"].split()[-1 if child.tag == "line" else 0]
        for child in chart.children
        if isinstance(child, Element) and "class" in child.attributes
    ]
    order = [kind for kind, _ in itertools.groupby(drawn)]
    assert order == ["grid", "faint", "served-mark", "refused-mark", "path", "point"]
    intervals = classes(chart.all("line", class_="interval"))
    assert intervals == [
        *([["interval", "faint"]] * 198),
        ["interval", "served-mark"],
        ["interval", "refused-mark"],
    ]
    assert {*map(tuple, classes(chart.all("line", class_="path")))} == {("faint", "path")}


def test_marks_of_a_dense_history_are_those_of_its_legend():
    section = section_of(decisions.crowded(), "History")
    marks = {
        point.attributes["class"].split()[1]: [
            element.attributes for element in point if element.tag in ("circle", "path")
        ]
        for point in section.all("g", class_="point")
    }
    keys = {
        item.text: [element.attributes for element in item if element.tag in ("circle", "path")]
        for item in section.one("ul").all("li")
    }
    assert keys == {
        "this run's candidate, not exported": marks["refused"],
        "served": marks["served"],
        "kept": marks["kept"],
        "retired": marks["retired"],
    }
    assert marks["kept"] == [{"class": "small-shape kept-mark", "r": "2"}]
    assert marks["retired"] == [{"class": "small-shape retired-mark", "r": "2"}]
    # Kept marks are filled; retired marks are not.
    style = pages.text_of(report.__package__, "report.css")
    assert ".kept-mark { stroke: var(--best); fill: var(--best); }" in style
    assert ".retired-mark { stroke: var(--axis); fill: var(--paper); }" in style


@pytest.mark.parametrize(("count", "gap"), [(2, 1), (10, 1), (99, 6)])
def test_a_candidate_that_is_not_exported_stands_beside_the_exports(count: int, gap: float):
    decision = D(
        history=[entry(version, "auc", 0.9) for version in range(1, count + 1)],
        comparisons=[pb.MetricComparison(metric="auc", candidate=0.8)],
    )
    section = section_of(decision, "History")
    xs = [percent(point.one("svg"), "x") for point in section.all("g", class_="point")]
    steps = [(right - left) for left, right in itertools.pairwise(xs)]
    assert steps[-1] == pytest.approx(gap * steps[0], abs=0.1)


def test_what_was_retired_and_kept_and_why():
    section = section_of(decisions.guardrail_failed(), "Retired and kept")
    assert section.one("caption").text == "0 retired by this run, 1 not deleted yet, 1 kept"
    assert section.rows == [
        [
            "1794640709",
            "not deleted yet",
            "2026-11-14 07:18:29 UTC",
            f"{decisions.NOT_KEPT} permission denied",
        ],
        [str(SERVED), "kept", "2026-11-22 07:18:29 UTC", decisions.BEST],
    ]


def test_what_could_not_be_deleted_is_counted_apart():
    section = section_of(decisions.crowded(), "Retired and kept")
    assert section.all("caption")[0].text == "8 retired by this run, 4 not deleted yet, 1 kept"
    outcomes = [row[1] for row in section.rows]
    assert (outcomes.count("retired"), outcomes.count("not deleted yet")) == (8, 4)
    section = section_of(decisions.better(), "Retired and kept")
    assert section.all("caption")[0].text == "6 retired by this run, 5 kept"


# --- policy and provenance ------------------------------------------------------------------------


def test_policy_in_words_and_as_json():
    section = section_of(decisions.better(), "Policy")
    assert section.one("dl").text.startswith(
        "Better auc: higher is better, by more than 0.005, and significantly (alpha 0.05)."
        " Tie-breaker 1 loss: lower is better. Guardrail auc: at least 0.9, on the overall slice."
    )
    assert '"min_absolute_change": 0.005' in section.one("pre").raw


def test_policy_of_many_slices_is_cut_off():
    policy = pb.ComparePolicy(guardrails=[pb.Guardrail(metric=decisions.AUC)])
    for place in range(5000):
        policy.guardrails[0].slices.add(features={"n": str(place)})
    content = section_of(D(compare_policy=policy), "Policy").one("pre").raw
    assert len(content) < 20_100
    assert re.search(r"… \([\d,]{7,} characters\)$", content)


def test_provenance():
    section = section_of(decisions.guardrail_failed(), "Provenance")
    assert section.one("dl").text == (
        "Base directory /serving/penguin Pipeline penguin Run 2026-11-22T06:38:39.000000"
        " Component BestExporter tfx-best-exporter 0.1.0 Decided 2026-11-22 06:40:12 UTC"
        " Compared on the same data: the best was evaluated again on the candidate's examples"
        " Schema of the decision 1"
    )
    pipelines = "/pipelines/penguin"
    assert section.rows == [
        ["Version", "none", str(SERVED)],
        ["Model", f"{pipelines}/Trainer/model/14", f"{pipelines}/Trainer/model/6"],
        ["Digest", decisions.DIGEST, decisions.OTHER_DIGEST],
        [
            "Evaluation",
            f"{pipelines}/Evaluator/evaluation/15",
            f"{pipelines}/Evaluator/evaluation/7",
        ],
        ["Kind of evaluation", "TensorFlow Model Analysis", "TensorFlow Model Analysis"],
        ["Evaluated", "2026-11-22 06:38:39 UTC", "2026-11-22 06:38:39 UTC"],
        [
            "Evaluated on",
            f"{pipelines}/CsvExampleGen/examples/9",
            f"{pipelines}/CsvExampleGen/examples/1",
        ],
        ["Splits", "eval", "eval"],
        ["Span", "15", "7"],
        ["Examples", "10,000", "10,000"],
        ["Eval config", decisions.CONFIG_DIGEST, decisions.CONFIG_DIGEST],
        ["Directory", "none", f"/serving/penguin/{SERVED}"],
        ["PushedModel", "none", f"{pipelines}/BestExporter/pushed_model/8"],
        ["Record", "none", "yes"],
    ]


# --- safe with any content ------------------------------------------------------------------------

PLACES = {
    *("cx", "cy", "dy", "height", "r", "rx", "stroke-width", "width"),
    *("x", "x1", "x2", "y", "y1", "y2"),
}
# Addresses of paths and of objects on Google Cloud Storage: plain characters only.
LINK = r"(https://console\.cloud\.google\.com/storage/browser/|file:///)[A-Za-z0-9_.~/%-]*"
# Attributes that a page may have. None of them loads or runs anything, and `href` has a test.
ATTRIBUTES = {
    *PLACES,
    *("aria-hidden", "aria-label", "aria-labelledby", "class", "id", "lang", "role", "scope"),
    *("charset", "content", "http-equiv", "name"),
    *("href", "rel", "target"),
    *(
        "cx",
        "cy",
        "d",
        "dy",
        "height",
        "r",
        "rx",
        "stroke-width",
        "text-anchor",
        "viewbox",
        "width",
    ),
    *("x", "x1", "x2", "y", "y1", "y2"),
}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "div", "header", "main", "section"),
    *("footer", "h1", "h2", "h3", "p", "dl", "dt", "dd", "ul", "li", "figure", "figcaption"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "code"),
    *("a", "nav"),
    *("bdi", "i", "span", "strong", "svg", "g", "path", "circle", "line", "rect", "text", "desc"),
}


def assert_is_safe(page: str) -> Element:
    tree = parse(page)
    assert {element.tag for element in tree} <= TAGS
    assert {name for element in tree for name in element.attributes} <= ATTRIBUTES
    assert len(tree.all("style")) == 1
    for link in tree.all("a"):
        assert re.fullmatch(LINK, link.attributes["href"])
    for element in tree:
        assert element.tag == "a" or "href" not in element.attributes
        for value in (element.attributes.get(name, "0") for name in PLACES):
            assert re.fullmatch(r"-?\d+(\.\d+)?%?", value)
            assert not value.endswith("%") or 0 <= float(value[:-1]) <= 100
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", page
    )
    return tree


@pytest.mark.parametrize("make", decisions.CASES.values(), ids=decisions.CASES)
def test_page_loads_nothing_and_runs_nothing(make: Callable[[], D]):
    tree = assert_is_safe(to_html(make()))
    assert not re.search(r"url\(|@import|expression|//", tree.one("style").raw)


@pytest.mark.parametrize("make", decisions.CASES.values(), ids=decisions.CASES)
def test_content_security_policy_allows_the_one_style_element(make: Callable[[], D]):
    page = page_of(make())
    style = base64.b64encode(hashlib.sha256(page.one("style").raw.encode()).digest()).decode()
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    )


def test_hostile_names_are_text():
    page = to_html(decisions.not_significant())
    tree = assert_is_safe(page)
    visible = REVERSED.encode("unicode_escape").decode()
    metrics = [row[0] for row in sections_of(tree)["Metrics"].rows]
    assert f"click/{HOSTILE} higher is better" in metrics
    assert f"{visible} higher is better" in metrics
    assert tree.one("head").one("title").raw.endswith(f" · {HOSTILE}")
    assert tree.all("img") == tree.all("script") == []
    assert visible in tree.one("div", class_="warnings").text


def test_long_names_are_cut_off():
    page = to_html(decisions.not_significant())
    assert not re.search(r"(.)\1{600}", page)
    assert "… (10,000 characters) …" in page


@given(st.text(), st.text(), st.text())
@settings(max_examples=50)
def test_whatever_the_texts_only_text_changes(metric: str, feature: str, sentence: str):
    def elements(*texts: str) -> list[tuple[str, list[str]]]:
        metric, feature, sentence = texts
        decision = D(
            explanation=sentence,
            warnings=[sentence],
            signature_changes=[sentence],
            provenance=pb.Provenance(pipeline_name=metric),
            compare_policy=pb.ComparePolicy(compare_fn=metric, force=sentence),
            history=[entry(6, metric, 0.8), entry(7, metric, 0.9)],
            kept=[D.Kept(version=7, why=sentence)],
        )
        decision.comparisons.add(metric=metric, candidate=0.9, best=0.8)
        decision.guardrails.add(metric=metric, slice={"features": {feature: metric}})
        decision.slices.add(metric=metric, slice={"features": {feature: metric}}, improvement=1)
        tree = assert_is_safe(to_html(decision))
        return [(element.tag, sorted(element.attributes)) for element in tree]

    texts = (f"x{text}" for text in (metric, feature, sentence))
    assert elements(*texts) == elements("auc", "country", "words")


@given(st.text())
@settings(max_examples=50)
def test_whatever_the_base_directory_its_commands_are_for_it(base: str):
    decision = decisions.better()
    decision.base_directory = base
    tree = assert_is_safe(to_html(decision))
    commands = [code.raw for code in tree.all("code") if code.raw.startswith("best-exporter ")]
    for command in commands:
        assert shlex.split(command)[2] == base
    is_plain = base.isprintable() and not base.startswith("-") and "***" not in base
    assert bool(commands) == (bool(base) and is_plain)


numbers = st.floats() | st.sampled_from([NAN, INF, -INF, 0.0, 5e-324, 1.79e308, -1.79e308])
optionals = numbers | st.none()


@st.composite
def decisions_of_any_numbers(draw: st.DrawFn) -> D:
    decision = D(exported=draw(st.booleans()), version=draw(st.integers(0, 9)))
    for _ in range(draw(st.integers(0, 3))):
        names = [
            *("candidate", "best", "improvement", "required"),
            *("candidate_lower_bound", "candidate_upper_bound"),
            *("best_lower_bound", "best_upper_bound"),
        ]
        comparison = decision.comparisons.add(
            metric="auc",
            direction=draw(st.integers(0, 3)),
            **{name: draw(optionals) for name in names},
        )
        if draw(st.booleans()):
            comparison.significance.alpha = draw(numbers)
            comparison.significance.lower_bound = draw(numbers)
            comparison.significance.degrees_of_freedom = draw(numbers)
        decision.guardrails.add(
            candidate=draw(optionals),
            worst_allowed=draw(optionals),
            example_count=draw(optionals),
        )
        decision.slices.add(metric="auc", improvement=draw(numbers), example_count=draw(optionals))
        decision.history.add(
            version=draw(st.integers(-(2**63), 2**63 - 1)),
            metric="auc",
            value=draw(optionals),
            lower_bound=draw(optionals),
            upper_bound=draw(optionals),
            exported_at={"seconds": draw(st.integers(-(2**63), 2**63 - 1))},
        )
    return decision


@given(decisions_of_any_numbers())
@settings(max_examples=150)
def test_whatever_the_numbers_there_is_a_page(decision: D):
    assert_is_safe(to_html(decision))


@pytest.mark.parametrize("make", decisions.CASES.values(), ids=decisions.CASES)
def test_same_decision_same_page(make: Callable[[], D]):
    decision = make()
    page = to_html(decision)
    assert decision == make()
    assert to_html(D.FromString(decision.SerializeToString())) == page


def test_a_page_is_never_large():
    decision = D(warnings=["x" * 10_000] * 1000, signature_changes=["x" * 10_000] * 1000)
    for place in range(10_000):
        decision.guardrails.add(metric="m" * 1000, holds=place > 500, explanation="e" * 1000)
        decision.kept.add(version=place, why="w" * 1000)
        decision.comparisons.add(metric="m" * 1000, candidate=place)
    page = to_html(decision)
    assert len(page) < 2_000_000
    text = page_of(decision).text
    assert "501 of 10,000 failed" in text
    assert "9,800 more guardrails are in decision.json." in text
    assert "800 more warnings are in decision.json." in text


# --- accessible -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", decisions.CASES.values(), ids=decisions.CASES)
def test_structure_is_accessible(make: Callable[[], D]):
    page = page_of(make())
    assert page.attributes["lang"] == "en"
    ids = [element.attributes["id"] for element in page if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page:
        for name in element.attributes.get("aria-labelledby", "").split():
            assert name in ids
    assert len(page.all("h1")) == len(page.all("main")) == 1
    for section in page.all("section"):
        assert section.attributes["aria-labelledby"] == section.one("h2").attributes["id"]
    for table in page.all("table"):
        assert table.one("caption").text
        assert all(head.attributes.get("scope") == "col" for head in table.one("thead").all("th"))
        for row in table.one("tbody").all("tr"):
            assert [head.attributes.get("scope") for head in row.all("th")] == ["row"]
            assert len([cell for cell in row if cell.tag in ("th", "td")]) == len(
                table.one("thead").all("th")
            )


def outer_charts(element: Element) -> list[Element]:
    found = []
    for child in element.children:
        if isinstance(child, Element):
            found += [child] if child.tag == "svg" else outer_charts(child)
    return found


@pytest.mark.parametrize("make", decisions.CASES.values(), ids=decisions.CASES)
def test_charts_have_words_and_ornaments_do_not(make: Callable[[], D]):
    for chart in outer_charts(page_of(make())):
        if chart.attributes.get("aria-hidden") == "true":
            assert chart.all("desc") == []
        else:
            assert chart.attributes["role"] == "img"
            title, desc = chart.attributes["aria-labelledby"].split()
            assert chart.all("title")[0].attributes["id"] == title
            assert chart.all("title")[0].raw
            assert chart.one("desc").attributes["id"] == desc
            assert re.search(r"\d", chart.one("desc").raw)


def palettes() -> dict[str, dict[str, str]]:
    style = pages.text_of(report.__package__, "report.css")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    light, dark, paper = (
        dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", block)) for block in blocks
    )
    return {"light": light, "dark": light | dark, "paper": light | paper}


def luminance(color: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", palettes())
@pytest.mark.parametrize("ground", ["paper", "wash"])
def test_contrast_is_enough(name: str, ground: str):
    palette = palettes()[name]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    texts = ["ink", "muted", "candidate", "best", "good", "bad", "note"]
    # WCAG 2 AA requires a contrast of 4.5 for text and of 3 for the lines of a chart.
    assert [text for text in texts if contrast(palette[text], palette[ground]) < 4.5] == []
    assert contrast(palette["axis"], palette[ground]) >= 3
