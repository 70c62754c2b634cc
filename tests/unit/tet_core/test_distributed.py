"""Tests of several workers: weights and metrics equal those of one worker, up to rounding."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from tests.unit.tet_core.stages import make_config
from tests.unit.tet_core.workers import MOST, Pool, pool
from tet_core import fit
from tet_core.checkpoint import weights_sha256
from tet_core.config import TrainConfig
from tet_core.current import Current
from tet_core.distributed import ALONE, Workers, WorkersApartError, WorkersDifferError
from tet_core.measure.evaluation import evaluate
from tet_core.measure.metric_names import TIMES
from tet_core.neuron import LIF, ReLU
from tet_core.norm import TEBN, TdBN, synchronise
from tet_core.static import repeat_over_time
from tet_core.train.epochs import train_epochs

pytestmark = [pytest.mark.slow]  # several processes train

Checkpoint = dict[str, Any]
# Each epoch has eleven batches, ten of 137 samples and one of 72; five epochs have 55. Neither 2 nor 4 divides 137.
FIFTY_FIVE = make_config(precision="float64", batch_size=137, epochs=5)
# The last batch has two samples.
TWO_LEFT = {"batch_size": 720, "epochs": 1, "precision": "float64"}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with pool(tmp_path_factory.mktemp("workers")) as found:
        yield found


def trained(group: ProcessGroup | None, config: TrainConfig, resume: Checkpoint | None = None) -> list[Checkpoint]:
    """Return the checkpoints of a stage. Only worker 0 gets the checkpoint from which the stage resumes."""
    resume = resume if Workers.of(group).rank == 0 else None
    return [epoch.checkpoint() for epoch in train_epochs(config, resume=resume, group=group)]


def largest_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the largest difference between the weights and statistics of two checkpoints."""
    assert one["model"].keys() == other["model"].keys()
    return max(float((one["model"][name] - other["model"][name]).abs().max()) for name in one["model"])


def series(checkpoints: list[Checkpoint]) -> list[tuple[str, dict[str, float]]]:
    """Return weight hash and metrics of each epoch, without times."""
    return [
        (weights_sha256(each), {name: value for name, value in each["metrics"].items() if name not in TIMES})
        for each in checkpoints
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": {"name": "vgg_small", "width": 4, "norm": {"name": "tebn"}}, "memory": "least"},
        {"neuron": {"name": "relu"}, "optimizer": {"name": "sgd"}},
        {"model": {"name": "resnet19", "width": 2, "stem": 2}, "optimizer": {"name": "sgd"}, "T": 3},
        {"surrogate": {"name": "sigmoid_forward"}, "validation": 0.1, "neuron": {"name": "lif", "learnable_tau": True}},
    ],
    ids=["tdbn", "tebn", "relu", "residual", "learnt"],
)
def test_two_workers_give_the_results_of_one_up_to_rounding(workers: Pool, changes: dict[str, Any]) -> None:
    config = FIFTY_FIVE.model_validate(FIFTY_FIVE.model_dump() | changes)
    (one,) = workers.run(1, trained, config)
    two, other = workers.run(2, trained, config)
    assert series(two) == series(other), "both workers have the same weights and metrics"
    assert max(largest_difference(*pair) for pair in zip(one, two, strict=True)) < 1e-9
    for ours, theirs in zip(one, two, strict=True):
        for name, value in ours["metrics"].items():
            if name.endswith("accuracy"):
                assert theirs["metrics"][name] == value, "exact: whole samples were counted"
            elif name not in TIMES:
                assert theirs["metrics"][name] == pytest.approx(value, rel=1e-9)


def test_a_stage_is_resumed_with_another_number_of_workers(workers: Pool) -> None:
    whole = workers.run(1, trained, FIFTY_FIVE)[0]
    for before, after in ((2, 1), (1, 2), (2, 3)):
        checkpoint = workers.run(before, trained, FIFTY_FIVE)[0][1]
        rest = workers.run(after, trained, FIFTY_FIVE, checkpoint)[0]
        assert [each["epoch"] for each in rest] == [3, 4, 5]
        assert rest[-1]["environment"]["num_workers"] == after
        assert max(largest_difference(*pair) for pair in zip(rest, whole[2:], strict=True)) < 1e-9


@pytest.mark.parametrize("num", [2, 4])
def test_a_stage_resumed_with_as_many_workers_ends_with_the_same_bits(workers: Pool, num: int) -> None:
    config = make_config(batch_size=137, epochs=4)
    whole = workers.run(num, trained, config)[0]
    assert series(workers.run(num, trained, config, whole[1])[0]) == series(whole[2:])


def right(group: ProcessGroup | None, config: TrainConfig) -> list[list[bool]]:
    """Return which test samples each epoch's network classifies correctly."""
    return [epoch.is_correct.tolist() for epoch in train_epochs(config, group=group)]


def test_every_worker_knows_which_test_samples_are_right_whoever_evaluated_them(workers: Pool) -> None:
    config = make_config(precision="float64", batch_size=137, epochs=1)
    ((alone,),) = workers.run(1, right, config)
    assert 0 < sum(alone) < len(alone) == 355
    # 355 samples are three batches: of three workers each has one, of two the second one has the batch in the middle.
    assert workers.run(2, right, config) == [[alone]] * 2
    assert workers.run(3, right, config) == [[alone]] * 3


@pytest.mark.parametrize("num", [1, 2])
def test_a_checkpoint_has_the_same_parts_and_exact_metrics_for_any_number_of_workers(workers: Pool, num: int) -> None:
    checkpoint = workers.run(num, trained, make_config(batch_size=137, epochs=1))[0][0]
    alone = workers.run(1, trained, make_config(batch_size=137, epochs=1))[0][0]
    assert checkpoint.keys() == alone.keys()
    assert checkpoint["model"].keys() == alone["model"].keys()
    measured = evaluate(checkpoint)
    assert {name: checkpoint["metrics"][name] for name in measured} == measured, (
        "one worker measures the same, to the bit"
    )


@pytest.mark.parametrize(
    "changes", [{}, {"neuron": {"name": "relu"}}, {"model": {"name": "resnet19", "width": 2, "stem": 2}}]
)
def test_a_worker_without_a_share_of_the_last_batch_changes_nothing(workers: Pool, changes: dict[str, Any]) -> None:
    config = make_config(**TWO_LEFT, **changes)
    (one,), four = workers.run(1, trained, config), workers.run(4, trained, config)
    assert len({weights_sha256(each[0]) for each in four}) == 1
    assert largest_difference(one[0], four[0][0]) < 1e-9


@pytest.mark.parametrize("neuron", ["lif", "relu"])
def test_unsynchronised_norms_differ_between_workers_and_an_epoch_ends_with_their_mean(
    workers: Pool, neuron: str
) -> None:
    config = make_config(**TWO_LEFT, sync_norm=False, neuron={"name": neuron})
    (one,), four = workers.run(1, trained, config), workers.run(4, trained, config)
    assert len({weights_sha256(each[0]) for each in four}) == 1
    assert largest_difference(one[0], four[0][0]) > 1e-6
    (one,), (two, _) = workers.run(1, statistics_of_halves), workers.run(2, statistics_of_halves)
    assert torch.allclose(two, one)


def statistics_of_halves(group: ProcessGroup | None) -> Tensor:
    """Return the running mean of the first norm after an epoch of one batch; two workers train on a half each."""
    config = make_config(precision="float64", batch_size=1442, epochs=1, sync_norm=False, augmentation=())
    found: Tensor = trained(group, config)[0]["model"]["features.0.norm.running_mean"]
    return found


@pytest.mark.parametrize("sizes", [(3, 4), (5, 0), (1, 2, 4)])
@pytest.mark.parametrize("kind", ["fused", "plain", "scaled"])
@pytest.mark.parametrize("is_static", [False, True])
def test_a_norm_over_all_workers_gives_the_results_of_the_whole_batch(
    workers: Pool, sizes: tuple[int, ...], kind: str, is_static: bool
) -> None:
    (whole,) = workers.run(1, normed, kind, is_static, sizes)
    parts = workers.run(len(sizes), normed, kind, is_static, sizes)
    assert torch.allclose(torch.cat([part["y"] for part in parts], 1), whole["y"], rtol=0, atol=1e-12)
    assert torch.allclose(torch.cat([part["x"] for part in parts]), whole["x"], rtol=0, atol=1e-12)
    for name in ("weight", "bias"):
        assert torch.allclose(sum(part[name] for part in parts), whole[name], rtol=1e-12, atol=1e-12)
    for name in ("running_mean", "running_var"):
        assert all(torch.equal(part[name], parts[0][name]) for part in parts)
        assert torch.allclose(parts[0][name], whole[name], rtol=1e-12)


def normed(group: ProcessGroup | None, kind: str, is_static: bool, sizes: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the spikes of a norm and neurons for this worker's part of a batch, and all gradients of their sum."""
    who = Workers.of(group)
    torch.manual_seed(0)
    norm: TdBN = TEBN(3, 4) if kind == "scaled" else TdBN(3)
    norm.double()
    nn.init.uniform_(norm.weight)
    synchronise(norm, who)
    neuron = ReLU() if kind == "plain" else LIF()
    x, cotangent = torch.randn(sum(sizes), 4, 3, 5, 5).double() * 3 + 1, torch.randn(4, sum(sizes), 3, 5, 5).double()
    part = slice(None) if group is None else slice(sum(sizes[: who.rank]), sum(sizes[: who.rank + 1]))
    mine = x[part].requires_grad_()
    y = neuron(Current.of(repeat_over_time(mine[:, 0], 4) if is_static else mine.transpose(0, 1), norm))
    (y * cotangent[:, part]).sum().backward()
    assert mine.grad is not None
    found = {"y": y.detach(), "x": mine.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    return {**found, "running_mean": norm.running_mean, "running_var": norm.running_var}


@pytest.mark.parametrize("sync_norm", [True, False])
@pytest.mark.parametrize("neuron", ["lif", "relu"])
def test_one_sample_left_for_several_workers_makes_no_nan(workers: Pool, neuron: str, sync_norm: bool) -> None:
    # 1442 samples: the last batch has one, and after the pool each channel has one value on one of the workers.
    layers = [{"kind": "conv", "channels": 4}, {"kind": "pool", "size": "global"}, {"kind": "conv", "channels": 4}]
    model = {"name": "layers", "layers": layers}
    config = make_config(
        model=model, neuron={"name": neuron}, sync_norm=sync_norm, T=1, batch_size=131, epochs=1, precision="float64"
    )
    (one,), two = workers.run(1, trained, config), workers.run(2, trained, config)
    assert all(tensor.isfinite().all() for tensor in two[0][0]["model"].values())
    assert weights_sha256(two[0][0]) == weights_sha256(two[1][0])
    if sync_norm:
        assert largest_difference(one[0], two[0][0]) < 1e-9


def test_workers_with_different_configs_are_refused(workers: Pool) -> None:
    for error in workers.run(2, refused):
        assert "the config of worker 1 of 2 is" in error
        assert "all workers must have the same value" in error


def refused(group: ProcessGroup) -> str:
    with pytest.raises(WorkersDifferError) as caught:
        trained(group, make_config(seed=Workers.of(group).rank))
    return str(caught.value)


def test_a_worker_that_loses_contact_raises_at_once(workers: Pool) -> None:
    assert workers.run(2, left_alone) == ["worker 0 of 2 has lost contact with the other workers", ""]


def left_alone(group: ProcessGroup) -> str:
    """Train with a second worker that leaves after one epoch."""
    epochs = train_epochs(make_config(batch_size=137), group=group)
    next(epochs)
    if Workers.of(group).rank == 1:
        return ""
    with pytest.raises(WorkersApartError) as caught:
        next(epochs)
    return str(caught.value).partition(":")[0]


def test_fit_keeps_one_set_of_checkpoints(workers: Pool, tmp_path: Path) -> None:
    first = workers.run(2, fitted, str(tmp_path), 1)
    again = workers.run(2, fitted, str(tmp_path), 1)
    assert first[0] == first[1] == again[0] == again[1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best_test.pt", "last.pt"]


def fitted(group: ProcessGroup, folder: str, epochs: int) -> str:
    return fit(make_config(batch_size=137, epochs=epochs), folder=folder, group=group).weights_sha256


def test_shares_are_the_whole_batch_in_its_order_and_differ_by_one_sample_at_most() -> None:
    for size in range(12):
        for num in range(1, 6):
            shares = [range(size)[Workers(None, rank, num).share(size)] for rank in range(num)]
            assert [sample for share in shares for sample in share] == list(range(size))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_single_worker_does_not_communicate() -> None:
    x = torch.arange(3.0)
    assert ALONE.summed(x) is x
    assert torch.equal(ALONE.gathered(x), x[None])
    assert ALONE.from_first("it") == "it"
    assert not ALONE.are_many
    assert MOST >= 4
