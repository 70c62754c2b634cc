"""Time and memory of a training step, compared with plain convolutions and other libraries."""

import os

# The profiler, which counts bytes here, would log each start and stop to standard error. It reads this variable when it
# is loaded.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
