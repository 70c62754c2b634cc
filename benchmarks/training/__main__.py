"""What a training step takes, and what stands around it, all of it; each part runs alone too.

python -m benchmarks.training
"""

import sys

from benchmarks.parts import run_all

if __name__ == "__main__":
    sys.exit(run_all(("benchmarks.training.around", "benchmarks.training.steps")))
