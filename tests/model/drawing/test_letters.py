import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.drawing.letters import built_in_face, drawable
from model.drawing.pages import _WORDS


def face() -> ImageFont.FreeTypeFont:
    return built_in_face(20)


def picture(text: str) -> bytes:
    image = Image.new("L", (60, 40))
    ImageDraw.Draw(image).text((5, 5), text, fill=255, font=face())
    return np.asarray(image).tobytes()


def test_what_the_face_has_is_drawn_as_it_is() -> None:
    assert drawable("Zurich 1847, 3.10 (b)", face()) == "Zurich 1847, 3.10 (b)"


def test_what_it_lacks_gets_a_plain_form_or_goes() -> None:
    assert drawable("中Zu\u0308rich", face()).lstrip("中") in ("Zürich", "Zurich")
    assert drawable("中文 № 7", face()) == " No 7"


def test_no_word_of_drawn_pages_has_a_box() -> None:
    box = picture("\U0010fffe")
    assert box != picture("")
    letters = {
        letter for word in _WORDS for form in (word, word.upper()) for letter in drawable(form, face())
    }
    assert not [letter for letter in letters if picture(letter) == box]
