"""A small RoBERTa with its own byte-level vocabulary, as a local folder for --text_encoder; its weights are random.

python -m tools.make_text_encoder --meta_expressions FILE [FILE …] --output DIR
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaConfig, RobertaModel

from datasets.expressions import normalise_caption, read_meta_expressions
from util.errors import exit_on_input_error
from util.files import atomic_folder

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # in RoBERTa's order: padding is 1


def make_text_encoder(
    folder: Path, sentences: Iterable[str], *, vocabulary: int = 400, width: int = 32, layers: int = 1
) -> None:
    """Write config, vocabulary and random weights; `vocabulary` is the most tokens, `width` the hidden size."""
    with atomic_folder(folder) as temporary:
        tokenizer = ByteLevelBPETokenizer()
        tokenizer.train_from_iterator(
            sentences, vocab_size=vocabulary, special_tokens=list(SPECIAL_TOKENS), show_progress=False
        )
        tokenizer.save_model(str(temporary))
        config = RobertaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=max(width // 32, 1),
            intermediate_size=2 * width,
            max_position_embeddings=66,
            type_vocab_size=1,
        )
        RobertaModel(config).save_pretrained(temporary)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--meta_expressions", required=True, nargs="+", type=Path, help="files with the sentences")
    parser.add_argument("--output", required=True, type=Path, help="folder to write")
    parser.add_argument("--vocabulary", default=1000, type=int, help="most tokens")
    parser.add_argument("--width", default=128, type=int, help="hidden size")
    parser.add_argument("--layers", default=2, type=int, help="layers")
    args = parser.parse_args()
    sentences = [
        normalise_caption(expression.text)
        for file in args.meta_expressions
        for video in read_meta_expressions(file)
        for expression in video.expressions
    ]
    make_text_encoder(args.output, sentences, vocabulary=args.vocabulary, width=args.width, layers=args.layers)
    print(f"{args.output}: a text encoder of {len(sentences)} sentences; its weights are random")
    return 0


if __name__ == "__main__":
    exit_on_input_error(main)
