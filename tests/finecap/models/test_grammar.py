"""The grammar network's parts, and the network that stands alone."""

from pathlib import Path

import pytest
import torch

from finecap.data.tokenizer import BOS, EOS, PAD, WordTokenizer
from finecap.models.folder import ModelFolderError
from finecap.models.grammar import (
    MOST_USES,
    GrammarHead,
    GrammarNetwork,
    RecurrentTower,
    earlier_uses,
    load_grammar_network,
)

TEXTS = ["a boat", "boat a a boat on the sea", "the sea"]


def network() -> GrammarNetwork:
    torch.manual_seed(0)
    words = WordTokenizer.build(["a photo depicts a boat on the sea"])
    return GrammarNetwork(words, "A photo depicts", context_length=12, width=6, hidden=4).eval()


def test_one_logit_per_text() -> None:
    assert GrammarHead(width=6, hidden=4)(torch.randn(5, 6)).shape == (5,)


def test_texts_are_judged_one_by_one() -> None:
    head, pooled = GrammarHead(6, 4), torch.randn(5, 6)
    alone = torch.cat([head(row[None]) for row in pooled])
    torch.testing.assert_close(head(pooled), alone)


def test_a_recurrent_feature_is_blind_to_what_follows_the_eos() -> None:
    tower = RecurrentTower(vocabulary_size=9, width=6)
    short = torch.tensor([[BOS, 4, 5, EOS]])
    padded = torch.tensor([[BOS, 4, 5, EOS, PAD, PAD], [BOS, 4, 5, EOS, 7, EOS]])
    torch.testing.assert_close(tower(padded), tower(short).expand(2, -1))


def test_a_recurrent_feature_ends_where_the_tokenizer_says() -> None:
    tower = RecurrentTower(vocabulary_size=9, width=6, eos=1)
    short = torch.tensor([[4, 5, 1]])
    filled = torch.tensor([[4, 5, 1, 1, 1], [4, 5, 1, 7, 8]])
    torch.testing.assert_close(tower(filled), tower(short).expand(2, -1))


def test_a_recurrent_feature_knows_the_order_of_words() -> None:
    tower = RecurrentTower(vocabulary_size=9, width=6)
    there, back = tower(torch.tensor([[BOS, 4, 5, EOS], [BOS, 5, 4, EOS]]))
    assert not torch.allclose(there, back)


def test_each_token_is_told_how_often_it_came_before() -> None:
    tokens = torch.tensor([[5, 6, 5, 7, 5, 5], [6, 6, 7, 8, 9, 6]])
    assert earlier_uses(tokens).tolist() == [[0, 0, 1, 0, 2, MOST_USES], [0, 1, 0, 0, 0, 2]]


def test_a_recurrent_feature_knows_an_echo_beyond_its_words() -> None:
    tower = RecurrentTower(vocabulary_size=9, width=6)
    tower.count_embedding.weight.data.zero_()
    deaf = tower(torch.tensor([[BOS, 4, 5, 4, EOS]]))
    tower.count_embedding.weight.data[1] = 1.0
    assert not torch.allclose(tower(torch.tensor([[BOS, 4, 5, 4, EOS]])), deaf)


def test_a_network_alone_scores_each_text_by_itself_with_the_prompt() -> None:
    alone = network()
    scores = alone.grammar_scores(TEXTS, batch_size=2)
    assert ((scores > 0) & (scores < 1)).all()
    one_by_one = torch.cat([alone.grammar_scores([text]) for text in TEXTS])
    torch.testing.assert_close(scores, one_by_one)
    prompted = alone.tokenizer.encode_batch([f"A photo depicts {TEXTS[0]}"], 12)
    logit = alone.grammar_logits(torch.from_numpy(prompted)).detach()
    torch.testing.assert_close(scores[:1], logit.sigmoid())
    assert alone.grammar_scores([]).shape == (0,)


def test_a_network_alone_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    network().save(tmp_path)
    read = load_grammar_network(tmp_path)
    assert not read.training
    assert torch.equal(read.grammar_scores(TEXTS), network().grammar_scores(TEXTS))


def test_a_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"no config\.json"):
        load_grammar_network(tmp_path)
