"""Runs with challengers in real object stores."""

from pathlib import Path
from typing import Any, cast

import pytest

from tests.executor.running.challenged import World
from tests.servers import environment_of, gs_server, s3_server
from tfx_best_exporter.executor.storage.registry import STORAGES, Registry
from tfx_best_exporter.proto import best_exporter_pb2 as pb

R = pb.ExportDecision
SERVERS = {"s3": s3_server, "gs": gs_server}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_challengers_are_kept_and_exported_in_a_store(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
):
    with SERVERS[kind]("models") as url:
        for name, value in environment_of(kind, url).items():
            monkeypatch.setenv(name, value)
        # Other tests have used clients without these credentials.
        base = Registry(STORAGES).location_of(f"{kind}://models/{tmp_path.name}")
        request.addfinalizer(cast("Any", base.storage).close)
        world = World(tmp_path, base=base)
        world.run("best", {"best": 0.9})
        monday = {"best": 0.9, "xxxx": 0.907}
        assert world.run("xxxx", monday).reason == R.KEPT_AS_CHALLENGER
        fingerprint = world.state.fingerprint()
        assert world.run("xxxx", monday).reason == R.KEPT_AS_CHALLENGER
        assert world.kept == ["xxxx"]
        assert world.state.fingerprint() == fingerprint
        tuesday = {"best": 0.88, "xxxx": 0.889, "yyyy": 0.884}
        assert world.run("yyyy", tuesday).reason == R.CHALLENGER_BETTER
        assert (world.served(), world.kept) == ("xxxx", [])
        # The best that is replaced is kept, and exported again.
        world.rule = {"alpha": 0.3}
        assert world.run("zzzz", {"xxxx": 0.9, "zzzz": 0.9035}).reason == R.BETTER
        assert world.kept == ["xxxx"]
        decision = world.run("wwww", {"xxxx": 0.92, "zzzz": 0.9, "wwww": 0.88})
        assert decision.reason == R.CHALLENGER_BETTER
        export = world.exports.served().export
        assert export is not None
        assert world.exports.verify(export) == []
