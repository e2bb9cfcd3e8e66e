"""Text that others made, in a form that every file and terminal can take."""

import re

# Surrogates, without those that stand for bytes.
_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def valid_text(text: str) -> str:
    r"""The text as valid Unicode: bytes that are not UTF-8 become `\xe9`, other surrogates `\ud800`."""
    valid = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return valid.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def one_line(text: str) -> str:
    """A text as one line without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)
