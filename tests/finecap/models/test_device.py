"""Models compute on this process's GPU where there is one."""

import pytest
import torch

from finecap.models.device import best_device


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best_device() == torch.device("cpu")


def test_each_of_several_processes_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert best_device() == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert best_device() == torch.device("cuda:3")
