from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from tfx_best_exporter.component.newest import PAGE, NewestPushedModels


def store_with(*counts: tuple[str, int]) -> MetadataStore:
    """Returns a store with artifacts of types, oldest first."""
    config = mlmd.ConnectionConfig()
    config.fake_database.SetInParent()
    store = MetadataStore(config)
    for name, count in counts:
        type_id = store.put_artifact_type(mlmd.ArtifactType(name=name))
        store.put_artifacts([mlmd.Artifact(type_id=type_id) for _ in range(count)])
    return store


def ids_of(pages: list[list[mlmd.Artifact]]) -> list[list[int]]:
    return [[artifact.id for artifact in page] for page in pages]


def test_an_empty_store_has_no_pages():
    newest = NewestPushedModels(store_with(), clock=lambda: 0.0)
    assert newest.first_page() == []
    assert list(newest.pages()) == []
    assert not newest.is_out_of_time


def test_every_pushed_model_is_found_once_and_the_newest_first():
    newest = NewestPushedModels(
        store_with(("Model", 10), ("PushedModel", 2 * PAGE + 100), ("Examples", 5)),
        clock=lambda: 0.0,
    )
    first_page = newest.first_page()
    pages = list(newest.pages())
    assert [len(page) for page in pages] == [PAGE - 5, PAGE, 105]
    assert pages[0] == first_page
    ids = [each for page in ids_of(pages) for each in page]
    assert ids == [*range(2 * PAGE + 110, 10, -1)]
    assert not newest.is_out_of_time
    # The pages are kept, and read once.
    assert ids_of(list(newest.pages())) == ids_of(pages)


def test_no_page_but_the_first_is_read_when_the_time_is_over():
    times = iter([100.0, 104.9, 105.0])
    newest = NewestPushedModels(store_with(("PushedModel", 3 * PAGE)), clock=lambda: next(times))
    assert [len(page) for page in newest.pages()] == [PAGE, PAGE]
    assert newest.is_out_of_time
