"""TEBN: tdBN with a learnt scale for each step."""

import torch

from tet_core import TrainConfig, fit
from tet_core.norm import TEBN, TdBN
from tet_core.static import repeat_over_time


def test_tebn_is_tdbn_times_a_scale_for_each_step() -> None:
    x = torch.randn(3, 4, 2, 5, 5, dtype=torch.float64)
    tebn, tdbn = TEBN(2, 3).double(), TdBN(2).double()
    assert torch.equal(tebn(x), tdbn(x))
    with torch.no_grad():
        tebn.scale.copy_(torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(
        tebn(x), tdbn(x) * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).view(3, 1, 1, 1, 1)
    )
    assert torch.equal(tebn.running_var, tdbn.running_var)


def test_steps_after_the_trained_ones_use_the_last_scale() -> None:
    tebn = TEBN(2, 2).double().eval()
    with torch.no_grad():
        tebn.scale.copy_(torch.tensor([2.0, 5.0]))
    x = repeat_over_time(torch.randn(4, 2, 3, 3, dtype=torch.float64), 4)
    y = tebn(x)
    assert torch.equal(y[1], y[3])
    torch.testing.assert_close(y[0] * 2.5, y[3])


def test_a_checkpoint_of_another_T_is_loaded() -> None:
    short = TEBN(2, 2)
    with torch.no_grad():
        short.scale.copy_(torch.tensor([2.0, 5.0]))
    saved = short.state_dict()
    longer, shorter = TEBN(2, 4), TEBN(2, 1)
    longer.load_state_dict(saved)
    shorter.load_state_dict(saved)
    assert (longer.scale.tolist(), shorter.scale.tolist()) == ([2.0, 5.0, 5.0, 5.0], [2.0])
    assert saved["scale"].tolist() == [2.0, 5.0]


def test_time_inheritance_works_with_tebn_and_with_learnt_constants() -> None:
    fields = {
        "dataset": {"name": "digits"},
        "model": {"name": "vgg_small", "width": 2, "norm": {"name": "tebn"}},
        "neuron": {"name": "lif", "learnable_tau": True, "learnable_threshold": True},
        "loss": {"name": "tet"},
        "epochs": 1,
    }
    first = fit(TrainConfig.model_validate({**fields, "T": 2}))
    second = fit(TrainConfig.model_validate({**fields, "T": 4}), initial=first.checkpoint)
    scales = [value for name, value in second.checkpoint["model"].items() if name.endswith("scale")]
    assert [len(scale) for scale in scales] == [4] * 4
    assert all(float(value) != 0 for name, value in second.checkpoint["model"].items() if name.endswith("tau_logit"))
