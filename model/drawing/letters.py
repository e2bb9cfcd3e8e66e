"""Text that a face can draw: faces draw a box for a character that they lack."""

import unicodedata

from PIL import ImageFont

_LACKING = "\U0010fffe"
"""No face has this one: Unicode keeps it free for good."""


def built_in_face(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own face, which is the same on every machine; `size` is in pixels."""
    face = ImageFont.load_default(size)
    assert isinstance(face, ImageFont.FreeTypeFont)  # it is a bitmap face only where Pillow lacks FreeType
    return face


def drawable(text: str, face: ImageFont.FreeTypeFont) -> str:
    """The text with a plain form of what a face lacks: u for ü, No for №; without what has none.

    Args:
        text: one line.
        face: what is to draw it.
    """
    if text.isascii():
        return text
    box = _picture(_LACKING, face)

    def has(character: str) -> bool:
        return character.isascii() or _picture(character, face) != box

    def plain(character: str) -> str:
        parts = unicodedata.normalize("NFKD", character)
        return "".join(part for part in parts if not unicodedata.combining(part) and has(part))

    return "".join(one if has(one) else plain(one) for one in unicodedata.normalize("NFC", text))


def _picture(character: str, face: ImageFont.FreeTypeFont) -> tuple[tuple[int, int], bytes]:
    mask = face.getmask(character)
    return mask.size, bytes(mask)
