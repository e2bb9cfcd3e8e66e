"""One tar header: its own block and the extension blocks before it, read, kept and resized.

Before a member's header there may be pax records ('x' for the member, 'g' for all that follow) and GNU long
names ('L', 'K'), after it a sparse map ('S'). All these blocks are kept together, as bytes.
"""

import re
import tarfile
from typing import BinaryIO

from jobs.archives.member import read_exact, read_up_to
from jobs.errors import ArchiveDamaged
from jobs.text import valid_text

BLOCK = 512
MAX_EXTENSION = 1 << 20  # one pax header or long name: usual ones have some hundred bytes
_MAX_BLOCKS = 4 << 20  # all extensions of one member together
_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
)
# POSIX: these have no content, whatever their size field says; GNU tar and tarfile do the same.
_EMPTY = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
)
_RECORD = re.compile(rb"(\d{1,8}) ([^=\n]+)=")


class TarHeader(tarfile.TarInfo):
    """A TarInfo with its bytes.

    Attributes:
        blocks: all from the first extension to the end of the header.
        stored: bytes of content that follow, without padding (of a sparse file: without its holes).
        readable: the name as valid text.
        sparse_data: whether the content is a sparse file's map and pieces.
    """

    blocks: bytes = b""
    stored: int = 0
    readable: str = ""
    sparse_data: bool = False


def padding(size: int) -> bytes:
    """The zeros that fill the last block of `size` bytes."""
    return bytes(-size % BLOCK)


def is_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is a header: its checksum is right."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, IndexError):
        return False
    return True


def read_header(stream: BinaryIO, inherited: dict[str, str]) -> TarHeader | None:
    """Read the next member's header.

    Args:
        stream: at the start of a block; afterwards at the start of the content.
        inherited: the archive's global pax records so far; new ones are added.

    Returns:
        The header, or None at the end-of-archive mark.

    Raises:
        ArchiveDamaged: archive_truncated, archive_corrupt, archive_unsupported.
    """
    blocks: list[bytes] = []
    own: dict[str, str] = {}
    while True:
        block = _next_block(stream, inside=bool(own))
        if block is None:
            return None
        header = _parse(block)
        blocks.append(block)
        if header.type not in _EXTENSIONS:
            break
        payload = _extension(stream, header, blocks)
        if header.type == tarfile.XGLTYPE:
            inherited.update(_global_records(payload))
        elif header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            own.update(_records(payload))
        else:
            key = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
            own[key] = payload.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    return _complete(stream, header, blocks, inherited | own)


def _next_block(stream: BinaryIO, *, inside: bool) -> bytes | None:
    """The next block; None for the end mark, two blocks of zeros; raises ArchiveDamaged if it is missing."""
    block = read_up_to(stream, BLOCK)
    if len(block) < BLOCK:
        raise ArchiveDamaged("archive_truncated", "The archive stops without an end mark: it was cut off.")
    if block.strip(b"\0"):
        return block
    if inside:
        raise ArchiveDamaged("archive_corrupt", "An extended header has no file behind it.")
    second = read_exact(stream, BLOCK, "its end mark")
    if second.strip(b"\0"):
        raise ArchiveDamaged("archive_corrupt", "A block of zeros stands where a file's header should be.")
    return None


def _parse(block: bytes) -> TarHeader:
    try:
        header = TarHeader.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, IndexError) as error:
        raise ArchiveDamaged("archive_corrupt", "A file's header in the archive is damaged.") from error
    if header.size < 0:
        raise ArchiveDamaged("archive_corrupt", f"{header.name!r} claims a negative size.")
    return header


def _extension(stream: BinaryIO, header: TarHeader, blocks: list[bytes]) -> bytes:
    """Check the declared size of an extension, read its payload and append it to the blocks."""
    if header.size > MAX_EXTENSION or sum(map(len, blocks)) + header.size > _MAX_BLOCKS:
        raise ArchiveDamaged(
            "archive_unsupported", f"An extended header claims {header.size:,} bytes: more than any real one."
        )
    payload = read_exact(stream, header.size + -header.size % BLOCK, "an extended header")
    blocks.append(payload)
    return payload[: header.size]


def _records(payload: bytes) -> dict[str, str]:
    r"""Parse pax records: each is "length key=value\n"; the length includes itself."""
    found: dict[str, str] = {}
    position = 0
    while payload[position:].strip(b"\0"):
        match = _RECORD.match(payload, position)
        end = position + int(match[1]) if match else 0
        if not match or end <= match.end() or payload[end - 1 : end] != b"\n":
            raise ArchiveDamaged("archive_corrupt", "An extended header in the archive is damaged.")
        key = match[2].decode("utf-8", "surrogateescape")
        found[key] = payload[match.end() : end - 1].decode("utf-8", "surrogateescape")
        position = end
    return found


def _global_records(payload: bytes) -> dict[str, str]:
    """Parse records for all members; names and sizes are refused, because programs read them differently."""
    found = _records(payload)
    if found.keys() & {"path", "linkpath", "size"} or any(key.startswith("GNU.sparse") for key in found):
        raise ArchiveDamaged("archive_unsupported", "A global header gives all files the same name or size.")
    return found


def _complete(stream: BinaryIO, header: TarHeader, blocks: list[bytes], records: dict[str, str]) -> TarHeader:
    """Apply the records to the header and set its own attributes."""
    header.sparse_data = header.type == tarfile.GNUTYPE_SPARSE or any(
        key.startswith("GNU.sparse.") for key in records
    )
    if header.type == tarfile.GNUTYPE_SPARSE:
        more = blocks[-1][482]
        while more:
            if len(blocks) * BLOCK > _MAX_BLOCKS:
                raise ArchiveDamaged("archive_unsupported", "A sparse file has too many holes.")
            blocks.append(read_exact(stream, BLOCK, "a sparse file's map"))
            more = blocks[-1][504]
    if "size" in records:
        if not re.fullmatch(r"[0-9]{1,18}", records["size"]):
            raise ArchiveDamaged("archive_corrupt", f"{header.name!r} claims an impossible size.")
        header.size = int(records["size"])
    header.stored = 0 if header.type in _EMPTY else header.size
    header.name = records.get("path", header.name)
    header.linkname = records.get("linkpath", header.linkname)
    header.pax_headers = records
    header.blocks = b"".join(blocks)
    header.readable = valid_text(header.name)
    return header


def resize(header: TarHeader, name: str, size: int) -> bytes:
    """The header's blocks for content of `size` bytes under `name`; all other facts are kept."""
    if name == header.readable and "size" not in header.pax_headers:
        return header.blocks[:-BLOCK] + _with_size(header.blocks[-BLOCK:], size)
    renamed = TarHeader.frombuf(_with_size(header.blocks[-BLOCK:], 0), "utf-8", "surrogateescape")
    renamed.name = header.name if name == header.readable else name
    renamed.linkname, renamed.size = header.linkname, size
    records = {k: v for k, v in header.pax_headers.items() if k not in ("size", "path", "linkpath")}
    renamed.pax_headers = records
    gnu = header.blocks[-BLOCK:][257:265] == b"ustar  \0" and not records
    if gnu:
        block = renamed.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    else:
        block = renamed.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return _globals(header.blocks) + block


def _globals(blocks: bytes) -> bytes:
    """The global pax headers among the blocks: later members need them."""
    kept, position = [], 0
    while position < len(blocks) - BLOCK:
        part = tarfile.TarInfo.frombuf(blocks[position : position + BLOCK], "utf-8", "surrogateescape")
        end = position + BLOCK + part.size + -part.size % BLOCK
        if part.type == tarfile.XGLTYPE:
            kept.append(blocks[position:end])
        position = end
    return b"".join(kept)


def _with_size(block: bytes, size: int) -> bytes:
    """The header block with another size and the new checksum."""
    # Eleven octal digits reach to 8 GiB; larger sizes take GNU's binary form, which today's programs read.
    field = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block = block[:124] + field + block[136:]
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]
