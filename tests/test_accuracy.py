"""The accuracy rule, case by case, worked out by hand."""

from __future__ import annotations

import pytest

from memchat.data.accuracy import abstains, exact_match, normalise, right, token_f1, wilson
from memchat.data.formats import Probe


def probe(*answers: str, kind: str = "fact", old: tuple[str, ...] = ()) -> Probe:
    return Probe("?", list(answers), kind, superseded=list(old))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Mr. Biscuit", "mr biscuit"),
        ("  The   DOG,  a cat and an owl! ", "dog cat and owl"),
        ("Café Zoë, Ærø", "cafe zoe ærø"),
        ("Straße", "strasse"),
        ("Rex's", "rex s"),
        ("snake_case", "snake case"),
        ("zero", "0"),
        ("twelve", "12"),
        ("Twenty-one", "21"),
        ("ninety nine", "99"),
        ("twenty ten", "20 10"),
        ("a hundred", "100"),
        ("one hundred", "100"),
        ("two hundred and five", "205"),
        ("one hundred and then", "100 and then"),
        ("third", "3rd"),
        ("the twenty-third", "23rd"),
        ("eleventh twelfth thirteenth", "11th 12th 13th"),
        ("1,000 or 2.5 at 7:30.", "1000 or 2.5 at 7.30"),
        ("1, 2, 3", "1 2 3"),
        ("vitamin A", "vitamin a"),
        ("another theme", "another theme"),
        ("2024-05-03", "3 may 2024"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_normal_form(text: str, wanted: str) -> None:
    assert normalise(text) == wanted


@pytest.mark.parametrize(
    ("reply", "answer", "wanted"),
    [
        ("Your dog is called mr biscuit.", "Mr. Biscuit", True),
        ("Your dog is called Biscuits.", "Biscuit", False),
        ("Let us have a party.", "art", False),
        ("You like art.", "art", True),
        ("zoe", "Zoë", True),
        ("You have two cats.", "2", True),
        ("You have 2 cats.", "two", True),
        ("You have 12 cats.", "2", False),
        ("You have 2.5 cats.", "2", False),
        ("You have twenty-two cats.", "twenty", False),
        ("It is Rex's ball.", "Rex", True),
        ("You saw the Lord of the Rings.", "Lord of Rings", True),
        ("You take vitamin C.", "vitamin A", False),
        ("You take vitamin A and C.", "vitamin A", True),
        ("You got an A-.", "A-", True),
        ("You have a dog.", "A-", False),
        ("New  York-City", "new york city", True),
        ("I do not know, but I think it is Rome.", "Rome", True),
        ("", "Rome", False),
        ("Rome", "!", False),
    ],
)
def test_an_answer_stands_in_a_reply_as_whole_words(reply: str, answer: str, wanted: bool) -> None:
    assert right(reply, probe(answer)) is wanted
    assert right(reply, probe("something else", answer)) is wanted, "one of several answers is enough"
    for kind in ("date", "count", "quote", "update"):
        assert right(reply, probe(answer, kind=kind)) is wanted
    assert right(reply, probe(answer, kind="forget")) is not wanted


@pytest.mark.parametrize(
    "said", ["3 May", "May 3rd", "3rd of May", "May 3", "the third of May", "May the 3rd", "03 May"]
)
@pytest.mark.parametrize(
    "told", ["3 May", "May 3rd", "3rd of May", "May 3", "the third of May", "May the 3rd", "03 May"]
)
def test_one_date_has_many_forms(said: str, told: str) -> None:
    assert right(f"It is on {said}.", probe(told, kind="date"))
    assert exact_match(said, [told]) and token_f1(said, [told]) == 1


@pytest.mark.parametrize(
    ("reply", "answer", "wanted"),
    [
        ("On May 3, 2024.", "3 May 2024", True),
        ("On 2024-05-03.", "May 3rd, 2024", True),
        ("On May 3.", "3 May 2024", False),
        ("On 3 May 2024.", "3 May", True),
        ("On 13 May.", "3 May", False),
        ("On May 13.", "3 May", False),
        ("On 3 June.", "3 May", False),
        ("On Sept. 21st.", "21 September", True),
        ("In May 2024.", "May 2024", True),
        ("On May 3, June 5 or 7 July.", "5 June", True),
        ("On May 3, June 5 or 7 July.", "3 June", False),
        ("On 3 May 12 people came.", "May 12", False),
        ("On the twenty-first of March.", "March 21", True),
        ("You may 5 people invite.", "5 people", True),
        ("On 40 May.", "4 May", False),
    ],
)
def test_dates(reply: str, answer: str, wanted: bool) -> None:
    assert right(reply, probe(answer, kind="date")) is wanted


@pytest.mark.parametrize(
    ("reply", "answer", "old", "wanted"),
    [
        ("You live in Rome.", "Rome", "Oslo", True),
        ("You live in Oslo or Rome.", "Rome", "Oslo", False),
        ("You live in Oslo.", "Rome", "Oslo", False),
        ("I do not know, Rome perhaps.", "Rome", "Oslo", True),
        ("You live in New York.", "New York", "York", True),
        ("You moved from York to New York.", "New York", "York", False),
        ("You live in New York.", "York", "New York", False),
        ("You live in York.", "York", "New York", True),
        ("Your name is Anna.", "Anna", "Ann", True),
        ("Your name was Ann, now Anna.", "Anna", "Ann", False),
        ("You live in rome.", "Rome", "ROME", True),
        ("On May 4th, no longer May 3rd.", "4 May", "3 May", False),
        ("On May 4th.", "4 May", "3 May", True),
        ("You have 12 hens.", "twelve", "2", True),
    ],
)
def test_superseded_values(reply: str, answer: str, old: str, wanted: bool) -> None:
    assert right(reply, probe(answer, kind="update", old=(old,))) is wanted


@pytest.mark.parametrize(
    "reply",
    [
        "You have not told me where you live.",
        "You haven’t told me that yet.",
        "You never told me.",
        "I was not told.",
        "I do not know your dog's name.",
        "Sorry, I don't know.",
        "sorry i dont know",
        "I really don't remember.",
        "I can't recall that.",
        "I have no information about that.",
        "There is no record of it.",
        "No idea!",
        "I'm not sure.",
        "I am not quite certain.",
        "That was not mentioned.",
        "It isn't mentioned in our conversation.",
        "You did not say.",
        "You haven't shared that with me.",
        "That is unknown to me.",
        "I am too small to know that. I only know what you tell me.",
        "I cannot say.",
        "Nobody has told me.",
        "I forgot.",
        "I'm unable to find it.",
        "I don't have any information on that.",
        "I do not have that.",
        "That is not known.",
        "That hasn't been specified.",
        "The chat doesn't say.",
    ],
)
def test_ways_of_not_knowing(reply: str) -> None:
    assert abstains(reply) and right(reply, probe(kind="abstain"))


@pytest.mark.parametrize(
    "reply",
    [
        "You live in Rome.",
        "I know: you live in Rome.",
        "You told me that it is Rome.",
        "It is not Rome.",
        "You do not know Kim.",
        "Your dog is called Nottold.",
        "I am sure it is Rome.",
        "You said that you did not give up.",
        "I remember that well.",
        "You do not have a dog.",
        "You are not sure about Rome.",
        "",
    ],
)
def test_what_is_no_way_of_not_knowing(reply: str) -> None:
    assert not abstains(reply) and not right(reply, probe(kind="abstain"))


def test_forgetting_is_right_when_the_value_is_gone() -> None:
    forgotten = probe("4711", kind="forget")
    assert right("I do not know your code.", forgotten) and right("It is 47110.", forgotten)
    assert not right("I forgot it, it was 4711.", forgotten)


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="riddle"):
        right("Rome", probe("Rome", kind="riddle"))


def test_exact_match() -> None:
    assert exact_match("The Biscuit!", ["Rex", "biscuit"]) and exact_match("two", ["2"])
    assert not exact_match("It is Biscuit", ["Biscuit"]) and not exact_match("Biscuit", [])


@pytest.mark.parametrize(
    ("reply", "answers", "wanted"),
    [
        ("Rome", ["Rome"], 1),
        ("You live in Rome", ["Rome"], 0.4),  # precision 1/4, recall 1
        ("the old red car", ["red car"], 0.8),  # old red car: precision 2/3, recall 1
        ("red", ["red car"], 2 / 3),
        ("red red", ["red car"], 0.5),  # a word counts as often as it stands in both
        ("Oslo", ["Rome"], 0),
        ("Oslo", ["Rome", "Oslo Norway"], 2 / 3),
        ("", ["Rome"], 0),
        ("the", [""], 0),
        ("", [""], 1),
        ("Rome", [], 0),
    ],
)
def test_token_f1(reply: str, answers: list[str], wanted: float) -> None:
    assert token_f1(reply, answers) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("hits", "n", "wanted"),
    [  # 8 of 10 and 5 of 10 by the formula with z = 1.96, by hand
        (8, 10, (0.4902, 0.9433)),
        (5, 10, (0.2366, 0.7634)),
        (1, 1, (0.2065, 1)),
        (0, 1, (0, 0.7935)),
        (50, 100, (0.4038, 0.5962)),
    ],
)
def test_wilson(hits: int, n: int, wanted: tuple[float, float]) -> None:
    assert wilson(hits, n) == pytest.approx(wanted, abs=1e-4)


def test_wilson_is_exact_at_the_ends() -> None:
    for n in range(1, 400):
        assert wilson(0, n)[0] == 0 and wilson(n, n)[1] == 1
        assert wilson(0, n)[1] < 1 and wilson(n, n)[0] > 0
    assert wilson(0, 0) == (0, 1)
