"""What a user asks for a job to find on the cluster."""

import pytest

from cluster.jobs import SubmitError
from cluster.needs import needs


def variables(*words: str) -> dict[str, str]:
    return needs(env=words).runtime_env()["env_vars"]


def test_a_stop_leaves_time_to_finish():
    found = variables("ASSAY_RUNS=/shared")
    assert found["RAY_JOB_STOP_SIGNAL"] == "SIGTERM"
    assert int(found["RAY_JOB_STOP_WAIT_TIME_S"]) >= 20
    assert found["ASSAY_RUNS"] == "/shared"


def test_a_name_alone_is_a_secret_from_here(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf=1")
    monkeypatch.setenv("OTHER", "two")
    found = variables("HF_TOKEN", "PLAIN=a=b", "OTHER", "EMPTY=")
    assert (found["HF_TOKEN"], found["PLAIN"], found["EMPTY"]) == ("hf=1", "a=b", "")
    assert found["ASSAY_SECRETS"] == "HF_TOKEN,OTHER"
    assert "ASSAY_SECRETS" not in variables("PLAIN=x")
    assert "hf=1" not in repr(needs(env=["HF_TOKEN"]))


def test_nothing_is_installed_unless_asked_for(tmp_path):
    assert set(needs().runtime_env()) == {"env_vars"}
    (tmp_path / "more.txt").write_text("# what we need\n\neinops==0.8  # shapes\nscipy\n")
    assert needs(pip=["timm==1.0", str(tmp_path / "more.txt")]).runtime_env()["pip"] == [
        *("timm==1.0", "einops==0.8", "scipy")
    ]
    assert needs(uv=["timm"]).runtime_env()["uv"] == ["timm"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pip": ["a"], "uv": ["b"]}, "--pip and --uv: expected one of them"),
        ({"pip": ["a"], "image": "i"}, "--pip and --image: expected one of them"),
        ({"image": "i"}, "--env ASSAY_RUNS=s3://BUCKET/runs"),
        ({"image": "i", "env": ["ASSAY_RUNS=/shared"]}, "--env ASSAY_RUNS=s3://BUCKET/runs"),
        ({"image": "i", "env": ["ASSAY_RUNS=s3://b/r", "HOME"]}, "--env HOME with --image: Ray writes the variables"),
        ({"env": ["ASSAY_NO_SUCH"]}, "--env ASSAY_NO_SUCH: there is no such variable here"),
        ({"env": ["not a name=1"]}, "--env: expected NAME=VALUE"),
        ({"env": ["=1"]}, "--env: expected NAME=VALUE"),
        ({"pip": ["nowhere.txt"]}, "--pip nowhere.txt: cannot be read"),
    ],
)
def test_what_does_not_fit_is_one_line(wrong, message):
    with pytest.raises(SubmitError) as error:
        needs(**wrong)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_value_in_the_place_of_a_name_is_not_shown():
    with pytest.raises(SubmitError) as error:
        needs(env=["hf-secret-value"])
    assert "secret-value" not in str(error.value)
