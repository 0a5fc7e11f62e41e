"""Bundles to the store and from it: verified both ways, manifest last, whatever was tampered with or cut is refused."""

import json
import os
from pathlib import Path

import fsspec
import pytest

from streamapp.contracts.bundle import BundleError, read_bundle
from streamapp.contracts.champion import Champion
from streamapp.contracts.manifest import MANIFEST_FILE, MODEL_FILE, decode_manifest
from streamapp.inference import model_store
from streamapp.inference.model_store import ModelStore, StoreError, publish_bundle
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture
def published(tmp_path: Path) -> Champion:
    """A bundle in a store, and the champion that announces it."""
    return publish(tmp_path, "1")


def publish(tmp_path: Path, version: str) -> Champion:
    folder = write_tiny_bundle(tmp_path / f"tiny-{version}", version)
    manifest = read_bundle(folder).manifest
    return Champion(
        sequence=1,
        model_name=manifest.name,
        model_version=manifest.model_version,
        bundle_digest=manifest.digest,
        bundle_url=publish_bundle(folder, str(tmp_path / "store")),
    )


def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "cache", attempts=1)


def names_in(folder: Path | str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def in_store(champion: Champion, name: str) -> Path:
    return Path(champion.bundle_url) / name


def test_what_is_published_is_what_is_fetched(tmp_path: Path, published: Champion) -> None:
    bundle = store(tmp_path).fetch(published)
    assert bundle.manifest.digest == published.bundle_digest
    assert bundle.folder == tmp_path / "cache" / published.bundle_digest


@pytest.mark.parametrize("kind", ["file://{}", "memory://{}"])
def test_a_store_may_be_any_url(tmp_path: Path, kind: str) -> None:
    folder = write_tiny_bundle(tmp_path / "tiny")
    manifest = read_bundle(folder).manifest
    url = publish_bundle(folder, kind.format(tmp_path / "store"))
    champion = Champion(
        sequence=1, model_name="tiny", model_version="tiny-1", bundle_digest=manifest.digest, bundle_url=url
    )
    assert store(tmp_path).fetch(champion).manifest == manifest


def test_a_relative_folder_is_announced_as_every_reader_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_bundle(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    assert publish_bundle(folder, "store").startswith(f"{tmp_path}/store/")


def test_publishing_twice_gives_the_same_url_and_mends_what_a_crash_left(
    tmp_path: Path, published: Champion
) -> None:
    in_store(published, MANIFEST_FILE).unlink()
    in_store(published, MODEL_FILE).write_bytes(b"cut off")
    assert publish_bundle(tmp_path / "tiny-1", str(tmp_path / "store")) == published.bundle_url
    assert store(tmp_path).fetch(published).manifest.digest == published.bundle_digest


def test_the_manifest_is_the_last_file_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    ask = model_store._asked

    def noting(what: str, *rest: object) -> object:
        written.append(what.rpartition("/")[2])
        return ask(what, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model_store, "_asked", noting)
    champion = publish(tmp_path, "1")
    names = [name for name in dict.fromkeys(written) if in_store(champion, name).is_file()]
    assert names[-1] == MANIFEST_FILE
    assert set(names) == set(names_in(champion.bundle_url))


def test_a_folder_that_is_no_bundle_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match=r"manifest\.json: No such file"):
        publish_bundle(tmp_path / "empty", str(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_a_local_copy_serves_while_the_store_is_away(tmp_path: Path, published: Champion) -> None:
    store(tmp_path).fetch(published)
    (tmp_path / "store").rename(tmp_path / "away")
    assert store(tmp_path).fetch(published).manifest.digest == published.bundle_digest


def test_without_store_and_copy_the_error_names_the_place(tmp_path: Path, published: Champion) -> None:
    (tmp_path / "store").rename(tmp_path / "away")
    with pytest.raises(StoreError, match=published.bundle_url):
        store(tmp_path).fetch(published)
    assert names_in(tmp_path / "cache") == []


def test_a_folder_for_copies_that_cannot_be_written_is_named(tmp_path: Path, published: Champion) -> None:
    (tmp_path / "cache").write_text("a file stands where the folder should be")
    with pytest.raises(StoreError, match="folder of fetched bundles"):
        store(tmp_path).fetch(published)


def test_a_store_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Protocol not known: carrier-pigeon"):
        publish_bundle(write_tiny_bundle(tmp_path / "tiny"), "carrier-pigeon://roof")


def test_a_broken_local_copy_is_fetched_anew(tmp_path: Path, published: Champion) -> None:
    folder = store(tmp_path).fetch(published).folder
    (folder / MODEL_FILE).write_bytes(b"tampered")
    assert store(tmp_path).fetch(published).manifest.digest == published.bundle_digest
    (folder / MODEL_FILE).write_bytes(b"tampered")
    (tmp_path / "store").rename(tmp_path / "away")
    with pytest.raises(StoreError):
        store(tmp_path).fetch(published)


def tampered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_tampered_file_is_refused_with_its_name_and_leaves_nothing(
    tmp_path: Path, published: Champion
) -> None:
    tampered(in_store(published, MODEL_FILE))
    with pytest.raises(BundleError, match=r"model\.onnx: SHA-256"):
        store(tmp_path).fetch(published)
    assert names_in(tmp_path / "cache") == []


def test_a_truncated_file_is_refused_with_its_sizes(tmp_path: Path, published: Champion) -> None:
    path = in_store(published, MODEL_FILE)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BundleError, match=r"model\.onnx: \d+ bytes, expected \d+"):
        store(tmp_path).fetch(published)


def test_a_file_that_grew_is_not_read_beyond_what_was_promised(tmp_path: Path, published: Champion) -> None:
    path = in_store(published, MODEL_FILE)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(BundleError, match="more than the"):
        store(tmp_path).fetch(published)


def test_another_bundle_under_the_announced_name_is_refused(tmp_path: Path, published: Champion) -> None:
    other = publish(tmp_path, "2")
    in_store(published, MANIFEST_FILE).write_bytes(in_store(other, MANIFEST_FILE).read_bytes())
    with pytest.raises(BundleError, match=r"its digest is .* announced was"):
        store(tmp_path).fetch(published)


def test_a_manifest_of_another_contract_is_refused_by_its_version(
    tmp_path: Path, published: Champion
) -> None:
    path = in_store(published, MANIFEST_FILE)
    path.write_text(json.dumps({**json.loads(path.read_text()), "contract_version": 99}))
    with pytest.raises(BundleError, match="contract version 99"):
        store(tmp_path).fetch(published)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/b", ".hidden"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "store" / "evil"
    write_tiny_bundle(root)
    tree = json.loads((root / MANIFEST_FILE).read_text())
    tree["files"][name] = tree["files"].pop(MODEL_FILE)
    (root / MANIFEST_FILE).write_text(json.dumps(tree))
    digest = decode_manifest((root / MANIFEST_FILE).read_bytes()).digest
    champion = Champion(
        sequence=1, model_name="m", model_version="m-1", bundle_digest=digest, bundle_url=str(root)
    )
    with pytest.raises(BundleError, match="not a plain file name"):
        store(tmp_path).fetch(champion)
    assert not (tmp_path / "outside").exists()


def test_a_champion_without_a_place_is_found_by_its_copy_only(tmp_path: Path, published: Champion) -> None:
    nowhere = Champion(
        sequence=2, model_name="tiny", model_version="tiny-1", bundle_digest=published.bundle_digest, bundle_url=""
    )  # fmt: skip
    with pytest.raises(StoreError, match="without a place"):
        store(tmp_path).fetch(nowhere)
    store(tmp_path).fetch(published)
    assert store(tmp_path).fetch(nowhere).manifest.digest == published.bundle_digest


def test_old_copies_go_and_those_in_use_stay(tmp_path: Path) -> None:
    cache = store(tmp_path)
    fetched = [publish(tmp_path, str(number)) for number in range(model_store.KEPT_BUNDLES + 3)]
    for age, champion in enumerate(fetched):
        os.utime(cache.fetch(champion).folder, (1_000_000 + age, 1_000_000 + age))
    half = cache.cache / ".fetch-killed"
    half.mkdir()
    os.utime(half, (1_000_000, 1_000_000))
    cache.tidy(keep={fetched[0].bundle_digest})
    left = set(names_in(cache.cache))
    assert left == {
        fetched[0].bundle_digest,
        *(one.bundle_digest for one in fetched[-model_store.KEPT_BUNDLES :]),
    }
    assert fsspec.filesystem("file").exists(fetched[1].bundle_url), "the store itself is nobody's to tidy"
