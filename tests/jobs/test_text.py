from jobs.text import one_line, valid_text


def test_what_is_no_text_is_shown_as_what_it_is() -> None:
    assert valid_text("b\udce9t\u00e9") == "b\\xe9t\u00e9"
    assert valid_text("\ud800 \udfff") == "\\ud800 \\udfff"


def test_a_line_has_nothing_that_a_terminal_obeys() -> None:
    assert one_line("a\x1b[31m\nb\u00e9") == "a [31m b\u00e9"
