"""The documentation is true: settings, metrics, refusals and commands are those of the code."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service import cli
from service.api import schemas, weights_schemas
from service.app import create_app
from service.operators import cli as ops
from service.settings import Settings, describe_settings, unknown_variables, variable
from service.watch.scrape import AGE, AGE_HELP
from service.watch.telemetry import Telemetry

DOCS = Path(__file__).parents[2] / "docs"
SERVICE = Path(__file__).parents[2] / "service"


def table_rows(page, start):
    """Cells of the table rows of a page whose first cell is code that begins with `start`."""
    rows = re.findall(rf"^\| `({start}\w*)` \|(.*)\|$", (DOCS / page).read_text(), re.MULTILINE)
    return [(name, *(cell.strip().strip("`") for cell in rest.split("|"))) for name, rest in rows]


def test_the_page_of_settings_is_what_the_command_prints():
    described = [(name, default or "empty", text) for name, default, text in describe_settings()]
    assert described == table_rows("operations.md", "CSMF_")


def test_the_page_of_metrics_is_what_the_service_exposes():
    exposed = {(AGE, "gauge", "", AGE_HELP)}
    for collector in Telemetry().registry._collector_to_names:
        (metric,) = collector.describe()
        name = metric.name + ("_total" if metric.type == "counter" else "")
        exposed.add((name, metric.type, ", ".join(collector._labelnames), metric.documentation))
    assert exposed == set(table_rows("operations.md", "csmf_"))


def test_every_code_of_a_refusal_is_documented():
    source = "".join(file.read_text() for file in sorted((SERVICE / "api").glob("*.py")))
    codes = set(re.findall(r'ApiError\(\s*\d+, "(\w+)"', source))
    documented = re.search(r"\| status \| code.*", (DOCS / "api.md").read_text(), re.DOTALL)
    assert codes == set(re.findall(r"`([a-z]+_[a-z_]+|internal|overloaded)`", documented.group()))


def test_the_examples_of_the_api_page_are_true(open_client):
    """The page's answers come from the tests' own release, with the paper's weights set once."""
    client = open_client()
    weights = {"exposure": 1, "click": 1.8, "conversion": 1.2}
    change = {"weights": weights, "author": "ana", "reason": "as in the paper"}
    client.put("/scenarios/feed/weights", json=change)
    page = (DOCS / "api.md").read_text()
    asked = re.findall(r"-d '(\{.*?\})'\n", page, re.DOTALL)
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert len(asked) == len(shown) == 2
    for body, example in zip(asked, shown, strict=True):
        answer = client.post("/retrieve", json=json.loads(body)).json()
        if timings := answer.pop("timings_ms", None):
            assert timings.keys() == example.pop("timings_ms").keys()
            scores = [example.pop("scores"), *example.pop("objective_scores").values()]
            found = [answer.pop("scores"), *answer.pop("objective_scores").values()]
            np.testing.assert_allclose(found, scores, atol=1e-4)
        if "error" in example:
            assert answer["error"].pop("request_id")
            assert example["error"].pop("request_id")
        assert answer == example


def test_list_settings_names_every_setting_with_its_default(capsys):
    assert cli.main(["--list-settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [variable(name) for name in Settings.model_fields]
    assert any(line.split()[:2] == ["CSMF_MAX_K", "1000"] for line in lines)


def test_every_setting_is_a_flag_with_the_same_text(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, _, text in describe_settings():
        assert "--" + name.removeprefix("CSMF_").lower().replace("_", "-") in shown
        assert re.sub(r"\s", "", text) in re.sub(r"\s", "", shown)


def test_every_command_in_the_runbook_parses():
    page = (DOCS / "operations.md").read_text()
    commands = re.findall(r"^csmf-weights (.*)$", page, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
        ops._parser().parse_args(words)


@pytest.mark.parametrize(
    "model",
    [
        schemas.RetrieveRequest,
        schemas.BatchRequest,
        schemas.ScoreRequest,
        weights_schemas.SetWeights,
        weights_schemas.RollBack,
        weights_schemas.SplitTraffic,
        weights_schemas.ScheduleWeights,
        weights_schemas.Signed,
        weights_schemas.PreviewRequest,
    ],
)
def test_the_examples_of_the_interactive_page_are_valid(model):
    (example,) = model.model_json_schema()["examples"]
    assert model.model_validate(example).model_dump(mode="json", exclude_unset=True) == example


def test_only_unknown_variables_with_the_prefix_are_reported():
    environment = {"CSMF_PORT": "1", "CSMF_URL": "x", "CSMF_PROT": "1", "HOME": "/root"}
    assert unknown_variables(environment) == ["CSMF_PROT"]


def test_the_documentation_page_and_all_it_loads_come_from_the_service(release, tmp_path):
    settings = Settings(releases=release.releases, state_dir=tmp_path)
    with TestClient(create_app(settings)) as client:
        page = client.get("/docs").text
        for address in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert address.startswith("/")
            assert client.get(address).status_code == 200
        routes = client.get("/openapi.json").json()["paths"]
    for line in re.findall(r"^\| `(\w+) (/[^`?]*)", (DOCS / "api.md").read_text(), re.MULTILINE):
        assert line[0].lower() in routes[line[1]]
    body = routes["/retrieve"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["$ref"].endswith("RetrieveRequest")
    for status in ("400", "404", "413", "415", "422", "503"):
        answer = routes["/retrieve"]["post"]["responses"][status]["content"]["application/json"]
        assert answer["schema"]["$ref"].endswith("ErrorBody")
