"""A real csmf-serve with two workers whose worker is killed while the published pair is broken."""

import os
import re
import signal

import pytest
from support.waiting import within

from bundle.store import publish

JSON_QUERY = {"user": {"user_id": "u00001"}, "k": 3}


@pytest.fixture
def service(serve, own_release):
    service = serve("--releases", str(own_release.releases), "--workers", "2")
    assert within(60, lambda: workers_of(service, "tiny") == 2)
    return service


def workers_of(service, run_id):
    name = re.escape(f'csmf_snapshot_workers{{build_id="b1",run_id="{run_id}"}}')
    found = re.search(rf"^{name} (\S+)$", service.metrics(), re.MULTILINE)
    return float(found.group(1)) if found else 0


def kill_a_worker(service):
    first = re.search(r"\[(\d+)\] service\.app: serving", service.log.read_text()).group(1)
    os.kill(int(first), signal.SIGKILL)
    assert within(30, lambda: workers_of(service, "tiny") == 1)


def test_a_killed_worker_comes_back_with_what_the_others_serve_while_nothing_sound_is_published(
    service, own_release
):
    (own_release.releases / "CURRENT").write_text("{")
    kill_a_worker(service)
    assert service.call("POST", "/retrieve", JSON_QUERY)[0] == 200
    assert within(60, lambda: workers_of(service, "tiny") == 2)
    assert 'csmf_snapshot_refused{reason="malformed"} 1.0' in service.metrics()
    publish(own_release.releases, "tiny", "b1")
    assert within(30, lambda: 'refused{reason="malformed"} 0.0' in service.metrics())


def test_a_worker_that_cannot_start_again_leaves_the_others_serving_until_it_can(
    service, own_release
):
    tower = own_release.directory / "user_tower.onnx"
    tower.rename(own_release.releases / "kept")
    kill_a_worker(service)
    assert within(60, lambda: service.log.read_text().count("this worker cannot start") >= 2)
    assert service.call("POST", "/retrieve", JSON_QUERY)[0] == 200
    (own_release.releases / "kept").rename(tower)
    assert within(60, lambda: workers_of(service, "tiny") == 2)
