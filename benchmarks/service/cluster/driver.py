"""The service's driver, as a process of its own, with trials that only report in place of trainings.

python -m benchmarks.service.cluster.driver --experiment ... (see service.runner.driver)
"""

import sys

from benchmarks.service.cluster.trainables import ReportTrial
from service.runner.driver import main

if __name__ == "__main__":
    sys.exit(main(trainable=ReportTrial))
