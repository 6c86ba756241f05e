"""Detection of the encoding of short texts, such as names of classes in a zip.

General detectors need a paragraph; names are a few letters each. So each encoding that systems
write names in has a small model of its characters, and the most likely one over all names wins.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from iddm_cli.data.encodings.common_characters import HAN, HANGUL, JAPANESE, TRADITIONAL

MAX_SAMPLES = 4000
SURE = 0.95
"""Posterior probability from which a detection counts as sure."""
LISTED = 0.02
"""Posterior probability from which an encoding is named as an alternative."""

ASCII_LETTER = math.log(1 / 40)
ASCII_SYMBOL = math.log(1e-4)
NAME_SYMBOLS = " _-.()[]"

CharModel = Callable[[str], float]
"""Natural logarithm of the probability of one character that is not ASCII."""

RUSSIAN = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"  # most common first
VOWELS = "аеёиоуыэюяaeiou"


@dataclass(frozen=True)
class Detection:
    """The encoding of some texts."""

    encoding: str
    alternatives: tuple[str, ...]
    """Other encodings that would decode the texts differently, and are not unlikely."""

    @property
    def is_sure(self) -> bool:
        """Return whether no other encoding is likely."""
        return not self.alternatives


@cache
def _uniform(share: float, count: int) -> float:
    return math.log(share / count)


def _score_han(extra: str, second_size: int, *, has_kana: bool) -> CharModel:
    common = frozenset(HAN + extra)

    def score(char: str) -> float:
        code = ord(char)
        if has_kana and 0x3041 <= code <= 0x30FF:
            return _uniform(0.5, 170)
        if 0xFF61 <= code <= 0xFF9F:
            return math.log(1e-5)
        if char in common:
            return _uniform(0.85, 900)
        if 0x4E00 <= code <= 0x9FFF:
            return _uniform(0.12, second_size)
        return math.log(1e-7)

    return score


def _score_hangul(char: str) -> float:
    if char in HANGUL:
        return _uniform(0.85, 350)
    if 0xAC00 <= ord(char) <= 0xD7A3:
        return _uniform(0.15, 2000)
    return math.log(1e-7)


def _score_cyrillic(char: str) -> float:
    rank = RUSSIAN.find(char.lower())
    if rank < 0:
        return math.log(1e-4) if 0x400 <= ord(char) <= 0x4FF else math.log(1e-6)
    return math.log(0.085 / (1 + 0.15 * rank))


def _score_letters(common: str, first: int, last: int, *, share: float = 0.95) -> CharModel:
    """Return a model of letters, given the common ones and the range of all.

    Args:
        common: The common letters, most common first.
        first: Code point of the first letter.
        last: Code point of the last letter.
        share: Share of these letters in a text; the rest is ASCII.
    """
    total = sum(1 / (1 + 0.2 * rank) for rank in range(len(common)))

    def score(char: str) -> float:
        rank = common.find(char.lower())
        if rank >= 0:
            return math.log(share / (1 + 0.2 * rank) / total)
        if first <= ord(char) <= last and char.isalpha():
            return math.log(1e-4)
        return math.log(1e-6)

    return score


_WESTERN = _score_letters("äöüéèßñáíóúçàêôâîåæøëïãõ", 0xC0, 0x17F, share=0.3)
_CENTRAL = _score_letters("áéíóúýčďěňřšťůžąćęłńśźżőűöüäâăîșşţ", 0xC0, 0x21B, share=0.3)
_TURKISH = _score_letters("çğıöşüâî", 0xC0, 0x17F, share=0.3)
_GREEK = _score_letters("αοιετσνηυρπκμλωςγδχθφβξζψάίόέήύώ", 0x386, 0x3CE)
_HEBREW = _score_letters("אבגדהוזחטיכלמנסעפצקרשתםןףץך", 0x5D0, 0x5EA)
_ARABIC = _score_letters("ابتثجحخدذرزسشصضطظعغفقكلمنهويةىأإآ", 0x620, 0x64A)
_THAI = _score_letters("".join(map(chr, range(0xE01, 0xE3B))) + "เแโใไ่้๊๋็์", 0xE01, 0xE5B)


@dataclass(frozen=True, kw_only=True)
class EncodingRow:
    """An encoding that systems write names in."""

    codec: str
    """Python's name."""

    languages: str
    """Who uses it, for messages."""

    prior: float
    """How common it is among archives and tables, on any scale."""

    score: CharModel
    """The model of its characters."""

    @property
    def is_dos(self) -> bool:
        """Return whether only DOS and archives use it."""
        return self.languages.endswith("DOS")

    vowels: str = ""
    """Letters of which a word has at least one; empty for scripts without vowels."""


ENCODINGS: tuple[EncodingRow, ...] = (
    EncodingRow(codec="gbk", languages="Chinese", prior=1.0,
                score=_score_han("", 5800, has_kana=False)),
    EncodingRow(codec="big5", languages="Chinese, traditional", prior=0.5,
                score=_score_han(TRADITIONAL, 12000, has_kana=False)),
    EncodingRow(codec="cp932", languages="Japanese, Shift-JIS", prior=1.0,
                score=_score_han(TRADITIONAL + JAPANESE, 5800, has_kana=True)),
    EncodingRow(codec="euc_jp", languages="Japanese, EUC", prior=0.02,
                score=_score_han(TRADITIONAL + JAPANESE, 5800, has_kana=True)),
    EncodingRow(codec="cp949", languages="Korean, EUC-KR", prior=1.0, score=_score_hangul),
    EncodingRow(codec="cp866", languages="Russian, DOS", prior=1.0,
                score=_score_cyrillic, vowels=VOWELS),
    EncodingRow(codec="cp1251", languages="Russian, Windows", prior=0.5,
                score=_score_cyrillic, vowels=VOWELS),
    EncodingRow(codec="koi8_r", languages="Russian, KOI8", prior=0.002,
                score=_score_cyrillic, vowels=VOWELS),
    EncodingRow(codec="cp437", languages="Western, DOS", prior=0.6, score=_WESTERN),
    EncodingRow(codec="cp850", languages="Western, DOS", prior=0.6, score=_WESTERN),
    EncodingRow(codec="cp1252", languages="Western, Windows", prior=0.5, score=_WESTERN),
    EncodingRow(codec="cp852", languages="Central European, DOS", prior=0.3, score=_CENTRAL),
    EncodingRow(codec="cp1250", languages="Central European, Windows", prior=0.2, score=_CENTRAL),
    EncodingRow(codec="cp857", languages="Turkish, DOS", prior=0.2, score=_TURKISH),
    EncodingRow(codec="cp1254", languages="Turkish, Windows", prior=0.1, score=_TURKISH),
    EncodingRow(codec="cp737", languages="Greek, DOS", prior=0.2, score=_GREEK),
    EncodingRow(codec="cp1253", languages="Greek, Windows", prior=0.1, score=_GREEK),
    EncodingRow(codec="cp862", languages="Hebrew, DOS", prior=0.1, score=_HEBREW),
    EncodingRow(codec="cp1255", languages="Hebrew, Windows", prior=0.1, score=_HEBREW),
    EncodingRow(codec="cp720", languages="Arabic, DOS", prior=0.1, score=_ARABIC),
    EncodingRow(codec="cp1256", languages="Arabic, Windows", prior=0.1, score=_ARABIC),
    EncodingRow(codec="cp874", languages="Thai", prior=0.1, score=_THAI),
)  # fmt: skip
"""The encodings that are tried besides UTF-8."""


def detect(samples: Iterable[bytes], *, dos: bool = True) -> Detection | None:
    """Return the most likely encoding of texts that are not all ASCII; None if none fits.

    Args:
        samples: The texts, each at most some hundred bytes; a text that occurs again counts once.
        dos: Whether encodings of DOS are possible, as in archives; spreadsheets do not use them.
    """
    texts = sorted({text for text in samples if not text.isascii()})[:MAX_SAMPLES]
    if all(is_utf8(text) for text in texts):
        return Detection("utf-8", ())
    scores: dict[str, float] = {}
    decoded: dict[str, list[str]] = {}
    for row in ENCODINGS:
        words = _decode_all(texts, row.codec) if dos or not row.is_dos else None
        if words is not None:
            decoded[row.codec] = words
            scores[row.codec] = math.log(row.prior) + sum(_score_word(w, row) for w in words)
    return _choose(scores, decoded)


def describe_encoding(codec: str) -> str:
    """Return the name of an encoding with its languages, for messages."""
    row = next((row for row in ENCODINGS if row.codec == codec), None)
    return f"{codec} ({row.languages})" if row else codec


def _choose(scores: dict[str, float], decoded: dict[str, list[str]]) -> Detection | None:
    """Return the encoding with the highest score, and those that come close to it."""
    if not scores:
        return None
    best = max(scores, key=scores.__getitem__)
    weights = {codec: math.exp(score - scores[best]) for codec, score in scores.items()}
    total = sum(weight for codec, weight in weights.items() if decoded[codec] != decoded[best])
    likely = [
        codec
        for codec in sorted(weights, key=weights.__getitem__, reverse=True)
        if decoded[codec] != decoded[best] and weights[codec] / (1 + total) > LISTED
    ]
    return Detection(best, tuple(likely) if 1 / (1 + total) < SURE else ())


def _score_word(word: str, row: EncodingRow) -> float:
    """Return the logarithm of the probability of a word, under the model of an encoding."""
    lacks_vowel = len(word) > 2 and row.vowels and not set(word.lower()) & set(row.vowels)
    total = math.log(0.01) if lacks_vowel else 0.0
    before = ""
    for char in word:
        total += _score_ascii(char) if char.isascii() else row.score(char)
        total += _score_transition(before, char)
        before = char
    return total


def _score_ascii(char: str) -> float:
    return ASCII_LETTER if char.isalnum() or char in NAME_SYMBOLS else ASCII_SYMBOL


def _score_transition(before: str, char: str) -> float:
    """Return a penalty for neighbours that words do not have: scripts mixed, capitals inside."""
    penalty = math.log(0.2) if char.isupper() and not char.isascii() else 0.0
    if not before.isalpha() or not char.isalpha():
        return penalty
    if char.isupper():
        penalty = math.log(0.9 if before.isupper() else 0.002)
    ideographs = sum(unicodedata.category(letter) == "Lo" for letter in (before, char))
    if ideographs == 1:
        penalty += math.log(0.05)
    elif not ideographs and _is_latin(before) != _is_latin(char):
        penalty += math.log(0.01)
    elif not ideographs and _is_latin(char) and not before.isascii() and not char.isascii():
        penalty += math.log(0.1)
    return penalty


def _is_latin(char: str) -> bool:
    return ord(char) < 0x250


def _decode_all(texts: Sequence[bytes], codec: str) -> list[str] | None:
    try:
        words = [text.decode(codec) for text in texts]
    except UnicodeDecodeError:
        return None
    usable = all(unicodedata.category(char)[0] != "C" for word in words for char in word)
    return words if usable else None


def is_utf8(text: bytes) -> bool:
    """Return whether a text is valid UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
