"""The key of author ids: made once, whole, for its owner alone, and never shown."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrain.author_key import AuthorKey, KeyFileError, load_author_key


def test_the_key_is_made_once_also_where_several_ask_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(load_author_key, [path] * 16))
    assert len({key.fingerprint for key in keys}) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["store.key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_has_one_hash_under_one_key_and_another_under_another() -> None:
    one, other = AuthorKey(b"a" * 32), AuthorKey(b"b" * 32)
    assert one.author("ana") == one.author("ana") != other.author("ana")
    assert one.hash("post", "ana") != one.hash("author", "ana")
    assert one.author("service:retrain") == "service:retrain"


def test_nothing_shows_the_key() -> None:
    assert "aaaa" not in repr(AuthorKey(b"a" * 32))


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        load_author_key(tmp_path / "absent" / "store.key")
