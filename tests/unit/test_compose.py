"""The compose document of one run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness import labels
from harness.compose import Project, View, run_document
from harness.documents import HostGroup
from harness.limits import HostLimits
from harness.plan import ClusterPlan, HostPlan

BASE: dict[str, Any] = {
    "x-host": {},
    "services": {
        "algo-1": {
            "image": "harness-pytorch:latest",
            "build": {"context": "harness"},
            "command": ["idle"],
            "hostname": "algo-1",
            "shm_size": "1gb",
            "volumes": ["ssh:/etc/ssh/harness"],
            "networks": ["hosts"],
        },
        "algo-2": {"image": "other"},
        "endpoint": {"image": "other", "ports": ["127.0.0.1::8080"]},
    },
    "networks": {"hosts": {"driver": "bridge"}},
    "volumes": {"ssh": None},
}
PROJECT = Project("mnist-1-ab", "Mnist-1")


def document(
    count: int = 2,
    environment: dict[str, str] | None = None,
    views: tuple[View, ...] = (),
    limits: dict[str, HostLimits] | None = None,
) -> dict[str, Any]:
    return run_document(BASE, replace(plan(count, environment), limits=limits or {}), PROJECT, views)


def plan(count: int = 2, environment: dict[str, str] | None = None) -> ClusterPlan:
    group = HostGroup("homogeneousCluster", "ml.p2.xlarge", tuple(f"algo-{number}" for number in range(1, count + 1)))
    hosts = tuple(HostPlan(name, group, {}, environment or {}) for name in group.hosts)
    return ClusterPlan("Mnist-1", "lab:1", hosts, {}, (), Path())


def interpolated(text: str) -> str:
    """What compose makes of a value when the caller has no variables set (compose specification, Interpolation)."""
    pattern = r"\$(?:(?P<dollar>\$)|\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*|(?P<bad>))"

    def replaced(found: re.Match[str]) -> str:
        assert found["bad"] is None, f"compose would refuse {text!r}"
        return found["dollar"] or ""

    return re.sub(pattern, replaced, text)


def test_any_number_of_hosts_is_made_after_the_one_service() -> None:
    services = document(5)["services"]

    assert list(services) == [f"algo-{number}" for number in range(1, 6)]
    for name, service in services.items():
        assert service["hostname"] == name
        assert service["container_name"] == f"mnist-1-ab-{name}"
        assert service["image"] == "lab:1"
        assert service["command"] == ["train"]
        assert service["shm_size"] == "1gb"
        assert service["networks"] == ["hosts"]
        assert service["volumes"] == ["ssh:/etc/ssh/harness"]


def test_a_run_builds_nothing() -> None:
    assert not [service for service in document()["services"].values() if "build" in service]


def test_everything_is_labelled_as_the_runs_own() -> None:
    made = document(views=(View("algo-1", "v", "/opt/ml/input/data/training"),))
    parts = [part for kind in ("services", "networks", "volumes") for part in made[kind].values()]

    assert len(parts) == 2 + 1 + 2
    for part in parts:
        assert part["labels"][labels.RUN] == "mnist-1-ab"
        assert part["labels"][labels.JOB] == "Mnist-1"
        assert part["labels"][labels.KIND] == labels.TRAINING
    assert made["services"]["algo-2"]["labels"][labels.HOST] == "algo-2"


def test_what_the_description_says_of_a_network_is_kept() -> None:
    assert document()["networks"]["hosts"]["driver"] == "bridge"


def test_a_view_of_a_channel_is_mounted_in_its_own_host_only() -> None:
    views = tuple(View(f"algo-{n}", f"run-algo-{n}", "/opt/ml/input/data/t", {"type": "overlay"}) for n in (1, 2))
    made = document(views=views)

    assert made["services"]["algo-1"]["volumes"] == ["ssh:/etc/ssh/harness", "run-algo-1:/opt/ml/input/data/t"]
    assert made["services"]["algo-2"]["volumes"] == ["ssh:/etc/ssh/harness", "run-algo-2:/opt/ml/input/data/t"]
    assert made["volumes"]["run-algo-2"]["driver_opts"] == {"type": "overlay"}
    assert made["volumes"]["run-algo-2"]["name"] == "run-algo-2"


def test_a_read_only_view_is_of_a_volume_that_is_not_the_runs_own() -> None:
    made = document(views=(View("algo-1", "harness-input", "/opt/ml/input/data/t", read_only=True),))

    assert "harness-input:/opt/ml/input/data/t:ro" in made["services"]["algo-1"]["volumes"]
    assert made["volumes"]["harness-input"] == {"name": "harness-input", "external": True}


def test_each_host_is_held_to_its_own_limits_and_has_no_swap_on_top() -> None:
    limits = {"algo-1": HostLimits((0,), 4, 2**30, 2**29), "algo-2": HostLimits((1,), None, 2**31)}
    first, second = document(limits=limits)["services"].values()

    assert first["cpus"] == 4.0
    assert first["mem_limit"] == first["memswap_limit"] == "1073741824b"
    assert first["shm_size"] == "536870912b"
    assert "cpus" not in second
    assert second["mem_limit"] == "2147483648b"
    assert second["shm_size"] == "1gb"
    assert "deploy" not in second


def test_gpus_of_a_host_are_passed_through_by_their_numbers() -> None:
    service = document(1, limits={"algo-1": HostLimits((0,), gpus=(0, 2))})["services"]["algo-1"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]

    assert device == {"driver": "nvidia", "device_ids": ["0", "2"], "capabilities": ["gpu"]}


def test_the_description_itself_is_left_alone() -> None:
    before = repr(BASE)

    document(3, {"A": "$"})

    assert repr(BASE) == before


@given(st.dictionaries(st.sampled_from("ABC"), st.text(st.sampled_from("$${}_aA1 '\"\\")) | st.text(), max_size=3))
def test_every_dollar_of_the_environment_survives_compose(environment: dict[str, str]) -> None:
    service = document(1, environment)["services"]["algo-1"]

    assert {name: interpolated(value) for name, value in service["environment"].items()} == environment


def test_isolated_hosts_are_on_a_network_without_a_way_out() -> None:
    made = run_document(BASE, replace(plan(), network_isolation=True), PROJECT, ())

    assert made["networks"]["hosts"]["internal"] is True
    assert made["networks"]["hosts"]["driver_opts"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}
    assert "internal" not in document()["networks"]["hosts"]


def test_hosts_may_be_on_a_network_that_is_there_already() -> None:
    made = run_document(BASE, plan(), PROJECT, (), "made-before")

    assert made["networks"]["hosts"] == {"name": "made-before", "external": True}


def test_an_entrypoint_of_the_jobs_own_replaces_the_images() -> None:
    made = run_document(BASE, replace(plan(), entrypoint=("/bin/sh", "-c"), command=("echo $HOME",)), PROJECT, ())

    assert made["services"]["algo-1"]["entrypoint"] == ["/bin/sh", "-c"]
    assert made["services"]["algo-1"]["command"] == ["echo $$HOME"]
    assert "entrypoint" not in document()["services"]["algo-1"]
