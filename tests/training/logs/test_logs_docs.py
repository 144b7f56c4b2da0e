"""docs/logs.md is held against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from training.datasets.simulator import PRESETS, SimulatorSettings, simulate
from training.logs.describe import as_text, describe
from training.logs.spec import LogSpec, load_spec

PAGE = Path(__file__).parents[3].joinpath("docs", "logs.md").read_text(encoding="utf-8")


def test_the_example_of_log_yaml_is_valid_and_names_every_field(tmp_path):
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    tmp_path.joinpath("log.yaml").write_text(example, encoding="utf-8")

    assert load_spec(tmp_path).stages == ("exposure", "click", "conversion")
    assert set(yaml.safe_load(example)) == set(LogSpec.model_fields)


@pytest.mark.parametrize("name", SimulatorSettings.model_fields)
def test_every_setting_of_the_simulator_is_listed_with_its_presets(name):
    cells = len(PRESETS) * r" \| (.*?)"
    [row] = re.findall(rf"^\| `--{name.replace('_', '-')}`{cells} \|", PAGE, re.MULTILINE)
    shown = [cell.replace(",", "") for cell in row]

    assert shown == [str(getattr(preset, name)) for preset in PRESETS.values()]


def test_the_description_shown_is_what_the_command_prints(tmp_path):
    """Up to 2%: another processor's last bits may decide a close ranking differently."""
    simulate(PRESETS["demo"], tmp_path / "log")
    [shown] = re.findall(r"describe demo/log\n(.*?)\n\$", PAGE, re.DOTALL)

    words, numbers = _taken_apart(as_text(describe(tmp_path / "log")))
    shown_words, shown_numbers = _taken_apart(shown)
    assert words == shown_words
    assert numbers == pytest.approx(shown_numbers, rel=0.02)


def _taken_apart(text: str) -> tuple[list[str], list[float]]:
    number = r"\d[\d,]*\.?\d*"
    words = re.sub(number, "#", text).split()
    return words, [float(found.replace(",", "")) for found in re.findall(number, text)]
