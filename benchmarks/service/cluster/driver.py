"""The service's driver in a separate process; its trials report, but train nothing.

python -m benchmarks.service.cluster.driver --experiment ... (all options: see service.runner.driver)
"""

import sys

from benchmarks.service.cluster.trainables import ReportTrial
from service.runner.driver import main

if __name__ == "__main__":
    sys.exit(main(trainable=ReportTrial))
