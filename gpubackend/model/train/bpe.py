"""A byte-level BPE vocabulary: trained here, written into the GGUF file.

Text is first cut as GPT-2 does it (words with their leading space, numbers,
signs, blanks); merges never cross a cut. Every byte has a token, so that any
text can be encoded.
"""

import re
from collections import Counter

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CUT = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def byte_letters():
    """The printable letter that stands for each byte in a GPT-2 vocabulary."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    letters, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return letters


LETTERS = byte_letters()


def spell(text):
    return tuple(LETTERS[b] for b in text.encode("utf-8"))


class Vocabulary:
    """Tokens, merges and the encoder. Ids: bytes, merges, then the special tokens."""

    def __init__(self, merges):
        self.merges = [tuple(pair) for pair in merges]
        self.rank = {pair: n for n, pair in enumerate(self.merges)}
        self.tokens = [LETTERS[b] for b in range(256)] + ["".join(p) for p in self.merges] + SPECIAL
        self.ids = {token: n for n, token in enumerate(self.tokens)}
        self.end_of_text, self.start, self.end = (self.ids[s] for s in SPECIAL)
        self.bytes_of = {letter: byte for byte, letter in LETTERS.items()}
        self.cache = {}

    def encode(self, text):
        out = []
        for piece in CUT.findall(text):
            ids = self.cache.get(piece)
            if ids is None:
                ids = self.cache[piece] = [self.ids[t] for t in self.merge(spell(piece))]
            out += ids
        return out

    def merge(self, symbols):
        symbols = list(symbols)
        while len(symbols) > 1:
            best = min(zip(symbols, symbols[1:]), key=lambda pair: self.rank.get(pair, 1 << 30))
            if best not in self.rank:
                break
            symbols = join(symbols, best)
        return symbols

    def decode(self, ids):
        data = bytes(self.bytes_of[c] for i in ids if i < len(self.tokens) - len(SPECIAL) for c in self.tokens[i])
        return data.decode("utf-8", "replace")

    def chat(self, messages):
        """The ids of a conversation in the chatml template, ready for the answer."""
        ids = []
        for role, content in messages:
            ids += [self.start] + self.encode(role + "\n" + content) + [self.end] + self.encode("\n")
        return ids + [self.start] + self.encode("assistant\n")


def join(symbols, pair):
    out, at = [], 0
    while at < len(symbols):
        if at + 1 < len(symbols) and (symbols[at], symbols[at + 1]) == pair:
            out.append(symbols[at] + symbols[at + 1])
            at += 2
        else:
            out.append(symbols[at])
            at += 1
    return out


def train(texts, size):
    """Learns merges until the vocabulary has `size` tokens, special ones included."""
    words = Counter()
    for text, weight in texts:
        for piece in CUT.findall(text):
            words[piece] += weight
    spelled = [(list(spell(piece)), count) for piece, count in sorted(words.items())]
    merges = []
    while len(merges) < size - 256 - len(SPECIAL):
        pairs = Counter()
        for symbols, count in spelled:
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += count
        # Of pairs that are equally frequent the first in the alphabet is taken, so that a run can be repeated.
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        spelled = [(join(symbols, best) if best[0] in symbols else symbols, count) for symbols, count in spelled]
    return Vocabulary(merges)
