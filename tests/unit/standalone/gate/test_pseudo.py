from __future__ import annotations

from spanstream.representations.training.objective import Document
from spanstream.representations.training.stream import Split, split
from spanstream.standalone.gate import pseudo


def document(number: int) -> Document:
    said = [f"Sentence {part} of passage {number} speaks about matter {number * 7 + part}." for part in range(4)]
    bounds, at = [], 0
    for sentence in said:
        bounds.append((at, at + len(sentence)))
        at += len(sentence) + 1
    return Document(" ".join(said), "Notes", tuple(bounds))


DOCUMENTS = [document(number) for number in range(200)]


def test_questions_are_about_passages_that_no_training_sees() -> None:
    exam = pseudo.exam(lambda: DOCUMENTS, "somewhere")
    asked = sum(split(each) is Split.TEST for each in DOCUMENTS)
    assert 0 < asked < len(exam.questions)
    assert len(exam.papers) == len(DOCUMENTS)
    for question in exam.questions:
        ((number, grade),) = question.relevant.items()
        assert (number < asked, grade) == (True, 1.0)
        for where, start, end in question.answers:
            words = exam.papers[where].text[start:end].split()
            assert where == number
            assert 0 < len(question.text.split()) < len(words)
            assert set(question.text.split()) <= set(words)


def test_of_a_cloze_the_sentence_is_not_in_the_passage() -> None:
    exam = pseudo.exam(lambda: DOCUMENTS, "somewhere")
    clozes = [question for question in exam.questions if not question.answers]
    whole = {each.text for each in DOCUMENTS}
    assert clozes
    for question in clozes:
        ((number, _),) = question.relevant.items()
        paper = exam.papers[number]
        assert paper.text not in whole
        assert len(paper.passages[0].sentences) == 3


def test_the_same_corpus_gives_the_same_questions() -> None:
    one, other = (pseudo.exam(lambda: DOCUMENTS, "") for _ in range(2))
    assert [each.text for each in one.questions] == [each.text for each in other.questions]


def test_no_passage_of_whole_sentences_gives_no_question() -> None:
    assert pseudo.exam(lambda: [Document("Too short.", "", ((0, 10),))] * 50, "").questions == []
