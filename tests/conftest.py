import sys
from pathlib import Path

for room in ("sweeps", "cluster", "analysis", "trainables"):
    sys.path.append(str(Path(__file__).parent / room))
