"""What every store must do alike."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.errors import InputError, SourceChanged, StagedGone, StoreError
from jobs.stores import s3_streams as s3_io
from jobs.stores.base import ObjectInfo, Staged, Store
from jobs.stores.open import open_store

ODD_KEYS = [
    "2024/box 017.tar", "a+b", "a-b", "a/b", "a#b", "a%20b", "a?b=c&d", "größe/ä.tif", "日本/巻物.tif",
    "quote'\"<x>", "a0", "dots/..x/.y", "deep/" * 20 + "x",
]  # fmt: skip


def keys(store: Store, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def stage(store: Store, key: str, data: bytes, attempt: str = "r1-a0001") -> Staged:
    upload = store.stage(key, attempt)
    upload.write(data)
    return upload.finish()


def info(store: Store, key: str) -> ObjectInfo:
    found = store.stat(key)
    assert found is not None
    return found


def test_odd_keys_survive_every_operation(place: Store) -> None:
    for key in ODD_KEYS:
        place.put(key, key.encode())
    assert sorted(keys(place)) == sorted(ODD_KEYS)
    for found in list(place.list()):
        assert place.get(found.key) == found.key.encode()
        assert place.stat(found.key) == found
        with place.open(found) as stream:
            assert stream.read() == found.key.encode()
        assert not place.create(found.key, b"other")
        place.publish(stage(place, found.key, b"staged"))
        assert place.get(found.key) == b"staged"
        place.delete(found.key)
    assert keys(place) == []


def test_what_is_absent_is_none_and_deleting_it_is_fine(place: Store) -> None:
    assert place.get("no/such") is None
    assert place.stat("no/such") is None
    place.delete("no/such")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\0b"])
def test_keys_that_lead_out_are_refused(place: Store, key: str) -> None:
    for act in (place.get, place.stat, place.delete, lambda one: place.put(one, b"")):
        with pytest.raises(StoreError, match="can't be used"):
            act(key)


def test_prefixes_may_be_partial(place: Store) -> None:
    for key in ("2024/box-1", "2024/box-2", "2024/crate", "2024b/box-1"):
        place.put(key, b"x")
    assert keys(place, "2024/bo") == ["2024/box-1", "2024/box-2"]
    assert keys(place, "2024/") == ["2024/box-1", "2024/box-2", "2024/crate"]
    assert sorted(keys(place, "2024")) == ["2024/box-1", "2024/box-2", "2024/crate", "2024b/box-1"]
    assert keys(place, "2025/") == []
    with pytest.raises(StoreError):
        keys(place, "../")


def test_the_ledger_shows_only_when_asked_for(place: Store) -> None:
    place.put("_pumice/done/x/c000001.json", b"x")
    place.put("_pumice2/scan.tif", b"x")
    assert keys(place) == ["_pumice2/scan.tif"]
    assert keys(place, "_pumice/done/") == ["_pumice/done/x/c000001.json"]
    assert keys(place, "_pumice/claims/") == []


def test_versions_change_with_the_content(place: Store) -> None:
    place.put("a", b"one")
    before = info(place, "a")
    place.put("a", b"two")
    after = info(place, "a")
    assert before.version != after.version
    assert list(place.list()) == [after]


def test_one_of_many_creators_wins(place: Store) -> None:
    for race in range(3):
        with ThreadPoolExecutor(8) as pool:
            wins = list(pool.map(lambda who: place.create(f"race/{race}", b"%d" % who), range(8)))  # noqa: B023
        assert wins.count(True) == 1
        assert place.get(f"race/{race}") == b"%d" % wins.index(True)


def test_create_again_with_ones_own_bytes_is_true(place: Store) -> None:
    assert place.create("a", b"mine")
    assert place.create("a", b"mine")
    assert not place.create("a", b"yours")
    assert place.get("a") == b"mine"


def test_staged_is_unseen_until_published_and_publishing_is_idempotent(place: Store) -> None:
    place.put("2024/box.tar", b"old")
    staged = stage(place, "2024/box.tar", b"new")
    assert keys(place) == ["2024/box.tar"]
    assert place.get("2024/box.tar") == b"old"
    assert (staged.size, staged.sha256) == (3, hashlib.sha256(b"new").hexdigest())
    for _ in range(3):
        place.publish(staged)
    assert place.get("2024/box.tar") == b"new"
    place.discard(staged)
    assert keys(place) == ["2024/box.tar"]


def test_many_publishers_at_once_agree(place: Store) -> None:
    staged = stage(place, "a", b"x" * 100_000)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: place.publish(staged), range(6)))
    assert place.get("a") == b"x" * 100_000


def test_a_late_publisher_changes_nothing(place: Store) -> None:
    first = stage(place, "a", b"first", "r1-a0001")
    place.publish(first)
    place.publish(stage(place, "a", b"second", "r2-a0001"))
    with pytest.raises(StagedGone, match="is gone"):
        place.publish(first)
    assert place.get("a") == b"second"


def test_what_is_discarded_cannot_be_published(place: Store) -> None:
    staged = stage(place, "a", b"x")
    place.discard(staged)
    place.discard(staged)
    with pytest.raises(StagedGone):
        place.publish(staged)
    assert place.stat("a") is None


def test_abort_leaves_nothing_and_may_be_repeated(place: Store) -> None:
    for data in (b"", b"x"):
        upload = place.stage("a", "r1-a0001")
        upload.write(data)
        upload.abort()
        upload.abort()
    assert keys(place) == []


def test_an_attempt_staged_twice_keeps_the_later_bytes(place: Store) -> None:
    stage(place, "a", b"longer first")
    place.publish(stage(place, "a", b"second"))
    assert place.get("a") == b"second"


def test_two_attempts_stage_side_by_side(place: Store) -> None:
    one, two = stage(place, "a", b"one", "r1-a0001"), stage(place, "a", b"two", "r1-a0002")
    place.discard_attempt("a", "r1-a0001")
    place.publish(two)
    assert place.get("a") == b"two"
    place.discard(one)
    assert keys(place) == ["a"]


def test_many_parts(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_io, "PART", 5 << 20)
    data = os.urandom(1 << 20) * 12 + b"tail"
    upload = place.stage("big", "r1-a0001")
    for start in range(0, len(data), 700_001):
        upload.write(memoryview(data)[start : start + 700_001])
    staged = upload.finish()
    assert len(staged.parts) in (0, 3)
    place.publish(staged)
    found = info(place, "big")
    assert found.size == staged.size == len(data)
    with place.open(found) as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == staged.sha256 == hashlib.sha256(data).hexdigest()


def test_nothing_at_all_is_an_object_too(place: Store) -> None:
    staged = place.stage("empty", "r1-a0001").finish()
    place.publish(staged)
    place.publish(staged)
    found = info(place, "empty")
    assert found.size == staged.size == 0
    assert place.get("empty") == b""
    with place.open(found) as stream:
        assert stream.read() == b""
    place.put("empty", b"no more")
    with pytest.raises(SourceChanged), place.open(found) as stream:
        stream.read()


def test_streams_seek(place: Store) -> None:
    data = bytes(range(256)) * 1000
    place.put("a", data)
    with place.open(info(place, "a")) as stream:
        assert stream.seekable()
        assert stream.seek(-10, io.SEEK_END) == len(data) - 10
        assert stream.read() == data[-10:]
        assert stream.seek(1000) == 1000
        assert stream.read(5) == data[1000:1005]
        stream.seek(2, io.SEEK_CUR)
        assert stream.tell() == 1007
        assert stream.read(1) == data[1007:1008]
        stream.seek(len(data) + 5)
        assert stream.read() == b""


def test_another_version_is_never_read(place: Store) -> None:
    place.put("a", b"one")
    before = info(place, "a")
    place.put("a", b"two")
    with pytest.raises(SourceChanged, match="changed"), place.open(before) as stream:
        stream.read()
    place.delete("a")
    with pytest.raises(SourceChanged), place.open(before) as stream:
        stream.read()


def test_a_probe_leaves_nothing_behind(place: Store) -> None:
    place.probe()
    assert keys(place, "_pumice/") == []


def test_the_address_opens_the_same_place_again(place: Store) -> None:
    place.put("a", b"x")
    assert open_store(place.url).get("a") == b"x"
    assert pickle.loads(pickle.dumps(place)).get("a") == b"x"


def test_a_wrong_token_is_an_error_not_an_object(place: Store) -> None:
    staged = stage(place, "a", b"x")
    place.publish(staged)
    with pytest.raises(StoreError):
        place.publish(replace(staged, key="b", size=7))
    assert place.stat("b") is None


@pytest.mark.parametrize(
    "url", ["", " ", "gs://bucket/x", "s3://", "s3:///x", "s3://b!/x", "s3://bucket/a/../b"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InputError, match="give "):
        open_store(url)


def test_the_core_never_loads_boto3() -> None:
    loaded = "jobs.stores.open, jobs.ledger.ledger, jobs.ledger.lease"
    check = f"import sys, {loaded}; sys.exit('boto3' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parents[3])
