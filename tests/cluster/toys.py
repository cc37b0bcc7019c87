"""Small trainables, each with one way to behave."""

import math
import os
import re
import signal
import time
from pathlib import Path


def count(config, trial):
    """Reports ``steps`` times and goes on where it was. ``sleep`` seconds pass before each report."""
    start = trial.restored["step"] if trial.restored else 0
    for step in range(start + 1, config["steps"] + 1):
        time.sleep(config.get("sleep", 0))
        trial.checkpoint(lambda step=step: {"step": step})
        yield {"loss": 1 / step + float(trial.streams.numpy("noise").random())}


def announce(config, trial):
    """What ``count`` does; each of its processes leaves its number in the folder ``here``."""
    Path(config["here"], f"rank-{trial.rank}").write_text(str(os.getpid()))
    yield from count(config, trial)


def plain(config):
    return {"loss": config["x"] ** 2}


def die(config, trial):
    """Kills its own process in the first attempt, right after the checkpoint that is due after a second."""
    start = trial.restored["step"] if trial.restored else 0
    for step in range(start + 1, 7):
        if step == 4 and not trial.restored:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.4)
        trial.checkpoint(lambda step=step: {"step": step})
        yield {"loss": float(step)}


def always_die(config):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(config):
    raise ValueError("no such luck")


def leave(config):
    raise SystemExit(3)


def interrupt(config):
    raise KeyboardInterrupt


def blow_up(config, trial):
    yield {"loss": 1.0}
    yield {"loss": math.nan}
    yield {"loss": 2.0}


def speak(config):
    return {"loss": "low"}


def shrug(config, trial):
    yield {"other": 1.0}


def hang(config, trial):
    trial.checkpoint(lambda: {"step": 1})
    yield {"loss": 1.0}
    time.sleep(600)


def where(config):
    return {"loss": 0.0, "pid": os.getpid()}


# --- of several trials at once ---------------------------------------------------------------------------------------


def stack(configs, trials):
    """What ``count`` does, for several at a time; a log of the stacks is kept where the first config says.

    A step takes ``step_s`` or ``member_s`` per member, whichever is longer; above ``most`` members there is no memory.
    A trial may ``fail`` or ``diverge`` or kill its process (once) at a step.
    """
    first = configs[0]
    if len(configs) > first.get("most", len(configs)):
        raise MemoryError
    at = [trial.restored["step"] if trial.restored else 0 for trial in trials]
    while going := [n for n, trial in enumerate(trials) if trial.wanted and at[n] < configs[n]["steps"]]:
        time.sleep(max(first.get("step_s", 0), first.get("member_s", 0) * len(going)))
        reports = {}
        for n in going:
            at[n] += 1
            trials[n].checkpoint(lambda step=at[n]: {"step": step})
            reports[n] = {"loss": _loss(configs[n], trials[n], at[n]), "pid": os.getpid()}
            if at[n] == configs[n]["steps"]:
                trials[n].finish()
        if "log" in first:
            with Path(first["log"]).open("a") as log:
                log.write(f"{len(going)}\n")
        yield reports


def _loss(config, trial, step):
    if step == config.get("fail"):
        raise ValueError("no such luck")
    if step == config.get("hang"):
        time.sleep(600)
    if step == config.get("die") and not trial.restored:
        os.kill(os.getpid(), signal.SIGKILL)
    noise = float(trial.streams.numpy(f"noise {step}").random())
    return math.nan if step == config.get("diverge") else 1 / step + noise


def reside(config, trial):
    """What ``count`` does, and says on which Ray node."""
    import ray

    node = int(ray.get_runtime_context().get_node_id()[:8], 16)
    for report in count(config, trial):
        yield {**report, "node": float(node)}


def linger(config, trial):
    """Reports, and says on which Ray node, until there is a file called ``end``."""
    steps = {"steps": 1_000_000, "sleep": 0.1}
    for report in reside(steps, trial):
        yield report
        if Path(config["end"]).exists():
            return


def given(config):
    """How much of a GPU its process has."""
    import ray

    time.sleep(0.5)
    return {"loss": 0.0, "gpus": ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)}


def fetch(config, trial):
    """Uses an artifact; says which file it has read, and leaves a line for every time that it was built."""
    time.sleep(0.5)

    def build(folder):
        with Path(config["log"]).open("a") as log:
            log.write("built\n")
        (folder / "data").write_bytes(b"x" * 1000)

    file = trial.artifact({"name": "data"}, build) / "data"
    for report in reside({**config, "steps": 1}, trial):
        yield {**report, "file": float(file.stat().st_ino), "near": float(config["store"] not in str(file))}


# --- that hang -------------------------------------------------------------------------------------------------------


def stall(config, trial):
    """Hangs once, after its first report, in the ``way`` that it is told."""
    here = Path(config["mark"])
    yield {"loss": 1.0}
    if not here.exists():
        here.touch()
        if config["way"] == "sleep":
            time.sleep(600)
        elif config["way"] == "hold":  # a C function that lets no other thread run
            re.match(r"(a+)+$", "a" * 60 + "b")
        else:
            os.kill(os.getpid(), signal.SIGSTOP)
    yield {"loss": 2.0}


def pulse(config, trial):
    """Takes long for a report, but says that it is alive."""
    for _ in range(config["pulses"]):
        time.sleep(0.1)
        trial.pulse()
    yield {"loss": 1.0}
