"""A small RoBERTa with its own byte-level vocabulary, as a local folder for --text_encoder; its weights are random.

    python -m tools.make_text_encoder --output DIR --sentences FILE [FILE …]
    python -m tools.make_text_encoder --output DIR --synthetic_words --vocabulary_size 6000 --hidden 192 --layers 3 \\
        --sentences data/*/meta_expressions/train/meta_expressions.json captions.txt

--sentences takes meta_expressions.json files, and text files of a sentence a line. The tokenizer's files are those
that transformers' RobertaTokenizer reads.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaConfig, RobertaModel

from datasets.expressions import normalise_caption, read_meta_expressions
from tools.data.synthetic.vocabulary import vocabulary
from util.errors import InputError, exit_on_input_error
from util.files import atomic_folder

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # in RoBERTa's order: padding is 1
FEWEST_TOKENS = 256 + len(SPECIAL_TOKENS)  # each byte is one
HEAD_WIDTH = 32


@dataclass(frozen=True)
class Shape:
    """Sizes of a text encoder.

    vocabulary  the most tokens
    hidden      its width
    layers      how many
    heads       attention heads; 0: one for each HEAD_WIDTH of the width
    """

    vocabulary: int = 400
    hidden: int = 32
    layers: int = 1
    heads: int = 0

    def check(self) -> None:
        """Raises InputError for sizes that cannot be."""
        if self.vocabulary < FEWEST_TOKENS:
            raise InputError(f"--vocabulary_size must be {FEWEST_TOKENS} or more: every byte is a token")
        if min(self.hidden, self.layers) < 1 or self.heads < 0 or self.hidden % self.number_of_heads:
            raise InputError("--hidden and --layers must be 1 or more, and --hidden a multiple of --heads")

    @property
    def number_of_heads(self) -> int:
        return self.heads or max(self.hidden // HEAD_WIDTH, 1)


def make_text_encoder(folder: Path, sentences: Iterable[str], shape: Shape = Shape()) -> int:
    """Write config, vocabulary and random weights; returns how many tokens the vocabulary has.

    Raises InputError for a shape that cannot be, or a folder that cannot be written.
    """
    shape.check()
    with atomic_folder(folder) as temporary:
        tokenizer = ByteLevelBPETokenizer()
        tokenizer.train_from_iterator(
            sentences, vocab_size=shape.vocabulary, special_tokens=list(SPECIAL_TOKENS), show_progress=False
        )
        tokenizer.save_model(str(temporary))
        config = RobertaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.number_of_heads,
            intermediate_size=2 * shape.hidden,
            max_position_embeddings=66,
            type_vocab_size=1,
        )
        RobertaModel(config).save_pretrained(temporary)
    return tokenizer.get_vocab_size()


def read_sentences(file: Path) -> list[str]:
    """The sentences of a meta_expressions.json, or of a text file (one a line), as the network reads them.

    Raises InputError where it cannot be read or holds none.
    """
    if file.suffix == ".json":
        texts = [expression.text for video in read_meta_expressions(file) for expression in video.expressions]
    else:
        try:
            texts = file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read as text ({error}); give UTF-8, a sentence a line") from error
    sentences = [normalise_caption(text) for text in texts if text.strip()]
    if not sentences:
        raise InputError(f"{file}: no sentence in it")
    return sentences


def synthetic_sentences(beside: int) -> list[str]:
    """The synthetic set's words, each first in a sentence and within one, which are two tokens.

    They are repeated until they weigh as much as the `beside` sentences that they are to be learned with.
    """
    words = vocabulary()
    return [f"{word} {word}" for word in words] * (2 + beside // len(words))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sentences", "--meta_expressions", default=[], nargs="+", type=Path, metavar="FILE", help="to learn words of")
    add("--synthetic_words", action="store_true", help="also learn all words of the synthetic set")
    add("--output", required=True, type=Path, metavar="DIR", help="folder to write")
    add("--vocabulary_size", default=1000, type=int, metavar="N", help="most tokens (default: %(default)s)")
    add("--hidden", default=128, type=int, metavar="N", help="width (default: %(default)s)")
    add("--layers", default=2, type=int, metavar="N", help="layers (default: %(default)s)")
    add("--heads", default=0, type=int, metavar="N", help=f"attention heads (default: hidden / {HEAD_WIDTH})")
    args = parser.parse_args()
    sentences = [sentence for file in args.sentences for sentence in read_sentences(file)]
    if not sentences and not args.synthetic_words:
        raise InputError("no words to learn: give --sentences FILE or --synthetic_words")
    words = synthetic_sentences(len(sentences)) if args.synthetic_words else []
    shape = Shape(args.vocabulary_size, args.hidden, args.layers, args.heads)
    tokens = make_text_encoder(args.output, [*sentences, *words], shape)
    print(f"{args.output}: {tokens} tokens of {len(sentences)} sentences; the weights are random")
    return 0


if __name__ == "__main__":
    exit_on_input_error(main)
