"""A Python loop over plain PyTorch.

python bare_loop.py --model mlp --trials 256 --threads 1
"""

from __future__ import annotations

import work


def main() -> None:
    options = work.arguments(threads=int)
    results = [work.train(setting, options.threads) for setting in work.settings(options.model, options.trials)]
    work.show(f"bare_loop, threads: {options.threads}", options.model, results)


if __name__ == "__main__":
    main()
