"""Decisions about the gains of candidate and challengers over the best in several runs."""

from collections.abc import Mapping
from typing import Any

from tests.executor.deciding.decided import evaluation, interval
from tfx_best_exporter.executor.deciding import decide as comparison
from tfx_best_exporter.executor.deciding.ledger import Measured, Row
from tfx_best_exporter.executor.deciding.models import (
    Best,
    Candidate,
    Challenger,
    Contest,
    Decision,
    Observation,
)
from tfx_best_exporter.executor.deciding.policy import policy_from_proto
from tfx_best_exporter.executor.deciding.signatures import Signature, TensorSpec
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
BEST, CANDIDATE, OLDER, OTHER = "sha256:b", "sha256:c", "sha256:o", "sha256:p"
ERROR = 0.004


def signatures_of(*inputs: str) -> Mapping[str, Signature]:
    spec = TensorSpec(dtype="DT_FLOAT", shape=(None,))
    signature = Signature(method="predict", inputs=dict.fromkeys(inputs, spec), outputs={})
    return {"serving_default": signature}


def row_of(data: str, gains: Mapping[str, float], sign: float = 1.0) -> Row:
    """Returns a row in which the best has 0.9."""
    measured = {
        digest: Measured(value=sign * 0.9 + gain, standard_error=ERROR, degrees_of_freedom=19)
        for digest, gain in gains.items()
    }
    return Row(
        data=data,
        example_count=2000,
        best=BEST,
        models={BEST: Measured(value=sign * 0.9), **measured},
    )


def decided(
    *rows: Mapping[str, float],
    policy: pb.ComparePolicy | None = None,
    alpha: float = 0.05,
    others: Mapping[str, Mapping[str, float]] | None = None,
    sign: float = 1.0,
    sizes: Mapping[str, int] | None = None,
    contest: Mapping[str, Any] | None = None,
    best: Mapping[str, Any] | None = None,
    signatures: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Decision:
    """Decides about the gains over the best in each run; the last row has those of this run.

    Args:
        rows: Improvement of each model over the best, by digest, in each run.
        policy: The policy; by default, a larger auc is better.
        alpha: alpha of the default policy.
        others: Further metrics of a model, by digest.
        sign: -1 if smaller is better.
        sizes: Size of a model in bytes, by digest; by default 10.
        contest: Further fields of the Contest.
        best: Further fields of the Best.
        signatures: Signatures of a model by digest; the best has the input x.
        kwargs: Further fields of the Observation.
    """

    def together(digest: str) -> Any:
        value = 0.9 + sign * rows[-1].get(digest, 0.0)
        return evaluation(
            {"auc": interval(value, 0.01), **(others or {}).get(digest, {})},
            differences={"auc": interval(value - 0.9, ERROR)},
            example_count=2000,
        )

    def candidate_of(digest: str) -> Candidate:
        known = (signatures or {}).get(digest)
        return Candidate(digest=digest, eval_result=together(digest), signatures=known)

    known = sizes or {}
    models = [digest for digest in rows[-1] if digest != CANDIDATE]
    return comparison.decide(
        Observation(
            candidate=candidate_of(CANDIDATE),
            best=Best(
                version=7,
                digest=BEST,
                eval_result=evaluation(
                    {"auc": interval(0.9, 0.01), **(others or {}).get(BEST, {})},
                    example_count=2000,
                ),
                basis=R.EVALUATED_AGAIN,
                together=together(CANDIDATE),
                signatures=signatures_of("x") if signatures else None,
                **(best or {}),
            ),
            contest=Contest(
                rows=tuple(
                    row_of(f"sha256:{index}", gains, sign) for index, gains in enumerate(rows)
                ),
                challengers={
                    digest: Challenger(
                        candidate=candidate_of(digest), size_bytes=known.get(digest, 10)
                    )
                    for digest in models
                },
                candidate_bytes=known.get(CANDIDATE, 10),
                best_bytes=known.get(BEST, 10),
                **(contest or {}),
            ),
            **kwargs,
        ),
        policy_from_proto(
            policy or compare_policy(larger("auc", alpha=alpha, challengers=2)),
            lambda _: max,
        ),
        now=1000.0,
    )
