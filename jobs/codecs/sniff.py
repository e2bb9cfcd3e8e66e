"""The format of an image file, by its first bytes and then by its name."""

_EXTENSIONS = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "jpe": "JPEG",
    "tif": "TIFF",
    "tiff": "TIFF",
    "bmp": "BMP",
    "gif": "GIF",
    "ppm": "PPM",
    "pgm": "PPM",
    "pbm": "PPM",
    "pnm": "PPM",
    "webp": "WEBP",
    "jp2": "JPEG2000",
    "j2k": "JPEG2000",
    "jpc": "JPEG2000",
    "jpx": "JPEG2000",
    "pdf": "PDF",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"%PDF-", "PDF"),
)


def sniff(name: str, head: bytes) -> str | None:
    """The format of a file.

    Args:
        name: its name; used only if the content is not known.
        head: its first bytes; 30 are enough.

    Returns:
        "PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000" or "PDF"; None for other files.
        A file that only has the name of an image gets that format, so that it becomes an unreadable page with
        a row in the report.
    """
    for magic, format_ in _MAGIC:
        if head.startswith(magic):
            return format_
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    # Two letters are not enough: BMP's reserved zeros or PPM's white space must follow.
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] and head[2:3] in b" \t\r\n#":
        return "PPM"
    return _EXTENSIONS.get(name.rpartition(".")[2].lower()) if "." in name else None
