"""All benchmarks of training: the steps, and the work around them. Each part can be run alone.

python -m benchmarks.training
"""

import sys

from benchmarks.parts import run_all

if __name__ == "__main__":
    sys.exit(run_all(("benchmarks.training.around", "benchmarks.training.steps")))
