import pytest

from tfx_best_exporter.executor.deciding.timing import passed_limits
from tfx_best_exporter.executor.policies import compare_policy, larger
from tfx_best_exporter.proto import best_exporter_pb2 as pb

BOTH = compare_policy(larger("auc"), min_seconds_between_exports=100, max_best_age_seconds=200)


def record(exported_at: int) -> pb.ExportRecord:
    result = pb.ExportRecord()
    result.exported_at.FromSeconds(exported_at)
    return result


@pytest.mark.parametrize(
    ("policy", "best", "expected"),
    [
        (BOTH, record(901), ""),
        (BOTH, record(900), "min_seconds_between_exports"),
        (BOTH, record(801), "min_seconds_between_exports"),
        (BOTH, record(800), "min_seconds_between_exports, max_best_age_seconds"),
        (BOTH, record(5000), ""),
        (BOTH, pb.ExportRecord(), ""),
        (BOTH, None, ""),
        (compare_policy(larger("auc")), record(0), ""),
    ],
)
def test_passed_limits(policy: pb.ComparePolicy, best: pb.ExportRecord | None, expected: str):
    assert passed_limits(policy, best, 1000.0) == expected
