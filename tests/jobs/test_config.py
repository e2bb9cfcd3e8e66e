from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.config import CleanOptions, Recipe, load_options
from jobs.errors import InputError


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_anything_the_defaults_hold() -> None:
    assert load_options(None, {}) == CleanOptions()


def test_a_file_sets_options_and_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    path = toml(tmp_path, 'device = "cpu"\nmax-attempts = 5\ngpus_per_actor = 1\nmodel = "é/w.safetensors"')
    options = load_options(path, {"max_attempts": 7, "address": "auto"})
    expected = CleanOptions(model=tmp_path / "é" / "w.safetensors", device="cpu", address="auto")
    assert options == replace(expected, max_attempts=7)


def test_a_model_by_its_whole_path_stays_where_it_is(tmp_path: Path) -> None:
    assert load_options(toml(tmp_path, 'model = "/w.safetensors"'), {}).model == Path("/w.safetensors")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max-attemps = 3", "'max_attemps', which is unknown: use one of address"),
        ('device = "tpu"', "'tpu' is unknown: use auto, cpu or cuda"),
        ("device = 3", "device to 3: give a text"),
        ("max_attempts = 0", "max-attempts is 0: use 1 or more"),
        ("max_attempts = true", "max_attempts to True: give a whole number"),
        ("max_attempts = 1.5", "give a whole number"),
        ("also-cpu = 1", "also_cpu to 1: give true or false"),
        ('also-cpu = "true"', "give true or false"),
        ('also-cpu = true\ndevice = "cpu"', "leave one of them out"),
        ("gpus-per-actor = 0", "use a share above 0 and up to 1"),
        ("gpus-per-actor = nan", "use a share above 0 and up to 1"),
        ("gpus-per-actor = 1.01", "use a share above 0 and up to 1"),
        ("model = 3", "give the path of a file"),
        ("[device]", "give a text"),
        ("device = ", "is no TOML"),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_options(toml(tmp_path, text), {})
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_file_that_cant_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match=f"{path} of --config can't be read"):
            load_options(path, {})
    (tmp_path / "job.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no TOML"):
        load_options(tmp_path / "job.toml", {})


@pytest.mark.parametrize("given", [{"nope": 1}, {"max_attempts": "3"}, {"model": "w.safetensors"}])
def test_the_command_line_is_checked_too(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="The command line"):
        load_options(None, given)


def test_cores_beside_gpus_are_another_recipe_and_nothing_else_is(tmp_path: Path) -> None:
    options = load_options(toml(tmp_path, "also-cpu = true"), {"device": "cuda"})
    assert options == CleanOptions(device="cuda", also_cpu=True)
    assert options.recipe("w") == Recipe("w", devices="mixed")
    alike = {CleanOptions(device=device).recipe("w").fingerprint for device in ("auto", "cpu", "cuda")}
    assert alike == {Recipe("w").fingerprint} != {options.recipe("w").fingerprint}
    assert Recipe("a", tile=4096, output_version=2).fingerprint == "df5fbb78ff5efb61", "as it always was"


def test_a_fingerprint_changes_with_all_that_changes_bytes() -> None:
    recipes = [Recipe("a"), Recipe("b"), Recipe("a", tile=8), Recipe("a", output_version=99)]
    assert len({recipe.fingerprint for recipe in recipes}) == 4
    assert Recipe("a").fingerprint == recipes[0].fingerprint
    assert len(Recipe("a").fingerprint) == 16
