#!/usr/bin/env python3
"""Makes tests/golden/tokenizer: small tokenizers and what Hugging Face says.

Made with Python 3.11+, tokenizers 0.23.3, gguf 0.19.0 (numpy 2.4.6):
  pip install tokenizers==0.23.3 gguf==0.19.0
  tests/golden/make_tokenizer_golden.py

  smollm/   Sequence[Digits, ByteLevel] as SmolLM2, some bytes without a token
  llama3/   Split + ignore_merges + TemplateProcessing, merges as strings
  gpt2/     ByteLevel with add_prefix_space, an unknown token, fuse_unk
  options/  added tokens of every kind, Prepend and Replace, BOS and EOS
  {smollm,llama3}.gguf   the same tokenizers as GGUF metadata
  expected.json          texts, and per tokenizer their ids and decoded texts
"""

import json
import pathlib
import random
import sys

import gguf
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,
                        normalizers, pre_tokenizers, processors, trainers)

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "tokenizer"
sys.path.insert(0, str(OUT))
from nasty_texts import nasty_texts  # noqa: E402

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# Bytes that SmolLM2's vocabulary has no token for.
MISSING = [0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xC0, 0xC1, 0xF1, 0xF2,
           *range(0xF5, 0x100)]


def byte_char(byte):
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if byte in printable:
        return chr(byte)
    return chr(0x100 + [b for b in range(256) if b not in printable].index(byte))


def alphabet(without=()):
    return [byte_char(b) for b in range(256) if b not in without]


def corpus():
    text = (HERE.parent.parent / "LICENSE").read_text()
    return [text] + [t for t in nasty_texts() if len(t) < 120]


def train(tokenizer, vocab_size, special, letters):
    missing = set(alphabet()) - set(letters)
    texts = [t for t in corpus()
             if not any(byte_char(b) in missing for b in t.encode())]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=letters, special_tokens=special,
        show_progress=False))
    return tokenizer


def special(content):
    return AddedToken(content, special=True, normalized=False)


def smollm():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return train(t, 1000, [special(n) for n in names], alphabet(MISSING))


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, 700, [], alphabet())
    data = json.loads(t.to_str())
    # Whole words that no merges lead to: only ignore_merges finds them.
    for word in ["Ġlazy", "jumps", "naÃ¯ve", "ĠÐļÐ¸ÑĢ"]:
        data["model"]["vocab"].setdefault(word, len(data["model"]["vocab"]))
    t = Tokenizer.from_str(json.dumps(data))
    t.add_special_tokens([special(n) for n in (
        "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>",
        "<|im_start|>", "<|im_end|>")])
    bos = "<|begin_of_text|>"
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
            special_tokens=[(bos, t.token_to_id(bos))])])
    return t


def gpt2():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    return train(t, 400, [special("<unk>"), special("<|endoftext|>")],
                 alphabet(MISSING))


def options():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([
        normalizers.Prepend(">"), normalizers.Replace("q", "new york")])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(".", "isolated"),
        pre_tokenizers.Split(Regex(r"(?=[A-Z])|\w+(?=\W)|x*"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    train(t, 380, [special("<unk>"), special("<s>"), special("</s>")],
          alphabet(MISSING))
    t.add_special_tokens([special("<|im_start|>"), special("<|im_end|>")])
    t.add_tokens([
        AddedToken("<l>", lstrip=True, normalized=False),
        AddedToken("<r>", rstrip=True, normalized=False),
        AddedToken("<lr>", lstrip=True, rstrip=True, normalized=False,
                   special=True),
        AddedToken("word", single_word=True, normalized=False),
        AddedToken("new york", normalized=True),
        AddedToken("abc", normalized=False),
        AddedToken("abcde", normalized=False),
        AddedToken("<n>", normalized=True, lstrip=True)])
    s, e = t.token_to_id("<s>"), t.token_to_id("</s>")
    t.post_processor = processors.TemplateProcessing(
        single="<s> </s> $A </s>", pair="$A $B",
        special_tokens=[("<s>", s), ("</s>", e)])
    return t


def write_json(name, tokenizer, config, string_merges=False):
    folder = OUT / name
    folder.mkdir(exist_ok=True)
    data = json.loads(tokenizer.to_str())
    if string_merges:
        data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"]]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=1) + "\n")
    return data


def write_gguf(name, data, pre, bos, eos, add_bos):
    added = {t["id"]: t for t in data["added_tokens"]}
    vocab = {i: t for t, i in data["model"]["vocab"].items()}
    vocab.update({i: t["content"] for i, t in added.items()})
    ids = {t: i for i, t in vocab.items()}
    tokens = [vocab[i] for i in range(len(vocab))]
    types = [gguf.TokenType.CONTROL if i in added else gguf.TokenType.NORMAL
             for i in range(len(vocab))]
    merges = [m if isinstance(m, str) else " ".join(m)
              for m in data["model"]["merges"]]
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(ids[bos])
    writer.add_eos_token_id(ids[eos])
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def expected(tokenizer, texts):
    out = {"ids": [tokenizer.encode(t).ids for t in texts]}
    plain = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
    # Only where they differ from the text, by its number.
    out["decoded"] = {
        i: tokenizer.decode(ids, skip_special_tokens=False)
        for i, (t, ids) in enumerate(zip(texts, plain))
        if tokenizer.decode(ids, skip_special_tokens=False) != t}
    out["prefix"], out["suffix"] = split_special(tokenizer)
    tokenizer.encode_special_tokens = True
    out["unparsed"] = {
        i: ids for i, t in enumerate(texts)
        if (ids := tokenizer.encode(t, add_special_tokens=False).ids)
        != plain[i]}
    tokenizer.encode_special_tokens = False
    rng = random.Random(3)
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    out["random"] = []
    for _ in range(20):
        ids = [rng.randrange(size) for _ in range(rng.randint(1, 12))]
        out["random"].append({
            "ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False),
            "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    return out


def split_special(tokenizer):
    """The ids put before and after a text."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    ids = tokenizer.encode("a").ids
    for i in range(len(ids) - len(plain) + 1):
        if ids[i:i + len(plain)] == plain:
            return ids[:i], ids[i + len(plain):]
    raise AssertionError("the text's ids are not in one piece")


def main():
    texts = nasty_texts()
    result = {"texts": texts, "tokenizers": {}}
    makers = {
        "smollm": (smollm, {"bos_token": "<|im_start|>",
                            "eos_token": "<|im_end|>"}),
        "llama3": (llama3, {"bos_token": {"content": "<|begin_of_text|>"},
                            "eos_token": "<|end_of_text|>"}),
        "gpt2": (gpt2, {"eos_token": "<|endoftext|>"}),
        "options": (options, {"bos_token": "<s>", "eos_token": "</s>"}),
    }
    for name, (make, config) in makers.items():
        tokenizer = make()
        data = write_json(name, tokenizer, config, name == "llama3")
        result["tokenizers"][name] = expected(tokenizer, texts)
        if name == "smollm":
            write_gguf(name, data, "smollm", "<|im_start|>", "<|im_end|>", False)
        if name == "llama3":
            write_gguf(name, data, "llama-bpe", "<|begin_of_text|>",
                       "<|end_of_text|>", None)
    text = json.dumps(result, separators=(",", ":"))
    (OUT / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
