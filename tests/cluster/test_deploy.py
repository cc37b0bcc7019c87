"""The files of cluster/deploy are what the programs that read them expect, as far as can be said without a cloud."""

import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

DEPLOY = Path(__file__).parents[2] / "cluster" / "deploy"
LOCK = (DEPLOY / "requirements.lock").read_text()
SCHEMA = yaml.safe_load((Path(__file__).parent / "schemas" / "kuberay.yaml").read_text())
KUBERNETES = "1.31"
BIN = Path(sys.executable).parent


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


# --- Kubernetes ------------------------------------------------------------------------------------------------------


def check_kubernetes(document: dict[str, Any]) -> None:
    """An object of Kubernetes by its published schema, one of KubeRay by ours, its pods by that of pods."""
    if document["apiVersion"] != "ray.io/v1":
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
        return
    jsonschema.validate(document["spec"], {**SCHEMA, "$ref": f"#/$defs/{document['kind']}"})
    cluster = document["spec"].get("rayClusterSpec", document["spec"])
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        mounted = {mount["name"] for c in pod["spec"]["containers"] for mount in c["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}


@pytest.mark.parametrize("name", ["kuberay-cluster.yaml", "kuberay-job.yaml"])
def test_kubernetes_takes_them(name):
    for document in documents(name):
        check_kubernetes(document)


@pytest.mark.parametrize("name", ["kuberay-cluster.yaml", "kuberay-job.yaml"])
def test_a_cluster_is_safe_and_grows_and_keeps_its_head(name):
    spec = documents(name)[-1]["spec"]
    cluster = spec.get("rayClusterSpec", spec)
    assert cluster["authOptions"] == {"mode": "token", "secretName": "assay"}
    assert cluster["enableInTreeAutoscaling"]
    assert any("nvidia.com/gpu" in str(group["template"]) for group in cluster["workerGroupSpecs"])
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert "nodeSelector" not in cluster["headGroupSpec"]["template"]["spec"]  # preemptible are the workers alone
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert group["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert cluster["rayVersion"] == re.search(r"^ray==(\S+)", LOCK, re.MULTILINE)[1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(entryPoint="assay run x"),
        lambda spec: spec.update(backoffLimit="5"),
        lambda spec: spec["rayClusterSpec"]["authOptions"].update(mode="tokens"),
        lambda spec: spec["rayClusterSpec"]["workerGroupSpecs"][0].pop("minReplicas"),
        lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
        lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].update(container=[]),
        lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0].pop("name"),
    ],
    ids=["name", "type", "choice", "missing", "number for text", "name in a pod", "missing in a pod"],
)
def test_the_check_finds_what_kubernetes_would_refuse(spoil):
    (job,) = documents("kuberay-job.yaml")
    spoiled = copy.deepcopy(job)
    spoil(spoiled["spec"])
    with pytest.raises(jsonschema.ValidationError):
        check_kubernetes(spoiled)


def test_a_job_names_its_run_so_that_trying_again_goes_on():
    (job,) = documents("kuberay-job.yaml")
    assert " --name " in job["spec"]["entrypoint"]
    assert job["spec"]["backoffLimit"] > 0
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == "30"


# --- Ray's launcher --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ray-aws.yaml", "ray-gcp.yaml"])
def test_rays_launcher_takes_them(name):
    from ray.autoscaler._private.util import fillout_defaults, validate_config

    (config,) = documents(name)
    validate_config(fillout_defaults(copy.deepcopy(config)))
    assert config["docker"]["image"] == "REGISTRY/assay:TAG"
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    assert "--dashboard-host=127.0.0.1" in str(config["head_start_ray_commands"])
    kinds = config["available_node_types"]
    assert {kind for kind, node in kinds.items() if "spot" in str(node).lower()} == set(kinds) - {"head"}
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        validate_config(fillout_defaults({**config, "max_worker": 1}))


# --- Slurm -----------------------------------------------------------------------------------------------------------

FAKES = {
    "srun": 'echo "srun $*" >> calls; while [ "$1" != ray ]; do shift; done; exec "$@"',
    "scontrol": 'echo "scontrol $*" >> calls; if [ "$1" = show ]; then printf "n1\\nn2\\nn3\\n"; fi',
    "ray": """case $1 in
        start) echo "ray $*" >> calls; touch up; exec sleep 60;;
        status) [ -e up ];;
        get-auth-token) echo generated >> calls;;
        esac""",
    "assay": """echo "assay $RAY_AUTH_MODE $*" >> calls; trap 'echo finished in peace >> calls; exit 130' TERM
        until [ "$(grep -c '^ray start' calls)" = 3 ]; do sleep 0.05; done
        [ "$SLEEP" = 0 ] || { touch driving; while :; do sleep 0.05; done; }; exit "$CODE" """,
}


def slurm(folder: Path, sleep: int = 0, code: int = 0) -> subprocess.Popen[str]:
    for name, text in FAKES.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ASSAY_", "SLURM_"))}
    environment = kept | {
        "PATH": f"{folder}:{kept['PATH']}",
        "HOME": str(folder),
        "SLEEP": str(sleep),
        "CODE": str(code),
    }
    environment |= {"SLURM_JOB_ID": "42", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_CPUS_PER_TASK": "8"}
    command = ["bash", str(DEPLOY / "slurm.sh"), "my sweep.yaml", "first", "--scale", "smoke"]
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_slurm_job_starts_ray_on_all_nodes_and_ends_with_the_sweep(tmp_path):
    job = slurm(tmp_path, code=3)
    said, _ = job.communicate(timeout=60)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert job.returncode == 3, said
    address = "n1:20042"
    assert calls[:2] == ["generated", "scontrol show hostnames n[1-3]"]
    assert f"assay token run my sweep.yaml --name first --address {address} --scale smoke" in calls
    starts = sorted(call for call in calls if call.startswith("ray start"))
    shared = "ray start --block --num-cpus=8 --disable-usage-stats"
    assert starts == [f"{shared} --address={address}"] * 2 + [
        f"{shared} --head --port=20042 --dashboard-host=127.0.0.1"
    ]
    nodes = [re.search(r"--nodelist=(\S+)", call)[1] for call in calls if call.startswith("srun")]
    assert sorted(nodes) == ["n1", "n2", "n3"]
    assert "scontrol requeue 42" not in calls


def test_a_slurm_job_whose_time_is_up_finishes_its_records_and_is_queued_again(tmp_path):
    job = slurm(tmp_path, sleep=1)
    until = time.monotonic() + 30
    while not (tmp_path / "driving").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    said, _ = job.communicate(timeout=60)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert job.returncode != 0, said
    assert calls[-2:] == ["finished in peace", "scontrol requeue 42"]


def test_a_slurm_job_without_a_name_for_its_run_says_so(tmp_path):
    command = ["bash", str(DEPLOY / "slurm.sh"), "sweep.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode != 0
    assert "a name for the run" in done.stderr


@pytest.mark.parametrize("name", ["slurm.sh", "lock"])
def test_shell_scripts_are_clean(name):
    done = subprocess.run([BIN / "shellcheck", DEPLOY / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# --- image and dependencies ------------------------------------------------------------------------------------------


def test_the_dockerfile_is_clean():
    done = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "USER 1000" in (DEPLOY / "Dockerfile").read_text()


def test_every_file_that_the_image_takes_is_there():
    root, text = DEPLOY.parents[1], (DEPLOY / "Dockerfile").read_text()
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (root / name).exists(), name
            assert f"!{Path(name).parts[0]}" in ignored


def locked() -> dict[str, str]:
    return {name.lower(): version for name, version in re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", LOCK, re.MULTILINE)}


def test_the_lock_file_has_what_the_project_needs_as_it_was_tested_and_hashes_for_all():
    root, found = DEPLOY.parents[1], locked()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for wanted in map(Requirement, [*project["dependencies"], *extras["s3"], *extras["gs"]]):
        assert wanted.specifier.contains(found[wanted.name.lower()]), wanted
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)", (root / "constraints.txt").read_text().lower(), re.MULTILINE))
    tested = {name.replace("_", "-"): version for name, version in tested.items()}
    assert {name for name in found if found[name] != tested.get(name, found[name])} == set()
    blocks = re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(found) > 100
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in LOCK


def test_the_dashboard_shows_what_ray_and_the_driver_measure():
    from ray.dashboard.modules.metrics import dashboards

    from cluster import metrics

    (folder,) = dashboards.__path__
    own = re.findall(r'(Counter|Gauge)\(\s*"(\w+)"', Path(metrics.__file__).read_text())
    assert len(own) == 4
    known = set(re.findall(r"\bray_\w+", "".join(path.read_text() for path in Path(folder).glob("*.py"))))
    known |= {f"ray_{name}{'_total' * (kind == 'Counter')}" for kind, name in own}
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    for panel in panels:
        names = set(re.findall(r"\bray_\w+", panel["targets"][0]["expr"]))
        assert names, panel["title"]
        assert names <= known
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
