# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound as the telephone has it: µ-law (ITU-T G.711), 8000 samples a second, frames of 20 ms; and something to say.

Private to prosaas.ops: not for use by other collections, may change without notice.
"""

from __future__ import annotations

import math
import typing as t
from collections.abc import Iterable, Sequence

RATE = 8000
FRAME_SECONDS = 0.02
FRAME_BYTES = 160
SILENCE = 0xFF
AUDIBLE = 500  # of 32768: far above the noise that µ-law makes of silence, far below a voice

_BIAS, _CLIP = 0x84, 32635
_VOICE = 120.0  # Hz, of the vocal cords
_FORMANTS = ((700.0, 110.0, 1.0), (1220.0, 120.0, 0.5), (2600.0, 160.0, 0.25))  # of an "a": Hz, width, strength
_SYLLABLES = 4.0  # a second
_LOUD = 9000.0


def encode(samples: Iterable[int]) -> bytes:
    """Turn samples of 16 bits into µ-law."""
    return bytes(map(_encoded, samples))


def _encoded(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    size = min(abs(sample), _CLIP) + _BIAS
    exponent = size.bit_length() - 8
    return ~(sign | exponent << 4 | size >> (exponent + 3) & 0x0F) & 0xFF


def _decoded(byte: int) -> int:
    byte = ~byte & 0xFF
    size = (((byte & 0x0F) << 3) + _BIAS << (byte >> 4 & 0x07)) - _BIAS
    return -size if byte & 0x80 else size


_DECODED = tuple(map(_decoded, range(256)))


def decode(ulaw: bytes) -> list[int]:
    return [_DECODED[byte] for byte in ulaw]


def loudness(ulaw: bytes) -> int:
    """Return how far the sound goes from silence at most, of 32768."""
    return max((abs(_DECODED[byte]) for byte in set(ulaw)), default=0)


def speech(seconds: float) -> bytes:
    """Make something like a voice that says "a-a-a-a": the overtones of vocal cords, formed by a mouth, in syllables.

    It is no word of any language. It rises and falls as speech does, so that what listens for a voice hears one.
    """
    overtones = [(_VOICE * number, _strength(_VOICE * number)) for number in range(1, int(3400 / _VOICE) + 1)]
    whole = sum(strength for _frequency, strength in overtones)
    return encode(_samples(overtones, _LOUD / whole * 4, int(seconds * RATE)))


def _strength(frequency: float) -> float:
    return sum(strong / (1 + ((frequency - peak) / width) ** 2) for peak, width, strong in _FORMANTS)


def _samples(overtones: Sequence[tuple[float, float]], scale: float, many: int) -> t.Iterator[int]:
    # One period of the voice is made once and repeated: the syllables are what changes.
    period = round(RATE / _VOICE)
    wave = [sum(a * math.sin(2 * math.pi * f * n / RATE) for f, a in overtones) for n in range(period)]
    for n in range(many):
        syllable = math.sin(math.pi * _SYLLABLES * n / RATE) ** 2
        yield max(-32767, min(32767, int(scale * syllable * wave[n % period])))


def frames(ulaw: bytes) -> list[bytes]:
    """Cut sound into frames of 20 ms; the last one is filled up with silence."""
    cut = [ulaw[start : start + FRAME_BYTES] for start in range(0, len(ulaw), FRAME_BYTES)]
    return [frame.ljust(FRAME_BYTES, bytes([SILENCE])) for frame in cut]
