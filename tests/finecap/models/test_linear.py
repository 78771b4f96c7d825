"""Linear maps without gradient: the same numbers as PyTorch's, whatever the path."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from finecap.models.linear import Linear, PackedLinear, packed_once


@pytest.fixture
def linear() -> Linear:
    torch.manual_seed(0)
    return Linear(256, 512)


def test_without_gradient_it_maps_as_with_it(linear: Linear) -> None:
    x = torch.randn(3, 5, 256)
    expected = nn.Linear.forward(linear, x)
    with torch.no_grad():
        torch.testing.assert_close(linear(x), expected)
        turned = x.transpose(0, 1)
        torch.testing.assert_close(linear(turned), expected.transpose(0, 1))


def test_gradient_reaches_weights_and_input(linear: Linear) -> None:
    x = torch.randn(3, 256, requires_grad=True)
    linear(x).sum().backward()
    assert linear.weight.grad is not None
    torch.testing.assert_close(x.grad, linear.weight.sum(0).expand(3, -1))


def test_autocast_is_followed(linear: Linear) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert linear(torch.randn(3, 256)).dtype == torch.bfloat16


@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("came", [1, 7, 64])
@torch.no_grad()
def test_any_number_of_rows_maps_alike(linear: Linear, rows: int, came: int) -> None:
    packed = PackedLinear(linear.weight, linear.bias, rows)
    x, residual = torch.randn(came, 256), torch.randn(came, 512)
    expected = F.linear(x, linear.weight, linear.bias)
    torch.testing.assert_close(packed(x), expected)
    torch.testing.assert_close(packed.gelu(x), F.gelu(expected))
    torch.testing.assert_close(packed.plus(x, residual), expected + residual)


def test_few_rows_small_weights_and_other_precisions_are_not_packed(linear: Linear) -> None:
    assert PackedLinear(linear.weight, linear.bias, 64).is_packed
    assert not PackedLinear(linear.weight[:40], linear.bias[:40], 64).is_packed
    assert not PackedLinear(linear.weight, linear.bias, 1).is_packed
    assert not PackedLinear(linear.weight.double(), linear.bias.double(), 64).is_packed


@torch.no_grad()
def test_an_impossible_output_stays_impossible(linear: Linear) -> None:
    bias = torch.zeros(512)
    bias[[0, 7]] = float("-inf")
    for rows in (1, 64):
        mapped = PackedLinear(linear.weight, bias, rows)(torch.randn(64, 256))
        assert mapped[:, [0, 7]].isneginf().all()
        assert mapped.isfinite().sum() == 64 * 510


@torch.no_grad()
def test_weights_are_packed_once_inside_and_anew_outside(linear: Linear) -> None:
    def packed() -> torch.Tensor:
        return PackedLinear(linear.weight, linear.bias, 64).weight

    x = torch.randn(64, 256)
    with packed_once():
        first = packed()
        with packed_once():
            assert packed() is first
        other = Linear(256, 512)
        torch.testing.assert_close(PackedLinear(other.weight, other.bias, 64)(x), other(x))
        assert packed() is first
    assert packed() is not first
    linear.weight.mul_(2)
    torch.testing.assert_close(PackedLinear(linear.weight, linear.bias, 64)(x), linear(x))
