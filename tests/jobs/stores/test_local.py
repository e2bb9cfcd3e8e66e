"""What only folders do: links, odd files, permissions, full disks, what a crash leaves."""

import errno
import os
import socket
from pathlib import Path

import pytest

from jobs.errors import DestinationFull, InputError, SourceChanged, StagedGone, StoreError
from jobs.stores import local_files as local_io
from jobs.stores.local import LocalStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root)


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def keys(store: LocalStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def raise_denied(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_keys_come_in_the_order_of_strings(root: Path, store: LocalStore) -> None:
    names = ["a-b", "a/b", "a/b-c/d", "a/b.c", "a/c", "a0", "a0/.x" + "/y", "B", "ä/ö", "a b"]
    names.remove("a0")
    fill(root, *names)
    assert keys(store) == sorted(names)


def test_links_are_followed_but_not_in_circles(root: Path, store: LocalStore, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "b/scan.tif")
    fill(root, "a/scan.tif")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "file.tif").symlink_to(tmp_path / "elsewhere/b/scan.tif")
    (root / "a/up").symlink_to(root)
    (tmp_path / "elsewhere/b/self").symlink_to(tmp_path / "elsewhere/b")
    assert keys(store) == ["a/scan.tif", "file.tif", "link/b/scan.tif"]


def test_a_link_that_leads_nowhere_is_told(root: Path, store: LocalStore) -> None:
    (root / "gone.tif").symlink_to(root / "unmounted/gone.tif")
    with pytest.raises(InputError, match=r"gone\.tif is a link that can't be followed"):
        keys(store)


def test_what_is_no_file_is_left_out(root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, "a.tif", ".hidden", ".tmp-is-the-users")
    os.mkfifo(root / "fifo")
    monkeypatch.chdir(root)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        assert keys(store) == [".hidden", ".tmp-is-the-users", "a.tif"]
    assert store.stat("fifo") is None


def test_names_that_are_no_unicode_survive(root: Path, store: LocalStore) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.tif"))).write_bytes(b"x")
    (info,) = store.list()
    assert info.key == "caf\udce9.tif"
    assert store.get(info.key) == b"x"
    upload = store.stage(info.key, "r1")
    upload.write(b"y")
    store.publish(upload.finish())
    assert os.listdir(os.fsencode(root)) == [b"caf\xe9.tif"]  # noqa: PTH208
    assert store.get(info.key) == b"y"


def test_an_unreadable_folder_is_named(
    root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root, "a/scan.tif", "locked/scan.tif")
    plain = os.scandir

    def scandir(path: Path) -> object:
        return raise_denied() if path.name == "locked" else plain(path)

    monkeypatch.setattr(os, "scandir", scandir)  # chmod would not stop a root that runs tests
    with pytest.raises(InputError, match="place/locked can't be read"):
        keys(store)


def test_a_missing_folder_is_told_but_an_unwritten_ledger_is_empty(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no folder .*nowhere"):
        keys(store)
    assert keys(store, "_pumice/done/") == []
    assert not (tmp_path / "nowhere").exists()


def test_a_file_is_no_place(tmp_path: Path) -> None:
    fill(tmp_path, "box.tar")
    store = LocalStore(tmp_path / "box.tar")
    for act in (store.probe, lambda: keys(store)):
        with pytest.raises(InputError, match=r"box\.tar is a file"):
            act()


def test_a_probe_makes_the_folder(tmp_path: Path) -> None:
    LocalStore(tmp_path / "new/place").probe()
    assert (tmp_path / "new/place").is_dir()


def test_a_folder_that_cannot_be_written(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", raise_denied)
    with pytest.raises(InputError, match="can't be written"):
        store.probe()


def test_a_file_system_without_links(root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **how: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(InputError, match="no hard links"):
        store.probe()
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_killed_writer_leaves_nothing(
    root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, seen = os.link, list[Path]()

    def link(source: str, target: Path, *, src_dir_fd: int, follow_symlinks: bool) -> None:
        seen.extend(path for path in root.rglob("*") if path.is_file())
        plain(source, target, src_dir_fd=src_dir_fd, follow_symlinks=follow_symlinks)
        seen.extend(path for path in root.rglob("*") if path.is_file())

    monkeypatch.setattr(os, "link", link)
    assert store.create("_pumice/a/b", b"whole")
    assert seen == [root / "_pumice/a/b"]
    assert not store.create("_pumice/a/b", b"other") and (root / "_pumice/a/b").read_bytes() == b"whole"


def test_a_file_system_without_nameless_files(
    root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(local_io, "_link_nameless", refuse)
    assert store.create("a", b"whole") and store.create("a", b"whole") and not store.create("a", b"other")
    assert [path.name for path in root.iterdir()] == ["a"] and (root / "a").read_bytes() == b"whole"


def test_a_full_disk(root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = store.stage("a", "r1")
    upload.write(b"some")

    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local_io, "_write_all", write)
    with pytest.raises(DestinationFull, match="place/.*free some"):
        upload.write(b"more")
    upload.abort()
    with pytest.raises(DestinationFull):
        store.create("b", b"x")
    assert list(root.iterdir()) == []


def test_a_folder_in_the_way(root: Path, store: LocalStore) -> None:
    fill(root, "a/b")
    upload = store.stage("a", "r1")
    upload.write(b"x")
    staged = upload.finish()
    for act in (
        lambda: store.publish(staged),
        lambda: store.put("a/b/c", b"x"),
        lambda: store.create("a", b""),
    ):
        with pytest.raises(StoreError, match="place/a"):
            act()
    store.discard(staged)
    assert keys(store) == ["a/b"]


def test_a_file_written_to_while_it_is_read(root: Path, store: LocalStore) -> None:
    (root / "a").write_bytes(b"x" * (4 << 20))
    (info,) = store.list()
    with store.open(info) as stream:
        stream.read(10)
        with (root / "a").open("ab") as other:
            other.write(b"more")
        with pytest.raises(SourceChanged):
            stream.read()
    (info,) = store.list()
    with store.open(info) as stream:
        (root / "a").write_bytes(b"y" * info.size)
        with pytest.raises(SourceChanged):
            stream.read(10)


def test_a_file_replaced_while_it_is_read_is_read_to_its_end(root: Path, store: LocalStore) -> None:
    store.put("a", b"x" * (4 << 20))
    (info,) = store.list()
    with store.open(info) as stream:
        stream.read(10)
        store.put("a", b"new")
        assert stream.read() == b"x" * ((4 << 20) - 10)


def test_the_leftover_of_a_crash_is_unseen_and_can_be_discarded(root: Path, store: LocalStore) -> None:
    upload = store.stage("2024/box.tar", "dead-a0001")
    upload.write(b"half")
    upload._file.close()  # the process is gone
    assert keys(store) == []
    assert len(list((root / "2024").iterdir())) == 1
    store.discard_attempt("2024/box.tar", "another")
    assert len(list((root / "2024").iterdir())) == 1
    store.discard_attempt("2024/box.tar", "dead-a0001")
    assert list((root / "2024").iterdir()) == []


def test_a_target_of_the_same_size_is_not_mistaken_for_the_staged(root: Path, store: LocalStore) -> None:
    upload = store.stage("a", "r1")
    upload.write(b"good")
    staged = upload.finish()
    store.discard(staged)
    store.put("a", b"evil")
    with pytest.raises(StagedGone):
        store.publish(staged)
    assert store.get("a") == b"evil"


def test_the_longest_name_can_be_staged(store: LocalStore) -> None:
    name = "n" * 251 + ".tif"
    upload = store.stage(name, "r" * 300)
    store.publish(upload.finish())
    assert keys(store) == [name]
    assert store.stat("n" * 300) is None
    with pytest.raises(StoreError):
        store.put("n" * 300, b"")


def test_emptied_folders_of_the_ledger_go_and_others_stay(root: Path, store: LocalStore) -> None:
    for key in ("_pumice/claims/a/b/c.json", "_pumice/claims/x.json", "2024/a"):
        store.put(key, b"x")
    store.delete("_pumice/claims/a/b/c.json")
    store.delete("2024/a")
    assert sorted(path.name for path in root.rglob("*")) == ["2024", "_pumice", "claims", "x.json"]
