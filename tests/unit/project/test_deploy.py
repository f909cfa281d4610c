"""What deployments are made from: each file is compared with its own tool or schema, and against what this program needs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from migrator.cli.main import cli

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted(DEPLOY.joinpath("kubernetes").rglob("*.yaml"))
UNITS = sorted(path for path in DEPLOY.joinpath("debian").iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")

_SERVICE_KEYS = {
    "build",
    "cap_drop",
    "command",
    "depends_on",
    "env_file",
    "environment",
    "healthcheck",
    "image",
    "init",
    "networks",
    "profiles",
    "read_only",
    "restart",
    "security_opt",
    "stop_grace_period",
    "tmpfs",
    "user",
    "volumes",
}


def documents(path: Path) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return [found for found in yaml.safe_load_all(path.read_text()) if found is not None]


def parses(words: list[str]) -> bool:
    """Whether this command line can be meant."""
    command = cli.commands[words[0]]
    try:
        command.make_context(words[0], [word for word in words[1:] if word != "--yes"], resilient_parsing=False).close()
    except click.exceptions.Exit:
        return False
    return True


# --- Kubernetes ------------------------------------------------------------------------------------------------------


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in KUBERNETES:
        if path.name != "kustomization.yaml":
            for found in documents(path):
                yield f"{path.relative_to(DEPLOY)}:{found['kind']}", found


def pod_of(found: dict[str, Any]) -> dict[str, Any] | None:
    spec = found.get("spec", {})
    if found["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    pod: dict[str, Any] | None = spec.get("template", {}).get("spec")
    return pod


OBJECTS = dict(objects())
PODS = {name: pod for name, found in OBJECTS.items() if (pod := pod_of(found)) is not None}


@pytest.mark.parametrize("name", OBJECTS)
def test_kubernetes_objects_follow_their_schema(name: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for version in ("1.28", validator.latest_version()):
        validator.validate(OBJECTS[name], version, strict=True)


def test_a_schema_finds_what_is_wrong() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    wrong = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": {"templates": {}}}
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, validator.latest_version(), strict=True)


@pytest.mark.parametrize("folder", ["kubernetes", "kubernetes/cluster"])
def test_kustomize_puts_it_together(folder: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl")
    done = subprocess.run(["kubectl", "kustomize", DEPLOY / folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("namespace: openkat") == done.stdout.count("\nkind: ") + done.stdout.startswith("kind: ")


@pytest.mark.parametrize("name", PODS)
def test_pods_are_bytes_user_and_change_nothing_but_their_volumes(name: str) -> None:
    pod = PODS[name]
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsNonRoot"]) == (1000, True)
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    if "data" in mounts:
        assert mounts["data"]["readOnly"] is True
    if "args" in container:
        assert parses(container["args"])


def test_one_pod_goes_where_bytes_holds_its_volume() -> None:
    for name in ("kubernetes/job.yaml:Job", "kubernetes/verify.yaml:CronJob"):
        affinity = PODS[name]["affinity"]
        [term] = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        assert "requiredDuringSchedulingIgnoredDuringExecution" in affinity["nodeAffinity"]


def test_workers_mount_a_claim_for_many_nodes() -> None:
    [claim] = [found for name, found in OBJECTS.items() if name.endswith("workers.yaml:PersistentVolumeClaim")]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in PODS["kubernetes/cluster/workers.yaml:Deployment"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert claims == [claim["metadata"]["name"]]


# --- Compose ---------------------------------------------------------------------------------------------------------


def filled_in(value: Any) -> Any:
    """As Compose fills in variables that are not set."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: match.group(2) or "", value)
    if isinstance(value, dict):
        return {key: filled_in(each) for key, each in value.items()}
    return [filled_in(each) for each in value] if isinstance(value, list) else value


def compose() -> dict[str, Any]:
    [found] = documents(DEPLOY / "compose.yaml")
    return filled_in(found)  # type: ignore[no-any-return]


def test_compose_config_accepts_it(tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("there is no docker-compose for this machine")
    env = tmp_path / ".env"
    env.write_text("")
    words = [program, "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    environment = {"PATH": os.environ["PATH"], "OPENKAT_ENV": str(env)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")  # the package's own wrapper ends with 0 whatever it said


def test_compose_names_only_what_it_declares() -> None:
    found = compose()
    assert set(found) - {"x-migrator"} == {"name", "services", "volumes", "networks"}
    for service in found["services"].values():
        assert set(service) <= _SERVICE_KEYS
        assert set(service["networks"]) <= found["networks"].keys()
        assert {volume["source"] for volume in service["volumes"]} <= found["volumes"].keys()
        assert service["user"] == "1000:1000"
        assert service["read_only"] is True
        assert parses(service["command"])
    assert found["volumes"]["bytes-data"] == {"external": True, "name": "nl-kat-coordination_bytes-data"}


def test_compose_mounts_bytes_volume_read_only_but_for_the_way_back() -> None:
    for name, service in compose()["services"].items():
        [data] = [volume for volume in service["volumes"] if volume["target"] == "/data"]
        assert data.get("read_only", False) is (name != "restore")


# --- the image -------------------------------------------------------------------------------------------------------


def test_the_image_runs_as_bytes_user_and_tells_its_health_by_status() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    last = [stage.rstrip().splitlines()[-1] for stage in stages]
    assert last[-2:] == ["USER 1000:1000"] * 2
    health = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])", text)
    assert health is not None
    program, *words = shlex.split(health.group(1).strip("[]").replace(",", " "))
    assert program == "bytes-migrator"
    assert words[0] == "status"
    assert parses(words)
    path = re.search(r"PATH=(\S+)", text)
    assert path is not None
    assert {"/usr/sbin", "/usr/bin"} <= set(path.group(1).split(":")), "groupadd lies in /usr/sbin"
    for copied in re.findall(r"^COPY (?!--)(.*) \S+$", text, flags=re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())


# --- systemd ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_it(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    for path in UNITS:  # programs that are not installed here
        (tmp_path / path.name).write_text(re.sub(r"/usr/bin/(bytes-migrator|dask)", "/bin/true", path.read_text()))
    words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / unit.name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, told) == (0, []), done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_services_run_as_kat_in_a_sandbox(unit: Path) -> None:
    text = unit.read_text()
    for line in ("User=kat", "Group=kat", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="):
        assert re.search(f"^{line}$", text, re.MULTILINE), line
    [command] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    program, *words = shlex.split(command)
    if program == "/usr/bin/bytes-migrator":
        assert parses(words)
