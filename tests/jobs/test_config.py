import pickle
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
    expected = CleanOptions(
        model=tmp_path / "é" / "w.safetensors", device="cpu", address="auto", max_attempts=7
    )
    assert options == expected


def test_a_model_by_its_whole_path_stays_where_it_is(tmp_path: Path) -> None:
    assert load_options(toml(tmp_path, 'model = "/w.safetensors"'), {}).model == Path("/w.safetensors")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max-attemps = 3", "the option max-attemps is unknown: use one of address"),
        ('device = "tpu"', "device is 'tpu': it should be 'auto', 'cpu' or 'cuda'"),
        ("device = 3", "device is 3: it should be 'auto', 'cpu' or 'cuda'"),
        ("max_attempts = 0", "max-attempts is 0: it should be greater than or equal to 1"),
        ("max_attempts = true", "max-attempts is True: it should be a whole number"),
        ("max_attempts = 1.5", "max-attempts is 1.5: it should be a whole number"),
        ("also-cpu = 1", "also-cpu is 1: it should be true or false"),
        ('also-cpu = "true"', "it should be true or false"),
        ('also-cpu = true\ndevice = "cpu"', "leave one of them out"),
        ("gpus-per-actor = 0", "it should be greater than 0"),
        ("gpus-per-actor = nan", "it should be less than or equal to 1"),
        ("gpus-per-actor = 1.01", "it should be less than or equal to 1"),
        ("model = 3", "model is 3: it should be the path of a file"),
        ("[device]", "it should be 'auto', 'cpu' or 'cuda'"),
        ("address = 7", "address is 7: it should be a text"),
        ("device = ", "is no TOML"),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_options(toml(tmp_path, text), {})
    assert str(tmp_path / "job.toml") in str(caught.value) or "leave one" in words
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_file_that_cant_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match=f"{path} of --config can't be read"):
            load_options(path, {})
    (tmp_path / "job.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is no TOML"):
        load_options(tmp_path / "job.toml", {})


@pytest.mark.parametrize("given", [{"nope": 1}, {"max_attempts": "3"}, {"model": "w.safetensors"}])
def test_the_command_line_is_checked_too(given: dict[str, Any], tmp_path: Path) -> None:
    (name,) = given
    with pytest.raises(InputError, match=f"^(the option )?{name.replace('_', '-')} is "):
        load_options(toml(tmp_path, 'device = "cpu"'), given)


def test_cores_beside_gpus_are_another_recipe_and_nothing_else_is(tmp_path: Path) -> None:
    options = load_options(toml(tmp_path, "also-cpu = true"), {"device": "cuda"})
    assert options == CleanOptions(device="cuda", also_cpu=True)
    assert options.recipe("w") == Recipe("w", devices="mixed")
    alike = {CleanOptions(device=device).recipe("w").fingerprint for device in ("auto", "cpu", "cuda")}
    assert alike == {Recipe("w").fingerprint} != {options.recipe("w").fingerprint}
    assert Recipe("a", tile=4096, output_version=2).fingerprint == "df5fbb78ff5efb61", "as it always was"


@pytest.mark.parametrize(
    ("given", "fingerprint"),
    [
        ({}, "ae379eae126fc937"),
        ({"also_cpu": True}, "a1fe68e980c2d01c"),
        ({"on_suspicion": "blend"}, "338aae8e402ee4d5"),
        ({"on_suspicion": "keep-original", "also_cpu": True}, "4019a38e2fe2c42a"),
        (
            {"device": "cpu", "recipe_changed": "redo", "gpus_per_actor": 0.5, "max_attempts": 9},
            "ae379eae126fc937",
        ),
    ],
)
def test_a_fingerprint_is_what_commits_made_before_hold(given: dict[str, Any], fingerprint: str) -> None:
    recipe = CleanOptions(**given).recipe("ab" * 32)
    assert replace(recipe, tile=4096, output_version=10).fingerprint == fingerprint


def test_options_travel_to_workers_and_records_whole() -> None:
    options = CleanOptions(device="cuda", also_cpu=True, shard_timeout=20, address="auto")
    assert pickle.loads(pickle.dumps(options)) == options
    assert options.model_dump(exclude={"model"}) == {
        "device": "cuda", "address": "auto", "gpus_per_actor": 1.0, "also_cpu": True, "max_attempts": 3,
        "shard_timeout": 20.0, "max_failed_pages": 0.5, "recipe_changed": "keep", "on_suspicion": "flag",
    }  # fmt: skip


def test_wrong_options_are_refused_in_python_too() -> None:
    with pytest.raises(InputError, match="device is 'tpu'"):
        CleanOptions(device="tpu")  # type: ignore[arg-type]


def test_a_fingerprint_changes_with_all_that_changes_bytes() -> None:
    recipes = [Recipe("a"), Recipe("b"), Recipe("a", tile=8), Recipe("a", output_version=99)]
    assert len({recipe.fingerprint for recipe in recipes}) == 4
    assert Recipe("a").fingerprint == recipes[0].fingerprint
    assert len(Recipe("a").fingerprint) == 16
