"""The variants of a sweep go through the daemon as one batch, and each of them to its own end."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import random_vgg
from house import House, photo, wait_until
from ledger_samples import POLICY, apply, drop, plan, take_in
from neural_selfie import config, reproducing, snapshot, stylizing
from neural_selfie.config.catalogue import sha256_of
from neural_selfie.engine.recipe import BATCHED, PATCH_BATCHED, GatysRecipe, PatchRecipe
from neural_selfie.errors import UsageError
from neural_selfie.ledger import Ledger
from neural_selfie.lifecycle import CancelRequested, RenderFailed, Started, Waits
from neural_selfie.model import JobState, MaskUse, Place, Plan, Progress, StyleUse, Task
from neural_selfie.workers import batches, render

pytest_plugins = ["ledger_fixture"]

STYLE = StyleUse(name="s", path=Path("/s"), sha256="5" * 64)
POINT = Plan(
    preset="grid",
    engine="gatys",
    variant={"content_weight": 0.2, "style_scale": 1.0, "size": 64},
    recipe={"content_weight": 0.2, "style_scale": 1.0, "size": 64, "tv_weight": 2.0, "pooling": "max", "format": "png"},
    styles=(STYLE,),
)


def point(**numbers: object) -> Plan:
    """Return another point of the sweep."""
    variant, recipe = dict(POINT.variant) | numbers, dict(POINT.recipe) | numbers
    return replace(POINT, variant={key: variant[key] for key in POINT.variant}, recipe=recipe)


def sweep(house: House, *weights: float, **more: object) -> None:
    """Give a house one preset: a sweep over these content weights, of an engine that paints batches."""
    net = house.root / "nets" / "own.pth"
    net.parent.mkdir(exist_ok=True)
    net.write_bytes(b"good")
    preset = {"engine": "gatys", "style": "style.png", "size": 64, "format": "png", "weights": "nets/own.pth"}
    house.settings["presets"] = {"grid": preset | {"sweep": {"content_weight": list(weights)}} | more}
    house.write_config()


def leave(house: House) -> None:
    """Let the painter that waits for it paint."""
    (house.root / "nets" / "leave").touch()


def counts(house: House, **expected: int) -> bool:
    """Whether that many jobs are in these states."""
    found = house.status()["counts"]
    return {state: found[state] for state in expected} == expected


def by_weight(house: House) -> dict[float, dict[str, Any]]:
    """Return the records in the outbox by the content weight of their variant; each has its own."""
    records = house.records()
    found = {record["variant"]["content_weight"]: record for record in records}
    assert len(found) == len(records)
    return found


def test_what_may_differ_in_a_batch_are_numbers_of_its_sweep() -> None:
    """Variants that differ in swept numbers of BATCHED go together, and both ways round; a recipe has these numbers."""
    other = point(content_weight=0.6, style_scale=0.5)
    assert batches.batchable(POINT, other)
    assert batches.batchable(other, POINT)
    assert set(BATCHED) <= set(GatysRecipe.model_fields)


@pytest.mark.parametrize(
    "other",
    [
        replace(POINT, preset="other"),
        replace(POINT, engine="patch"),
        replace(POINT, seed=1),
        replace(POINT, styles=(replace(STYLE, weight=2.0),)),
        replace(POINT, styles=(replace(STYLE, region="white"),)),
        replace(POINT, weights="/other.pth"),
        replace(POINT, mask=MaskUse(name="m", path=Path("/m"), sha256="6" * 64)),
        replace(POINT, start=replace(STYLE, sha256="7" * 64)),
        replace(POINT, variant={"content_weight": 0.2}),
        point(size=96),
        point(pooling="average"),
        point(format="jpg"),
        point(tv_weight=3.0),  # of BATCHED, but no variant says it: the preset was changed in between
        replace(POINT, recipe={**POINT.recipe, "quality": 95}),
    ],
    ids=range(14),
)
def test_what_differs_otherwise_is_painted_apart(other: Plan) -> None:
    """Another preset, engine, seed, style, mask, start, network, size, format or number keeps two pictures apart."""
    assert not batches.batchable(POINT, other)
    assert not batches.batchable(other, POINT)


def test_each_engine_has_numbers_of_its_own() -> None:
    """Variants of `patch` share a batch when content weights differ, not style scales; `feedforward` has no batches."""
    fair = [replace(one, engine="patch") for one in (POINT, point(content_weight=0.6), point(style_scale=0.5))]
    assert batches.batches(fair) == [[0, 1], [2]]
    assert batches.batches([replace(one, engine="feedforward") for one in fair]) == [[0], [1], [2]]
    assert set(PATCH_BATCHED) <= set(PatchRecipe.model_fields)


def test_plans_fall_into_batches_in_their_order() -> None:
    """Sizes that alternate come apart, and no batch has more than the ceiling."""
    wanted = [point(content_weight=number / 10, size=size) for number in range(9) for size in (64, 96)]
    assert batches.batches(wanted) == [
        [0, 2, 4, 6, 8, 10, 12, 14],
        [1, 3, 5, 7, 9, 11, 13, 15],
        [16],
        [17],
    ]


def test_a_sweep_of_twelve_is_two_batches(house: House) -> None:
    """Twelve variants of one photo: eight in one go and four, each picture and record once, each says with whom."""
    weights = [number / 10 for number in range(12)]
    sweep(house, *weights)
    photo(house.inbox / "me.png")
    assert house.once() == 0
    records = by_weight(house)
    assert sorted(records) == weights
    first = [{"content_weight": weight} for weight in weights[:8]]
    last = [{"content_weight": weight} for weight in weights[8:]]
    assert [records[weight]["recipe"]["together"] for weight in weights] == [first] * 8 + [last] * 4
    assert {record["attempts"] for record in records.values()} == {1}
    assert house.log().count("picture.published") == 12
    assert (house.originals / "me.png").exists()


def test_two_photos_are_never_one_batch(house: House) -> None:
    """The same sweep of two photos: each has its own batch."""
    sweep(house, 0.1, 0.2)
    for seed in range(2):
        photo(house.inbox / f"{seed}.png", seed=seed)
    assert house.once() == 0
    assert [len(record["recipe"]["together"]) for record in house.records()] == [2] * 4


def test_kill_in_a_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a batch are shown as running, alike far; after a kill -9 each is painted, to its end once."""
    marks = house.root / "marks"
    marks.mkdir()
    monkeypatch.setenv("NEURAL_SELFIE_TEST_MARKS", str(marks))
    sweep(house, *range(12))
    photo(house.inbox / "me.png")
    house.start("counts_itself")
    running: tuple[snapshot.Running, ...] = ()

    def half_way() -> bool:  # looked at without a command: where those take their time the batch would be over
        nonlocal running
        running = snapshot.read_running(house.state / "progress.json")
        return any(entry.fraction > 0.1 for entry in running)

    wait_until(half_way)
    daemon = house.processes[0].pid
    workers = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    house.kill()
    wait_until(lambda: not any(Path(f"/proc/{worker}/exe").exists() for worker in workers))
    assert len({entry.variant["content_weight"] for entry in running}) == 8
    assert max(entry.fraction for entry in running) - min(entry.fraction for entry in running) < 0.06
    assert all((entry.eta_seconds or 0) > 0 for entry in running)
    assert list(marks.iterdir()) == []
    house.let_go()
    assert house.once("counts_itself") == 0
    assert [record["attempts"] for _, record in sorted(by_weight(house).items())] == [2] * 8 + [1] * 4
    assert len({mark.stem for mark in marks.iterdir()}) == len(list(marks.iterdir())) == 12


def test_stop_in_a_batch(house: House) -> None:
    """SIGTERM in a batch: all of it is put back, and painted after the next start."""
    sweep(house, 0.1, 0.2, 0.3)
    photo(house.inbox / "me.png")
    daemon = house.start("waits_for_leave")
    wait_until(lambda: counts(house, running=3))
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=60) == 0
    assert counts(house, queued=3)
    assert house.once() == 0
    assert len(by_weight(house)) == 3


def test_one_of_a_batch_can_be_cancelled(house: House) -> None:
    """A variant that is cancelled while its batch is painted: the others go on, its picture is dropped."""
    sweep(house, 0.1, 0.2, 0.3)
    photo(house.inbox / "me.png")
    house.start("waits_for_leave")
    wait_until(lambda: counts(house, running=3))
    assert house.command("cancel", "2").returncode == 0
    wait_until(lambda: counts(house, running=2, cancelled=1))
    leave(house)
    wait_until(lambda: counts(house, done=2, cancelled=1))
    wait_until((house.originals / "me.png").exists)
    records = by_weight(house)
    assert sorted(records) == [0.1, 0.3]
    assert [record["attempts"] for record in records.values()] == [1, 1]
    assert all({"content_weight": 0.2} in record["recipe"]["together"] for record in records.values())
    assert house.log().count("result.dropped") == 1


def test_when_all_of_a_batch_are_cancelled_its_worker_is_free(house: House) -> None:
    """With the last of its variants the batch is given up: nobody waits for its end."""
    sweep(house, 0.1, 0.2)
    photo(house.inbox / "me.png", seed=1)
    house.start("waits_for_leave")
    wait_until(lambda: counts(house, running=2))
    assert house.command("cancel", "1", "2").returncode == 0
    wait_until(lambda: counts(house, cancelled=2))
    photo(house.inbox / "other.png", seed=2)
    wait_until(lambda: counts(house, running=2, cancelled=2))


def test_a_cancelled_one_is_tried_again_while_its_batch_goes_on(house: House) -> None:
    """It is painted by another worker; cancelled there once more, only that worker is ended."""
    house.settings["workers"] = {"gpus": [0, 1]}  # which painters without torch do not notice
    sweep(house, 0.1, 0.2, 0.3)
    photo(house.inbox / "me.png")
    house.start("waits_for_leave")
    wait_until(lambda: counts(house, running=3))
    for command in ("cancel", "retry", "cancel", "retry"):
        assert house.command(command, "2").returncode == 0
        expected = {"running": 3} if command == "retry" else {"running": 2, "cancelled": 1}
        wait_until(lambda expected=expected: counts(house, **expected))  # type: ignore[misc]  # a lambda's default
    leave(house)
    wait_until((house.originals / "me.png").exists)
    records = by_weight(house)
    assert {weight: record["attempts"] for weight, record in records.items()} == {0.1: 1, 0.2: 3, 0.3: 1}
    assert "together" not in records[0.2]["recipe"]


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_poison_variant_fails_alone(house: House, attempts: int) -> None:
    """One variant takes every worker down: the others are painted one by one, only it fails; also without retries."""
    house.settings["retry"]["attempts"] = attempts
    sweep(house, 0.1, 0.2, 13, 0.3)
    photo(house.inbox / "me.png")
    assert house.once("dies_of_a_variant") == 1
    records = by_weight(house)
    assert sorted(records) == [0.1, 0.2, 0.3]
    assert {record["attempts"] for record in records.values()} == {min(attempts, 2)}
    assert not any("together" in record["recipe"] for record in records.values())
    [failed] = house.status()["failed"]
    assert (failed["variant"], failed["cause"], failed["attempts"]) == (
        {"content_weight": 13},
        "worker_died",
        attempts,
    )


@pytest.mark.parametrize("painter", ["has_room_for_one", "forgets_one", "confused"])
def test_what_fails_together_is_tried_alone(house: House, painter: str) -> None:
    """A device too small for a batch, a picture too few, pictures in another order: each is painted by itself."""
    sweep(house, 0.1, 0.2, 0.3)
    photo(house.inbox / "me.png")
    assert house.once(painter) == 0
    records = by_weight(house)
    assert {weight: record["attempts"] for weight, record in records.items()} == {0.1: 2, 0.2: 2, 0.3: 2}
    assert not any("together" in record["recipe"] for record in records.values())


def test_what_does_not_fit_alone_waits(house: House) -> None:
    """Of a batch that was too large, a variant that is too large by itself waits for room; the others are painted."""
    sweep(house, 0.1, 13)
    photo(house.inbox / "me.png")
    assert house.once("has_room_for_one") == 1
    assert sorted(by_weight(house)) == [0.1]
    [waiting] = house.status()["waiting"]
    assert (waiting["variant"], waiting["cause"]) == ({"content_weight": 13}, "out_of_memory")


def test_what_is_missing_makes_all_of_a_batch_wait(house: House) -> None:
    """Nothing is held against a batch whose network cannot be used: with another file it is painted as a batch."""
    sweep(house, 0.1, 0.2)
    net = house.root / "nets" / "own.pth"
    net.write_bytes(b"bad")
    photo(house.inbox / "me.png")
    house.start("wants_weights")
    wait_until(lambda: counts(house, waiting=2))
    net.write_bytes(b"good")
    wait_until((house.originals / "me.png").exists)
    assert [len(record["recipe"]["together"]) for record in by_weight(house).values()] == [2, 2]


def test_the_ledger_tells_what_may_go_along(ledger: Ledger) -> None:
    """Beside a job stand those of its photo that are queued, due, wanted and never failed; start takes what it can."""
    admission = drop(ledger, plans=[plan(number=float(number)) for number in range(7)])
    drop(ledger, "other", path=Path("/inbox/other.jpg"))
    take_in(ledger, admission)
    jobs = admission.new_jobs
    apply(ledger, jobs[1], Started(now=1.0))
    failed = RenderFailed(attempt=1, cause="worker_died", reason="It died.", retryable=True, now=2.0)
    apply(ledger, jobs[2], Started(now=1.0), failed)
    apply(ledger, jobs[3], CancelRequested(now=1.0))
    apply(ledger, jobs[4], Waits(cause="x", reason="x", next_try_at=5.0, now=1.0))
    assert [job.id for job in ledger.queued_beside(jobs[0].id, now=1e6)] == [jobs[5].id, jobs[6].id]
    ledger.request_cancel(jobs[6].id, now=3.0)
    started = ledger.start([jobs[0].id, jobs[5].id, jobs[6].id, jobs[1].id], now=4.0, policy=POLICY)
    assert [(job.id, job.state, job.attempts) for job in started] == [
        (jobs[0].id, JobState.RUNNING, 1),
        (jobs[5].id, JobState.RUNNING, 1),
    ]


def test_nothing_is_started_without_its_photo(ledger: Ledger) -> None:
    """A photo that is not taken in yet, or gone, has no batch."""
    admission = drop(ledger, plans=[plan(number=1.0), plan(number=2.0)])
    wanted = [job.id for job in admission.new_jobs]
    assert ledger.start(wanted, now=1.0, policy=POLICY) == []
    take_in(ledger, admission)
    ledger.set_place(admission.photo.id, Place.LOST, now=2.0)
    assert ledger.start(wanted, now=3.0, policy=POLICY) == []


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random VGG-19 in half precision."""
    with random_vgg.written(tmp_path_factory.mktemp("vgg"), half=True) as path:
        yield path


def loaded_with(folder: Path, vgg_file: Path, grid: str) -> config.Loaded:
    """Return a configuration with a quick preset of the gatys engine and this sweep."""
    photo(folder / "style.png", seed=99, size=(64, 48))
    quick = "size: 64, format: png, iterations: 4, coarse_iterations: 4, coarsest_px: 48, style_loss: gram"
    preset = f"{{engine: gatys, style: style.png, weights: {vgg_file}, {quick}, sweep: {grid}}}"
    (folder / "config.yaml").write_text(f"state: {folder}\npresets:\n  grid: {preset}\n")
    return config.load(folder / "config.yaml")


def test_a_batch_is_reproduced_as_a_batch(tmp_path: Path, vgg_file: Path) -> None:
    """The worker's function paints a batch, its records say so; the repeat of one paints all and returns its own."""
    loaded = loaded_with(tmp_path, vgg_file, "{content_weight: [0, 2]}")
    path = photo(tmp_path / "me.png")
    tasks = [
        Task(
            job_id=number,
            attempt=number + 1,
            photo_path=path,
            photo_name="me.png",
            photo_sha256=sha256_of(path),
            plan=one,
            queued_at=0.0,
            weights=vgg_file,
        )
        for number, one in enumerate(stylizing.plans(loaded, "grid", {}))
    ]
    told: list[Progress] = []
    done = render.painted(batches.as_one(tasks), told.append)
    assert [(one.job_id, one.attempt, one.record.attempts, one.record.variant) for one in done.members] == [
        (one.job_id, one.attempt, one.attempt, one.plan.variant) for one in tasks
    ]
    assert {(one.job_id, one.attempt, one.stage) for one in told} == {
        (one.job_id, one.attempt, stage) for one in tasks for stage in ("decode", "paint", "encode")
    }
    for task in tasks:
        fractions = [one.fraction for one in told if one.job_id == task.job_id]
        assert fractions == sorted(fractions)
    old = tmp_path / "second.png"
    old.write_bytes(done.members[1].picture)
    assert not reproducing.compare(old, done.members[0].record, done).identical
    record = reproducing.read(old)
    assert record.recipe["together"] == [task.plan.variant for task in tasks]
    heard: list[Progress] = []
    again = reproducing.repeat(record, loaded, path, heard.append)
    assert again.record.recipe == record.recipe
    assert again.record.variant == record.variant
    assert reproducing.compare(old, record, again).identical
    assert {progress.job_id for progress in heard} == {1}
    broken = record.model_copy(update={"recipe": dict(record.recipe) | {"together": [{"content_weight": 7}]}})
    with pytest.raises(UsageError, match="which variants"):
        reproducing.repeat(broken, loaded, path, heard.append)


def test_stylize_paints_a_sweep_in_batches(tmp_path: Path, vgg_file: Path) -> None:
    """Without the daemon, too: what can go together does, and each picture knows which of the wanted ones it is."""
    loaded = loaded_with(tmp_path, vgg_file, "{content_weight: [0, 2], size: [64, 72]}")
    wanted = stylizing.plans(loaded, "grid", {})
    told: list[tuple[Plan, int]] = []
    results = list(
        stylizing.paint(loaded, photo(tmp_path / "me.png"), wanted, lambda one, how: told.append((one, how.job_id)))
    )
    assert [result.job_id for result in results] == [0, 2, 1, 3]
    assert [result.record.output.width for result in results] == [64, 64, 72, 72]
    assert [result.record.variant for result in results] == [wanted[result.job_id].variant for result in results]
    assert all(len(result.record.recipe["together"]) == 2 for result in results)
    assert all(one is wanted[number] for one, number in told)
    assert {number for _, number in told} == {0, 1, 2, 3}


def test_the_real_engine_paints_a_batch_in_a_real_worker(house: House, vgg_file: Path) -> None:
    """A sweep through the whole daemon, and one of its pictures painted again: the same bits."""
    sweep(house, 0.2, 2, 8)
    quick = {"iterations": 4, "coarse_iterations": 4, "coarsest_px": 48, "style_loss": "gram"}
    house.settings["presets"]["grid"] |= quick | {"weights": str(vgg_file)}
    house.write_config()
    photo(house.inbox / "me.png")
    done = house.command("run", "--once")
    assert done.returncode == 0, done.stderr
    records = by_weight(house)
    assert sorted(records) == [0.2, 2, 8]
    assert len({record["output"]["sha256"] for record in records.values()}) == 3
    assert [len(record["recipe"]["together"]) for record in records.values()] == [3, 3, 3]
    again = house.command("reproduce", str(next(house.outbox.glob("*/grid.content_weight=2.json"))))
    assert (again.returncode, again.stdout.strip()) == (0, "bit-identical"), again.stderr
