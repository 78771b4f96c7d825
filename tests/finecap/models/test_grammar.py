"""The grammar network's parts."""

import torch

from finecap.data.tokenizer import BOS, EOS, PAD
from finecap.models.grammar import MOST_USES, GrammarHead, RecurrentTower, earlier_uses


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
