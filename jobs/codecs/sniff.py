"""What kind of file is this? By its first bytes, then by its name."""

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
    """Tell the format of a file.

    Args:
        name: its name; decides only where the content doesn't.
        head: its first bytes; 30 are enough.

    Returns:
        "PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000" or "PDF"; None for what is no scan.
        A file that is only named like an image gets that format: it shall become an unreadable page with
        a row in the report, not a silent copy.
    """
    for magic, format_ in _MAGIC:
        if head.startswith(magic):
            return format_
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    # Two letters are little: BMP's reserved zeros, or PPM's white space, must follow.
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] and head[2:3] in b" \t\r\n#":
        return "PPM"
    return _EXTENSIONS.get(name.rpartition(".")[2].lower()) if "." in name else None
