"""Tests of the losses: they agree with the paper's equations, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tet_core.errors import ConfigError
from tet_core.losses import Loss, sdt_loss, tet_loss

T, BATCH, CLASSES = 4, 3, 5


@pytest.fixture
def outputs() -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(T, BATCH, CLASSES, generator=draws, dtype=torch.float64).mul_(3).requires_grad_()


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 4, 2])


def one_hot(labels: Tensor) -> Tensor:
    return functional.one_hot(labels, CLASSES).double()


def test_sdt_is_eq_7(outputs: Tensor, labels: Tensor) -> None:
    expected = -(one_hot(labels) * outputs.mean(0).softmax(-1).log()).sum(-1).mean()
    torch.testing.assert_close(sdt_loss(outputs, labels), expected, rtol=1e-12, atol=0)


def test_sdts_gradient_is_eq_8_with_the_same_factor_at_all_steps(outputs: Tensor, labels: Tensor) -> None:
    (gradient,) = torch.autograd.grad(sdt_loss(outputs, labels), outputs)
    for t in range(T):
        expected = (outputs.mean(0).softmax(-1) - one_hot(labels)) / (T * BATCH)
        torch.testing.assert_close(gradient[t], expected, rtol=1e-12, atol=1e-15)


def test_tet_is_eq_9(outputs: Tensor, labels: Tensor) -> None:
    expected = -(one_hot(labels) * outputs.softmax(-1).log()).sum(-1).mean()
    torch.testing.assert_close(tet_loss(outputs, labels, lamb=0), expected, rtol=1e-12, atol=0)


def test_tets_gradient_is_eq_10_with_a_factor_of_its_own_at_each_step(outputs: Tensor, labels: Tensor) -> None:
    (gradient,) = torch.autograd.grad(tet_loss(outputs, labels, lamb=0), outputs)
    for t in range(T):
        expected = (outputs[t].softmax(-1) - one_hot(labels)) / (T * BATCH)
        torch.testing.assert_close(gradient[t], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("phi", [1.0, -0.5])
@pytest.mark.parametrize("lamb", [0.05, 0.5, 1.0])
def test_the_regulariser_is_eq_12_and_13(outputs: Tensor, labels: Tensor, lamb: float, phi: float) -> None:
    expected = (1 - lamb) * tet_loss(outputs, labels, lamb=0) + lamb * ((outputs - phi) ** 2).mean()
    torch.testing.assert_close(tet_loss(outputs, labels, lamb=lamb, phi=phi), expected, rtol=1e-12, atol=0)


def test_the_defaults_are_those_of_the_papers_cifar_runs(outputs: Tensor, labels: Tensor) -> None:
    assert torch.equal(tet_loss(outputs, labels), tet_loss(outputs, labels, lamb=0.05, phi=1.0))


def test_tet_at_one_step_and_no_regulariser_is_sdt(outputs: Tensor, labels: Tensor) -> None:
    assert torch.equal(tet_loss(outputs[:1], labels, lamb=0), sdt_loss(outputs[:1], labels))


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.floats(-50, 50), min_size=CLASSES, max_size=CLASSES), min_size=1, max_size=6),
    st.integers(0, CLASSES - 1),
)
def test_sdt_is_at_most_tet_for_any_outputs(steps: list[list[float]], label: int) -> None:
    """Lemma 4.1."""
    outputs, labels = torch.tensor(steps, dtype=torch.float64).unsqueeze(1), torch.tensor([label])
    assert float(sdt_loss(outputs, labels)) <= float(tet_loss(outputs, labels, lamb=0)) + 1e-12


def test_a_wrong_shape_and_a_wrong_lamb_are_named(outputs: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"outputs have shape \(4, 3, 5\) and labels \(2,\); they must be \[T, B, K\]"):
        sdt_loss(outputs, labels[:2])
    with pytest.raises(ConfigError, match=r"lamb is -1; it must be from 0 to 1"):
        tet_loss(outputs, labels, lamb=-1)


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.bool])
@pytest.mark.parametrize("loss", [sdt_loss, tet_loss])
def test_labels_of_another_type_are_named(loss: Loss, dtype: torch.dtype) -> None:
    message = rf"^labels are {dtype}; they must be int64, from 0 to K-1: cast integers with \.long\(\)$"
    with pytest.raises(ValueError, match=message):
        loss(torch.zeros(2, 3, 4), torch.zeros(3, dtype=dtype))
