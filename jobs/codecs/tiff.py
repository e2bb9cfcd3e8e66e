"""TIFF as a container: finds its frames, takes one out, joins frames.

Pillow only decodes and encodes the pixels of one frame. Tags, pages and their order are handled here, so that
each tag keeps its value and type. Values are kept little-endian.
"""

import struct
from dataclasses import dataclass, replace

import numpy as np

from jobs.errors import PageError

MAX_FRAMES = 10_000
_MAX_TAGS = 4096
_MAX_NUMBERS = 1 << 20
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4} | {
    16: 8,
    17: 8,
    18: 8,
}
_UNITS = _SIZES | {5: 4, 10: 4}  # units of byte order: rationals are two longs
_SHORT, _LONG = 3, 4
_WIDE = {16: 4, 17: 9, 18: 4}  # BigTIFF's 8-byte types -> the same types with 4 bytes
_PIECES = {273: 279, 324: 325}  # offsets of strips or tiles -> their lengths
_BITS, _COMPRESSION, _OLD_JPEG = 258, 259, 6
_CHILDREN = (34665, 34853)  # EXIF and GPS: directories of their own
_MAX_FILE = 0xFFFFFFFF
# Tags that say how pixels are stored: the encoder writes them, they are not copied from the source.
STRUCTURE = frozenset(
    [255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291]
    + [292, 293, 301, 317, 318, 319, 320, *range(321, 331), 338, 339, 340, 341, 342, 347, *range(512, 522)]
    + [529, 530, 531, 532, 40965]
)


@dataclass(frozen=True)
class Tag:
    """One tag: number, type, the value's bytes (little-endian); `children` for EXIF and GPS."""

    number: int
    type: int
    value: bytes
    children: tuple["Tag", ...] = ()

    @property
    def ints(self) -> tuple[int, ...]:
        """The value as unsigned numbers; raises PageError if they are more than any page has strips."""
        size = _UNITS[self.type]
        if len(self.value) > _MAX_NUMBERS * size:
            raise PageError("unreadable", "The TIFF has a list of more than a million numbers.")
        return tuple(
            int.from_bytes(self.value[i : i + size], "little") for i in range(0, len(self.value), size)
        )


@dataclass(frozen=True)
class Frame:
    """One frame: its tags and its compressed pixels; `order` is the byte order of samples over 8 bits."""

    tags: tuple[Tag, ...]
    pieces: tuple[bytes, ...]
    order: str

    def ints(self, number: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A tag's numbers; `default` if the frame doesn't have the tag."""
        return next((tag.ints for tag in self.tags if tag.number == number), default)


class Tiff:
    """A TIFF or BigTIFF in memory; raises PageError("unreadable") if it contradicts itself."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
        if not self.order:
            raise PageError("unreadable", "The TIFF has no header.")
        big = self._number(2, 2) == 43  # noqa: PLR2004 - the magic number of BigTIFF; 42 is TIFF's
        # BigTIFF has more bytes: in offsets and counts, in a directory's head, in an entry.
        self._wide, self._head, self._step = (8, 8, 20) if big else (4, 2, 12)
        self._offset_format = self.order + ("Q" if big else "L")

    def offsets(self) -> tuple[int, ...]:
        """The offset of each frame's directory, in order; ends if the chain comes back to one it had."""
        found: dict[int, None] = {}
        offset = self._number(self._wide, self._wide)
        while offset and offset not in found:
            if len(found) >= MAX_FRAMES:
                raise PageError("too_large", f"The TIFF has more than {MAX_FRAMES:,} pages.")
            found[offset] = None
            count = self._count(offset)
            offset = self._number(offset + self._head + count * self._step, self._wide)
        return tuple(found)

    def header_for(self, offset: int) -> tuple[int, bytes]:
        """(position, bytes) to write into the file to make the directory at `offset` its first."""
        return self._wide, struct.pack(self._offset_format, offset)

    def tags(self, offset: int) -> tuple[Tag, ...]:
        """Read the directory at `offset`, with its EXIF and GPS directories."""
        # All values together can't be longer than the file: many tags that share a long value are an attack.
        return self._directory(offset, [len(self._data)], deep=True)

    def frame(self, offset: int) -> Frame:
        """One frame, with its compressed pixels unchanged."""
        tags = self.tags(offset)
        frame = Frame(tags, (), self.order)
        if frame.ints(_COMPRESSION) == (_OLD_JPEG,):
            raise PageError("unsupported_mode", "Old-style JPEG in TIFF can't be taken out of its file.")
        places = self._places(frame)
        if not places or sum(size for _, size in places) > len(self._data):
            raise PageError("unreadable", "The TIFF's pixels aren't where it says.")
        return replace(frame, pieces=tuple(self._slice(at, size) for at, size in places))

    def check_pieces(self, tags: tuple[Tag, ...]) -> None:
        """Refuse a frame if some pixels are not in the file: libtiff would invent those that a fax lacks."""
        if any(at + size > len(self._data) for at, size in self._places(Frame(tags, (), self.order))):
            raise PageError("unreadable", "The TIFF is cut off: not all of the pixels are there.")

    @staticmethod
    def _places(frame: Frame) -> tuple[tuple[int, int], ...]:
        """(start, size) of each strip or tile; empty if the tags contradict each other."""
        starts, sizes = next(
            ((frame.ints(at), frame.ints(size)) for at, size in _PIECES.items() if frame.ints(at)), ((), ())
        )
        return tuple(zip(starts, sizes, strict=True)) if len(starts) == len(sizes) else ()

    def _directory(self, offset: int, budget: list[int], *, deep: bool) -> tuple[Tag, ...]:
        count, tags = self._count(offset), []
        first = offset + self._head
        for at in range(first, first + count * self._step, self._step):
            number, type_ = self._number(at, 2), self._number(at + 2, 2)
            size = _SIZES.get(type_, 0) * self._number(at + 4, self._wide)
            budget[0] -= size
            if budget[0] < 0:
                raise PageError("unreadable", "The TIFF's tags are longer than the file.")
            where = at + 4 + self._wide
            value = self._slice(where if size <= self._wide else self._number(where, self._wide), size)
            if not size:
                continue  # an unknown type, or nothing
            tag = _narrow(Tag(number, type_, _swapped(value, type_, self.order)))
            if number in _CHILDREN:
                if deep:
                    tags.append(replace(tag, children=self._directory(tag.ints[0], budget, deep=False)))
                continue
            tags.append(tag)
        return tuple(tags)

    def _count(self, offset: int) -> int:
        count = self._number(offset, self._head)
        if not 0 < count <= _MAX_TAGS:
            raise PageError("unreadable", "The TIFF has a page without a sensible number of tags.")
        return count

    def _number(self, offset: int, size: int) -> int:
        return int.from_bytes(self._slice(offset, size), "little" if self.order == "<" else "big")

    def _slice(self, offset: int, size: int) -> bytes:
        if offset + size > len(self._data):
            raise PageError("unreadable", "The TIFF is cut off, or points behind its end.")
        return self._data[offset : offset + size]


def _swapped(value: bytes, type_: int, order: str) -> bytes:
    unit = _UNITS.get(type_, 1)
    if order == "<" or unit == 1:
        return value
    return np.frombuffer(value, f"u{unit}").byteswap().tobytes()


def _narrow(tag: Tag) -> Tag:
    """The tag with 4-byte numbers instead of 8-byte ones if they fit, because classic TIFF is written."""
    if tag.type not in _WIDE or max(tag.ints) > _MAX_FILE:
        return tag
    return Tag(tag.number, _WIDE[tag.type], struct.pack(f"<{len(tag.ints)}L", *tag.ints))


def join(frames: list[Frame]) -> bytes:
    """Write frames into one classic TIFF, in order.

    Raises:
        PageError: too_large beyond 4 GiB; unsupported_mode if frames with samples longer than a byte have
            different byte orders, which one file can't hold.
    """
    orders = {frame.order for frame in frames if max(frame.ints(_BITS, (1,))) > 8}  # noqa: PLR2004 - bits
    if len(orders) > 1:
        raise PageError("unsupported_mode", "Pages of both byte orders can't share one TIFF.")
    out = _Out(orders.pop() if orders else "<")
    out.add(b"II*\0" if out.order == "<" else b"MM\0*")
    link = out.add(bytes(4))
    for frame in frames:
        link = out.frame(frame, link)
    if out.size > _MAX_FILE:
        raise PageError("too_large", "The pages together are longer than the 4 GiB that a TIFF can have.")
    return b"".join(out.parts)


class _Out:
    """A TIFF that is being written: its parts, and their size so far."""

    def __init__(self, order: str) -> None:
        self.order, self.parts, self.size = order, list[bytes](), 0

    def add(self, data: bytes) -> int:
        """Append a part; returns its index."""
        self.parts.append(data)
        self.size += len(data)
        return len(self.parts) - 1

    def frame(self, frame: Frame, link: int) -> int:
        """Append a frame and set the part `link` to its offset; returns the part for the next link."""
        starts = []
        for piece in frame.pieces:
            starts.append(self.size)
            self.add(piece + bytes(len(piece) % 2))
        at = next((at for at in _PIECES if frame.ints(at)), 273)
        placed = {at: _longs(at, starts), _PIECES[at]: _longs(_PIECES[at], [len(p) for p in frame.pieces])}
        return self._directory([placed.get(tag.number, tag) for tag in frame.tags], link)

    def _directory(self, tags: list[Tag], link: int) -> int:
        entries = []
        for tag in sorted(tags, key=lambda tag: tag.number):
            value = _swapped(tag.value, tag.type, self.order)
            if tag.children:
                child = self.add(bytes(4))
                self._directory(list(tag.children), child)
                value = self.parts[child]
            count = len(tag.value) // _SIZES[tag.type]
            if len(value) > 4:  # noqa: PLR2004 - what fits in the entry itself
                value, long_value = struct.pack(self.order + "L", self.size & _MAX_FILE), value
                self.add(long_value + bytes(len(long_value) % 2))
            entries.append(
                struct.pack(self.order + "HHL", tag.number, tag.type, count) + value.ljust(4, b"\0")
            )
        self.parts[link] = struct.pack(self.order + "L", self.size & _MAX_FILE)
        self.add(struct.pack(self.order + "H", len(entries)) + b"".join(entries))
        return self.add(bytes(4))


def _longs(number: int, values: list[int]) -> Tag:
    return Tag(number, _LONG, b"".join(struct.pack("<L", value & _MAX_FILE) for value in values))
