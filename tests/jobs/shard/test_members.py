import io
from collections.abc import Iterator

from jobs.archives.open import ArchiveKind, read_archive
from jobs.config import Limits
from jobs.shard.members import Nested, members
from tests.samples import Item, archive, png

LIMITS = Limits(depth=1)


def walked(kind: ArchiveKind, data: bytes, name: str = "", depth: int = 0) -> Iterator[tuple[str, str, int]]:
    """The class, name and index of each member, with those of archives in archives."""
    for found in members(read_archive(kind, io.BytesIO(data), len(data)), LIMITS, name, depth):
        yield type(found).__name__, found.name, found.index
        if isinstance(found, Nested):
            with found.spooled() as inner:
                yield from walked(found.kind, inner.read(), found.name, found.depth)


def test_every_member_is_of_one_class_and_has_the_name_of_the_report() -> None:
    page = Item("a.png", png())
    deepest = archive("zip", [page])
    inner = archive("zip", [page, Item("deep.zip", deepest)])
    items = [
        page,
        Item("b/text.xml", b"<a/>"),
        Item("inner.ZIP", inner),
        Item("c.pdf"),
        Item("d.png", kind="link"),
    ]
    assert list(walked("tar", archive("tar", items))) == [
        ("PageMember", "a.png", 0),
        ("Carried", "b/text.xml", 1),
        ("Nested", "inner.ZIP", 2),
        ("PageMember", "inner.ZIP!/a.png", 0),
        ("Refused", "inner.ZIP!/deep.zip", 1),
        ("Refused", "c.pdf", 3),
        ("Refused", "d.png", 4),
    ]


def test_an_archive_holds_the_names_of_its_own_members() -> None:
    data = archive("zip", [Item("a.zip", archive("zip", []))])
    (nested,) = members(read_archive("zip", io.BytesIO(data), len(data)), LIMITS)
    assert isinstance(nested, Nested)
    assert nested.holds("a.zip!/b.png") and not nested.holds("a.zip") and not nested.holds("a.zipper!/b.png")
