"""Decisions as a run could write them, built by hand with the explanations of `decide`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from tests.executor.deciding.decided import decide_by, evaluation, interval
from tfx_best_exporter.executor.deciding import thresholds
from tfx_best_exporter.executor.deciding.decide import decide
from tfx_best_exporter.executor.deciding.eval_result import MetricKey
from tfx_best_exporter.executor.deciding.models import (
    Blessing,
    BlessingStatus,
    Candidate,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import policy_from_proto
from tfx_best_exporter.executor.deciding.thresholds import FailedThreshold, Threshold
from tfx_best_exporter.executor.policies import at_least, at_most, compare_policy, larger, smaller
from tfx_best_exporter.proto import best_exporter_pb2 as pb

D = pb.ExportDecision

SERVED = 1795331909
EXPORTED = 1795418309
DIGEST = "sha256:ce73c741235cc89bbd5d8a05debc2d7ec7d09516220a8df5def6b66697f6d00d"
OTHER_DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CONFIG_DIGEST = "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"

# Stand-ins for texts of other modules: these tests do not depend on their content.
WARNINGS = ("something is unusual at '007'", "something failed: permission denied")
BEST, KEPT, NOT_KEPT = "it is the best", "a rule keeps it", "no rule keeps it"

AUC = pb.MetricKey(name="auc")
HOSTILE = (
    "<script>alert('1')</script>\"><img src=x onerror=alert(2)>&amp; {{ 7 * 7 }} </title></style>"
)
REVERSED = "right\u202eto left\u2066 isolated\nnew line\x00\x1b[31m"


def _within(rail: pb.Guardrail, candidate: float, best: float, features: Mapping[str, str]) -> str:
    """Returns the explanation of a guardrail on a slice, or overall without features."""
    key, name = tuple(sorted(features.items())), rail.metric.name
    sides = [
        evaluation({"loss": loss, name: value}, {key: {name: value}} if key else None)
        for loss, value in ((0.1, candidate), (0.2, best))
    ]
    if features:
        rail.slices.add(features=features)
    policy = compare_policy(smaller("loss"), guardrails=[rail])
    (result,) = decide_by(policy, *sides).guardrails
    return result.explanation


def _evaluation(place: int, auc: float, examples: float) -> pb.Evaluation:
    evaluation = pb.Evaluation(
        uri=f"/pipelines/penguin/Evaluator/evaluation/{place}",
        source=pb.Evaluation.TFMA,
        example_count=examples,
        data=pb.EvaluatedData(
            examples_uri=f"/pipelines/penguin/CsvExampleGen/examples/{place - 6}",
            splits=["eval"],
            eval_config_digest=CONFIG_DIGEST,
            span=place,
        ),
    )
    evaluation.metrics.add(key=AUC, value=auc)
    evaluation.evaluated_at.FromJsonString("2026-11-22T06:38:39Z")
    return evaluation


def base(reason: D.Reason, explanation: str, **fields: Any) -> D:
    """Returns a decision with the fields that every decision has."""
    decision = D(
        schema_version=1,
        exported=False,
        version=0,
        reason=reason,
        explanation=explanation,
        base_directory="/serving/penguin",
        candidate=pb.SourceModel(uri="/pipelines/penguin/Trainer/model/14", digest=DIGEST),
        provenance=pb.Provenance(
            pipeline_name="penguin",
            run_id="2026-11-22T06:38:39.000000",
            node_id="BestExporter",
            exporter_version="0.1.0",
        ),
        **fields,
    )
    decision.decided_at.FromJsonString("2026-11-22T06:40:12Z")
    return decision


def with_best(decision: D, auc: float = 0.93) -> D:
    decision.best.CopyFrom(
        D.Best(
            version=SERVED,
            path=f"/serving/penguin/{SERVED}",
            model=pb.SourceModel(uri="/pipelines/penguin/Trainer/model/6", digest=OTHER_DIGEST),
            evaluation=_evaluation(7, auc, 10000),
            pushed_model_uri="/pipelines/penguin/BestExporter/pushed_model/8",
            has_record=True,
        )
    )
    return decision


def with_history(decision: D, count: int = 9) -> D:
    """Adds exports, one day apart, that become better; the last one is served."""
    for place in range(count):
        back = count - 1 - place
        value = 0.93 - 0.06 * (back / max(count, 1)) + 0.003 * (place % 3 - 1) * bool(back)
        entry = decision.history.add(
            version=SERVED - 86400 * back,
            metric="auc",
            value=value,
            lower_bound=value - 0.008,
            upper_bound=value + 0.008,
            retired=back > 4,
        )
        entry.exported_at.FromSeconds(SERVED - 86400 * back)
    return decision


def better() -> D:
    """Returns an export with intervals, slices, guardrails and a significance test."""
    decision = with_history(
        with_best(
            base(
                D.BETTER,
                decide_by(
                    compare_policy(larger("auc", by=0.005)), {"auc": 0.951}, {"auc": 0.93}
                ).explanation,
                basis=D.SAME_EVALUATION,
                slice_count=12000,
                signature_changes=["serving_default has a new optional output 'probabilities'"],
            )
        )
    )
    decision.exported, decision.version = True, EXPORTED
    entry = decision.history.add(
        version=EXPORTED, metric="auc", value=0.951, lower_bound=0.944, upper_bound=0.958
    )
    entry.exported_at.FromSeconds(EXPORTED)
    decision.candidate_evaluation.CopyFrom(_evaluation(15, 0.951, 10000))
    decision.comparisons.add(
        metric="auc",
        direction=pb.HIGHER_IS_BETTER,
        candidate=0.951,
        best=0.93,
        improvement=0.021,
        required=0.005,
        candidate_lower_bound=0.944,
        candidate_upper_bound=0.958,
        best_lower_bound=0.922,
        best_upper_bound=0.938,
        significance=pb.SignificanceTest(
            method=pb.SignificanceTest.PAIRED,
            alpha=0.05,
            standard_error=0.004,
            degrees_of_freedom=19,
            lower_bound=0.0141,
            is_significant=True,
        ),
    )
    decision.comparisons.add(
        metric="loss",
        direction=pb.LOWER_IS_BETTER,
        candidate=0.182,
        best=0.214,
        improvement=0.032,
        required=0.0,
    )
    for metric, direction, candidate, best, worst, features in (
        ("auc", pb.HIGHER_IS_BETTER, 0.951, 0.93, 0.9, {}),
        ("calibration", pb.LOWER_IS_BETTER, 0.031, 0.029, 0.04, {}),
        ("recall", pb.HIGHER_IS_BETTER, 0.88, 0.9, 0.87, {"country": "nl", "device": "phone"}),
    ):
        make = at_least if direction == pb.HIGHER_IS_BETTER else at_most
        decision.guardrails.add(
            metric=metric,
            direction=direction,
            candidate=candidate,
            best=best,
            worst_allowed=worst,
            slice=pb.Slice(features=features) if features else None,
            holds=True,
            explanation=_within(make(metric, worst), candidate, best, features),
            example_count=1200 if features else 10000,
        )
    countries = ("nl", "be", "de", "fr", "es", "pt", "it", "at", "dk", "se", "no", "fi", "pl", "cz")
    for place, country in enumerate(countries):
        for device, sign in (("phone", -1), ("desktop", 1)):
            change = sign * 0.042 / (1 + place)
            decision.slices.add(
                slice=pb.Slice(features={"country": country, "device": device}),
                metric="auc",
                candidate=0.93 + change,
                best=0.93,
                improvement=change,
                example_count=400 + 17 * place,
                improvement_lower_bound=change - 0.015,
                improvement_upper_bound=change + 0.015,
            )
    decision.slices.sort(key=lambda change: change.improvement)
    for back in range(10):
        version = SERVED - 86400 * back
        if back < 4:
            decision.kept.add(version=version, why=KEPT)
        else:
            decision.retired.add(version=version, why=NOT_KEPT)
    decision.kept.add(version=EXPORTED, why=BEST)
    decision.compare_policy.CopyFrom(policy())
    with_recorded_best(decision)
    return with_refusals(decision)


def with_recorded_best(decision: D) -> D:
    """Adds the facts of the best's record: another policy, other data and a smaller model."""
    best = decision.best
    best.compare_policy.CopyFrom(decision.compare_policy)
    best.compare_policy.metric.min_absolute_change = 0.002
    best.compare_policy.ClearField("min_example_count")
    best.recorded_data.CopyFrom(best.evaluation.data)
    best.recorded_example_count = 8000
    best.model.size_bytes, decision.candidate.size_bytes = 50 << 20, 55 << 20
    return decision


def with_refusals(decision: D) -> D:
    """Adds earlier runs that exported nothing, some of them with a value to draw."""
    for day, reason, metric, value in (
        (15, D.NOT_BETTER, "auc", 0.868),
        (17, D.GUARDRAIL_FAILED, "auc", 0.921),
        (19, D.NOT_BLESSED, "", None),
        (20, D.NOT_BETTER, "loss", 0.3),
        (22, D.NOT_BETTER, "auc", 0.915),
    ):
        refusal = decision.refusals.add(
            reason=D.Reason.Name(reason),
            explanation=f"{metric or 'the model'} is not good enough",
            metric=metric,
            value=value,
            digest=OTHER_DIGEST,
            run_id=f"2026-11-{day}T05:58:39.000000",
        )
        refusal.decided_at.FromJsonString(f"2026-11-{day}T06:10:12Z")
    return decision


def policy() -> pb.ComparePolicy:
    """Returns a policy with most of the fields that a policy can have."""
    return pb.ComparePolicy(
        metric=pb.MetricRule(
            metric=AUC,
            direction=pb.HIGHER_IS_BETTER,
            min_absolute_change=0.005,
            significance=pb.Significance(alpha=0.05),
        ),
        tie_breakers=[
            pb.MetricRule(metric=pb.MetricKey(name="loss"), direction=pb.LOWER_IS_BETTER)
        ],
        guardrails=[
            pb.Guardrail(metric=AUC, direction=pb.HIGHER_IS_BETTER, bound=0.9),
            pb.Guardrail(
                metric=pb.MetricKey(name="recall"),
                direction=pb.HIGHER_IS_BETTER,
                max_absolute_regression=0.03,
                every_slice_min_examples=1000,
            ),
        ],
        min_example_count=1000,
        comparability=pb.ComparePolicy.REQUIRE_SAME_DATA,
        max_best_evaluation_age_seconds=2592000,
    )


def guardrail_failed() -> D:
    recalls = {"be": (0.91, 0.9), "nl": (0.81, 0.9), "de": (0.86, 0.91), "fr": (0.9, 0.89)}
    sides = [
        evaluation(
            {"auc": auc},
            {(("country", name),): {"recall": both[side]} for name, both in recalls.items()},
        )
        for side, auc in enumerate((0.942, 0.93))
    ]
    slices = [{"country": name} for name in recalls]
    # The best itself does not meet the bound in France.
    rail = at_least("recall", 0.895, max_regression=0.03, slices=slices)
    decided = decide_by(compare_policy(larger("auc"), guardrails=[rail]), *sides)
    decision = with_history(
        with_best(
            base(
                D.GUARDRAIL_FAILED,
                decided.explanation,
                basis=D.EVALUATED_AGAIN,
                warnings=WARNINGS,
            )
        )
    )
    decision.candidate_evaluation.CopyFrom(_evaluation(15, 0.942, 10000))
    decision.comparisons.add(
        metric="auc",
        direction=pb.HIGHER_IS_BETTER,
        candidate=0.942,
        best=0.93,
        improvement=0.012,
        required=0.0,
    )
    for (country, (candidate, best)), result in zip(
        recalls.items(), decided.guardrails, strict=True
    ):
        decision.guardrails.add(
            metric="recall",
            direction=pb.HIGHER_IS_BETTER,
            slice=pb.Slice(features={"country": country}),
            candidate=candidate,
            best=best,
            worst_allowed=result.worst_allowed,
            holds=result.holds,
            explanation=result.explanation,
            example_count=1000,
            best_fails=result.best_fails,
        )
    decision.kept.add(version=SERVED, why=BEST)
    decision.retired.add(version=1794640709, why=NOT_KEPT, error="permission denied")
    decision.compare_policy.CopyFrom(policy())
    return decision


def first_export() -> D:
    policy = compare_policy(smaller("loss"))
    decision = base(D.FIRST_EXPORT, decide_by(policy, {"loss": 0.738}, is_served=False).explanation)
    decision.exported, decision.version = True, EXPORTED
    decision.comparisons.add(metric="loss", direction=pb.LOWER_IS_BETTER, candidate=0.738)
    decision.kept.add(version=EXPORTED, why=BEST)
    decision.compare_policy.metric.metric.name = "loss"
    decision.compare_policy.metric.direction = pb.LOWER_IS_BETTER
    decision.candidate_evaluation.uri = "/pipelines/penguin/Evaluator/evaluation/7"
    decision.candidate_evaluation.source = pb.Evaluation.TFMA
    decision.candidate_evaluation.metrics.add(key=pb.MetricKey(name="loss"), value=0.738)
    return decision


def not_better() -> D:
    """Returns the commonest decision: a candidate that is not better than the best."""
    decided = decide_by(compare_policy(larger("auc")), {"auc": 0.921}, {"auc": 0.93})
    decision = with_history(
        with_best(base(D.NOT_BETTER, decided.explanation, basis=D.RECORDED_OTHER_DATA))
    )
    decision.candidate_evaluation.CopyFrom(_evaluation(15, 0.921, 10000))
    for name, values in {"loss": (0.21, 0.19), "precision": (0.8, 0.8), "mine": (3, 2)}.items():
        for side, evaluation_of_side in enumerate(
            (decision.candidate_evaluation, decision.best.evaluation)
        ):
            evaluation_of_side.metrics.add(key=pb.MetricKey(name=name), value=values[side])
    decision.comparisons.add(
        metric="auc",
        direction=pb.HIGHER_IS_BETTER,
        candidate=0.921,
        best=0.93,
        improvement=-0.009,
        required=0.0,
    )
    for place in range(5):
        decision.kept.add(version=SERVED - 86400 * place, why=KEPT if place else BEST)
    decision.slices.add(
        slice=pb.Slice(features={"country": "nl"}),
        metric="auc",
        candidate=0.9,
        best=0.92,
        improvement=-0.02,
        example_count=1200,
    )
    decision.slices.add(
        slice=pb.Slice(features={"country": "be"}),
        metric="auc",
        candidate=0.93,
        best=0.92,
        improvement=0.01,
        example_count=900,
    )
    decision.slice_count = 2
    decision.compare_policy.metric.metric.name = "auc"
    decision.compare_policy.metric.direction = pb.HIGHER_IS_BETTER
    return with_refusals(decision)


def not_blessed() -> D:
    """Returns the commonest refusal in TFX, with the thresholds that Evaluator found unmet."""
    failed = [
        FailedThreshold(
            key=MetricKey(name="auc"), value=0.58, threshold=Threshold(lower_bound=0.6)
        ),
        FailedThreshold(
            key=MetricKey(name="auc"),
            slice_key=(("country", "nl"),),
            value=0.51,
            threshold=Threshold(lower_bound=0.55),
        ),
        FailedThreshold(
            key=MetricKey(name="loss"),
            value=0.12,
            threshold=Threshold(upper_bound=0.0, is_change=True),
        ),
    ]
    blessing = Blessing(
        name="model_blessing",
        uri="/pipelines/penguin/Evaluator/blessing/15",
        status=BlessingStatus.NOT_BLESSED,
        why=thresholds.text_of(failed),
    )
    decided = decide(
        Observation(
            candidate=Candidate(
                digest="", eval_result=evaluation({"auc": 0.58}), blessings=(blessing,)
            ),
            best=None,
        ),
        policy_from_proto(compare_policy(larger("auc")), lambda _: bool),
        0.0,
    )
    decision = with_history(with_best(base(D.NOT_BLESSED, decided.explanation)))
    decision.candidate.ClearField("digest")
    decision.candidate_evaluation.CopyFrom(_evaluation(15, 0.58, 10000))
    decision.failed_thresholds.extend(each.to_proto() for each in failed)
    decision.kept.add(version=SERVED, why=BEST)
    decision.compare_policy.metric.metric.name = "auc"
    decision.compare_policy.metric.direction = pb.HIGHER_IS_BETTER
    return decision


def not_significant() -> D:
    """Returns a decision that keeps the best, with hostile names and long names."""
    metric = f"click/{HOSTILE}"
    key = MetricKey(name=HOSTILE, output_name="click")
    decided = decide_by(
        compare_policy(larger(key.to_proto(), by=0.001, alpha=0.05)),
        {key: interval(0.9312, 0.0148)},
        {key: interval(0.93, 0.0148)},
    )
    decision = with_best(
        base(
            D.NOT_SIGNIFICANT,
            decided.explanation,
            basis=D.RECORDED_OTHER_DATA,
            warnings=[HOSTILE, REVERSED, "x" * 10_000],
        )
    )
    decision.provenance.pipeline_name = HOSTILE
    decision.provenance.run_id = "r" * 10_000
    decision.base_directory = "/serving/" + "deep/" * 200
    decision.candidate_evaluation.CopyFrom(_evaluation(15, 0.9312, 300))
    for name in (metric, REVERSED, "m" * 10_000, "many words " * 30):
        decision.comparisons.add(
            metric=name,
            direction=pb.HIGHER_IS_BETTER,
            candidate=0.9312,
            best=0.93,
            improvement=0.0012,
            required=0.001,
            candidate_lower_bound=0.9,
            candidate_upper_bound=0.96,
            best_lower_bound=0.9,
            best_upper_bound=0.96,
            significance=pb.SignificanceTest(
                method=pb.SignificanceTest.WELCH,
                alpha=0.05,
                standard_error=0.021,
                degrees_of_freedom=37.4,
                lower_bound=-0.0342,
                is_significant=False,
            ),
        )
    for change, (feature, value) in enumerate(
        ((HOSTILE, HOSTILE), (REVERSED, REVERSED), ("f" * 10_000, "v" * 10_000), ("", ""))
    ):
        decision.slices.add(
            slice=pb.Slice(features={feature: value, "country": "nl"}),
            metric=metric,
            candidate=0.93,
            best=0.9312,
            improvement=0.0006 * (change - 1.5),
        )
        decision.guardrails.add(
            metric=metric,
            direction=pb.HIGHER_IS_BETTER,
            slice=pb.Slice(features={feature: value}),
            candidate=0.93,
            worst_allowed=0.9,
            holds=bool(change),
            explanation=f"{metric} on {feature}={value}",
        )
    for place in range(200):
        decision.history.add(version=SERVED - 199 + place, metric=metric, value=0.93 - place / 9999)
    decision.signature_changes.extend([f"input '{HOSTILE}' is gone", REVERSED])
    decision.kept.add(version=SERVED, why=HOSTILE)
    decision.retired.add(version=1, why="w" * 10_000, error=REVERSED)
    decision.compare_policy.compare_fn = HOSTILE
    decision.compare_policy.force = REVERSED
    return decision


@functools.cache
def _decided_on_many_slices() -> Decision:
    """Returns a decision in which a guardrail fails on 5000 slices but not on the overall slice."""
    recalls = {(("n", str(place)),): {"recall": 0.81} for place in range(5000)}
    recalls[("n", "2"),] = {"recall": 0.86999999999999}
    rail = at_least("recall", max_regression=0.03, every_slice_min_examples=0)
    return decide_by(
        compare_policy(larger("auc"), guardrails=[rail]),
        evaluation(
            {"auc": 0.93500001, "recall": 0.9},
            {key: {**value, "example_count": 1000} for key, value in recalls.items()},
        ),
        evaluation({"auc": 0.93, "recall": 0.9}, {key: {"recall": 0.9} for key in recalls}),
    )


def crowded() -> D:
    """Returns a decision with unlisted guardrails, nearly equal numbers and a long history."""
    decided = _decided_on_many_slices()
    explanations = {dict(each.slice).get("n"): each.explanation for each in decided.guardrails}
    decision = with_best(
        base(
            D.GUARDRAIL_FAILED,
            decided.explanation,
            basis=D.SAME_EVALUATION,
            guardrail_count=5001,
        )
    )
    decision.candidate_evaluation.CopyFrom(_evaluation(15, 0.93000001, 10000))
    decision.comparisons.add(
        metric="auc",
        direction=pb.HIGHER_IS_BETTER,
        candidate=0.93500001,
        best=0.93,
        improvement=0.00500001,
        required=0.005,
        candidate_lower_bound=0.93500000999,
        candidate_upper_bound=0.93500001001,
        best_lower_bound=0.922,
        best_upper_bound=0.938,
        significance=pb.SignificanceTest(
            method=pb.SignificanceTest.PAIRED,
            alpha=1e-9,
            standard_error=1e-12,
            degrees_of_freedom=19,
            lower_bound=0.005000009,
            is_significant=True,
        ),
    )
    for place in range(200):
        decision.guardrails.add(
            metric="recall",
            direction=pb.HIGHER_IS_BETTER,
            slice=pb.Slice(
                features={"n": str(place), "country": "e" + "\u0301" * 90 * (place == 1)}
            ),
            candidate=0.86999999999999 if place == 2 else 0.81,
            best=0.9,
            worst_allowed=0.87,
            holds=False,
            explanation=explanations[str(place)],
            example_count=1000 + place,
        )
    for place in range(199):
        value = 0.93 - 0.05 * (198 - place) / 198 + 0.002 * (place * 37 % 11 - 5) * (place < 198)
        entry = decision.history.add(
            version=SERVED - 86400 * (198 - place),
            metric="auc",
            value=value,
            lower_bound=value - 0.008,
            upper_bound=value + 0.008,
            retired=place < 180 and place % 20 != 0,
        )
        entry.exported_at.FromSeconds(entry.version)
    for place in range(12):
        decision.retired.add(
            version=SERVED - 86400 * (20 + place),
            why=NOT_KEPT,
            error="permission denied" if place % 3 == 0 else "",
        )
    decision.kept.add(version=SERVED, why=BEST)
    decision.compare_policy.CopyFrom(policy())
    return decision


CHALLENGER_DIGEST = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
RUNS = ("2026-11-20T06:38:39.000000", "2026-11-21T06:38:39.000000", "2026-11-22T06:38:39.000000")


def challengers(metric: str = "auc") -> D:
    """Returns a decision that exports a challenger; the candidate and another one are not."""
    decision = with_history(
        with_best(
            base(
                D.CHALLENGER_BETTER,
                f"{metric} of a model of an earlier run is better",
                exported_challenger=pb.SourceModel(
                    uri="/pipelines/penguin/Trainer/model/8", digest=CHALLENGER_DIGEST
                ),
                challenger_evidence=pb.ChallengerEvidence(
                    metric=metric,
                    direction=pb.HIGHER_IS_BETTER,
                    alpha=0.05,
                    is_pooled=True,
                    consistency=1.04,
                ),
            )
        )
    )
    decision.exported, decision.version = True, EXPORTED
    decision.candidate_evaluation.CopyFrom(_evaluation(15, 0.934, 10000))
    decision.comparisons.add(
        metric=metric,
        direction=pb.HIGHER_IS_BETTER,
        candidate=0.934,
        best=0.93,
        improvement=0.004,
        required=0.001,
    )
    for digest, run, differences, gain, chance, fate, why in (
        (CHALLENGER_DIGEST, 0, (0.007, 0.009, 0.006), 0.0058, 0.011, "EXPORTED", "the best gain"),
        (DIGEST, 2, (0.004,), 0.002, 0.36, "KEPT", "it may be better"),
        ("sha256:3", 1, (-0.004, -0.006), -0.0035, 0.97, "DROPPED", "its chance is below 20 %"),
    ):
        standing = decision.challenger_evidence.standings.add(
            model=pb.SourceModel(
                uri=f"/pipelines/penguin/Trainer/model/{8 + 3 * run}", digest=digest
            ),
            is_candidate=digest == DIGEST,
            run_id=RUNS[run],
            run_count=len(differences),
            gain=gain,
            gain_error=0.0021,
            chance_no_better=chance,
            difference=sum(differences) / len(differences),
            difference_error=0.0042 / len(differences) ** 0.5,
            next=fate,
            why=why,
            value=0.93 + differences[-1],
        )
        standing.trained_at.FromJsonString(f"{RUNS[run][:19]}Z")
        for difference, place in zip(
            differences, range(len(RUNS) - len(differences), len(RUNS)), strict=True
        ):
            measured = standing.runs.add(
                data=f"sha256:{place}", run_id=RUNS[place], difference=difference
            )
            measured.standard_error = 0.004
            measured.measured_at.FromJsonString(f"{RUNS[place][:19]}Z")
    decision.kept.add(version=EXPORTED, why=BEST)
    decision.compare_policy.CopyFrom(policy())
    decision.compare_policy.metric.significance.challengers = 2
    return decision


CASES: dict[str, Callable[[], D]] = {
    "better": better,
    "not_better": not_better,
    "not_blessed": not_blessed,
    "guardrail_failed": guardrail_failed,
    "first_export": first_export,
    "not_significant": not_significant,
    "crowded": crowded,
    "challengers": challengers,
}
