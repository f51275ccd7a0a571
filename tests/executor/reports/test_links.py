import pytest

from tfx_best_exporter.executor.reports.links import href_of

CONSOLE = "https://console.cloud.google.com/storage/browser"


@pytest.mark.parametrize(
    ("uri", "href"),
    [
        pytest.param("/serving/penguin/7", "file:///serving/penguin/7", id="path"),
        pytest.param("file:///serving/7", "file:///serving/7", id="file"),
        pytest.param('/a "b"/ä#?', "file:///a%20%22b%22/%C3%A4%23%3F", id="escaped"),
        pytest.param("gs://models/penguin/7", f"{CONSOLE}/models/penguin/7", id="gs"),
        pytest.param('gs://models/"><script>', f"{CONSOLE}/models/%22%3E%3Cscript%3E", id="markup"),
        # The store of these may be of any vendor.
        pytest.param("s3://models/penguin/7", "", id="s3"),
        pytest.param("javascript:alert(1)", "", id="script"),
        pytest.param("//host/share", "", id="host"),
        pytest.param("file://host/share", "", id="host of a file"),
        pytest.param("serving/penguin", "", id="relative"),
        pytest.param("", "", id="empty"),
        # This is not the name of the directory anymore.
        pytest.param("/a/***@b", "", id="hidden secret"),
        pytest.param("/a\u202eb", "", id="invisible character"),
        pytest.param("/" + "a" * 2000, "", id="too long"),
    ],
)
def test_address(uri: str, href: str):
    assert href_of(uri) == href
