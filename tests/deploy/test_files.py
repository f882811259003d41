"""Files for services that do not run in these tests: everything in them that names something else names what exists."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.settings import parse_settings, read_settings
from edge_agent.settings import AgentSettings
from monitor.settings import MonitorSettings
from tests.simulators.unit_root import OWN_UNITS, PREFIX, lay_out, verify

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


@pytest.fixture
def compose() -> dict[str, Any]:
    answer: dict[str, Any] = documents("compose.yaml")[0]
    return answer


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.y*ml")), ids=lambda path: path.name)
def test_yaml_is_read(path: Path) -> None:
    assert all(isinstance(document, dict) for document in yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_example_settings_are_accepted_as_they_are() -> None:
    assert read_settings(DEPLOY / "agent.toml", AgentSettings).broker is not None
    for name in ("monitor.toml", "monitor.compose.toml"):
        assert read_settings(DEPLOY / name, MonitorSettings).web.port == 8500


class TestCompose:
    def test_every_mounted_file_is_there_or_is_a_secret(self, compose: dict[str, Any]) -> None:
        for name, service in compose["services"].items():
            for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
                known = source in compose["volumes"] or source.startswith("./secrets/") or (DEPLOY / source).exists()
                assert known, f"{name} mounts {source}"

    def test_services_networks_and_secrets_that_are_named_exist(self, compose: dict[str, Any]) -> None:
        for service in compose["services"].values():
            assert set(service.get("depends_on", [])) <= set(compose["services"])
            assert set(service["networks"]) <= set(compose["networks"])
            assert set(service.get("secrets", [])) <= set(compose["secrets"])

    def test_only_broker_and_monitor_can_be_reached_from_elsewhere(self, compose: dict[str, Any]) -> None:
        ports = {name: service.get("ports", []) for name, service in compose["services"].items()}
        public = {name for name, bound in ports.items() for port in bound if not port.startswith("127.0.0.1:")}
        assert public == {"mosquitto", "monitor"}
        assert ports["mosquitto"] == ["8883:8883"], "the listener without TLS stays inside"

    def test_hosts_in_settings_are_services(self, compose: dict[str, Any]) -> None:
        monitor = tomllib.loads((DEPLOY / "monitor.compose.toml").read_text(encoding="utf-8"))
        prometheus = documents("prometheus/prometheus.yml")[0]
        grafana = documents("grafana/provisioning/datasources/prometheus.yaml")[0]
        jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
        targets = [
            *jobs["lineside-monitor"]["static_configs"][0]["targets"],
            *prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"],
            f"{monitor['broker']['host']}:{monitor['broker']['port']}",
            grafana["datasources"][0]["url"].removeprefix("http://"),
        ]
        assert {target.split(":")[0] for target in targets} == {"monitor", "alertmanager", "mosquitto", "prometheus"}
        assert {target.split(":")[0] for target in targets} <= set(compose["services"])
        assert set(monitor["web"]["allowed_hosts"]) >= {"monitor"}, "Prometheus calls it by that name"

    def test_images_are_pinned_to_a_version(self, compose: dict[str, Any]) -> None:
        images = [service["image"] for service in compose["services"].values() if "image" in service]
        assert images
        assert all(image.partition(":")[2] not in ("", "latest") for image in images)

    def test_dockerfile_takes_the_arguments_that_are_given(self, compose: dict[str, Any]) -> None:
        build = compose["services"]["monitor"]["build"]
        dockerfile = (DEPLOY / build["context"] / build["dockerfile"]).read_text(encoding="utf-8")
        extras = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for name, value in build["args"].items():
            assert f"ARG {name}" in dockerfile
            assert set(value.split(",")) <= set(extras)
        assert "--constraint constraints.txt" in dockerfile


class TestKubernetes:
    @pytest.fixture
    def parts(self) -> dict[str, Any]:
        return {document["kind"]: document for document in documents("kubernetes/monitor.yaml")}

    def test_settings_in_the_config_map_are_accepted(self, parts: dict[str, Any]) -> None:
        values = tomllib.loads(parts["ConfigMap"]["data"]["monitor.toml"])
        assert parse_settings(values, MonitorSettings, source="monitor.toml").web.host == "0.0.0.0"  # noqa: S104

    def test_it_is_one_writer_with_its_own_disk(self, parts: dict[str, Any]) -> None:
        assert parts["StatefulSet"]["spec"]["replicas"] == 1
        assert parts["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOnce"]

    def test_selectors_and_volumes_find_what_they_name(self, parts: dict[str, Any]) -> None:
        spec = parts["StatefulSet"]["spec"]
        pod = spec["template"]["spec"]
        labels = spec["template"]["metadata"]["labels"].items()
        assert spec["selector"]["matchLabels"].items() <= labels
        assert parts["Service"]["spec"]["selector"].items() <= labels
        assert spec["serviceName"] == parts["Service"]["metadata"]["name"]
        offered = {volume["name"] for volume in pod["volumes"]}
        offered |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
        containers = [*pod["initContainers"], *pod["containers"]]
        assert {mount["name"] for container in containers for mount in container["volumeMounts"]} == offered
        ports = {port["name"] for container in pod["containers"] for port in container["ports"]}
        assert parts["Service"]["spec"]["ports"][0]["targetPort"] in ports

    def test_secrets_are_mounted_where_the_settings_look(self, parts: dict[str, Any]) -> None:
        values = parse_settings(
            tomllib.loads(parts["ConfigMap"]["data"]["monitor.toml"]), MonitorSettings, source="monitor.toml"
        )
        container = parts["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
        places = {mount["name"]: Path(mount["mountPath"]) for mount in container["volumeMounts"]}
        files = [values.broker.password_file, values.web.password_file, values.web.agent_token_file]
        assert {file.parent for file in files if file} == {places["secrets"]}
        assert values.state_folder == places["state"]

    def test_nothing_runs_as_root(self, parts: dict[str, Any]) -> None:
        pod = parts["StatefulSet"]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        for container in [*pod["initContainers"], *pod["containers"]]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


class TestSystemd:
    """Beside a stand-in for the program; tests/install does it with the installed one."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        program = tmp_path / PREFIX / ".venv" / "bin" / "lineside"
        program.parent.mkdir(parents=True)
        shutil.copy("/bin/true", program)
        return lay_out(tmp_path)

    def test_units_are_accepted_without_a_word(self, tree: Path, require_program: Callable[[str], str]) -> None:
        assert verify(require_program("systemd-analyze"), tree) == ""

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [("Restart=always", "Restrat=always"), ("/.venv/bin/lineside", "/bin/lineside"), ("User=", "=User")],
    )
    def test_planted_fault_is_named(
        self, tree: Path, require_program: Callable[[str], str], right: str, wrong: str
    ) -> None:
        unit = tree / OWN_UNITS / "lineside-agent.service"
        text = unit.read_text(encoding="utf-8")
        assert right in text
        unit.write_text(text.replace(right, wrong), encoding="utf-8")
        assert "lineside-agent.service" in verify(require_program("systemd-analyze"), tree)


class TestAlertmanager:
    @staticmethod
    def receivers(route: dict[str, Any]) -> set[str]:
        named = {route["receiver"]} if "receiver" in route else set()
        return named.union(*(TestAlertmanager.receivers(inner) for inner in route.get("routes", [])))

    def test_every_route_leads_to_a_receiver_and_every_receiver_is_used(self) -> None:
        config = documents("alertmanager/alertmanager.yml")[0]
        assert self.receivers(config["route"]) == {receiver["name"] for receiver in config["receivers"]}

    @pytest.mark.optional
    def test_amtool_accepts_it_and_refuses_a_broken_one(self, tmp_path: Path) -> None:
        program = shutil.which("amtool")
        if program is None:
            pytest.skip("no amtool here (Debian package prometheus-alertmanager)")
        good = DEPLOY / "alertmanager" / "alertmanager.yml"
        broken = tmp_path / "alertmanager.yml"
        broken.write_text(good.read_text(encoding="utf-8").replace("receiver: page", "receiver: nobody"))
        assert subprocess.run([program, "check-config", good], check=False).returncode == 0
        assert subprocess.run([program, "check-config", broken], check=False).returncode != 0
