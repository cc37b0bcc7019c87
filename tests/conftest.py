import os
import sys
from pathlib import Path

# One thread each, also in child processes: tests train small things, and threads that wait for a core cost far more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

for room in ("sweeps", "cluster", "analysis", "trainables"):
    sys.path.append(str(Path(__file__).parent / room))
