"""Sentences of a text encoder that does not train: each is encoded once, and kept.

L tokens of a sentence, H the encoder's width.
"""

from collections import OrderedDict

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import RobertaModel

from util.structures import Tokens

from .text_encoder import encode_tokens

LIMIT = 256 << 20  # bytes: some 6,000 sentences of roberta-base

Encoded = tuple[Tensor, Tensor]  # words [L, H] and sentence [H]


class FrozenSentences:
    """What a frozen RoBERTa says of sentences; the longest unused are forgotten beyond `limit` bytes."""

    def __init__(self, roberta: RobertaModel, limit: int = LIMIT):
        self.roberta, self.limit, self.size = roberta, limit, 0
        self._known: OrderedDict[tuple[int, ...], Encoded] = OrderedDict()

    def __call__(self, tokens: Tokens) -> Encoded:
        """Token ids [B, L] → words [B, L, H], zero on padding, and sentence [B, H]; without gradients."""
        keys = [tuple(ids[mask].tolist()) for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]
        missing = {key: row for row, key in enumerate(keys) if key not in self._known}
        fresh = dict(zip(missing, self._encode(tokens.take(list(missing.values()))), strict=True)) if missing else {}
        found = [self._known.get(key) or fresh[key] for key in keys]
        for key, encoded in zip(keys, found, strict=True):
            self._keep(key, encoded)
        words = pad_sequence([words for words, _ in found], batch_first=True)
        return words, torch.stack([sentence for _, sentence in found])

    @torch.no_grad()
    def _encode(self, tokens: Tokens) -> list[Encoded]:
        rows = zip(*encode_tokens(self.roberta, tokens), tokens.mask, strict=True)
        return [(words[mask], sentence.clone()) for words, sentence, mask in rows]

    def _keep(self, key: tuple[int, ...], encoded: Encoded) -> None:
        if key not in self._known:
            self._known[key] = encoded
            self.size += _bytes(encoded)
        self._known.move_to_end(key)
        while self.size > self.limit and len(self._known) > 1:
            self.size -= _bytes(self._known.popitem(last=False)[1])


def _bytes(encoded: Encoded) -> int:
    return sum(tensor.nbytes for tensor in encoded)
