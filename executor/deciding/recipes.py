"""Differences between the ways in which two exports are made from the same model."""

from __future__ import annotations

from tfx_best_exporter.proto import best_exporter_pb2 as pb


def changes(best: pb.Recipe, candidate: pb.Recipe) -> list[str]:
    """Returns a clause for each difference between two recipes."""
    found = []
    if best.as_text != candidate.as_text:
        found.append(f"as_text is {candidate.as_text} instead of {best.as_text}")
    if best.serving_signatures_fn != candidate.serving_signatures_fn:
        names = [each.serving_signatures_fn or "not set" for each in (candidate, best)]
        found.append(f"serving_signatures_fn is {names[0]} instead of {names[1]}")
    before = {asset.destination: asset.digest for asset in best.assets_extra}
    after = {asset.destination: asset.digest for asset in candidate.assets_extra}
    for destination in sorted({*before, *after}):
        if destination not in after:
            found.append(f"assets_extra no longer has {destination!r}")
        elif destination not in before:
            found.append(f"assets_extra also has {destination!r}")
        elif before[destination] != after[destination]:
            found.append(f"assets_extra has another file for {destination!r}")
    if best.resaved != candidate.resaved:
        found.append(
            "the model is saved again so that a model server can run it"
            if candidate.resaved
            else "the model is no longer saved again"
        )
    return found
