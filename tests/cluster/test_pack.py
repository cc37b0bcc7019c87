import io
import os
import subprocess
import sys
import tarfile

import pytest

from cluster import pack
from cluster.pack import PackError, from_log, to_lines, unpack


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "remote" / "quickstart" / "20260101-120000"
    files = {
        "sweep.lock.yaml": b"sweep: quickstart\n",
        "environment.json": b"{}",
        "report/report.html": os.urandom(10_000),
        "report/tables/cells.csv": b"a,b\n",
        "ledger/decisions.jsonl": b"{}\n",
        "trials/abc/checkpoint.pt": b"too large to send",
        "tensorboard/events.out.tfevents.1": b"too large to send",
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "report" / "elsewhere").symlink_to("/etc/passwd")
    return folder


def contents(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def wanted(run) -> dict[str, bytes]:
    left_out = ("trials", "tensorboard", "report/elsewhere")
    return {name: data for name, data in contents(run).items() if not name.startswith(left_out)}


def tar(*members: tuple[str, bytes], **changes) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in members:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            for key, value in changes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(text))
    return data.getvalue()


def test_a_run_comes_home_through_a_log_with_other_lines(run, tmp_path):
    (run / "report" / "elsewhere").unlink()  # with which the command would refuse the run
    command = [sys.executable, "-m", "sweeps.cli", "pack", str(run)]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = log.splitlines()
    noisy = "\n".join(["Running entrypoint", *lines[:1], "(raylet) a warning", *lines[1:], "bye"])
    unpack(from_log(noisy), tmp_path / "home")
    assert contents(tmp_path / "home") == wanted(run)
    assert len(wanted(run)) == 5


def test_bringing_it_home_again_replaces_what_is_there(run, tmp_path):
    home = tmp_path / "home"
    unpack(pack.pack(run), home)
    (run / "report" / "report.html").write_text("newer")
    (home / "notes.txt").write_text("mine")
    unpack(pack.pack(run), home)
    assert contents(home) == wanted(run) | {"notes.txt": b"mine"}


def test_a_run_that_has_grown_replaces_what_came_home_before(run, tmp_path):
    home, there = tmp_path / "home", run / pack.DECISIONS
    there.write_text('{"a": 1}\n{"b": 2}\n{"c')  # a torn line, which the next life of the run cuts off
    unpack(pack.pack(run), home)
    there.write_text('{"a": 1}\n{"b": 2}\n{"d": 4}\n')
    unpack(pack.pack(run), home)
    assert contents(home) == wanted(run)


def test_a_run_that_has_gone_on_at_home_is_not_overwritten(run, tmp_path):
    home = tmp_path / "home"
    unpack(pack.pack(run), home)
    with (home / pack.DECISIONS).open("a") as file:
        file.write('{"mine": 1}\n')
    before = contents(home)
    (run / "report" / "report.html").write_text("newer")
    with pytest.raises(PackError, match="has gone on by itself; bring the run home to another place with --runs DIR"):
        unpack(pack.pack(run), home)
    assert contents(home) == before


def test_windows_line_ends_do_no_harm():
    assert from_log("\r\n".join(to_lines(b"x" * 10_000)) + "\r\n") == b"x" * 10_000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [lines[0].replace("data ", "data !"), *lines[1:]],
        lambda lines: lines + lines,
        lambda lines: lines[:0],
    ],
    ids=["cut off", "begins late", "in another order", "not base64", "twice", "empty"],
)
def test_a_log_that_is_not_whole_is_refused(spoil):
    with pytest.raises(PackError, match="damaged"):
        from_log("\n".join(spoil(list(to_lines(os.urandom(9000))))))


def test_what_is_no_run_is_not_packed(tmp_path):
    command = [sys.executable, "-m", "sweeps.cli", "pack", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{tmp_path}: no such run")


def test_a_run_that_is_too_large_is_refused(run, monkeypatch):
    monkeypatch.setattr(pack, "LIMIT_BYTES", 5000)
    with pytest.raises(PackError, match=r"at most 5,000 can be sent home"):
        pack.pack(run)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "report/../../outside",
        "/etc/outside",
        "report/..",
        "..",
        "other/file",
        "report\\..\\..\\outside",
        ".bashrc",
        "sweep.lock.yaml/../../x",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    home = tmp_path / "home"
    with pytest.raises(PackError, match="does not belong into a run"):
        unpack(tar(("report/fine", b"x"), (name, b"x")), home)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_anything_but_a_regular_file_is_refused(tmp_path, kind):
    with pytest.raises(PackError, match="not a regular file"):
        unpack(tar(("report/x", b""), type=kind, linkname="/etc/passwd"), tmp_path)
    assert contents(tmp_path) == {}


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "LIMIT_BYTES", 1_000_000)
    bomb = tar(*((f"report/{n}", bytes(300_000)) for n in range(4)))
    assert len(bomb) < 10_000
    with pytest.raises(PackError, match="too large"):
        unpack(bomb, tmp_path)
    assert contents(tmp_path) == {}


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "LIMIT_FILES", 10)
    with pytest.raises(PackError, match="more than 10 files"):
        unpack(tar(*((f"report/{n}", b"") for n in range(11))), tmp_path)


def test_a_link_that_is_already_there_is_not_followed_out(tmp_path):
    outside, home = tmp_path / "outside", tmp_path / "home"
    outside.mkdir()
    home.mkdir()
    (home / "report").symlink_to(outside)
    with pytest.raises(PackError, match="a link leads out"):
        unpack(tar(("report/x", b"x")), home)
    assert contents(outside) == {}


@pytest.mark.parametrize("data", [b"", b"not a tar file", tar(("report/x", os.urandom(5000)))[:-900]])
def test_what_is_no_pack_is_refused(tmp_path, data):
    with pytest.raises(PackError, match="cannot be read"):
        unpack(data, tmp_path)
