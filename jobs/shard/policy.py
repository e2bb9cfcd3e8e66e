"""What Pumice leaves alone on purpose, and the words for it."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from jobs.archives.open import ArchiveKind, Member, is_safe_name
from jobs.codecs.codec import Document
from jobs.config import Limits
from jobs.errors import PageError
from jobs.ledger.plan import Rejected

POLICY = {
    "animated",
    "member_encrypted",
    "member_unsupported",
    "nested_too_deep",
    "not_a_file",
    "rejected",
    "suspected",
    "too_large",
    "unlike_training",
    "unsafe_name",
    "unsupported_format",
    "unsupported_mode",
}
"""Codes of pages that Pumice leaves alone although nothing is wrong with them; all others mean a fault."""

FAULTS = {
    "archive_corrupt",
    "archive_too_many_members",
    "archive_truncated",
    "archive_unsupported",
    "member_corrupt",
    "unreadable",
}
"""All others."""

# A byte that is no text, as `Member.name` shows it; its backslash separates no folders.
_ESCAPE = re.compile(r"\\x[0-9a-f]{2}")


def refusal(
    member: Member, format: str | None, kind: ArchiveKind | None, depth: int, limits: Limits
) -> PageError | None:
    """Why a member is to be copied without being opened, or None.

    Args:
        member: the member.
        format: of a page, as `sniff` names it.
        kind: of an archive, by the member's name.
        depth: how many archives are around the member's.
        limits: the bounds.
    """
    if member.kind == "directory":
        return None
    if member.kind != "file":
        what = "link" if member.kind == "link" else "device or sparse file"
        return PageError("not_a_file", f"It is a {what}, not a plain file.")
    if not is_safe_name(_ESCAPE.sub("_", member.name)):
        return PageError("unsafe_name", "Its name leads out of the folder that the archive is unpacked in.")
    if format is not None:
        return _page_refusal(format, member.size, limits)
    return _archive_refusal(member.size, depth, limits) if kind else None


def keep_rejected(
    document: Document, name: str, index: int, data: bytes, rejected: Sequence[Rejected]
) -> Document:
    """The document with those frames refused whose originals are to stay.

    Args:
        document: what `inspect` said of the file.
        name: of the file, as the report has it.
        index: of the file among the members, likewise.
        data: its bytes.
        rejected: pages of its shard.
    """
    here = [one for one in rejected if (one.member, one.member_index) == (name, index)]
    if not here:
        return document
    digest = hashlib.sha256(data).hexdigest()
    kept = {one.page_index for one in here if one.source_sha256 == digest}
    error = PageError("rejected", "A reviewer rejected the cleaned page: its original stays.")
    frames = (
        replace(frame, refused=frame.refused or error) if number in kept else frame
        for number, frame in enumerate(document.frames)
    )
    return replace(document, frames=tuple(frames))


def _page_refusal(format: str, size: int, limits: Limits) -> PageError | None:
    if format == "PDF":
        return PageError("unsupported_format", "PDF files aren't cleaned.")
    if size > limits.member_bytes:
        return PageError("too_large", f"The file has {size:,} bytes: more than Pumice decodes.")
    return None


def _archive_refusal(size: int, depth: int, limits: Limits) -> PageError | None:
    if depth >= limits.depth:
        return PageError("nested_too_deep", f"It is an archive within {depth + 1} others.")
    if size > limits.nested_bytes:
        return PageError("too_large", f"It is an archive of {size:,} bytes within an archive.")
    return None
