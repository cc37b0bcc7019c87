"""Small trainables, each with one way to behave."""

import math
import os
import signal
import time


def count(config, trial):
    """Reports ``steps`` times and goes on where it was. ``sleep`` seconds pass before each report."""
    start = trial.restored["step"] if trial.restored else 0
    for step in range(start + 1, config["steps"] + 1):
        time.sleep(config.get("sleep", 0))
        trial.checkpoint(lambda step=step: {"step": step})
        yield {"loss": 1 / step + float(trial.streams.numpy("noise").random())}


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
