"""The plain Ray Tune script with ``reuse_actors=True``: a process runs one trial after the other.

python reused_actors.py --model mlp --trials 256
"""

from __future__ import annotations

from plain_tune import main

if __name__ == "__main__":
    main("reused_actors", reuse_actors=True)
