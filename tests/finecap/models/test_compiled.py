"""A compiled decode says what its captioner says, and is compiled once for each shape."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

from finecap.data.tokenizer import EOS, WordTokenizer
from finecap.models.beam import beam_search
from finecap.models.captions import Beams, best_captions
from finecap.models.compiled import CompiledCaptioner
from finecap.models.decoding import decode
from finecap.models.lstm import LstmCaptioner, LstmShape
from finecap.models.pixels import PixelCaptioner
from finecap.models.transformer import TransformerCaptioner, TransformerShape

T = 12


class Counting:
    """A backend that runs what is traced as it is, and keeps it."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(
        self, graph: torch.fx.GraphModule, inputs: Sequence[torch.Tensor]
    ) -> Callable[..., Any]:
        del inputs
        self.graphs.append(graph)
        return graph.forward


@pytest.fixture
def captioner() -> TransformerCaptioner:
    torch.manual_seed(1)
    tokenizer = WordTokenizer.build(["a red boat on the sea", "a cat"], 1)
    captioner = TransformerCaptioner(TransformerShape(6, 16, 4, 1, 2, 0.5, T), tokenizer).eval()
    with torch.no_grad():  # say something else of every image, and end at different lengths
        captioner.memory_norm.weight.mul_(20)
    return captioner


def uniforms(images: int, samples: int) -> torch.Tensor:
    return 1 - torch.rand(images, samples, T, generator=torch.Generator().manual_seed(0))


def draws(speaker: Any, memory: Any, rows: int, limit: int = T) -> torch.Tensor:
    """Captions (B, rows, T): the greedy one of each image, and samples where there is room."""
    numbers = uniforms(len(memory), rows - 1) if rows > 1 else None
    tokens = decode(speaker, memory, limit, uniforms=numbers)
    return torch.nn.functional.pad(tokens, (0, limit - tokens.shape[-1]))


def half(on: bool) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16) if on else nullcontext()


@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("rows", [1, 3])
def test_captions_are_those_of_the_captioner(
    captioner: TransformerCaptioner, images: int, rows: int
) -> None:
    memory = captioner.memory(torch.randn(images, 5, 6))
    compiled = CompiledCaptioner(captioner, Counting())
    assert torch.equal(draws(compiled, memory, rows), draws(captioner, memory, rows))


@pytest.mark.parametrize("is_half", [False, True])
def test_one_graph_serves_all_tokens_of_all_decodes_of_a_shape(
    captioner: TransformerCaptioner, is_half: bool
) -> None:
    backend = Counting()
    compiled = CompiledCaptioner(captioner, backend)
    counts = []
    for images, rows, limit in ((4, 3, T), (4, 3, T), (4, 3, 5), (4, 1, T), (4, 3, T)):
        with half(is_half):
            memory = captioner.memory(torch.randn(images, 5, 6))
            draws(compiled, memory, rows, limit)
        counts.append(len(backend.graphs))
    assert counts == [1, 1, 1, 2, 2]


def test_shapes_do_not_use_up_one_limit_of_the_compiler(captioner: TransformerCaptioner) -> None:
    backend = Counting()
    compiled = CompiledCaptioner(captioner, backend)
    with torch._dynamo.config.patch(recompile_limit=1):
        for images in (1, 2, 3):
            memory = captioner.memory(torch.randn(images, 5, 6))
            assert torch.equal(draws(compiled, memory, 1, 2), draws(captioner, memory, 1, 2))
    assert len(backend.graphs) == 3


def test_weights_that_learn_are_seen_without_compiling_again(
    captioner: TransformerCaptioner,
) -> None:
    backend, grid = Counting(), torch.randn(4, 5, 6)
    compiled = CompiledCaptioner(captioner, backend)
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=0.05, fused=True)
    said = []
    for _ in range(3):
        memory = captioner.memory(grid)
        said.append(draws(compiled, memory, 3))
        assert torch.equal(said[-1], draws(captioner, memory, 3))
        captioner.teacher_forced(memory, said[-1])[..., 4:].logsumexp(-1).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not torch.equal(said[0], said[-1])
    assert len(backend.graphs) == 1


def test_the_graph_fits_cuda_graphs(captioner: TransformerCaptioner) -> None:
    """What is written stays where it is, and nothing in it waits for the device or leaves it."""
    found: dict[str, Any] = {}

    def look(graph: torch.fx.GraphModule, inputs: Sequence[torch.Tensor]) -> Callable[..., Any]:
        del inputs
        metadata = torch._guards.TracingContext.get().fw_metadata
        found["static"] = set(metadata.static_input_indices)
        found["written"] = set(metadata.mutated_inp_runtime_indices)
        nodes = list(graph.graph.nodes)
        found["inputs"] = sum(node.op == "placeholder" for node in nodes)
        found["called"] = {str(node.target) for node in nodes if node.op == "call_function"}
        return graph.forward

    compiled = CompiledCaptioner(captioner, aot_autograd(fw_compiler=look))
    draws(compiled, captioner.memory(torch.randn(2, 5, 6)), 3)
    layers = captioner.shape.decoder_layers
    assert len(found["written"]) == 2 * layers + 1  # keys and values of the words, their number
    assert found["written"] <= found["static"]
    assert found["inputs"] == len(found["static"])  # nothing is copied to where the graph reads it
    assert not {name for name in found["called"] if "_local_scalar_dense" in name}
    assert not {name for name in found["called"] if "device" in name or "nonzero" in name}


@pytest.mark.parametrize(("beams", "alpha", "ngram"), [(3, 0.0, 0), (2, 1.0, 2)])
def test_beams_are_those_of_the_captioner(
    captioner: TransformerCaptioner, beams: int, alpha: float, ngram: int
) -> None:
    memory = captioner.memory(torch.randn(4, 5, 6))
    how = {"beams": beams, "length_penalty": alpha, "no_repeat_ngram": ngram}
    backend = Counting()
    tokens, scores = beam_search(CompiledCaptioner(captioner, backend), memory, T, **how)
    expected, expected_scores = beam_search(captioner, memory, T, **how)
    assert torch.equal(tokens, expected)
    torch.testing.assert_close(scores, expected_scores, atol=1e-5, rtol=1e-5)
    assert len(backend.graphs) == 1


def test_people_read_the_same_captions(captioner: TransformerCaptioner) -> None:
    compiled, grid = CompiledCaptioner(captioner, Counting()), torch.randn(4, 5, 6)
    for how in (Beams(), Beams(beams=2)):
        assert best_captions(compiled, grid, T, how) == best_captions(captioner, grid, T, how)


def test_a_decode_ends_soon_after_its_last_caption(
    captioner: TransformerCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = captioner.memory(torch.randn(4, 5, 6))
    with torch.no_grad():
        captioner.final_norm.bias.copy_(50 * captioner.embedding.weight[EOS])
    compiled, steps = CompiledCaptioner(captioner, Counting()), []
    step = compiled.step
    monkeypatch.setattr(
        compiled, "step", lambda previous, state: steps.append(1) or step(previous, state)
    )
    tokens = decode(compiled, memory, T)
    assert (tokens[..., 0] == EOS).all()
    assert len(steps) == tokens.shape[-1] == 4


def test_the_mode_is_the_captioners(captioner: TransformerCaptioner) -> None:
    for mode in (True, False):
        compiled = CompiledCaptioner(captioner.train(mode), Counting())
        draws(compiled, captioner.memory(torch.randn(1, 5, 6)), 1)
        assert captioner.training == mode


def test_a_captioner_of_images_is_compiled_behind_its_tower(
    captioner: TransformerCaptioner,
) -> None:
    from finecap.models.image_encoder import ImageEncoder

    tower = ImageEncoder.from_timm("test_resnet", None, trainable=True, image_size=32)
    channels = tower.channels
    shape = TransformerShape(channels, 16, 4, 0, 1, 0.0, T)
    pixels = PixelCaptioner(tower, TransformerCaptioner(shape, captioner.tokenizer)).eval()
    memory = pixels.memory(torch.randn(2, 3, 32, 32))
    compiled = CompiledCaptioner(pixels, Counting())
    assert compiled.image_size == 32
    assert torch.equal(draws(compiled, memory, 2), draws(pixels, memory, 2))


def test_images_cannot_leave(captioner: TransformerCaptioner) -> None:
    state = CompiledCaptioner(captioner, Counting()).begin(
        captioner.memory(torch.randn(2, 5, 6)), 1
    )
    with pytest.raises(TypeError, match="shapes are compiled; decode all to their end"):
        state.keep(torch.tensor([0]))


def test_two_decodes_in_one_place_are_refused(captioner: TransformerCaptioner) -> None:
    compiled, memory = (
        CompiledCaptioner(captioner, Counting()),
        captioner.memory(torch.randn(1, 5, 6)),
    )
    first = compiled.begin(memory, 1)
    compiled.begin(memory, 1)
    with pytest.raises(RuntimeError, match="another decode of this shape has begun"):
        compiled.step(torch.ones(1, 1, dtype=torch.long), first)


def test_a_caption_too_long_is_refused(captioner: TransformerCaptioner) -> None:
    compiled = CompiledCaptioner(captioner, Counting())
    state = compiled.begin(captioner.memory(torch.randn(1, 5, 6)), 1)
    word = torch.ones(1, 1, dtype=torch.long)
    for _ in range(T + 1):
        compiled.step(word, state)
    with pytest.raises(ValueError, match=f"`max_tokens` {T}; ask for at most that"):
        compiled.step(word, state)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_on_a_gpu_steps_are_recorded_and_never_wait(captioner: TransformerCaptioner) -> None:
    counters.clear()
    memory = captioner.cuda().memory(torch.randn(4, 5, 6, device="cuda"))
    ids = torch.randint(4, 10, (4, 3, 6), device="cuda")
    compiled, logits = CompiledCaptioner(captioner), list[torch.Tensor]()
    for turn in range(4):  # compiled, run for memory, recorded, replayed
        state = compiled.begin(memory, 3)
        torch.cuda.set_sync_debug_mode("error" if turn == 3 else "default")
        try:
            logits = [compiled.step(ids[..., t], state).clone() for t in range(6)]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    forced = captioner.teacher_forced(memory, ids)
    torch.testing.assert_close(torch.stack(logits, 2), forced, atol=1e-4, rtol=1e-4)
    assert counters["inductor"]["cudagraph_skips"] == 0


def test_another_family_is_refused_by_name(captioner: TransformerCaptioner) -> None:
    lstm = LstmCaptioner(LstmShape(6, 16, 0.0, T), captioner.tokenizer)
    with pytest.raises(TypeError, match=r"LstmCaptioner has no step .*`compile_decoding: false`"):
        CompiledCaptioner(lstm)
