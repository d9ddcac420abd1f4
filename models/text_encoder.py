"""RoBERTa and the resizer: sentences or token ids → words and sentence at the network's width (spec §2, Text)."""

from pathlib import Path

from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, RobertaConfig, RobertaModel

from util.errors import InputError
from util.structures import Text, Tokens

from .position_encoding import sine_position_1d

SPECIAL_TOKENS = 2  # <s> and </s>


class FeatureResizer(nn.Module):
    """Linear, layer norm (eps 1e-12) and dropout: RoBERTa's width → the network's."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.1):
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.layer_norm = nn.LayerNorm(outputs, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.layer_norm(self.fc(x)))


def encode_tokens(roberta: RobertaModel, resizer: FeatureResizer, tokens: Tokens) -> Text:
    """Token ids [B, L] → words [B, L, C] and sentence [B, C], through one shared resizer."""
    encoded = roberta(input_ids=tokens.ids, attention_mask=tokens.mask.long())
    words = resizer(encoded.last_hidden_state)
    padding = ~tokens.mask
    position = sine_position_1d(padding, words.shape[-1]).to(words.dtype)
    return Text(words, position, padding, resizer(encoded.pooler_output))


def build_roberta(source: str, pretrained: bool) -> RobertaModel:
    """RoBERTa from a hub name or a local folder.

    With `pretrained` false only its config is read: a checkpoint will bring the weights. Beware: roberta-base files
    hold no pooler; it then starts at random, under the run's seed.
    Raises InputError where the config or the weights are not to be had.
    """
    try:
        if pretrained:
            return RobertaModel.from_pretrained(source)
        return RobertaModel(RobertaConfig.from_pretrained(source))
    except (OSError, ValueError) as error:
        what = "weights" if pretrained else "config.json"
        raise InputError(_not_found(source, what)) from error


class CaptionTokenizer:
    """Sentences → token ids, with limits that are errors here and index faults in the network.

    The tokenizer's files are read at the first sentence: whoever passes token ids needs none.
    """

    def __init__(self, source: str, max_positions: int):
        self.source = source
        self.limit = max_positions - SPECIAL_TOKENS
        self._tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        if self._tokenizer is None:
            try:
                self._tokenizer = AutoTokenizer.from_pretrained(self.source)
            except (OSError, ValueError) as error:
                raise InputError(_not_found(self.source, "tokenizer")) from error
        return self._tokenizer

    def __call__(self, captions: list[str]) -> Tokens:
        """B sentences → token ids [B, L]. Raises InputError for an empty or an over-long one."""
        return Tokens.padded([self.ids(caption) for caption in captions], self.tokenizer.pad_token_id)

    def ids(self, caption: str) -> list[int]:
        """Token ids of one sentence, `<s>` and `</s>` included."""
        if not caption.strip():
            raise InputError("the expression is empty: write what to segment")
        ids = self.tokenizer(caption, truncation=False, verbose=False)["input_ids"]
        if len(ids) > self.limit:
            raise InputError(
                f"the expression «{caption[:40]}…» has {len(ids)} tokens, "
                f"the text encoder takes {self.limit}: shorten it"
            )
        return ids


def _not_found(source: str, what: str) -> str:
    if Path(source).is_dir():
        return f"{source} holds no {what} of a RoBERTa: give --text_encoder the folder of a saved model"
    return (
        f"{what} of the text encoder {source!r} could not be read or fetched: give --text_encoder a local folder "
        "(config.json, tokenizer and, without a checkpoint, the weights)"
    )
