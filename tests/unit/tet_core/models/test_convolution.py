"""Tests of 1x1 convolutions with few channels: torch's own write beyond the gradient's memory on some CPUs."""

import pytest
import torch
from torch import nn

from tet_core.models.convolution import Conv2d, convolution_record


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(4, 8), (3, 5), (8, 12), (8, 16)])
@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_results_and_gradients_are_those_of_torch(
    in_channels: int, out_channels: int, stride: int, capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    reference = nn.Conv2d(in_channels, out_channels, 1, stride=stride, dtype=torch.float64)
    ours = Conv2d(in_channels, out_channels, 1, stride=stride, dtype=torch.float64)
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(6, in_channels, 7, 7, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    expected = reference(x)
    expected.square().sum().backward()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    result = ours(x)
    result.square().sum().backward()
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, reference.get_parameter(name).grad, rtol=1e-12, atol=1e-12)


def test_the_output_is_channels_last_where_the_input_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    x = torch.randn(2, 4, 6, 6).contiguous(memory_format=torch.channels_last)
    assert Conv2d(4, 12, 1, stride=2)(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("capability", "in_channels", "kernel", "expected"),
    [("AVX2", 4, 1, {"convolution_1x1": 2}), ("AVX512", 4, 1, {}), ("AVX2", 8, 1, {}), ("AVX2", 4, 3, {})],
)
def test_the_record_names_only_networks_whose_results_have_changed(
    capability: str, in_channels: int, kernel: int, expected: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    model = nn.Sequential(nn.ReLU(), Conv2d(in_channels, 16, kernel))
    assert convolution_record(model, torch.device("cpu")) == expected
    assert convolution_record(model, torch.device("cuda")) == {}
