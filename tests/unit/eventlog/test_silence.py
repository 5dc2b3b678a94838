from __future__ import annotations

from spanstream.eventlog.silence import Silence


def test_silence_lasts_from_the_first_question_or_the_last_answer() -> None:
    now = 0.0
    silence = Silence(lambda: now)
    assert silence.seconds() == 0
    now = 5.0
    silence.asked()
    now = 7.0
    silence.asked()
    assert silence.seconds() == 2
    now = 9.0
    silence.answered()
    assert silence.seconds() == 0
    now = 10.0
    assert silence.seconds() == 1
    silence.answered()
    now = 20.0
    assert silence.seconds() == 0
