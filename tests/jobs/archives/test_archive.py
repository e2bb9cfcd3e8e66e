import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.archives.member import Writer
from jobs.archives.open import ArchiveKind, Entry, is_safe_name, kind_of, read_archive, write_archive


class AppendOnly:
    """A sink with nothing but write()."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self.parts.append(bytes(data))
        return len(data)


class Stream:
    """A source with nothing but read(), which gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 700) if size >= 0 else 700)


def mirror(kind: ArchiveKind, data: bytes, change: Callable[[Writer, Entry], None] | None = None) -> bytes:
    source = io.BytesIO(data) if kind == "zip" else Stream(data)
    reader = read_archive(kind, source, len(data))
    sink = AppendOnly()
    writer = write_archive(kind, sink, reader.comment)
    for entry in reader:
        if change and entry.member.kind == "file":
            change(writer, entry)
        else:
            writer.copy(entry.member, entry.raw())
    writer.close()
    return b"".join(sink.parts)


def contents(kind: ArchiveKind, data: bytes) -> list[tuple[str, str, bytes]]:
    return [
        (e.member.name, e.member.kind, e.open().read() if e.member.kind == "file" else b"")
        for e in read_archive(kind, io.BytesIO(data), len(data))
    ]


def append_mark(writer: Writer, entry: Entry) -> None:
    data = entry.open().read() + b"!"
    writer.add(entry.member, io.BytesIO(data), len(data))


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]], format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def info(name: str, **facts: object) -> tarfile.TarInfo:
    result = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(result, key, value)
    return result


def zip_of(members: list[tuple[zipfile.ZipInfo, bytes]], sink: object = None, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(sink or buffer, "w") as archive:
            archive.comment = comment
            for header, data in members:
                archive.writestr(header, data)
    return buffer.getvalue()


def zinfo(name: str, method: int = zipfile.ZIP_DEFLATED, **facts: object) -> zipfile.ZipInfo:
    result = zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6))
    result.compress_type = method
    for key, value in facts.items():
        setattr(result, key, value)
    return result


MIXED = [
    (
        info("a.png", mtime=1.5, mode=0o600, uname="scribe", pax_headers={"comment": "first"}),
        b"\x89PNG" + b"x" * 900,
    ),
    (info("folder", type=tarfile.DIRTYPE), b""),
    (info("d/" * 90 + "long é.png"), os.urandom(1000)),
    (info("link", type=tarfile.SYMTYPE, linkname="y" * 180), b""),
    (info("pipe", type=tarfile.FIFOTYPE), b""),
    (info("a.png"), b""),
]


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_an_untouched_tar_comes_back_byte_for_byte(format: int) -> None:
    data = tar_of(MIXED, format)
    assert mirror("tar", data) == data


def test_kinds_names_and_heads_of_a_tar() -> None:
    data = tar_of(MIXED)
    entries = [
        (e.member.index, e.member.kind, e.head[:4]) for e in read_archive("tar", Stream(data), len(data))
    ]
    assert [kind for _, kind, _ in entries] == ["file", "directory", "file", "link", "device", "file"]
    assert [index for index, _, _ in entries] == list(range(6))
    assert entries[0][2] == b"\x89PNG"


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_new_content_keeps_every_other_fact(format: int) -> None:
    data = mirror("tar", tar_of(MIXED, format), append_mark)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        assert [m.name for m in members] == [m.name for m, _ in MIXED]
        assert [m.size for m in members] == [905, 0, 1001, 0, 0, 1]
        assert members[0].uname == "scribe" and members[0].mode == 0o600
        assert members[0].mtime == (1.5 if format == tarfile.PAX_FORMAT else 1)
        assert tar.extractfile(members[5]).read() == b"!"  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_renamed_member(kind: ArchiveKind) -> None:
    def rename(writer: Writer, entry: Entry) -> None:
        writer.add(replace(entry.member, name="neu é " + "n" * 120 + ".png"), io.BytesIO(b"new"), 3)

    data = zip_of([(zinfo("a.tif"), b"old")]) if kind == "zip" else tar_of([(info("a.tif"), b"old")])
    renamed = mirror(kind, data, rename)
    assert contents(kind, renamed) == [("neu é " + "n" * 120 + ".png", "file", b"new")]


def test_a_tar_gz_is_deterministic_and_streams() -> None:
    plain = tar_of(MIXED)
    one, two = (mirror("tar.gz", gzip.compress(plain, mtime=time)) for time in (1, 2))
    assert one == two and gzip.decompress(one) == plain


def test_several_gzip_members_in_a_row_are_one_stream() -> None:
    plain = tar_of(MIXED)
    data = gzip.compress(plain[:700]) + gzip.compress(plain[700:])
    assert contents("tar.gz", data) == contents("tar", plain)


def test_global_pax_headers_and_their_members_are_kept() -> None:
    head = tarfile.TarInfo.create_pax_global_header({"comment": "a commit"})
    data = head + tar_of([(info("a.png"), b"123")])
    assert mirror("tar", data)[: len(head)] == head
    changed = mirror("tar", data, append_mark)
    with tarfile.open(fileobj=io.BytesIO(changed)) as tar:
        assert tar.getmembers()[0].size == 4 and tar.pax_headers == {"comment": "a commit"}


def test_a_pax_size_record_is_replaced() -> None:
    data = tar_of([(info("a.png", pax_headers={"size": "3", "comment": "kept"}), b"123")])
    changed = mirror("tar", data, append_mark)
    assert contents("tar", changed) == [("a.png", "file", b"123!")]
    with tarfile.open(fileobj=io.BytesIO(changed)) as tar:
        assert tar.getmembers()[0].pax_headers["comment"] == "kept"


@pytest.mark.parametrize("format", ["gnu", "posix"])
def test_sparse_members_are_copied_as_they_are(tmp_path: Path, format: str) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 20)
        for hole in range(12):
            file.seek(hole * 65536)
            file.write(b"ink")
    command = ["tar", "-S", f"--format={format}", "-cf", "x.tar", "sparse"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=20)
    data = (tmp_path / "x.tar").read_bytes()
    assert [e.member.kind for e in read_archive("tar", Stream(data), len(data))] == ["device"]
    assert mirror("tar", data) == data


def test_a_tar_entry_goes_by_only_once() -> None:
    data = tar_of([(info("a"), b"12"), (info("b"), b"34")])
    first, *_ = read_archive("tar", Stream(data), len(data))
    with pytest.raises(RuntimeError, match="only once"):
        first.open()


ZIPPED = [
    (zinfo("a.png", comment=b"note", external_attr=0o100640 << 16, extra=b"\xfe\xca\x02\x00ok"), b"x" * 2000),
    (zinfo("a.png", zipfile.ZIP_STORED), b"twice"),
    (zinfo("bz.txt", zipfile.ZIP_BZIP2), b"abc" * 500),
    (zinfo("ünïcode.tif"), b""),
    (zinfo("folder/", zipfile.ZIP_STORED), b""),
    (zinfo("link", zipfile.ZIP_STORED, external_attr=(stat.S_IFLNK | 0o777) << 16), b"a.png"),
]


def test_an_untouched_zip_comes_back_byte_for_byte() -> None:
    data = zip_of(ZIPPED, comment=b"box 17")
    assert mirror("zip", data) == data


def test_a_zip_with_data_descriptors_and_a_prefix() -> None:
    class Pipe(AppendOnly):
        def flush(self) -> None:
            pass

    sink = Pipe()
    zip_of(ZIPPED, sink)
    data = b"".join(sink.parts)
    assert data[6] & 8
    assert mirror("zip", data) == data
    assert mirror("zip", b"MZ the extractor" + data) == data


def test_new_zip_content_keeps_every_other_fact(tmp_path: Path) -> None:
    data = mirror("zip", zip_of(ZIPPED, comment=b"box 17"), append_mark)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        assert archive.testzip() is None and archive.comment == b"box 17"
        assert [m.filename for m in members] == [m.filename for m, _ in ZIPPED]
        for new, (old, _) in zip(members, ZIPPED, strict=True):
            facts = ("date_time", "compress_type", "comment", "extra", "external_attr", "create_system")
            assert [getattr(new, f) for f in facts] == [getattr(old, f) for f in facts]
        assert archive.read(members[1]) == b"twice!"
    (tmp_path / "x.zip").write_bytes(data)
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tq", "x.zip"], cwd=tmp_path, check=True, capture_output=True, timeout=20)
    if shutil.which("bsdtar"):
        subprocess.run(["bsdtar", "-tf", "x.zip"], cwd=tmp_path, check=True, capture_output=True, timeout=20)


def test_unknown_methods_and_encrypted_members_are_carried_through() -> None:
    data = bytearray(zip_of([(zinfo("l", zipfile.ZIP_LZMA), b"abc" * 99), (zinfo("e"), b"secret")]))
    for at in (data.find(b"PK\3\4", 4) + 6, data.rfind(b"PK\1\2") + 8):
        data[at] |= 1
    reader = read_archive("zip", io.BytesIO(data), len(data))
    assert [entry.head for entry in reader] == [b"", b""]
    assert mirror("zip", bytes(data)) == data


def test_zip_entries_stay_good_after_the_reader_moved_on() -> None:
    data = zip_of(ZIPPED)
    entries = list(read_archive("zip", io.BytesIO(data), len(data)))
    assert [e.open().read() for e in reversed(entries)] == [d for _, d in reversed(ZIPPED)]


def test_zip64_entries_are_read_and_rewritten() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("big", "w", force_zip64=True) as file:
        file.write(b"1" * 70000)
    assert contents("zip", mirror("zip", buffer.getvalue(), append_mark)) == [
        ("big", "file", b"1" * 70000 + b"!")
    ]


def test_more_members_than_sixteen_bits_count() -> None:
    data = zip_of([(zinfo("a", zipfile.ZIP_STORED), b"")])
    entry = next(iter(read_archive("zip", io.BytesIO(data), len(data))))
    sink = AppendOnly()
    writer = write_archive("zip", sink)
    for _ in range(65536):
        writer.copy(entry.member, entry.raw())
    writer.close()
    result = b"".join(sink.parts)
    assert sum(1 for _ in read_archive("zip", io.BytesIO(result), len(result))) == 65536
    with zipfile.ZipFile(io.BytesIO(result)) as archive:
        assert len(archive.infolist()) == 65536


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=160).filter(
    lambda name: name.strip("/") and not name.endswith("/")
)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=1500), st.sampled_from("fffdl")), max_size=6)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def tree(members: list[tuple[str, bytes, str]], format: int) -> bytes:
    types = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE}
    return tar_of(
        [
            (info(n, type=types[t], linkname=n if t == "l" else ""), d if t == "f" else b"")
            for n, d, t in members
        ],
        format,
    )


@QUICK
@given(MEMBERS, st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_any_tar_is_mirrored_and_can_be_rewritten(members: list[tuple[str, bytes, str]], format: int) -> None:
    data = tree(members, format)
    assert mirror("tar", data) == data
    with tarfile.open(fileobj=io.BytesIO(mirror("tar", data, append_mark))) as tar:
        found = tar.getmembers()
        assert [m.name for m in found] == [n for n, _, _ in members]
        for member, (_, content, type_) in zip(found, members, strict=True):
            assert type_ != "f" or tar.extractfile(member).read() == content + b"!"  # type: ignore[union-attr]


@QUICK
@given(MEMBERS, st.booleans())
def test_any_zip_is_mirrored_and_can_be_rewritten(
    members: list[tuple[str, bytes, str]], packed: bool
) -> None:
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    data = zip_of([(zinfo(name, method), content) for name, content, _ in members])
    assert mirror("zip", data) == data
    rewritten = mirror("zip", data, append_mark)
    assert contents("zip", rewritten) == [(name, "file", content + b"!") for name, content, _ in members]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.TAR", "tar"),
        ("b/a.tar.gz", "tar.gz"),
        ("a.tgz", "tar.gz"),
        ("a.Zip", "zip"),
        ("a.gz", None),
        ("tar", None),
    ],
)
def test_the_kind_follows_the_extension(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "C:x", "c:\\x", "a/../b", "..", "a\\..\\b", "\\\\host\\share", "a\0b", "../a"]
)
def test_unsafe_names(name: str) -> None:
    assert not is_safe_name(name)


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "..a/b..", "a b/ü.tif", "a\\b", "ab:c"])
def test_safe_names(name: str) -> None:
    assert is_safe_name(name)
