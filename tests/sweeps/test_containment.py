"""Whatever a sweep calls its things, nothing lands outside of its run folder, and nothing runs but trainables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prompt import User, decisions

NAMES = {
    "up": "../../../outside",
    "absolute": "/tmp/outside",
    "windows": "C:\\outside",
    "device": "CON",
    "reserved": "aux.txt",
    "dots": "..",
    "hidden": ".hidden",
    "tilde": "~/outside",
    "null": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b]0;title\x07",
    "long": "x" * 10_000,
    "format": "%s{0}{{x}}$HOME`id`",
    "turned": "\u202egnp.exe",
    "trailing": "name. ",
    "glob": "*?[a]",
}

TRAINABLE = """
import json

NAME = {name!r}

def train(config, trial):
    trial.note(NAME, NAME)
    trial.image(NAME, [[0.0, 1.0]] * 2)
    trial.artifact({{NAME: NAME}}, lambda folder: (folder / "a.txt").write_text("a"))
    trial.checkpoint(lambda: {{NAME: NAME}})
    yield {{"loss": config["lr"], NAME: 1.0}}
"""


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_lead_nowhere(tmp_path, name):
    user = User(tmp_path / "a" / "b" / "c")
    user.folder.mkdir(parents=True)
    user.write("named.py", TRAINABLE.format(name=name))
    factors = json.dumps({"a": [name, 1], name: [1, {"label": name, "name": name}]})
    user.bowl(trainable="named.py:train", factors=factors, search="{sampler: random, points: 1}", seeds="{confirm: 1}")
    before = everything(tmp_path)
    said = user.assay("run", "bowl.yaml", "--inline")
    new = {path for path in everything(tmp_path) - before if "__pycache__" not in path}
    assert not Path("/tmp/outside").exists()
    if said.code == 2:  # refused, and nothing was made
        assert "bowl.yaml:" in said.err
        assert not new
        return
    assert said.code == 0, said.err
    assert len(decisions(user.run, "done")) == 8
    root = str(user.run.relative_to(tmp_path))
    assert [path for path in new if not f"{path}/".startswith(f"{root}/") and not root.startswith(path)] == []
    assert not {"\x1b", "\x07", "\u202e"} & {*said.out, *said.err}


@pytest.mark.parametrize("name", [name for name in NAMES.values() if name != "."], ids=NAMES)
def test_a_sweep_cannot_be_called_so(user, name):
    user.bowl(sweep=json.dumps(name))
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 2
    assert "bowl.yaml:8:8: " in said.err
    assert not user.runs


@pytest.mark.parametrize(
    "part", ["ledger", "ledger/decisions.jsonl", "trials", "report", "sweep.lock.yaml", "tensorboard/x"]
)
def test_a_run_folder_with_a_link_that_leads_elsewhere_is_refused(user, tmp_path_factory, part):
    user.bowl()
    assert user.assay("run", "bowl.yaml", "--inline").code == 0
    victim = tmp_path_factory.mktemp("victim") / "file"
    link = user.run / part
    if link.is_dir():
        link.rename(link.with_name("moved"))
        victim.mkdir()
    else:
        link.parent.mkdir(exist_ok=True)
        victim.write_bytes(link.read_bytes() if link.exists() else b"mine")
        link.unlink(missing_ok=True)
    before = everything(victim.parent), victim.is_file() and victim.read_bytes()
    link.symlink_to(victim)
    for command in ("resume", "report", "status"):
        said = user.assay(command, "bowl")
        assert said.code == 2
        assert "a link leads out of the run folder" in said.err
    assert before == (everything(victim.parent), victim.is_file() and victim.read_bytes())


def test_a_named_run_with_such_a_link_is_refused_as_well(user, tmp_path_factory):
    user.bowl()
    again = ("run", "bowl.yaml", "--inline", "--name", "base")
    assert user.assay(*again).code == 0
    (user.run / "ledger" / "more.jsonl").symlink_to(tmp_path_factory.mktemp("victim") / "file")
    said = user.assay(*again)
    assert said.code == 2
    assert "a link leads out of the run folder" in said.err


# --- code ------------------------------------------------------------------------------------------------------------

FORBIDDEN = {
    "subprocess:Popen": "the standard library holds no trainables",
    "os:system": "the standard library holds no trainables",
    "builtins:exec": "the standard library holds no trainables",
    "__main__": "not a module of trainables",
    "borrowed.py:Popen": "it is 'Popen' of subprocess",
    "borrowed.py:hidden": "it is 'partial' of posix",
    "torch.hub:load": "its first argument is 'repo_or_dir', not 'config'",
    "../outside.py:train": "no such file",
}


@pytest.mark.parametrize(("trainable", "words"), FORBIDDEN.items(), ids=FORBIDDEN)
def test_a_sweep_cannot_make_a_command_of_what_is_no_trainable(user, trainable, words):
    user.write(
        "borrowed.py",
        "import os\nfrom functools import partial\nfrom subprocess import Popen\nhidden = partial(os.system)\n",
    )
    user.bowl(trainable=trainable, factors="{}", nuisance="{}", fixed="{touch: 1, pwned: 2}")
    said = user.assay("run", "bowl.yaml", "--inline")
    assert said.code == 2
    assert words in said.err
    assert not (user.folder / "pwned").exists()
    assert not user.runs


def test_a_run_says_whose_code_it_executes(user):
    user.bowl()
    said = user.assay("run", "bowl.yaml", "--inline")
    assert f"bowl.py:train, in {user.folder.resolve() / 'bowl.py'}" in said.out
    assert f"code: bowl.py:train, in {user.folder.resolve() / 'bowl.py'}" in user.assay("resume", "bowl").out
    assert "supervised.classify, shipped with Assay" in user.assay("plan", "quickstart").out
