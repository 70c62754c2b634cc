"""Tests of training: arms with the same seed stay paired, and a stopped and resumed stage ends with the same bits."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from tests.unit.tet_core.stages import make_config
from tet_core import environment
from tet_core.checkpoint import CheckpointError, EnvironmentMismatch, weights_sha256
from tet_core.config import TrainConfig
from tet_core.errors import ConfigError
from tet_core.measure.evaluation import Measured, evaluate, measure_samples
from tet_core.measure.metric_names import OF_A_SPLIT, OF_AN_EPOCH, TIMES
from tet_core.models.building_blocks import Network
from tet_core.train import stage
from tet_core.train.epochs import Epoch, train_epochs

SDT, TET = {"name": "sdt"}, {"name": "tet"}


def series(epochs: Iterable[Epoch]) -> list[tuple[str, dict[str, float]]]:
    """Return weight hash and metrics of each epoch, without times."""
    return [
        (epoch.weights_sha256, {name: value for name, value in epoch.metrics.items() if name not in TIMES})
        for epoch in epochs
    ]


@contextmanager
def watched() -> Iterator[list[tuple[str, int, str]]]:
    """Yield a list that receives the training inputs: (hash of the weights, T, hash of the images of one step)."""
    inputs: list[tuple[str, int, str]] = []

    def watch(module: nn.Module, args: tuple[Any, ...]) -> None:
        if isinstance(module, Network) and module.training:
            x: Tensor = args[0]
            assert all(torch.equal(x[0], step) for step in x)
            inputs.append((weights_sha256(module.state_dict()), len(x), weights_sha256({"x": x[0]})))

    handle = register_module_forward_pre_hook(watch)
    try:
        yield inputs
    finally:
        handle.remove()


def inputs_of(config: TrainConfig, **start: Any) -> list[tuple[str, int, str]]:
    with watched() as inputs:
        for _ in train_epochs(config, **start):
            pass
    return inputs


def test_at_one_seed_all_arms_start_from_equal_weights_and_see_equal_batches() -> None:
    sdt = inputs_of(make_config(T=4, loss=SDT))
    tet = inputs_of(make_config(T=4, loss=TET))
    tit = inputs_of(make_config(T=2, loss=TET))
    assert sdt[0][0] == tet[0][0] == tit[0][0]
    assert sdt[1][0] != tet[1][0], "after one step under different losses the weights differ"
    images = [[image for _, _, image in arm] for arm in (sdt, tet, tit)]
    assert images[0] == images[1] == images[2]
    assert len(images[0]) == 2 * 12
    assert len(set(images[0])) == 2 * 12, "all batches of all epochs differ"
    assert {T for _, T, _ in sdt} == {4}
    assert {T for _, T, _ in tit} == {2}


def test_a_second_stage_sees_the_batches_of_one_long_stage() -> None:
    whole = inputs_of(make_config(epochs=3))
    *_, first = train_epochs(make_config(epochs=2))
    second = inputs_of(make_config(T=4, epochs=1, epoch_offset=2), initial=first.checkpoint())
    assert second[0][0] == first.weights_sha256, "the second stage starts from the last weights of the first"
    assert [image for _, _, image in second] == [image for _, _, image in whole[24:]]


def test_other_seeds_differ_in_weights_and_batches() -> None:
    first, other = inputs_of(make_config(epochs=1)), inputs_of(make_config(epochs=1, seed=1))
    assert first[0][0] != other[0][0]
    assert not {image for _, _, image in first} & {image for _, _, image in other}


def test_precision_does_not_change_the_initial_weights() -> None:
    start = {
        precision: train_epochs(make_config(precision=precision, epochs=1)).start.initial_sha256
        for precision in ("float32", "bfloat16")
    }
    assert start["float32"] == start["bfloat16"]


def test_the_memory_level_does_not_change_results() -> None:
    fast, *others = (series(train_epochs(make_config(memory=level))) for level in ("fast", "balanced", "least"))
    assert all(other == fast for other in others)


@pytest.mark.parametrize("optimizer", [{"name": "adam"}, {"name": "sgd", "weight_decay": 1e-4}])
def test_a_stage_that_was_stopped_and_resumed_ends_with_the_same_bits(optimizer: dict[str, Any]) -> None:
    config = make_config(epochs=4, optimizer=optimizer, validation=0.1)
    whole = list(train_epochs(config))
    resumed = train_epochs(config, resume=whole[1].checkpoint())
    assert resumed.start.initial_sha256 == whole[1].weights_sha256
    assert series(resumed) == series(whole[2:])
    assert list(train_epochs(config, resume=whole[3].checkpoint())) == []
    assert series(train_epochs(config, resume=whole[1].checkpoint())) == series(whole[2:]), (
        "the first resumption has changed the checkpoint"
    )


def test_two_runs_of_one_config_are_equal_and_change_no_earlier_checkpoint() -> None:
    first = list(train_epochs(make_config(precision="bfloat16")))
    assert series(first) == series(train_epochs(make_config(precision="bfloat16")))
    assert len({weights_sha256(epoch.checkpoint()) for epoch in first}) == 2


def test_two_stages_that_inherit_all_equal_one_stage_of_their_joint_length() -> None:
    whole = list(train_epochs(make_config(epochs=5)))
    first = list(train_epochs(make_config(epochs=3, schedule_epochs=5)))
    second = make_config(epochs=2, inherit="all", epoch_offset=3, schedule_offset=3, schedule_epochs=5)
    assert series(first) + series(train_epochs(second, initial=first[-1].checkpoint())) == series(whole)


def test_time_inheritance_loads_the_weights_and_nothing_else() -> None:
    *_, first = train_epochs(make_config(T=2, epochs=1))
    second = make_config(T=4, epochs=2, epoch_offset=1)
    stage = list(train_epochs(second, initial=first.checkpoint()))
    assert series(train_epochs(second, initial=first.checkpoint(), resume=stage[0].checkpoint())) == series(stage[1:])
    fresh = first.checkpoint() | {"optimizer": None, "epoch": 0, "metrics": {}}
    assert series(train_epochs(second, initial=fresh)) == series(stage)


def test_inheriting_all_uses_this_stages_learning_rate() -> None:
    *_, first = train_epochs(make_config(epochs=1))
    second = make_config(
        epochs=1, inherit="all", optimizer={"name": "adam", "lr": 0.02}, schedule={"name": "constant"}, epoch_offset=1
    )
    (last,) = train_epochs(second, initial=first.checkpoint())
    group = last.checkpoint()["optimizer"]["param_groups"][0]
    assert group["lr"] == 0.02
    assert float(last.checkpoint()["optimizer"]["state"][0]["step"]) == 24


def test_an_old_checkpoint_without_a_number_of_workers_is_resumed() -> None:
    whole = list(train_epochs(make_config()))
    old = whole[0].checkpoint()
    old["config"].pop("sync_norm")
    old["environment"].pop("num_workers")
    assert series(train_epochs(make_config(), resume=old)) == series(whole[1:])


def test_a_checkpoint_that_cannot_be_resumed_says_what_differs() -> None:
    *_, last = train_epochs(make_config(epochs=1))
    checkpoint = last.checkpoint()
    with pytest.raises(CheckpointError, match=r"another config: T: saved 2, now 4; loss\.lamb: saved 0\.05, now 0\.1"):
        train_epochs(make_config(epochs=1, T=4, loss={"name": "tet", "lamb": 0.1}), resume=checkpoint)
    elsewhere = checkpoint | {"environment": checkpoint["environment"] | {"torch": "1.0"}}
    with pytest.raises(EnvironmentMismatch, match=r"torch: saved '1\.0', now '2\."):
        train_epochs(make_config(epochs=1), resume=elsewhere)
    with pytest.raises(CheckpointError, match=r"does not fit model 'vgg_small': size mismatch for features"):
        train_epochs(make_config(model={"name": "vgg_small", "width": 5}), initial=checkpoint)
    with pytest.raises(CheckpointError, match=r"optimizer is 'sgd', the checkpoint's is 'adam'; to load its state"):
        train_epochs(make_config(optimizer={"name": "sgd"}, inherit="all"), initial=checkpoint)


def test_a_loss_that_is_not_finite_is_named() -> None:
    config = make_config(optimizer={"name": "sgd", "lr": 1000.0}, loss={"name": "tet", "phi": 1e30})
    with pytest.raises(FloatingPointError, match=r"the tet loss is (inf|nan) in epoch 1, batch \d+ of 12"):
        list(train_epochs(config))


def test_a_measured_loss_that_is_not_finite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(*arguments: Any) -> Measured:
        measured = measure_samples(*arguments)
        return replace(measured, metrics=measured.metrics | {"loss": float("nan")})

    monkeypatch.setattr(stage, "measure_samples", breaking)
    with pytest.raises(FloatingPointError, match=r"test/loss is nan after epoch 1; a lower learning rate may help"):
        list(train_epochs(make_config()))


def test_a_missing_device_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError, match="device is 'cuda'; this machine, or this build of torch, has no CUDA device"):
        train_epochs(make_config(device="cuda"))


@pytest.mark.slow
def test_training_uses_its_own_threads_and_restores_the_callers() -> None:
    seen: set[int] = set()
    handle = register_module_forward_pre_hook(lambda _module, _args: seen.add(torch.get_num_threads()))
    threads = torch.get_num_threads()
    state = torch.random.get_rng_state()
    try:
        for _ in train_epochs(make_config(num_threads=2)):
            assert torch.get_num_threads() == threads
    finally:
        handle.remove()
    assert seen == {2}
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16", "float16"])
def test_every_precision_learns(precision: str) -> None:
    first, *_, last = train_epochs(make_config(precision=precision, epochs=4, optimizer={"name": "adam", "lr": 0.01}))
    assert last.metrics["train/loss"] < 0.8 * first.metrics["train/loss"]
    dtypes = {tensor.dtype for tensor in last.checkpoint()["model"].values()}
    assert dtypes == {torch.float64 if precision == "float64" else torch.float32}


def test_in_float16_the_scale_of_the_loss_is_resumed() -> None:
    config = make_config(precision="float16", epochs=3)
    whole = list(train_epochs(config))
    saved = whole[0].checkpoint()
    assert saved["scaler"]["scale"] > 1
    saved = saved | {"scaler": saved["scaler"] | {"scale": 2.0, "_growth_tracker": 7}}
    (_, last) = train_epochs(config, resume=saved)
    assert last.checkpoint()["scaler"] == saved["scaler"] | {"_growth_tracker": 7 + 24}
    assert series(train_epochs(config, resume=whole[0].checkpoint())) == series(whole[1:])
    assert whole[0].checkpoint()["scaler"] != {}
    assert next(train_epochs(make_config())).checkpoint()["scaler"] == {}


def test_in_float16_a_step_whose_gradients_overflow_is_skipped() -> None:
    config = make_config(precision="float16", epochs=1)
    stage = train_epochs(config)
    (usual,) = stage
    huge = usual.checkpoint() | {
        "epoch": 0,
        "scaler": usual.checkpoint()["scaler"] | {"scale": 2.0**100, "_growth_tracker": 0},
    }
    (last,) = train_epochs(config, resume=huge)
    assert last.checkpoint()["scaler"]["scale"] < 2.0**100
    assert all(tensor.isfinite().all() for tensor in last.checkpoint()["model"].values())


def test_the_precision_auto_is_resolved_before_anything_depends_on_it() -> None:
    fastest = environment.fastest_precision(torch.device("cpu"))
    (auto,) = train_epochs(make_config(precision="auto", epochs=1))
    (named,) = train_epochs(make_config(precision=fastest, epochs=1))
    assert series([auto]) == series([named])
    assert auto.checkpoint()["config"]["precision"] == auto.checkpoint()["environment"]["precision"] == fastest
    assert evaluate(auto.checkpoint())["test/loss"] == auto.metrics["test/loss"]


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_f": True}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"neon": True, "bf16": True}, "bfloat16"),
        ({}, "float32"),
    ],
)
def test_auto_is_bfloat16_if_the_processor_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert environment.fastest_precision(torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("has_bfloat16", "capability", "expected"),
    [(True, (9, 0), "bfloat16"), (False, (7, 5), "float16"), (False, (6, 1), "float32"), (False, (0, 0), "float32")],
)
def test_on_gpus_auto_is_the_fastest_precision_that_the_gpu_has(
    monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability > (0, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert environment.fastest_precision(torch.device("cuda")) == expected


def test_metrics_have_their_documented_names() -> None:
    (plain,) = train_epochs(make_config(epochs=1))
    assert plain.metrics.keys() == set(OF_AN_EPOCH)
    (validated,) = train_epochs(make_config(epochs=1, validation=0.2))
    assert validated.metrics.keys() == {*OF_AN_EPOCH, *(f"val/{name}" for name in OF_A_SPLIT)}


def test_the_measured_loss_is_the_loss_that_the_stage_trains_with() -> None:
    *_, sdt = train_epochs(make_config(epochs=3, loss=SDT))  # after three epochs, the outputs differ from step to step
    assert sdt.metrics["test/loss"] == sdt.metrics["test/loss_sdt"] < sdt.metrics["test/loss_tet"]
    (tet,) = train_epochs(make_config(epochs=1, loss={"name": "tet", "lamb": 0.0}))
    assert tet.metrics["test/loss"] == tet.metrics["test/loss_tet"]


def test_every_batch_that_is_trained_on_or_measured_is_a_step() -> None:
    steps: list[None] = []
    config = make_config(epochs=2, batch_size=512)
    for _ in train_epochs(config, on_step=lambda: steps.append(None)):
        pass
    assert len(steps) == 2 * (3 + 3), "1,442 samples to train on, and 355 to test on"


def test_an_error_of_on_step_ends_the_training() -> None:
    def stop() -> None:
        raise TimeoutError("long enough")

    with pytest.raises(TimeoutError, match="long enough"):
        next(train_epochs(make_config(), on_step=stop))


def test_the_health_of_layers_is_measured_on_request() -> None:
    config = make_config(epochs=1)
    (measured,) = train_epochs(config, with_layers=True)
    (unmeasured,) = train_epochs(config)
    assert unmeasured.layers == {}
    assert series([measured]) == series([unmeasured])
    assert list(measured.layers) == sorted(measured.layers)
    assert all(0 <= layer.firing_rate <= 1 and 0 <= layer.gradient <= 1 for layer in measured.layers.values())
    assert max(layer.firing_rate for layer in measured.layers.values()) > 0
