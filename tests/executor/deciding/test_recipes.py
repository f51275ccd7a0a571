import pytest

from tfx_best_exporter.executor.deciding import recipes
from tfx_best_exporter.proto import best_exporter_pb2 as pb


def with_assets(**digests: str) -> pb.Recipe:
    return pb.Recipe(
        assets_extra=[pb.ExtraAsset(destination=key, digest=each) for key, each in digests.items()]
    )


@pytest.mark.parametrize(
    ("best", "candidate", "changes"),
    [
        pytest.param(pb.Recipe(), pb.Recipe(), [], id="nothing"),
        pytest.param(
            with_assets(a="1", b="2"), with_assets(b="2", a="1"), [], id="order of the assets"
        ),
        pytest.param(
            pb.Recipe(as_text=True),
            pb.Recipe(),
            ["as_text is False instead of True"],
            id="as_text",
        ),
        pytest.param(
            pb.Recipe(),
            pb.Recipe(serving_signatures_fn="package.sign"),
            ["serving_signatures_fn is package.sign instead of not set"],
            id="serving_signatures_fn",
        ),
        pytest.param(
            with_assets(a="1", b="1", c="1"),
            with_assets(b="2", c="1", d="1"),
            [
                "assets_extra no longer has 'a'",
                "assets_extra has another file for 'b'",
                "assets_extra also has 'd'",
            ],
            id="assets_extra",
        ),
        pytest.param(
            pb.Recipe(),
            pb.Recipe(resaved=True),
            ["the model is saved again so that a model server can run it"],
            id="saved again",
        ),
        pytest.param(
            pb.Recipe(as_text=True, resaved=True),
            pb.Recipe(),
            ["as_text is False instead of True", "the model is no longer saved again"],
            id="not saved again, and more",
        ),
    ],
)
def test_changes(best: pb.Recipe, candidate: pb.Recipe, changes: list[str]):
    assert recipes.changes(best, candidate) == changes
