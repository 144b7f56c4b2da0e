"""docs/licences.md: the licence of every package that the images carry, as its own metadata says.

    python deploy/licences.py > docs/licences.md      with all extras installed

Decisions
- The packages are those that deploy/constraints.txt pins, and torch, which pyproject.toml pins.
- A test compares the page with the pins; the metadata is read here only, by who renews the pins.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
IMAGES = {
    "service": ["service", "tracing"],
    "training": ["training", "index"],
    "loadtests": ["loadtests"],
}
NOT_HERE = {  # async-timeout is for Python before 3.11.3 only, the rest are rivals of a benchmark
    **dict.fromkeys(("async-timeout", "hnswlib", "numkong", "scann"), "Apache-2.0"),
    **dict.fromkeys(("usearch", "voyager"), "Apache-2.0"),
}
SHORT = 60  # a longer "License" is the text itself
TOP = """# Licences

Of the packages that the images carry, as their metadata says; renewed with the pins by
`python deploy/licences.py > docs/licences.md`. All may be used and passed on unchanged; whoever
changes a file of a package under the MPL-2.0 passes the change on too. Base images and Redis have
licences of their own.

| package | licence | images |
|---|---|---|"""


def main() -> None:
    """Print the page."""
    images = {name: closure(requirements_of(*extras)) for name, extras in IMAGES.items()}
    print(TOP)
    for package in shipped():
        carrying = ", ".join(name for name, found in images.items() if package in found)
        print(f"| {package} | {licence(package)} | {carrying or '-'} |")


def shipped() -> list[str]:
    """Names of all packages, sorted."""
    lines = (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    return sorted([line.split("==")[0] for line in lines if line and line[0] != "#"] + ["torch"])


def requirements_of(*extras: str) -> list[str]:
    """What this project asks for, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return project["dependencies"] + [text for extra in extras for text in optional[extra]]


def closure(requirements: Iterable[str]) -> dict[str, str]:
    """Name → version of these requirements and all that they require, as installed here."""
    found: dict[str, str] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name not in found and _applies(requirement):
            found[name] = version(name)
            waiting += [Requirement(text) for text in requires(name) or ()]
    return found


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def licence(package: str) -> str:
    """What the package says of itself: an expression, a name, or its classifiers."""
    try:
        said = metadata(package)
    except PackageNotFoundError:
        return NOT_HERE[package]
    classifiers = [
        each.split(" :: ")[-1]
        for each in said.get_all("Classifier") or []
        if each.startswith("License :: OSI Approved :: ")
    ]
    name = said.get("License") or ""
    short = name if "\n" not in name and len(name) < SHORT else ""
    return said.get("License-Expression") or short or " and ".join(classifiers)


if __name__ == "__main__":
    main()
