"""The walls of the house: who may import whom, and what each process never loads."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_python(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_import_rules_of_pyproject_hold():
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert checked.returncode == 0, checked.stdout
    assert "0 broken" in checked.stdout


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("service.app", ("torch", "training", "index_builder", "pyarrow", "polars")),
        ("service.operators.cli", ("torch", "faiss", "onnxruntime")),
        ("service.operators.features", ("torch", "faiss", "onnxruntime", "pyarrow")),
        ("index_builder.cli", ("torch", "training", "service", "fastapi", "redis")),
        ("training.logs.cli", ("torch", "service", "index_builder", "faiss")),
        ("bundle.store", ("torch", "onnxruntime", "faiss", "training", "service")),
        ("bundle.towers", ("torch", "faiss")),
    ],
)
def test_a_program_loads_nothing_that_belongs_to_another(module, never):
    loaded = run_python(f"import sys, {module}; print(*sys.modules)").split()
    assert not {name.partition(".")[0] for name in loaded} & set(never)


def test_nothing_of_ours_reads_or_writes_a_pickle():
    sources = [
        path
        for package in ("bundle", "service", "index_builder", "training")
        for path in (ROOT / package).rglob("*.py")
    ]
    assert sources
    for path in sources:
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "allow_pickle=True" not in text, path
        assert "weights_only=False" not in text, path
