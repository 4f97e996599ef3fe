"""Makes two small files in the format of Hugging Face's tokenizers, and the numbers that its own library gives some texts.

    pip install tokenizers
    python make.py TEXT        # TEXT: a file to train on, such as a public-domain play

`bytes.json` is a byte-level BPE, which knows every text; `words.json` one of words with an unknown token.
"""

import gzip
import json
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXTS = [
    "Before we proceed any further, hear me speak.",
    "the the  there\n\tthen",
    "größer, 日本 and 🙂",
    "",
    "KING RICHARD III:",
]


def main(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        text = file.read()[:200_000]
    lines = text.splitlines()

    by_bytes = Tokenizer(models.BPE())
    by_bytes.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    by_bytes.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False))

    by_words = Tokenizer(models.BPE(unk_token="[UNK]"))
    by_words.pre_tokenizer = pre_tokenizers.Whitespace()
    by_words.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=150, special_tokens=["[UNK]"], show_progress=False))

    numbers = {}
    for name, tokenizer in [("bytes", by_bytes), ("words", by_words)]:
        with open(f"{name}.json", "w", encoding="utf-8") as file:
            json.dump(json.loads(tokenizer.to_str()), file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
        numbers[name] = {
            "size": tokenizer.get_vocab_size(),
            "unknown": tokenizer.token_to_id("[UNK]"),
            "ids": [tokenizer.encode(text).ids for text in TEXTS],
        }
    with open("numbers.json", "w", encoding="utf-8") as file:
        json.dump({"texts": TEXTS, **numbers}, file, ensure_ascii=False)
        file.write("\n")


main(sys.argv[1])
