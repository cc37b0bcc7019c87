"""What processes of one machine spend on a folder of images, each for itself and sharing one copy.

python tests/benchmarks/data_once.py [--images 5000] [--size 64] [--processes 4]

Seconds of CPU time of all processes together, and of wall time until the last one has its examples.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from PIL import Image

from trainables.data import load
from trainables.data.image_folder import Config


def make(folder: Path, images: int, size: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(images):
        path = folder / f"class-{number % 10}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(path)


def measure(processes: int, call: Callable[[Config], object], config: Config) -> str:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    started = [multiprocessing.get_context("fork").Process(target=call, args=(config,)) for _ in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
        assert process.exitcode == 0
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.1f} | {took:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--processes", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assay-data-") as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        make(Path(folder) / "images", options.images, options.size)
        config = Config(path=f"{folder}/images")
        print("| processes | CPU s | wall s |\n|---|---:|---:|")  # noqa: T201
        print(f"| each for itself | {measure(options.processes, Config.load, config)} |")  # noqa: T201
        print(f"| sharing, none has read | {measure(options.processes, load, config)} |")  # noqa: T201
        print(f"| sharing, one has read | {measure(options.processes, load, config)} |")  # noqa: T201


if __name__ == "__main__":
    main()
