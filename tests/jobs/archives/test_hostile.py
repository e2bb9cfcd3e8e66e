import contextlib
import gzip
import io
import random
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.archives import tar as archive_tar
from jobs.archives.open import ArchiveKind, read_archive
from jobs.errors import ArchiveDamaged, PageError


def tar_of(*names: str, data: bytes = b"page" * 200) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(*names: str, data: bytes = b"page" * 200, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def read_all(kind: ArchiveKind, data: bytes, size: int | None = None) -> list[tuple[str, bytes]]:
    reader = read_archive(kind, io.BytesIO(data), len(data) if size is None else size)
    return [(entry.member.name, entry.open().read()) for entry in reader]


def damage(kind: ArchiveKind, data: bytes, size: int | None = None) -> str:
    with pytest.raises(ArchiveDamaged) as caught:
        read_all(kind, data, size)
    return caught.value.code


TAR = tar_of("a.png", "é" * 80 + ".png", "c.png")
END = 2 * 512


def content_end(data: bytes) -> int:
    return len(data.rstrip(b"\0")) + -len(data.rstrip(b"\0")) % 512


def test_a_tar_cut_anywhere_is_damaged() -> None:
    for cut in range(content_end(TAR) + END):
        assert damage("tar", TAR[:cut]) == "archive_truncated", cut


def test_a_tar_cut_at_a_member_boundary_is_damaged() -> None:
    assert damage("tar", TAR[:512]) == damage("tar", TAR[: 512 + 1024]) == "archive_truncated"


def test_a_tar_without_end_blocks_is_damaged() -> None:
    assert damage("tar", TAR[: content_end(TAR)]) == "archive_truncated"


def test_an_empty_tar_file_is_truncated_but_an_empty_archive_is_fine() -> None:
    assert damage("tar", b"") == "archive_truncated"
    assert read_all("tar", bytes(1024)) == []


def test_padding_and_garbage_behind_the_end_are_ignored() -> None:
    assert read_all("tar", TAR + bytes(5000)) == read_all("tar", TAR + b"garbage") == read_all("tar", TAR)


def test_a_second_tar_behind_the_end_is_not_lost_silently() -> None:
    assert damage("tar", TAR + TAR) == "archive_unsupported"


def test_fewer_bytes_than_the_store_promised_are_damage() -> None:
    assert damage("tar", TAR, len(TAR) + 1) == "archive_truncated"


def test_a_damaged_header_in_the_middle_is_damage() -> None:
    data = bytearray(TAR)
    data[512 + 1024 + 5] ^= 0xFF
    assert damage("tar", bytes(data)) == "archive_corrupt"


def test_zeros_instead_of_a_header_are_damage() -> None:
    data = bytearray(TAR)
    data[512 + 1024 : 1024 + 1024] = bytes(512)
    assert damage("tar", bytes(data)) == "archive_corrupt"


def pax_claiming(size: int) -> bytes:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, size
    return header.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("size", [(1 << 20) + 1, 8 << 30, 1 << 60])
def test_a_giant_extended_header_is_refused_before_it_is_read(size: int) -> None:
    tracemalloc.start()
    assert damage("tar", pax_claiming(size) + bytes(1 << 20)) == "archive_unsupported"
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_endless_extended_headers_are_refused() -> None:
    one = pax_claiming(1 << 19) + b"20 comment=endless!\n".ljust(1 << 19, b"\0")
    assert damage("tar", one * 20) == "archive_unsupported"


@pytest.mark.parametrize(
    "record", [b"nonsense", b"99 path=short\n", b"5 a=b\n", b"12 size=-12\n", b"13 size=1e99\n"]
)
def test_damaged_pax_records(record: bytes) -> None:
    data = pax_claiming(len(record)) + record.ljust(512, b"\0") + TAR
    assert damage("tar", data) == "archive_corrupt"


def test_a_member_that_claims_a_petabyte_costs_nothing() -> None:
    header = tarfile.TarInfo("a.png")
    header.size = 1 << 50
    assert damage("tar", header.tobuf(tarfile.GNU_FORMAT) + b"x" * 9000) == "archive_truncated"


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_tar, "MAX_MEMBERS", 2)
    assert damage("tar", TAR) == "archive_too_many_members"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_tar_with_a_flipped_byte_is_read_or_refused(position: int, flip: int) -> None:
    data = bytearray(TAR)
    data[position % len(data)] ^= flip
    with contextlib.suppress(ArchiveDamaged):
        read_all("tar", bytes(data))


GZ = gzip.compress(TAR)


def test_a_tar_gz_cut_anywhere_is_damaged() -> None:
    assert damage("tar.gz", GZ[:1]) == "archive_corrupt"  # half of gzip's magic
    for cut in (0, *range(2, len(GZ))):
        assert damage("tar.gz", GZ[:cut]) == "archive_truncated", cut


def test_a_wrong_gzip_checksum_is_damage() -> None:
    data = bytearray(GZ)
    data[-6] ^= 1
    assert damage("tar.gz", bytes(data)) == "archive_corrupt"


def test_no_gzip_at_all_is_damage() -> None:
    assert damage("tar.gz", TAR) == "archive_corrupt"


def test_a_bomb_behind_the_end_of_a_tar_gz_is_not_unpacked() -> None:
    assert damage("tar.gz", GZ + gzip.compress(bytes(65 << 20))) == "archive_corrupt"


ZIP = zip_of("a.png", "b.png", "c.txt")


def test_a_zip_cut_anywhere_is_damaged() -> None:
    for cut in range(len(ZIP)):
        assert damage("zip", ZIP[:cut]) == "archive_truncated", cut


def test_a_zip_cut_behind_a_zip_inside_it_is_damaged() -> None:
    outer = zip_of("inner.zip", "lost.png", data=ZIP, method=zipfile.ZIP_STORED)
    inner_end = outer.find(ZIP) + len(ZIP)
    assert damage("zip", outer[:inner_end]) == "archive_truncated"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_zip_with_a_flipped_byte_is_read_or_refused(position: int, flip: int) -> None:
    data = bytearray(ZIP)
    data[position % len(data)] ^= flip
    try:
        for entry in read_archive("zip", io.BytesIO(data), len(data)):
            try:
                entry.open().read()
            except PageError as error:
                assert error.code.startswith("member_")
            b"".join(entry.raw())
    except ArchiveDamaged:
        pass


def test_overlapping_members_are_refused() -> None:
    # Two records of the directory that share one local header and its bytes.
    data = zip_of("a.png")
    start = data.find(b"PK\1\2")
    record, end = data[start : data.find(b"PK\5\6")], bytearray(data[data.find(b"PK\5\6") :])
    end[8:10] = end[10:12] = struct.pack("<H", 2)
    end[12:16] = struct.pack("<L", 2 * len(record))
    assert damage("zip", data[:start] + record * 2 + bytes(end)) == "archive_corrupt"


def test_members_that_quote_the_next_header_are_refused() -> None:
    # Fifield's bomb: the first member's data contains the second member as a whole.
    data = bytearray(zip_of("a", "b", method=zipfile.ZIP_STORED))
    record = data.find(b"PK\1\2")
    longer = 800 + 31 + 800
    data[record + 20 : record + 28] = struct.pack("<LL", longer, longer)
    assert damage("zip", bytes(data)) == "archive_corrupt"


def test_members_that_reach_over_by_their_local_extra_field_are_refused() -> None:
    data = bytearray(zip_of("a", "b", method=zipfile.ZIP_STORED))
    data[28:30] = struct.pack("<H", 40)
    assert damage("zip", bytes(data)) == "archive_corrupt"


def declared(data: bytes, size: int, crc: int) -> bytes:
    """Change what a one-member zip says of its content."""
    result = bytearray(data)
    record = data.find(b"PK\1\2")
    result[22:26] = result[record + 24 : record + 28] = struct.pack("<L", size)
    result[14:18] = result[record + 16 : record + 20] = struct.pack("<L", crc)
    return bytes(result)


@pytest.mark.parametrize("size", [100, 799, 801, 5000])
def test_a_member_of_another_size_than_declared_is_corrupt_and_bounded(size: int) -> None:
    content = b"page" * 200
    data = declared(zip_of("a"), size, zlib.crc32(content[:size]))
    (entry,) = read_archive("zip", io.BytesIO(data), len(data))
    stream, got = entry.open(), b""
    with pytest.raises(PageError) as caught:
        while part := stream.read(64):
            got += part
    assert caught.value.code == "member_corrupt" and len(got) <= size
    assert entry.head == content[:64]


def test_a_member_with_a_wrong_checksum_is_corrupt_but_copied() -> None:
    data = declared(zip_of("a"), 800, 1)
    (entry,) = read_archive("zip", io.BytesIO(data), len(data))
    with pytest.raises(PageError, match="isn't what"):
        entry.open().read()
    assert b"".join(entry.raw()) == data[: data.find(b"PK\1\2")]


def test_a_zip_bomb_is_streamed() -> None:
    data = zip_of("bomb", data=bytes(64 << 20))
    (entry,) = read_archive("zip", io.BytesIO(data), len(data))
    tracemalloc.start()
    stream = entry.open()
    assert sum(len(part) for part in iter(lambda: stream.read(1 << 16), b"")) == 64 << 20
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_random_bytes_are_no_archive() -> None:
    noise = random.Random(1).randbytes(5000)
    assert damage("tar", noise) == damage("tar.gz", noise) == "archive_corrupt"
    assert damage("zip", noise) == "archive_truncated"
