"""RoBERTa and the resizer: sentences or token ids → words and sentence at the network's width (spec §2, Text)."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, RobertaConfig, RobertaModel
from transformers.utils import logging as transformers_logging

from util.errors import InputError
from util.names import is_unicode
from util.structures import Text, Tokens

from .position_encoding import sine_position_1d

LONGEST_CAPTION = 10_000  # characters; RoBERTa takes 512 tokens, and tokenising megabytes takes seconds
TOKENIZERS = ("tokenizer.json", "vocab.json merges.txt")  # the files of a saved one, new and old

transformers_logging.disable_progress_bar()  # loading takes a moment, and the bars would break ours


class FeatureResizer(nn.Module):
    """Linear, layer norm (eps 1e-12) and dropout: RoBERTa's width → the network's."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.1):
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.layer_norm = nn.LayerNorm(outputs, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.layer_norm(self.fc(x)))


def encode_tokens(roberta: RobertaModel, tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Token ids [B, L] → words [B, L, H] and sentence [B, H], at RoBERTa's width H."""
    encoded = roberta(input_ids=tokens.ids, attention_mask=tokens.mask.long())
    return encoded.last_hidden_state, encoded.pooler_output


def resize_text(resizer: FeatureResizer, words: Tensor, sentence: Tensor, mask: Tensor) -> Text:
    """Words [B, L, H] (mask [B, L], True on real ones) and sentence [B, H] → both at the network's width."""
    words, padding = resizer(words), ~mask
    position = sine_position_1d(padding, words.shape[-1]).to(words.dtype)
    return Text(words, position, padding, resizer(sentence))


def build_roberta(source: str, pretrained: bool) -> RobertaModel:
    """RoBERTa from a hub name or a local folder.

    With `pretrained` false only its config is read: a checkpoint will bring the weights. Beware: roberta-base files
    hold no pooler; it then starts at random, under the run's seed.
    Raises InputError where the config or the weights are not to be had.
    """
    if not pretrained:
        return RobertaModel(_read_config(source))
    try:
        return RobertaModel.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise InputError(_not_found(source, "weights")) from error


class CaptionTokenizer:
    """Sentences → token ids, with limits that are errors here and index faults in the network.

    The tokenizer's files are read at the first sentence: whoever passes token ids needs none.
    """

    def __init__(self, source: str):
        self.source = source

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        _refuse_incomplete_folder(self.source, "tokenizer", TOKENIZERS)
        try:
            return AutoTokenizer.from_pretrained(self.source, trust_remote_code=False)
        except Exception as error:  # the tokenizers raise bare ones for a malformed file
            raise InputError(_not_found(self.source, "tokenizer")) from error

    @cached_property
    def limit(self) -> int:
        """The longest sentence in tokens, `<s>` and `</s>` included: RoBERTa's positions start behind its padding's."""
        config = _read_config(self.source)
        return config.max_position_embeddings - config.pad_token_id - 1

    def __call__(self, captions: list[str]) -> Tokens:
        """B sentences → token ids [B, L]. Raises InputError for an empty or an over-long one."""
        return Tokens.padded([self.ids(caption) for caption in captions], self.tokenizer.pad_token_id)

    def ids(self, caption: str) -> list[int]:
        """Token ids of one sentence, `<s>` and `</s>` included."""
        if not caption.strip():
            raise InputError("the expression is empty: write what to segment")
        if len(caption) > LONGEST_CAPTION:
            raise InputError(f"the expression «{caption[:40]}…» has {len(caption)} characters: shorten it")
        if not is_unicode(caption):
            raise InputError(f"the expression {caption!r} holds half a character: write it anew")
        ids = self.tokenizer(caption, truncation=False, verbose=False)["input_ids"]
        if len(ids) > self.limit:
            raise InputError(
                f"the expression «{caption[:40]}…» has {len(ids)} tokens, "
                f"the text encoder takes {self.limit}: shorten it"
            )
        return ids


def _read_config(source: str) -> RobertaConfig:
    _refuse_incomplete_folder(source, "config.json", ("config.json",))
    try:
        return RobertaConfig.from_pretrained(source)
    except Exception as error:  # it takes what JSON holds, and fails where that is used
        raise InputError(_not_found(source, "config.json")) from error


def _refuse_incomplete_folder(source: str, what: str, wanted: Sequence[str]) -> None:
    """transformers makes up what a folder lacks: another config, or a tokenizer that knows no word.

    wanted: sets of file names, any of which is enough.
    """
    folder = Path(source)
    if folder.is_dir() and not any(all((folder / name).is_file() for name in names.split()) for names in wanted):
        raise InputError(_not_found(source, what))


def _not_found(source: str, what: str) -> str:
    if Path(source).is_dir():
        return f"{source} holds no {what} of a RoBERTa: give --text_encoder the folder of a saved model"
    return (
        f"{what} of the text encoder {source!r} could not be read or fetched: give --text_encoder a local folder "
        "(config.json, tokenizer and, without a checkpoint, the weights)"
    )
