import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cluster import travel
from cluster.jobs import SubmitError
from cluster.needs import needs
from cluster.travel import code, entrypoint, entrypoint_with_text, travelling

REPOSITORY = Path(travel.__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder, with what a working folder gathers."""
    place = tmp_path / "work"
    for name in (
        "sweep.yaml",
        "my_model.py",
        "data/ignored.bin",
        "data/kept.csv",
        "runs/sweep/20260101/ledger/decisions.jsonl",
        ".git/objects/1",
        ".venv/lib/big.so",
        "package/__pycache__/x.pyc",
        "package/runs/kept.py",
        "thing.egg-info/PKG-INFO",
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x" * 10)
    (place / ".gitignore").write_text("data/*.bin\nsecret.yaml\n")
    (place / "secret.yaml").write_text("x")
    monkeypatch.chdir(place)
    return place


def test_runs_caches_and_what_git_ignores_stay_here(folder):
    assert {path.as_posix() for path in travelling(folder)} == {
        ".gitignore",
        "sweep.yaml",
        "my_model.py",
        "data/kept.csv",
        "package/runs/kept.py",
    }


def test_these_are_the_files_that_ray_packs(folder, tmp_path):
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import create_package

    needed = code(folder)
    package = tmp_path / "package.zip"
    excludes = get_runtime_env_default_excludes() + needed["excludes"]
    create_package(str(folder), package, include_gitignore=True, excludes=excludes)
    packed = {name.rstrip("/") for name in zipfile.ZipFile(package).namelist()}
    assert {name for name in packed if (folder / name).is_file()} == {path.as_posix() for path in travelling(folder)}


def test_this_project_travels_along_if_it_is_elsewhere(folder):
    assert code(folder)["py_modules"] == [str(REPOSITORY / name) for name in travel.PACKAGES]


def test_this_project_does_not_travel_twice():
    assert "py_modules" not in code(REPOSITORY)


def test_ray_accepts_the_runtime_environment(folder):
    from ray.runtime_env import RuntimeEnv

    uploaded = code(folder) | {"working_dir": "gcs://a.zip", "py_modules": ["gcs://b.zip"]}
    for wanted in (needs(pip=["timm"]), needs(uv=["timm"]), needs(env=["A=b"])):
        found = uploaded | wanted.runtime_env()
        assert RuntimeEnv(**found).to_dict()["env_vars"] == found["env_vars"]
    in_image = needs(image="me/assay:1", env=["ASSAY_RUNS=s3://bucket/runs"]).runtime_env()
    assert RuntimeEnv(**in_image).to_dict()["image_uri"] == "me/assay:1"


def test_a_folder_that_is_too_large_names_the_largest_parts(folder, monkeypatch):
    monkeypatch.setattr(travel, "LIMIT_BYTES", 5 * 1024**2)
    (folder / "data" / "kept.csv").write_bytes(bytes(4 * 1024**2))
    (folder / "model.pt").write_bytes(bytes(3 * 1024**2))
    with pytest.raises(SubmitError) as error:
        code(folder)
    message = str(error.value)
    assert "\n" not in message
    assert f"{folder} is too large to send: 7.0 MiB, at most 5.0 MiB" in message
    assert "largest: data 4.0 MiB, model.pt 3.0 MiB" in message
    (folder / ".rayignore").write_text("model.pt\n")
    assert code(folder)["working_dir"] == str(folder)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(SubmitError, match="no such folder"):
        code(tmp_path / "nowhere")


def test_files_are_named_as_seen_from_the_working_folder(folder, monkeypatch):
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    command = entrypoint(["run", "../sweep.yaml", "--scale", "smoke", "--set", "a=b c"], folder)
    assert shlex.split(command) == [
        *("python", "-m", "sweeps.cli"),
        *("run", "sweep.yaml", "--scale", "smoke", "--set", "a=b c"),
    ]
    assert entrypoint(["run", str(folder / "sweep.yaml")], folder).endswith(" run sweep.yaml")


def test_names_of_shipped_sweeps_stay_as_they_are(folder):
    assert entrypoint(["run", "quickstart"], folder) == "python -m sweeps.cli run quickstart"


def test_nothing_in_the_arguments_is_run_by_a_shell(folder):
    words = ["run", "x; rm -rf ~", "$(id)", "--set", "`id`"]
    script = entrypoint(words, folder).replace("python -m sweeps.cli", "printf '%s\\n'")
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines() == words


def test_a_file_that_stays_here_cannot_be_named(folder, tmp_path):
    (tmp_path / "other.yaml").write_text("x")
    with pytest.raises(SubmitError, match="is not inside"):
        entrypoint(["run", "../other.yaml"], folder)
    with pytest.raises(SubmitError, match=r"secret.yaml cannot travel to the cluster: a .gitignore"):
        entrypoint(["run", "secret.yaml"], folder)


def test_importing_it_does_not_import_ray():
    program = "import sys, cluster.submit; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_into_an_image_the_text_of_the_sweep_goes_along(tmp_path):
    text = "sweep: x\nquestion: 'Is $(id) \"quoted\"?'\n"
    command = entrypoint_with_text(text, ["--name", "a b"]).replace("python -m sweeps.cli", "printf '%s\n'")
    script = f"{command} && cat sweep.yaml"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "\n".join(["run", "sweep.yaml", "--name", "a b", text])
    with pytest.raises(SubmitError, match="too long for --image"):
        entrypoint_with_text("x" * travel.LONGEST_TEXT, [])
