"""tools/make_text_encoder.py: files that transformers reads, a vocabulary that was learned, and bad input."""

import json

import pytest
from conftest import YTVOS_VIDEOS, write_expressions
from transformers import AutoTokenizer, RobertaConfig, RobertaModel, RobertaTokenizer

from tools.data.synthetic.vocabulary import vocabulary
from tools.make_text_encoder import main

SENTENCES = ("The zebra  that drinks", "two zebras drink", "", "a zebra, drinking")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "text"


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "sentences.txt"
    file.write_text("\n".join(SENTENCES), encoding="utf-8")
    return file


@pytest.fixture
def make(program, output):
    return lambda *flags: program(main, "--output", output, *flags)


def tokens(output, sentence):
    return RobertaTokenizer.from_pretrained(output).tokenize(sentence)


def failed(outcome, output, *parts):
    assert outcome.code == 2
    (line,) = outcome.errors
    for part in parts:
        assert str(part) in line
    assert not output.exists()


def test_transformers_reads_what_was_asked_for(make, output, text):
    flags = ("--vocabulary_size", "300", "--hidden", "96", "--layers", "3", "--heads", "6")
    assert make("--sentences", text, *flags).code == 0
    config, tokenizer = RobertaConfig.from_pretrained(output), AutoTokenizer.from_pretrained(output)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (96, 3, 6)
    assert config.vocab_size == len(tokenizer) == len(json.loads((output / "vocab.json").read_text())) <= 300
    ids = tokenizer("the zebra drinks 水")["input_ids"]
    assert (ids[0], ids[-1], tokenizer.pad_token_id) == (0, 2, 1)
    assert tokenizer.unk_token_id not in ids, "every byte is a token"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the zebra drinks 水"
    assert RobertaModel.from_pretrained(output).embeddings.word_embeddings.weight.shape == (config.vocab_size, 96)


def test_common_words_become_tokens_and_case_does_not_count(make, output, text):
    assert make("--sentences", text).code == 0
    assert tokens(output, "a zebra") == ["a", "Ġzebra"]
    assert len(tokens(output, "a Zebra")) > 2, "nothing in upper case was learned"


def test_lists_and_texts_together(make, output, text, tmp_path):
    file = write_expressions(tmp_path, "train", YTVOS_VIDEOS)
    outcome = make("--sentences", file, text)
    assert f"of {3 + 3} sentences" in outcome.out
    assert tokens(output, "a zebra") == ["a", "Ġzebra"]
    assert tokens(output, "the ball") == ["the", "Ġball"]


@pytest.mark.parametrize("sentences", [0, 400])
def test_all_words_of_the_synthetic_set_are_tokens(make, output, tmp_path, sentences):
    """First in a sentence and within one, however many others there are."""
    file = tmp_path / "others.txt"
    file.write_text("".join(f"thing number {n} of {n * n}\n" for n in range(sentences)))
    given = ("--sentences", file) if sentences else ()
    assert make("--synthetic_words", *given, "--vocabulary_size", "3000", "--hidden", "32").code == 0
    tokenizer = RobertaTokenizer.from_pretrained(output)
    assert [w for w in vocabulary() if len(tokenizer.tokenize(w)) > 1 or len(tokenizer.tokenize(f"a {w}")) > 2] == []


def test_the_older_name_of_the_flag(make, output, tmp_path):
    assert make("--meta_expressions", write_expressions(tmp_path, "train", YTVOS_VIDEOS)).code == 0


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--vocabulary_size", "260"), "--vocabulary_size must be 261 or more"),
        (("--hidden", "100", "--heads", "3"), "--hidden a multiple of --heads"),
        (("--hidden", "0"), "1 or more"),
        (("--layers", "0"), "1 or more"),
        (("--heads", "-1"), "1 or more"),
    ],
)
def test_shapes_that_cannot_be(make, output, text, flags, part):
    failed(make("--sentences", text, *flags), output, part)


def test_no_sentences(make, output, tmp_path, text):
    failed(make(), output, "--sentences FILE or --synthetic_words")
    failed(make("--sentences", text, tmp_path / "none.txt"), output, tmp_path / "none.txt")
    (tmp_path / "blank.txt").write_text(" \n\n")
    failed(make("--sentences", tmp_path / "blank.txt"), output, "no sentence in it")
    (tmp_path / "latin.txt").write_bytes("le café\n".encode("latin-1"))
    failed(make("--sentences", tmp_path / "latin.txt"), output, tmp_path / "latin.txt", "UTF-8")
    (tmp_path / "list.json").write_text("{}")
    failed(make("--sentences", tmp_path / "list.json"), output, tmp_path / "list.json")
