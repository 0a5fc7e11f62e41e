"""Bundles on disk: whole or not at all, and nothing that the manifest does not vouch for."""

import json
from pathlib import Path

import pytest

from streamapp.contracts.bundle import BundleError, read_bundle, write_bundle
from streamapp.contracts.manifest import MANIFEST_FILE, BundleFile
from tests.unit.contracts.test_manifest import MANIFEST


def written(tmp_path: Path) -> Path:
    graph = tmp_path / "graph"
    graph.write_bytes(b"graph")
    folder = tmp_path / "bundle"
    write_bundle(folder, MANIFEST, {"model.onnx": graph, "tokenizer.json": b"{}"})
    return folder


def relist(folder: Path, name: str, sha256: str = "0" * 64, size_bytes: int = 2) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"][name] = {"sha256": sha256, "bytes": size_bytes}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))


def test_what_was_written_is_what_is_read_with_size_and_sha256_of_every_file(tmp_path: Path) -> None:
    bundle = read_bundle(written(tmp_path))
    assert sorted(bundle.manifest.files) == ["model.onnx", "tokenizer.json"]
    assert bundle.manifest.files["tokenizer.json"] == BundleFile(
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2
    )
    assert bundle.path("model.onnx").read_bytes() == b"graph"


def test_a_file_that_the_manifest_does_not_list_is_not_handed_out(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "extra.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.bin is not in its manifest"):
        read_bundle(folder).path("extra.bin")


def test_a_bundle_is_never_overwritten(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(BundleError, match="exists already"):
        write_bundle(folder, MANIFEST, {})


def test_a_write_that_fails_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="absent"):
        write_bundle(tmp_path / "bundle", MANIFEST, {"a": b"x", "model.onnx": tmp_path / "absent"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a/b", "/abs", "", "..", MANIFEST_FILE, "c:\\x"])
def test_names_that_leave_the_folder_are_refused_in_both_directions(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="not a plain file name"):
        write_bundle(tmp_path / "other", MANIFEST, {name: b"x"})
    folder = written(tmp_path)
    relist(folder, name)
    with pytest.raises(BundleError, match="not a plain file name"):
        read_bundle(folder)


def test_a_changed_byte_is_found_by_its_sha256(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "model.onnx").write_bytes(b"grapH")
    with pytest.raises(BundleError, match=r"model\.onnx: SHA-256"):
        read_bundle(folder)


def test_a_truncated_file_is_found_by_its_size(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "model.onnx").write_bytes(b"grap")
    with pytest.raises(BundleError, match=r"model\.onnx: 4 bytes, expected 5"):
        read_bundle(folder)


def test_a_missing_file_and_a_missing_manifest_are_named(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json: No such file"):
        read_bundle(folder)
    with pytest.raises(BundleError, match=r"manifest\.json: No such file"):
        read_bundle(tmp_path)


def test_a_link_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "model.onnx").rename(tmp_path / "outside")
    (folder / "model.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="is a link"):
        read_bundle(folder)


def test_a_manifest_of_another_contract_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, "contract_version": 9}))
    with pytest.raises(BundleError, match="contract version 9"):
        read_bundle(folder)
