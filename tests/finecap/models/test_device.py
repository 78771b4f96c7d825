"""Models compute on this process's GPU where there is one."""

import pytest
import torch

from finecap.models.device import best_device, moved


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best_device() == torch.device("cpu")


def test_each_of_several_processes_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    assert best_device() == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert best_device() == torch.device("cuda:3")
    assert current == [torch.device("cuda:0"), torch.device("cuda:3")]


def test_what_moves_to_the_cpu_stays_what_it_is() -> None:
    tensor = torch.arange(3.0).half()
    assert moved(tensor, torch.device("cpu")) is tensor


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_moves_to_a_gpu_arrives_whole() -> None:
    tensor = torch.arange(1 << 20)
    there = moved(tensor, best_device())
    assert there.is_cuda
    assert torch.equal(there.cpu(), tensor)
