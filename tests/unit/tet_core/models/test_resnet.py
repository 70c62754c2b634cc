"""The residual networks."""

import torch

from tet_core.models import build_model
from tet_core.models.resnet import SewBlock


def test_sew_adds_spikes() -> None:
    model = build_model("sew_resnet34", num_classes=7, in_channels=2, input_size=32, width=4)
    seen: list[torch.Tensor] = []
    for module in model.modules():
        if isinstance(module, SewBlock):
            module.register_forward_hook(lambda _m, _a, out: seen.append(out.detach()))
    model(torch.rand(2, 3, 2, 32, 32))
    assert len(seen) == 16
    assert all(torch.equal(out, out.round()) for out in seen)
    assert max(float(out.max()) for out in seen) > 1
