"""What the intake does with the inspector's answers: one file's trouble is its own, and nothing is forgotten."""

import errno
import os
import time
from collections.abc import Callable
from dataclasses import replace

from house import House, photo
from neural_selfie.model import Place
from neural_selfie.workers.seat import CallEnded
from own_intake import LATER, OwnIntake, own_intake


def test_a_file_that_is_busy_once_is_looked_at_again(house: House) -> None:
    """Somebody holds the file for a moment, as scanners do: it is delayed, not dropped, and then admitted."""
    photo(house.inbox / "me.png")
    with own_intake(house) as own:
        own.see(house.inbox)
        busy = OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        assert own.intake.inspected(replace(own.answer(), value=[busy]), time.time()) == []
        assert own.intake.delayed == 1
        assert (house.inbox / "me.png").exists()
        own.intake.inspected(own.answer(), time.time() + LATER)
        assert [found.name for found in own.desk.ledger.photos(place=Place.STATE)] == ["me.png"]


def asked_for(own: OwnIntake, answer: Callable[[CallEnded], CallEnded]) -> list[list[str]]:
    """Let the inspector answer otherwise until nothing is left to look at; return the files of each call in turn."""
    sent = []
    while not own.intake.idle:
        message = own.answer()
        sent.append([call.path.name[0] for call in message.call])
        own.intake.inspected(answer(message), time.time() + LATER)
    return sent


def has_two(message: CallEnded) -> bool:
    """Whether 2.png was among the files of a call."""
    return any(call.path.name == "2.png" for call in message.call)


def test_what_was_not_looked_at_is_next(house: House) -> None:
    """The inspector answers for as many files as it had time for; the others keep their places in the line."""
    for seed in range(7):
        photo(house.inbox / f"{seed}.png", seed=seed)
    with own_intake(house) as own:
        own.see(house.inbox)
        sent = asked_for(own, lambda message: replace(message, value=message.value[:1]))
        assert sent == [["0"], ["1", "2"], ["2", "3"], ["3", "4"], ["4", "5"], ["5", "6"], ["6"]]
        assert len(own.desk.ledger.photos(place=Place.STATE)) == 7


def test_of_many_the_one_that_ends_the_inspector_is_found(house: House) -> None:
    """The inspector dies of a call of several files: each is looked at alone, and only one of them fails."""
    for seed in range(5):
        photo(house.inbox / f"{seed}.png", seed=seed)
    with own_intake(house) as own:
        own.see(house.inbox)
        sent = asked_for(own, lambda message: replace(message, value=None, died=True) if has_two(message) else message)
        assert sent == [["0"], ["1", "2"], ["1"], ["2"], ["3"], ["4"], ["2"]]
        assert [found.name for found in own.desk.ledger.photos(place=Place.STATE)] == [
            "0.png",
            "1.png",
            "3.png",
            "4.png",
        ]
    assert sorted(path.name for path in house.failed.iterdir()) == ["2.png", "2.png.error.json"]


def test_a_photo_that_is_taken_away_among_many_is_lost_alone(house: House) -> None:
    """One of several is gone when they are to be moved: the others are taken in, and nobody waits for it."""
    for seed in range(3):
        photo(house.inbox / f"{seed}.png", seed=seed)
    with own_intake(house) as own:
        own.see(house.inbox)
        own.intake.inspected(own.answer(), time.time() + LATER)
        message = own.messages.get(timeout=60)
        (house.inbox / "1.png").unlink()
        own.intake.inspected(message, time.time() + LATER)
        assert own.intake.idle
        assert [found.name for found in own.desk.ledger.photos(place=Place.STATE)] == ["0.png", "2.png"]
