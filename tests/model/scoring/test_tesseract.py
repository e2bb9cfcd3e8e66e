"""Character error rates, transcriptions of all kinds, and Tesseract, which may be missing or fail."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from model.images import DataFault
from model.page import Page
from model.scoring.tesseract import (
    OcrFault,
    OcrMissing,
    character_error_rate,
    normalised,
    read_text,
    require_languages,
    transcription_of,
)

PAPER = np.full((40, 60), 255, np.uint8)


@pytest.mark.parametrize(
    ("read", "truth", "rate"),
    [
        ("pumice", "pumice", 0),
        ("pumic", "pumice", 1 / 6),
        ("pummice", "pumice", 1 / 6),
        ("pomice", "pumice", 1 / 6),
        ("kitten", "sitting", 3 / 7),
        ("", "pumice", 1),
        ("a long reading", "a", 13),
        ("", "", 0),
        ("dirt", " \n", 1),
        (" two\n\n words\t", "two words", 0),
        ("cafe\u0301", "caf\u00e9", 0),
    ],
)
def test_character_error_rate(read: str, truth: str, rate: float) -> None:
    assert character_error_rate(read, truth) == pytest.approx(rate)


@cache
def edits(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))


@given(st.text("abé", max_size=8), st.text("abé", min_size=1, max_size=8))
def test_character_error_rate_is_levenshteins(read: str, truth: str) -> None:
    assert character_error_rate(read, truth) * len(truth) == pytest.approx(edits(read, truth))


def test_text_is_compared_normalised() -> None:
    assert normalised("  e\u0301t\u00e9\f\n\u00a0x ") == "\u00e9t\u00e9 x"


ALTO = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Layout><Page><PrintSpace>
  <TextBlock><TextLine><Shape/>
  <String CONTENT="Une"/><SP/><String CONTENT="pier"/><HYP CONTENT="-"/></TextLine>
  <TextLine><String CONTENT="re &amp; ponce"/></TextLine></TextBlock>
</PrintSpace></Page></Layout></alto>"""
HOCR = """<!DOCTYPE html><html><head><title>not this</title></head><body>
<div class='ocr_page' title='bbox 0 0 9 9'><p class='ocr_par'>
<span class='ocr_line'><span class='ocrx_word'>Une</span><span
 class='ocrx_word'>pi<span class='ocrx_cinfo'>er</span></span></span>
<span class='ocr_line'>re &amp;<br>
ponce</span></p></div></body></html>"""


def beside(image: Path, ending: str, content: str | bytes) -> str | None:
    """What is found for an image when such a file lies beside it."""
    path = image.with_name(ending)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    text = transcription_of(image)
    path.unlink()
    return text


@pytest.mark.parametrize("name", ["p.txt", "p.gt.txt", "p.tif.txt", "p.tif.jpeg.txt"])
def test_plain_text_is_found_beside_its_image(tmp_path: Path, name: str) -> None:
    image = tmp_path / "p.tif.jpeg"
    assert transcription_of(image) is None
    assert beside(image, name, "\ufeffcafé\n") == "café\n"
    assert beside(image, "q.txt", "of another page") is None


def test_a_stem_with_a_dot_is_no_other_page(tmp_path: Path) -> None:
    assert beside(tmp_path / "p.2.png", "p.txt", "of page p") is None
    assert beside(tmp_path / "p.2.png", "p.2.txt", "of page p.2") == "of page p.2"


def test_alto_of_all_versions(tmp_path: Path) -> None:
    image = tmp_path / "p.png"
    assert beside(image, "p.xml", ALTO) == "Une pier-\nre & ponce"
    without_namespace = ALTO.replace(' xmlns="http://www.loc.gov/standards/alto/ns-v4#"', "")
    assert beside(image, "p.alto.xml", without_namespace) == "Une pier-\nre & ponce"


def test_hocr(tmp_path: Path) -> None:
    for name in ("p.hocr", "p.html"):
        text = beside(tmp_path / "p.png", name, HOCR)
        assert text is not None and text.splitlines() == ["Une pier", "re & ponce"]


def test_other_xml_and_html_is_passed_over(tmp_path: Path) -> None:
    image = tmp_path / "p.png"
    assert beside(image, "p.xml", "<mets><alto/></mets>") is None
    assert beside(image, "p.html", "<html><body>a web page</body></html>") is None
    (tmp_path / "p.xml").write_text("<metadata/>")
    assert beside(image, "p.hocr", HOCR) == "Une pier\nre & ponce"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("p.txt", b"caf\xe9", "no UTF-8"),
        ("p.hocr", b"caf\xe9", "no UTF-8"),
        ("p.xml", b"<alto><Layout>", "broken XML"),
        ("p.xml", b"<?xml version='1.0' encoding='runes'?><alto/>", "broken XML"),
        ("p.xml", b"<?xml version='1.0' encoding='shift_jis'?><alto/>", "broken XML"),
    ],
)
def test_transcriptions_that_cant_be_read_are_named(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    with pytest.raises(DataFault, match=why) as caught:
        beside(tmp_path / "p.png", name, content)
    assert str(tmp_path / name) in str(caught.value)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a program called tesseract is looked for, and nowhere else."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "tesseract"


def script(program: Path, *lines: str) -> None:
    program.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    program.chmod(0o755)


def test_no_tesseract_is_a_sentence_with_the_remedy(program: Path) -> None:
    for call in (lambda: read_text(PAPER), lambda: require_languages("eng")):
        with pytest.raises(OcrMissing, match="apt install tesseract-ocr$"):
            call()


def test_tesseract_is_told_all_and_runs_on_one_thread(program: Path) -> None:
    script(program, 'echo "$OMP_THREAD_LIMIT" "$@"')
    assert read_text(PAPER, 299.6, "fra+lat") == "1 stdin stdout -l fra+lat --dpi 300"
    assert read_text(np.stack([PAPER] * 3, axis=-1)) == "1 stdin stdout -l eng"


def test_tesseract_gets_the_pages_pixels(program: Path, tmp_path: Path) -> None:
    script(program, f"/bin/cat > {tmp_path}/page.png")
    colours = np.zeros((5, 7, 3), np.uint8)
    colours[..., 0], colours[2] = 200, 90
    for page in (PAPER, colours):
        assert read_text(page) == ""
        with Image.open(tmp_path / "page.png") as image:
            assert (np.asarray(image) == page).all()


def test_what_tesseract_complains_of_is_told(program: Path) -> None:
    script(program, "echo first >&2", "echo 'Image too large' >&2", "exit 1")
    with pytest.raises(OcrFault, match="^Tesseract failed: Image too large$"):
        read_text(PAPER)
    script(program, "exit 3")
    with pytest.raises(OcrFault, match="exit code 3"):
        read_text(PAPER)


def test_languages_must_be_installed(program: Path) -> None:
    script(program, "echo 'List of available languages in \"/usr/share\" (2):'", "echo eng", "echo fra")
    require_languages("eng+fra")
    with pytest.raises(OcrMissing, match="'chi_sim': apt install tesseract-ocr-chi-sim"):
        require_languages("eng+chi_sim")
    with pytest.raises(OcrMissing):
        require_languages("available")


def printed(text: str) -> Page:
    image = Image.new("L", (900, 120), 255)
    ImageDraw.Draw(image).text((30, 30), text, fill=0, font=ImageFont.load_default(44))
    return np.asarray(image)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_reads_print_and_no_noise() -> None:
    require_languages("eng")
    text = "Scribes rubbed parchment clean"
    page = printed(text)
    assert character_error_rate(read_text(page, 300), text) < 0.1
    noise = np.random.default_rng(0).integers(0, 256, page.shape, np.uint8)
    assert character_error_rate(read_text(noise, 300), text) > 0.7
    with pytest.raises(OcrFault):
        read_text(page, languages="nolanguage")
