"""Morse code: text to code and back. Letters are separated by a space, words by " / "."""

from keyer.morse_table import TABLE

CHARACTERS = {code: character for character, code in TABLE.items()}


class UnknownSignError(ValueError):
    """Something that the alphabet does not hold."""


def encode(text: str) -> str:
    return " / ".join(
        " ".join(_look_up(TABLE, character) for character in word) for word in text.upper().split()
    )


def decode(code: str) -> str:
    return " ".join(
        "".join(_look_up(CHARACTERS, sign) for sign in word.split()) for word in code.split(" / ")
    )


def units(code: str) -> int:
    """How long it takes to send: dots 1, dashes 3, and 1, 3 and 7 between signs, letters, words."""
    return sum({".": 2, "-": 4}.get(sign, 2) for sign in code)


def _look_up(signs: dict[str, str], sign: str) -> str:
    try:
        return signs[sign]
    except KeyError:
        raise UnknownSignError(f"not in the alphabet: {sign}") from None
