"""Hundreds of damaged, lying and exploding files: each is a picture or refused in words, soon and in little memory."""

import re
from collections import Counter

import pytest

from hostile_bombs import everything
from hostile_images import EITHER
from hostile_run import Came, run
from neural_selfie.engine.formats import READABLE

SECONDS_MAX = 12.0  # of the processor: inspected and decoded; 1.5 s on a processor of 2023, for 9 megapixels
PEAK_MIB_MAX = 700
NOT_FOR_PEOPLE = re.compile(
    r"Error|Exception|Traceback|0x|\\x|PIL|Pillow|lib\w+|None|buffer|decoder|marker|chunk|strip"
)


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> list[Came]:
    """What came of each file of the corpus."""
    return run(everything(), tmp_path_factory.mktemp("corpus"))


def table(came: list[Came]) -> str:
    """Return how many files of each kind and format were accepted and refused, as lines to read."""
    counts = Counter((one.of.kind, one.of.format, one.outcome) for one in came)
    rows = sorted({(kind, form) for kind, form, _ in counts})
    lines = [
        f"{kind:20} {form:18} {counts[kind, form, 'accepted']:4} {counts[kind, form, 'refused']:4}"
        for kind, form in rows
    ]
    return "\n".join(["", f"{'what was done':20} {'to which format':18} accepted, refused", *lines])


def told(came: list[Came], wrong: list[Came]) -> str:
    """Return what went wrong, file by file, and the table."""
    return "\n".join([*(f"{one.of.name}: {one.error} {one.fault or one.sentence}" for one in wrong), table(came)])


def test_the_corpus_is_large_and_about_every_format(came: list[Came]) -> None:
    """At least 300 files, of every format that is read, no two of one name, and both outcomes for each format."""
    assert len(came) == len({one.of.name for one in came}) >= 300
    for form in READABLE:
        outcomes = Counter(one.outcome for one in came if one.of.format == form)
        assert min(outcomes["accepted"], outcomes["refused"]) >= 8, (form, outcomes, table(came))


def test_each_is_a_picture_or_refused(came: list[Came]) -> None:
    """No process dies or hangs, nothing but a refusal is raised, and what is accepted is a picture to a worker, too."""
    wrong = [one for one in came if one.fault is not None]
    assert not wrong, told(came, wrong)


def test_each_comes_out_as_it_should(came: list[Came]) -> None:
    """What has to be refused is refused, and what is only odd is painted."""
    wrong = [one for one in came if one.of.outcome not in {EITHER, one.outcome}]
    assert not wrong, told(came, wrong)


def test_each_refusal_is_a_sentence_for_people(came: list[Came]) -> None:
    """The reason names the file, is one line, and holds no word of a library."""
    wrong = []
    for one in came:
        name, _, words = one.sentence.partition(one.of.name)
        plain = re.fullmatch(r" [^\n]{20,300}\.", words) and not NOT_FOR_PEOPLE.search(words) and name.endswith("-")
        wrong += [] if one.error is None or plain else [one]
    assert not wrong, told(came, wrong)


def test_none_takes_long_or_much_memory(came: list[Came]) -> None:
    """Every file is through within seconds, and takes no more memory than a photo of 9 megapixels."""
    wrong = [one for one in came if one.seconds > SECONDS_MAX or one.peak_mib > PEAK_MIB_MAX]
    assert not wrong, "\n".join(f"{one.of.name}: {one.seconds:.1f} s, {one.peak_mib:.0f} MiB" for one in wrong)


def test_what_was_cut_may_still_come(came: list[Came]) -> None:
    """A file that was cut anywhere is told from a damaged one: the daemon waits for the rest before it gives up."""
    wrong = [one for one in came if one.of.kind == "cut" and one.error != "TruncatedPhotoError"]
    assert not wrong, told(came, wrong)
