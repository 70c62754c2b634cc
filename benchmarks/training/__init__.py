"""What a training step takes, in time and in memory, beside the plain convolutions and other libraries."""

import os

# The profiler, which counts bytes here, tells standard error of each start and stop; it reads this once, on loading.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
