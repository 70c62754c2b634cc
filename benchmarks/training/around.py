"""The work around the training steps: start of a process, batches, health of layers, a sweep over T, the optimiser.

python -m benchmarks.training.around
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import nn

from benchmarks.bounds import Bound, header, machine, rows
from benchmarks.results_file import write
from benchmarks.training.rounds import time_alternately
from tet_core import build_model, fit, kernels
from tet_core.analysis import analyse
from tet_core.config import AdamConfig, Crop, Flip, TimeSweep, TrainConfig
from tet_core.data.dataset import Dataset, Split
from tet_core.data.loader import TrainLoader
from tet_core.measure.evaluation import evaluate
from tet_core.measure.layer_health import watched
from tet_core.static import repeat_over_time
from tet_core.train.optimizer import build_optimizer

PACKAGES = ("torch",)
# Cases in which the guards, which measure the health of layers, are timed. Each has a name, the side of an image in
# pixels, the number of training samples, the channels of the network, and a limit: the largest permitted ratio of the
# guards' time to an epoch's time. Networks of few channels, as in examples and tests, have no limit: even for small
# layers the guards need some calls, which take roughly half a millisecond in an epoch for all four layers.
GUARDED = (
    ("digits", 8, 1_437, 32, 0.01),
    ("Fashion-MNIST", 28, 60_000, 32, 0.01),
    ("digits", 8, 1_437, 8, None),
    ("digits", 8, 1_437, 4, None),
)
GUARDED_BATCH = 128
# The number of rounds is multiplied by this number for small data sets. The guards' time is the difference of two
# durations, and the difference is noisier than each duration.
GUARDED_ROUNDS = 10
# A program that trains two networks of different shapes. It prints the durations of their steps, in s, and two clock
# times, in s since 1970: after the imports, and after the steps of the first network.
FRESH = """
import json, time
import torch
from tet_core import build_model, tet_loss
times = {"imported_at": time.time()}
def step(model, x):
    start_time = time.perf_counter()
    tet_loss(model(x), torch.zeros(x.shape[1], dtype=torch.int64)).backward()
    return time.perf_counter() - start_time
for name, channels, size in (("vggsnn", 2, 48), ("resnet19", 3, 32)):
    model = build_model(name, num_classes=10, in_channels=channels, input_size=size, width=16)
    x = torch.randn(4, 4, channels, size, size)
    times[name] = [step(model, x) for _ in range(4)]
    times.setdefault("first_at", time.time())
print(json.dumps(times))
"""


def _process(cache: str) -> dict[str, float]:
    start_time = time.time()
    environment = dict(os.environ) | {"TET_KERNEL_CACHE": cache, "TET_KERNELS": "compiled"}
    process = subprocess.run([sys.executable, "-c", FRESH], env=environment, check=True, capture_output=True, text=True)
    times = json.loads(process.stdout)
    first, *_, steady = times["vggsnn"]
    later_first, *_, later_steady = times["resnet19"]
    return {
        "import_s": times["imported_at"] - start_time,
        "first_s": first - steady,
        "reused_s": later_first - later_steady,
        "whole_s": times["imported_at"] - start_time + first,
    }


def starting() -> Iterator[Bound]:
    """Yield the time before the first fast step: the build of the kernels, a new process, and a reused process."""
    with tempfile.TemporaryDirectory() as cache:
        cold = _process(cache)
        warm = [_process(cache) for _ in range(3)]
    yield Bound("building the kernels: once per node, for all shapes", cold["first_s"], "s", 90)
    yield Bound("a fresh process, warm cache: imports and first step", max(each["whole_s"] for each in warm), "s", 6)
    yield Bound("  of that: imports", max(each["import_s"] for each in warm), "s")
    yield Bound("a reused process: first step of other shapes", max(each["reused_s"] for each in warm), "s", 0.5)


def feeding(rounds: int) -> Iterator[Bound]:
    """Yield the time to load a batch (images in memory, cropped and flipped), relative to the batch's training step."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2048, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.randint(10, (len(images),), generator=generator))
    dataset = Dataset("cifar-like", 10, 3, 32, (125.0,) * 3, (60.0,) * 3, split, split, "drawn")
    size = 32
    loader = TrainLoader(
        dataset,
        torch.arange(len(images)),
        batch_size=size,
        steps=(Crop(padding=4), Flip()),
        seed=0,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    model: nn.Module = build_model("vgg_small", num_classes=10, in_channels=3, input_size=32)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = iter(_endless(loader))
    x = next(batches)

    def step() -> None:
        model.zero_grad()
        torch.autograd.backward(model(dataset.to_input(x, 4)).square().mean())

    times = time_alternately({"batch": lambda: next(batches), "step": step}, rounds)
    yield Bound(
        "a batch of 32, relative to vgg_small's step at T = 4", times["batch"].median / times["step"].median, "x", 0.03
    )


def _endless(loader: TrainLoader) -> Iterator[torch.Tensor]:
    epoch = 0
    while True:
        epoch += 1
        yield from (batch.images for batch in loader.epoch(epoch))


def sweeping(rounds: int) -> Iterator[Bound]:
    """Yield the time of a sweep over T = 1 to 8, relative to one evaluation at T = 8."""
    config = TrainConfig.model_validate(
        {
            "dataset": {"name": "digits", "input_size": 16},
            "model": {"name": "vgg_small", "width": 32},
            "T": 8,
            "epochs": 1,
            "loss": {"name": "tet"},
            "num_threads": torch.get_num_threads(),
        }
    )
    checkpoint = fit(config).checkpoint
    sweep = TimeSweep(T=tuple(range(1, 9)))
    times = time_alternately(
        {"sweep": lambda: list(analyse(checkpoint, sweep)), "evaluation": lambda: evaluate(checkpoint)}, rounds
    )
    yield Bound(
        "a sweep over T = 1 to 8, relative to one evaluation at T = 8",
        times["sweep"].over(times["evaluation"]),
        "x",
        1.1,
    )


def optimising(rounds: int) -> Iterator[Bound]:
    """Yield the time of Adam's step over VGGSNN's weights, relative to torch's fused step."""
    steps = {}
    for name in ("ours", "torch's"):
        model = build_model("vggsnn", num_classes=10, in_channels=2, input_size=48)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        build = partial(build_optimizer, AdamConfig()) if name == "ours" else partial(torch.optim.Adam, fused=True)
        steps[name] = build(model.parameters()).step
    times = time_alternately(steps, rounds)
    yield Bound("Adam's step over 9 million weights, relative to torch's", times["ours"].over(times["torch's"]), "x")


def guarding(rounds: int) -> Iterator[Bound]:
    """Yield the time to measure all layers in one step of an epoch, relative to the whole epoch."""
    for name, size, num_train, width, limit in GUARDED:
        model = build_model("vgg_small", num_classes=10, in_channels=1, input_size=size, width=width)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = build_optimizer(AdamConfig(), model.parameters())
        x = repeat_over_time(torch.rand(GUARDED_BATCH, 1, size, size), 4)
        steps = {watch: partial(_stepped, model, optimizer, x, watch=watch) for watch in (False, True)}
        times = time_alternately(steps, rounds if num_train > 10_000 else GUARDED_ROUNDS * rounds)
        pairs = zip(times[True].seconds, times[False].seconds, strict=True)
        extra = statistics.median(guarded - plain for guarded, plain in pairs)
        epoch = math.ceil(num_train / GUARDED_BATCH) * times[False].median
        yield Bound(f"guards, relative to an epoch: {name}, vgg_small of {width} channels", extra / epoch, "x", limit)


def _stepped(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, *, watch: bool) -> None:
    model.train()
    optimizer.zero_grad()
    with watched(model) if watch else nullcontext():
        torch.autograd.backward(model(x).square().mean())
    optimizer.step()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the results; return 0 only if every bound holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.around", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    print(header(f"Around the steps, {arguments.threads} threads, kernels: {kernels.in_use()}", PACKAGES), flush=True)
    about = machine()
    measured = (feeding, guarding, sweeping, optimising)
    bounds = [*starting(), *(bound for measure in measured for bound in measure(arguments.rounds))]
    print("", *(bound.line() for bound in bounds), sep="\n")
    file = write("training_around", PACKAGES, {"about": about, "arguments": vars(arguments), "rows": rows(bounds)})
    print(f"written to {file.name}")
    return 0 if all(bound.holds for bound in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
