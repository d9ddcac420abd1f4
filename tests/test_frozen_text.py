"""Sentences of a frozen text encoder: encoded once each, to the same features, within a limit."""

import pytest
import torch
from transformers import RobertaConfig, RobertaModel

from models import build_network
from models.frozen_text import FrozenSentences
from models.text_encoder import encode_tokens
from opts import parse_settings
from util.errors import InputError
from util.structures import Tokens

SENTENCES = [[0, 5, 6, 2], [0, 7, 2], [0, 8, 9, 10, 11, 2]]


@pytest.fixture
def roberta():
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
        type_vocab_size=1,
    )
    return RobertaModel(config).eval()


@pytest.fixture
def encoded(roberta, monkeypatch):
    """Sentences that reach the encoder."""
    count = []
    inner = roberta.forward
    monkeypatch.setattr(roberta, "forward", lambda **inputs: count.extend(inputs["input_ids"]) or inner(**inputs))
    return count


def same(found, tokens, roberta):
    words, sentence = encode_tokens(roberta, tokens)
    torch.testing.assert_close(found[0], words * tokens.mask[..., None], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1], sentence, atol=1e-5, rtol=1e-5)


def test_each_sentence_is_encoded_once_whatever_it_is_padded_to(roberta, encoded):
    known, batches = FrozenSentences(roberta), [SENTENCES[:2], SENTENCES[1:], SENTENCES[::-1]]
    found = [known(Tokens.padded(batch)) for batch in batches]
    assert len(encoded) == 3
    for result, batch in zip(found, batches, strict=True):
        same(result, Tokens.padded(batch), roberta)
        assert not any(tensor.requires_grad for tensor in result)


def test_a_sentence_twice_in_a_batch(roberta, encoded):
    tokens = Tokens.padded([SENTENCES[0], SENTENCES[1], SENTENCES[0]])
    same(FrozenSentences(roberta)(tokens), tokens, roberta)


def test_what_was_not_asked_longest_is_forgotten(roberta, encoded):
    one = (4 + 1) * 16 * 4  # bytes of the first sentence
    known = FrozenSentences(roberta, limit=one + 1)
    for sentence in (SENTENCES[0], SENTENCES[0], SENTENCES[1], SENTENCES[0]):
        known(Tokens.padded([sentence]))
    assert len(encoded) == 3 and known.size <= one + 1


def test_training_with_it_is_without_the_encoders_dropout(text_encoder):
    flags = ["--backbone", "timm:tf_efficientnet_lite0", "--backbone_pretrained", "random", "--hidden_dim", "32"]
    flags += ["--text_encoder", str(text_encoder), "--freeze_text_encoder", "--dropout", "0"]
    plain, cached = (build_network(parse_settings([*flags, *more])).train() for more in ([], ["--cache_text"]))
    assert plain.text_encoder.training and not cached.text_encoder.training and cached.resizer.training
    cached.resizer.eval()
    first, second = (cached.encode_text(["a dog"]) for _ in range(2))
    assert torch.equal(first.words, second.words) and len(cached.known_text._known) == 1
    torch.testing.assert_close(first.sentence, cached.eval().encode_text(["a dog"]).sentence)
    assert cached.encode_text(["a dog"]).words.requires_grad  # the resizer's


def test_it_needs_a_frozen_encoder():
    with pytest.raises(InputError, match="--cache_text needs --freeze_text_encoder"):
        parse_settings(["--cache_text"])
