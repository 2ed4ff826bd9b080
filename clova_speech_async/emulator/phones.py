"""English letters and phones: which letters of a word spell which phone, and what each phone looks like.

Law of this file: pure tables and functions. Phones are ARPAbet without stress, as PocketSphinx' dictionary has them.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass

IPA = {
    "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð",
    "EH": "ɛ", "ER": "ər", "EY": "eɪ", "F": "f", "G": "g", "HH": "h", "IH": "ɪ", "IY": "iː", "JH": "dʒ", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "r", "S": "s", "SH": "ʃ", "T": "t",
    "TH": "θ", "UH": "ʊ", "UW": "uː", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""The service's way of writing each phone, where its examples show it; the dictionaries' usual one elsewhere."""

_CLASSES = {
    "AA AE AO AW AY EY OW OY": (0.15, 1.0),
    "EH ER IY UW": (0.13, 1.0),
    "AH IH UH": (0.075, 0.8),
    "L M N NG R W Y": (0.075, 0.55),
    "DH V Z ZH": (0.075, 0.3),
    "F HH S SH TH CH JH": (0.1, 0.25),
    "B D G K P T": (0.075, 0.12),
}
_SHAPES = {phone: shape for phones, shape in _CLASSES.items() for phone in phones.split()}


@dataclass(frozen=True)
class Shape:
    """How a phone is expected to sound in plain reading."""

    seconds: float
    loudness: float
    """Of an open vowel's, 0 to 1."""


def shape(phone: str) -> Shape:
    """The rough length and loudness of a phone: classes of phones from textbooks, measured on nobody."""
    return Shape(*_SHAPES[phone])


_SPELLINGS = """
a AE EY AH AA AO EH IH | ai EY EH | ay EY | au AO AE | aw AO | ar AA.R ER | are EH.R AA.R | air EH.R | al AO.L AH.L AO
b B | bb B | c K S SH CH | cc K K.S | ch CH K SH | ck K | ci SH | ce S SH | d D T JH | dd D | dg JH | dge JH | ed D T
e EH IY IH AH EY | ea IY EH EY | ee IY IH | ei IY EY AY | eigh EY | eu Y.UW UW | ew UW Y.UW | ey IY EY | er ER
ear IH.R ER | eer IH.R | ere EH.R IH.R | f F V
ff F | g G JH ZH | ge JH ZH | gg G | gh F G | gn N | gu G | h HH
i IH AY IY AH Y | ie IY AY | igh AY | ir ER | ia Y.AH | io Y.AH AH | j JH | k K | kn N | l L AH.L | ll L | le AH.L L
m M | mb M | mm M | mn M | n N NG | ng NG NG.G | nn N
o AA OW AH AO UW UH W.AH | oa OW AO | oe OW | oi OY | oo UW UH AO
ou AW AH UW UH AO OW | ough AO OW UW AH.F | ow OW AW | oy OY | or AO.R ER | our AO.R AW.ER ER | oul UH | p P | pp P
ph F | ps S | qu K.W K | q K | r R | rh R | rr R | s S Z SH ZH | se S Z | ss S SH Z
sc S SH | sh SH | si ZH SH | sm Z.AH.M
t T CH SH D | te T | tch CH | th TH DH T | ti SH CH | tt T D | tion SH.AH.N CH.AH.N
sion ZH.AH.N SH.AH.N | ture CH.ER
u AH UW Y.UW UH IH W Y.AH | ue UW Y.UW | ui UW IH | ur ER | ure Y.UH.R ER | v V | ve V | w W | wh W HH | wr R
x K.S G.Z Z | y Y IY AY IH | z Z S | ze Z | zz Z | one W.AH.N | ' AH
"""


def _spellings() -> dict[str, tuple[tuple[str, ...], ...]]:
    entries = [entry.split() for line in _SPELLINGS.strip().splitlines() for entry in line.split(" | ")]
    return {letters: tuple(tuple(way.split(".")) for way in ways) for letters, *ways in entries}


_WAYS = _spellings()
_LONGEST = max(map(len, _WAYS))
_LONGEST_WORD = 60
"""Letters. Dictionaries end at 45; the time to divide a word grows with the square of its length."""


def spell(word: str, phones: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The word's letters divided among its phones: pairs of letters and the phones they stand for, in order.

    No pair is without letters or without phones: a silent letter goes with the one before it, and one letter may stand
    for several phones (``x`` for K and S). The cheapest of all divisions wins, by a table of English spellings. What is
    longer than any word of a language stays whole.
    """
    if not word or not phones:
        return ()
    if len(word) > _LONGEST_WORD:
        return ((word, phones),)

    @functools.cache
    def best(at: int, done: int) -> tuple[float, tuple[tuple[int, int], ...]]:
        if at == len(word) or done == len(phones):
            return (0.0, ()) if at == len(word) and done == len(phones) else (float("inf"), ())
        ways = []
        for letters in range(1, min(_LONGEST + 1, len(word) - at) + 1):
            for count in range(1, min(4, len(phones) - done) + 1):
                rest, parts = best(at + letters, done + count)
                cost = _cost(word[at : at + letters], phones[done : done + count]) + rest
                ways.append((cost, ((letters, count), *parts)))
        return min(ways)

    cost, parts = best(0, 0)
    if cost == float("inf"):  # too many letters or phones for the few of the other
        return ((word, phones),)
    pairs, at, done = [], 0, 0
    for letters, count in parts:
        pairs.append((word[at : at + letters], phones[done : done + count]))
        at, done = at + letters, done + count
    return tuple(pairs)


def _cost(letters: str, phones: tuple[str, ...]) -> float:
    """How unusual it is that these letters stand for these phones; 0 for one phone the table has."""
    many = 0.4 * (len(phones) - 1)
    if phones in _WAYS.get(letters, ()):
        return many
    if len(letters) > 1 and phones in _WAYS.get(letters[:-1], ()):
        return many + (0.5 if letters[-1] in "e'" else 0.9)  # a silent letter behind
    if len(letters) > 1 and phones in _WAYS.get(letters[1:], ()):
        return many + 1.0  # a silent letter before
    return 1.5 + 1.6 * abs(len(letters) - 1) + 1.8 * (len(phones) - 1)


def guess(word: str) -> tuple[str, ...]:
    """Phones for a word that no dictionary has: the first sound of each longest spelling, which is often wrong.

    A silent ``e`` at the end is dropped. Empty for a word without a Latin letter.
    """
    letters = re.sub(r"[^a-z]", "", word)
    if len(letters) > 3 and letters.endswith("e") and letters[-2] not in "aeiouy":
        letters = letters[:-1]
    phones: list[str] = []
    while letters:
        size = next(n for n in range(min(_LONGEST, len(letters)), 0, -1) if letters[:n] in _WAYS)
        phones += _WAYS[letters[:size]][0]
        letters = letters[size:]
    return tuple(phones)


_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", *_TEENS]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def number_words(digits: str) -> list[str]:
    """A whole number as it is read; over 999,999 digit by digit."""
    if len(digits) > 6:  # looked at first: Python refuses to read a number of more than 4,300 digits
        return [_ONES[int(digit)] for digit in digits]
    value = int(digits)
    words: list[str] = []
    if value >= 1000:
        words += [*number_words(str(value // 1000)), "thousand"]
        value %= 1000
        if not value:
            return words
    if value >= 100:
        words += [_ONES[value // 100], "hundred"]
        value %= 100
        if not value:
            return words
    if value >= 20:
        words.append(_TENS[value // 10 - 2])
        value %= 10
        if not value:
            return words
    return [*words, _ONES[value]]


_UNSEEN = ("Mn", "Cf")
"""Accents that stand by themselves, zero-width characters and marks of direction."""


def words_of(text: str) -> list[str]:
    """The words of an English text as a dictionary has them: lower case, no punctuation, numbers spelled out.

    Letters lose their accents and their width, and what is not seen is passed over; what then has no Latin letter and
    no digit is left out.
    """
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", text) if unicodedata.category(letter) not in _UNSEEN
    )
    plain = plain.lower().replace("’", "'").replace("%", " percent ").replace("&", " and ")
    words: list[str] = []
    for token in re.findall(r"[a-z']+|[0-9]+(?:,[0-9]{3})*", plain):
        if token[0].isdigit():
            words += number_words(token.replace(",", ""))
        elif stripped := token.strip("'"):
            words.append(stripped)
    return words
