# Copyright (c) 2026, the prosaas.ops authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""µ-law by the values of ITU-T G.711, and the voice that a test call speaks with."""

from __future__ import annotations

import pytest
from ansible_collections.prosaas.ops.plugins.module_utils import _audio

# G.711, table 2a: the decoder's outputs at the ends of the segments, scaled from 14 to 16 bits.
VECTORS = {
    0xFF: 0, 0xFE: 8, 0xF0: 120, 0xEF: 132, 0xE0: 372, 0xDF: 396, 0xD0: 876, 0xCF: 924, 0xC0: 1884, 0xBF: 1980,
    0xB0: 3900, 0xAF: 4092, 0xA0: 7932, 0x9F: 8316, 0x90: 15996, 0x8F: 16764, 0x80: 32124,
}  # fmt: skip


@pytest.mark.parametrize(("byte", "sample"), VECTORS.items())
def test_known_vectors_in_both_directions_and_of_both_signs(byte: int, sample: int) -> None:
    assert _audio.decode(bytes([byte, byte & 0x7F])) == [sample, -sample]
    assert _audio.encode([sample]) == bytes([byte])
    if sample:
        assert _audio.encode([-sample]) == bytes([byte & 0x7F])


def test_every_byte_comes_back_but_for_the_second_zero() -> None:
    whole = bytes(range(256))
    assert _audio.encode(_audio.decode(whole)) == whole.replace(b"\x7f", b"\xff")


def test_an_error_is_never_more_than_half_a_step() -> None:
    for sample in range(-32635, 32636, 7):
        (back,) = _audio.decode(_audio.encode([sample]))
        assert abs(back - sample) <= max(4, (abs(sample) + 132) / 32), sample


def test_what_is_too_loud_is_cut_off() -> None:
    assert _audio.encode([32767, -32768]) == b"\x80\x00"


def test_the_voice_rises_and_falls_in_syllables_and_is_as_loud_as_a_voice() -> None:
    spoken = _audio.speech(2)
    assert len(spoken) == 2 * _audio.RATE
    assert 8000 < _audio.loudness(spoken) < 32000
    # Four syllables a second: loud in the middle of each quarter, silent between them.
    for syllable in range(8):
        middle = syllable * _audio.RATE // 4 + _audio.RATE // 8
        assert _audio.loudness(spoken[middle - 80 : middle + 80]) > 8000
        between = syllable * _audio.RATE // 4
        assert _audio.loudness(spoken[between : between + 40]) < _audio.AUDIBLE


def test_frames_have_twenty_milliseconds_each_and_the_last_is_filled_up() -> None:
    cut = _audio.frames(b"\x80" * 200)
    assert [len(frame) for frame in cut] == [_audio.FRAME_BYTES, _audio.FRAME_BYTES]
    assert cut[1] == b"\x80" * 40 + bytes([_audio.SILENCE]) * 120
    assert _audio.FRAME_BYTES == _audio.RATE * _audio.FRAME_SECONDS
    assert _audio.frames(b"") == []


def test_silence_is_not_audible() -> None:
    assert _audio.loudness(bytes([0xFF, 0x7F, 0xFE, 0xF0])) < _audio.AUDIBLE
    assert _audio.loudness(b"") == 0
