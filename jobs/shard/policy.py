"""Which pages Pumice does not clean on purpose, and the error codes for them."""

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
"""Codes of pages that have no fault and are not cleaned."""

FAULTS = {
    "archive_corrupt",
    "archive_too_many_members",
    "archive_truncated",
    "archive_unsupported",
    "member_corrupt",
    "unreadable",
}
"""All other codes: they mean a fault."""

# A byte that is not UTF-8, as `Member.name` has it; its backslash separates no folders.
_ESCAPE = re.compile(r"\\x[0-9a-f]{2}")


def refusal(
    member: Member, format: str | None, kind: ArchiveKind | None, depth: int, limits: Limits
) -> PageError | None:
    """Why a member must be copied without being opened, or None.

    Args:
        member: the member.
        format: the format of a page, as `sniff` names it; None if it is no page.
        kind: the kind of an archive, by the member's name; None if it is no archive.
        depth: how many archives are around the one that holds the member.
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
    """The document with `refused` set for the frames that reviewers rejected: their originals stay.

    Args:
        document: what `inspect` returned for the file.
        name: the file's name, as the report has it.
        index: the file's position among the members, from 0.
        data: the file's bytes.
        rejected: the rejected pages of the shard.
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
