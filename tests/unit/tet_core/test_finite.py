"""Tests of the checks that weights, state and checkpoints are finite."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.unit.tet_core.stages import make_config
from tet_core import analyse
from tet_core.config import TimeSweep
from tet_core.finite import check_trained, infinite_buffers, not_finite
from tet_core.measure.evaluation import evaluate
from tet_core.train.epochs import train_epochs

NAN, INF = math.nan, math.inf
RUNNING_VAR = "features.0.norm.running_var"


def damaged(checkpoint: dict[str, Any], name: str = RUNNING_VAR, value: float = NAN) -> dict[str, Any]:
    """Return a checkpoint as an older version could have written it: one number of a tensor is not finite."""
    weights = {key: tensor.clone() for key, tensor in checkpoint["model"].items()}
    weights[name].view(-1)[0] = value
    return checkpoint | {"model": weights}


def test_what_is_not_finite_is_named_in_order() -> None:
    tensors = {
        "a": torch.tensor([1.0, NAN]),
        "b": torch.tensor([1.0, 2.0]),
        "c": torch.tensor([-INF, INF], dtype=torch.bfloat16),
        "d": torch.tensor([3]),
        "e": torch.empty(0),
        "f": torch.tensor(INF, dtype=torch.float64),
        "g": None,
    }
    assert not_finite(tensors) == ["a", "c", "f"]
    assert not_finite({}) == not_finite({"d": tensors["d"]}) == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_finite_numbers_whose_sum_overflows_are_finite(dtype: torch.dtype) -> None:
    assert not_finite({"large": torch.full((9,), torch.finfo(dtype).max, dtype=dtype)}) == []


def test_only_constant_infinities_are_left_out() -> None:
    module = nn.Module()
    module.register_buffer("mask", torch.tensor([0.0, -INF]))
    module.register_buffer("broken", torch.tensor([NAN, -INF]))
    module.register_buffer("count", torch.tensor(3))
    assert infinite_buffers(module) == {"mask"}


def test_the_message_after_an_epoch_names_the_tensor_and_a_remedy() -> None:
    tensors = {"head.weight": torch.tensor([1.0, NAN]), "the optimiser's exp_avg of head.weight": torch.tensor([INF])}
    message = r"after epoch 3 head\.weight holds nan in 1 of 2 values \(and 1 more\); a lower learning rate may help"
    with pytest.raises(FloatingPointError, match=message):
        check_trained(tensors, 3)


def test_an_infinite_state_of_the_optimiser_is_not_resumed() -> None:
    first, _ = train_epochs(make_config())
    checkpoint = first.checkpoint()
    checkpoint["optimizer"]["state"][0]["exp_avg_sq"].view(-1)[0] = INF
    with pytest.raises(FloatingPointError, match=r"the optimiser's exp_avg_sq of features\.0\.conv\.weight holds inf"):
        train_epochs(make_config(), resume=checkpoint)


@pytest.mark.parametrize("value", [NAN, INF])
def test_nothing_continues_from_a_checkpoint_that_is_not_finite(value: float) -> None:
    config = make_config()
    first, _ = train_epochs(config)
    checkpoint = damaged(first.checkpoint(), value=value)
    message = rf"the checkpoint of epoch 1 is not finite: {RUNNING_VAR} holds {value} in 1 of 4 values; nothing can"
    with pytest.raises(FloatingPointError, match=message):
        train_epochs(config, resume=checkpoint)
    with pytest.raises(FloatingPointError, match=message):
        train_epochs(make_config(T=4), initial=checkpoint)
    with pytest.raises(FloatingPointError, match=message):
        evaluate(checkpoint)
    with pytest.raises(FloatingPointError, match=message):
        analyse(checkpoint, TimeSweep(T=[1]))


def test_a_state_that_is_not_loaded_may_be_anything() -> None:
    *_, first = train_epochs(make_config(epochs=1))
    checkpoint = first.checkpoint()
    checkpoint["optimizer"]["state"][0]["exp_avg"].fill_(NAN)
    assert len(list(train_epochs(make_config(epochs=1, T=1), initial=checkpoint))) == 1
    with pytest.raises(FloatingPointError, match=r"the optimiser's exp_avg of features\.0\.conv\.weight holds nan in"):
        train_epochs(make_config(epochs=1, T=1, inherit="all"), initial=checkpoint)
