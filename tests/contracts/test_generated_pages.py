"""What is made from the code and committed is equal to what the code makes now: `make schemas` writes it."""

from pathlib import Path

import msgspec
from jsonschema import Draft202012Validator

from retrain.metrics_page import metrics_page as retrain_metrics_page
from streamapp.contracts.manifest import MANIFEST_FILE
from streamapp.contracts.schemas import MANIFEST_SCHEMA, schema_files, schemas, write_schemas
from streamapp.contracts.topics_page import topics_page
from streamapp.metrics_page import metrics_page

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_written_schemas_are_those_of_the_code() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "schemas").iterdir()}
    assert written == schema_files()


def test_writing_schemas_removes_those_of_topics_that_are_no_more(tmp_path: Path) -> None:
    (tmp_path / "gone.json").write_text("{}")
    write_schemas(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(schema_files())


def test_manifests_of_bundles_fit_their_schema(tiny_bundle: Path) -> None:
    shipped = (DOCS.parent / "streamapp").rglob(MANIFEST_FILE)
    for path in (tiny_bundle / MANIFEST_FILE, *shipped):
        Draft202012Validator(schemas()[MANIFEST_SCHEMA]).validate(msgspec.json.decode(path.read_bytes()))


def test_page_of_topics_is_that_of_the_code() -> None:
    assert (DOCS / "topics.md").read_text(encoding="utf-8") == topics_page()


def test_page_of_metrics_is_that_of_the_code() -> None:
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == metrics_page()
    assert (DOCS / "retrain-metrics.md").read_text(encoding="utf-8") == retrain_metrics_page()
