"""Two workers that share each batch end where one worker ends."""

from __future__ import annotations

import pytest
import torch
from fake_trial import FakeTrial, drive
from torch import distributed
from torch.multiprocessing.spawn import spawn

from trainables.config import build
from trainables.supervised import classify

NUM_TRAIN = 1151  # of the digits
SETTINGS = {
    # Of the last batch one worker gets a single row and the other none.
    "mlp": {"model": {"name": "mlp", "dropout": 0.2}, "batch_size": (NUM_TRAIN - 1) // 2, "epochs": 3},
    "cnn": {"model": {"name": "cnn", "width": 4, "dropout": 0.2}, "batch_size": 301, "epochs": 2},
    "lone row": {"model": "cnn", "batch_size": NUM_TRAIN - 1, "epochs": 1},
    "adamw": {"optimizer": {"name": "adamw"}, "label_smoothing": 0.1, "batch_size": 100, "epochs": 2},
    "lsuv": {"initialisation": "lsuv", "model": {"name": "mlp", "dropout": 0.2}, "batch_size": 575, "epochs": 1},
    "hooks": {
        "loss": {"name": "elr"},
        "perturbation": {"name": "sam"},
        "regulariser": {"name": "spectral"},
        "average": {"name": "ema"},
        "augmentation": {"name": "shift_and_flip"},
        "gradient_noise": 1e-4,
        "batch_size": 575,
        "epochs": 2,
    },
    "passes": {
        "loss": {"name": "elr"},
        "regulariser": {"name": "r_drop"},
        "model": {"name": "mlp", "dropout": 0.2},
        "batch_size": 575,
        "epochs": 2,
    },
    "noise": {"augmentation": {"name": "noise", "deviation": 0.5}, "clip_norm": 0.5, "batch_size": 575, "epochs": 2},
}
# Each worker normalises by its own rows, so that two do not end where one does. One batch leaves a worker a lone row.
OWN_STATISTICS = {
    "batch": {"model": {"name": "mlp", "normalisation": "batch"}, "batch_size": NUM_TRAIN - 2, "epochs": 2}
}


def train(name, rank, world_size):
    trial = FakeTrial(rank=rank, world_size=world_size)
    reports = drive(classify.run, build(classify.Config, (SETTINGS | OWN_STATISTICS)[name]), trial)
    return {"reports": reports, "network": trial.saved["fit"]["network"]}


def work(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save({name: train(name, rank, 2) for name in SETTINGS | OWN_STATISTICS}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_the_odd_batches_are_as_meant():
    assert classify.steps(build(classify.Config, {"epochs": 1, "batch_size": 1})) == NUM_TRAIN


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What each of two processes came to."""
    folder = tmp_path_factory.mktemp("workers")
    spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", SETTINGS)
def test_two_workers_end_where_one_does(workers, name):
    alone = train(name, 0, 1)
    for worker in workers:
        assert len(worker[name]["reports"]) == len(alone["reports"])
        for key, value in alone["network"]["parameters"].items():
            torch.testing.assert_close(worker[name]["network"]["parameters"][key], value, rtol=1e-4, atol=1e-5)
        for key, value in alone["reports"][-1].items():
            if key not in classify.NOT_REPRODUCIBLE:
                assert worker[name]["reports"][-1][key] == pytest.approx(value, rel=1e-3, abs=1e-5), key


@pytest.mark.parametrize("name", SETTINGS)
def test_streams_stand_where_those_of_one_worker_stand(workers, name):
    """So a checkpoint of rank 0 restarts any number of workers."""
    alone = train(name, 0, 1)["network"]["buffers"]
    for worker in workers:
        assert all(torch.equal(worker[name]["network"]["buffers"][key], state) for key, state in alone.items())


@pytest.mark.parametrize("name", SETTINGS | OWN_STATISTICS)
@pytest.mark.parametrize("part", ["parameters", "buffers"])
def test_workers_hold_the_same_bits(workers, name, part):
    first, second = (worker[name]["network"][part] for worker in workers)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_workers_with_statistics_of_their_own_report_the_same(workers):
    first, second = (worker["batch"]["reports"] for worker in workers)
    for one, other in zip(first, second, strict=True):
        assert {key: one[key] for key in one.keys() - set(classify.NOT_REPRODUCIBLE)}.items() <= other.items()
