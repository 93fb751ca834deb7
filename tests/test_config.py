"""The configuration: what is read, from where, what overrides what, and in which words every fault is told."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from config_samples import EXAMPLE, as_nobody, command, open_folder, settings, style_image
from neural_selfie import config
from neural_selfie.cli import main
from neural_selfie.config import PREFIX, DaskWorkers, GpuWorkers, Settings
from neural_selfie.config.presets import GatysPreset, PatchPreset
from neural_selfie.errors import ConfigError, PermissionDeniedError
from neural_selfie.files.names import shown
from promised import lacking


def refusal(text: str, **environ: str) -> str:
    """Given the text of home.yaml that is wrong, return what is said about it."""
    with pytest.raises(ConfigError) as caught:
        settings(text, **environ)
    assert caught.value.exit_code == 78
    return str(caught.value)


# ---------------------------------------------------------------- what is accepted


def test_the_example_of_the_product_is_accepted_as_it_stands() -> None:
    """The published example means what it says, and the style that ships needs no preset of its own."""
    read = settings(EXAMPLE)
    assert read.inbox == Path("/srv/neural-selfie/inbox")
    assert read.outbox_folder == Path("/srv/neural-selfie/outbox")
    assert read.failed_folder == Path("/srv/neural-selfie/failed")
    assert read.default_names == ("starry-night",)
    assert read.rules[0].presets == ("starry-night", "scream")
    assert list(read.presets) == ["starry-night", "selfie-sweep", "scream"]
    assert isinstance(read.presets["starry-night"], PatchPreset)
    assert isinstance(sweep := read.presets["selfie-sweep"], GatysPreset)
    assert sweep.sweep == {"content_weight": (0.2, 0.6, 3.8), "style_scale": (0.5, 1.0)}
    assert read.presets["scream"] == config.shipped_presets()["scream"]


def test_an_empty_file_means_the_defaults() -> None:
    """Nothing, a comment and `{}` are the default configuration."""
    assert settings("") == settings("# nothing\n") == settings("{}") == Settings()


def test_without_default_presets_the_first_preset_paints() -> None:
    """The first preset of the file speaks for photos that nothing else speaks for."""
    assert settings("presets: {b: {style: x.jpg}, a: {style: y.jpg}}").default_names == ("b",)
    assert Settings().default_names == ("starry-night",)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("auto", "auto"),
        ("cpu", "cpu"),
        ("{gpus: [0, 1]}", GpuWorkers(gpus=(0, 1))),
        (
            '{dask: {scheduler: "tls://h:1"}}',
            DaskWorkers.model_validate({"dask": {"scheduler": "tls://h:1"}}),
        ),
    ],
)
def test_workers_have_four_forms(written: str, meant: object) -> None:
    """Workers can be a word, GPUs, or a Dask cluster."""
    assert settings(f"workers: {written}").workers == meant


def test_one_style_or_a_mix() -> None:
    """A style is a file name, or a list of files with weights."""
    read = settings("presets: {a: {style: x.jpg}, b: {style: [{image: x.jpg, weight: 0.7}, {image: y.jpg}]}}")
    assert [(share.image, share.weight) for share in read.presets["a"].style] == [("x.jpg", 1.0)]
    assert [(share.image, share.weight) for share in read.presets["b"].style] == [("x.jpg", 0.7), ("y.jpg", 1.0)]


def test_a_name_that_looks_like_a_date_is_a_name() -> None:
    """A folder and a preset may be called like a day."""
    read = settings("inbox: 2017-05-01\npresets: {2017-05-01: {style: x.jpg}}")
    assert read.inbox == Path("2017-05-01")
    assert list(read.presets) == ["2017-05-01"]


def test_anchors_merge_as_yaml_says() -> None:
    """A preset can be written as another one with a few numbers changed."""
    read = settings("presets:\n  a: &a {style: x.jpg, size: 80}\n  b: {<<: *a, size: 90}\n")
    assert (read.presets["b"].style, read.presets["b"].size) == (read.presets["a"].style, 90)


# ---------------------------------------------------------------- what is refused, and in which words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outbx: /a\n", "line 1: outbx: unknown key; did you mean 'outbox'?"),
        ("inbox: /a\nwatch:\n  quiet_second: 3\n", "line 3: watch.quiet_second: unknown key; did you mean 'quiet_"),
        ("limits: {\n  mega_pixels: 3}\n", "line 2: limits.mega_pixels: unknown key; did you mean 'megapixels'?"),
        ("retry: {atempts: 3}\n", "line 1: retry.atempts: unknown key; did you mean 'attempts'?"),
        ("log: {lvl: info}\n", "line 1: log.lvl: unknown key; did you mean 'level'?"),
        ("originals:\n  fodler: /a\n", "line 2: originals.fodler: unknown key; did you mean 'folder'?"),
        ("workers: {gpus: [0], xyz: 1}\n", "line 1: workers.xyz: unknown key; known keys: gpus"),
        ("workers: {dask: {schedular: tls://h}}\n", "workers.dask.schedular: unknown key; did you mean 'scheduler'?"),
        (
            "rules:\n  - match: a\n    preset: [scream]\n",
            "line 3: rules[0].preset: unknown key; did you mean 'presets'",
        ),
        ("presets:\n  a:\n    style: x\n    sise: 3\n", "line 4: presets.a.sise: unknown key; did you mean 'size'?"),
        ("presets:\n  a:\n    style:\n      - {imag: x}\n", "line 4: presets.a.style[0].imag: unknown key; did you m"),
        (
            "presets:\n  a:\n    style: x\n    sweep:\n      contentweight: [1]\n",
            "line 5: presets.a.sweep.contentweight: unknown key; did you mean 'content_weight'?",
        ),
        ("presets: {a: {style: x, sweep: {engine: [patch]}}}\n", "presets.a.sweep.engine: unknown key"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(text: str, said: str) -> None:
    """At every depth an unknown key is refused with file, line, and the key that was probably meant."""
    assert f"home.yaml, {said}" in refusal(text) or said in refusal(text)
    assert "home.yaml, line" in refusal(text)


@pytest.mark.parametrize(
    ("text", "line", "key", "value", "right"),
    [
        ("inbox: null", 1, "inbox", "None", "expected a path"),
        ('inbox: ""', 1, "inbox", "''", "expected a path"),
        ('state: "a\\0b"', 1, "state", r"'a\x00b'", "expected a path"),
        ("workers: 3", 1, "workers", "3", "expected auto, cpu, {gpus: [0, 1]} or {dask: {scheduler: ...}}"),
        ("workers: gpu", 1, "workers", "'gpu'", "expected 'auto' or 'cpu'"),
        ("workers: {gpus: [-1]}", 1, "workers.gpus[0]", "-1", "expected greater than or equal to 0"),
        ("workers: {gpus: []}", 1, "workers.gpus", "[]", "expected at least one"),
        ("workers: {dask: {scheduler: h}}", 1, "workers.dask.scheduler", "'h'", "(tls://host:port)"),
        ("default_presets: scream", 1, "default_presets", "'scream'", "expected a list"),
        ("default_presets: []", 1, "default_presets", "[]", "expected at least one"),
        ("default_presets:\n- scram", 2, "default_presets[0]", "'scram'", "expected one of starry-night, scream, "),
        ("rules:\n- match: a\n  presets: [nope]", 3, "rules[0].presets[0]", "'nope'", "expected one of starry-night"),
        ("rules: [{match: '', presets: [scream]}]", 1, "rules[0].match", "''", "expected at least one"),
        ("presets:", 1, "presets", "None", "expected `key: value` lines"),
        ("presets: {}", 1, "presets", "{}", "expected at least one"),
        ("presets: [a]", 1, "presets", "['a']", "expected `key: value` lines"),
        ("presets: {a/b: {style: x}}", 1, "presets.a/b", "'a/b'", "expected a name that a folder can have"),
        ("presets: {'': {style: x}}", 1, "presets.", "''", "expected a name that a folder can have"),
        ("presets:\n  a: x.jpg", 2, "presets.a", "'x.jpg'", "expected `key: value` lines"),
        ("presets:\n  a: {style: []}", 2, "presets.a.style", "[]", "expected at least one"),
        ("presets:\n  a: {style: 3}", 2, "presets.a.style", "3", "a style image, or a list of {image, weight}"),
        ("presets:\n  a: {style: x, engine: pach}", 2, "presets.a.engine", "'pach'", "'patch', 'gatys', 'feedforward'"),
        ("presets:\n  a: {style: x, size: 1}", 2, "presets.a.size", "1", "greater than or equal to 64"),
        ("presets:\n  a: {style: x, size: big}", 2, "presets.a.size", "'big'", "expected a whole number"),
        ("presets:\n  a: {style: x, format: gif}", 2, "presets.a.format", "'gif'", "'jpg', 'png' or 'webp'"),
        ("presets:\n  a: {style: [{image: x, weight: 0}]}", 2, "presets.a.style[0].weight", "0", "greater than 0"),
        ("presets:\n  a: {style: [{image: x, weight: .inf}]}", 2, "presets.a.style[0].weight", "inf", "a number"),
        (
            "presets:\n  a:\n    style: x\n    sweep:\n      content_weight:\n      - 1\n      - 200",
            7,
            "presets.a.sweep.content_weight[1]",
            "200",
            "less than or equal to 100",
        ),
        ("presets:\n  a: {style: x, sweep: {size: 80}}", 2, "presets.a.sweep.size", "80", "expected a list"),
        ("presets:\n  a: {style: x, sweep: {size: []}}", 2, "presets.a.sweep.size", "[]", "expected at least one"),
        ("presets:\n  a: {style: x, sweep: {size: [80, 80]}}", 2, "presets.a.sweep.size[1]", "80", "each value once"),
        ("watch: {quiet_seconds: .nan}", 1, "watch.quiet_seconds", "nan", "a file unchanged for this long is finished"),
        ("watch:\n  polling: sometimes", 2, "watch.polling", "'sometimes'", "'auto', 'always' or 'never'"),
        ("watch: {ignore: '*.tmp'}", 1, "watch.ignore", "'*.tmp'", "expected a list"),
        ("watch:", 1, "watch", "None", "expected `key: value` lines"),
        ("limits: {megapixels: 3.5}", 1, "limits.megapixels", "3.5", "expected a whole number"),
        ("retry: {attempts: 0}", 1, "retry.attempts", "0", "greater than or equal to 1"),
        ("keep_gps: perhaps", 1, "keep_gps", "'perhaps'", "expected true or false"),
        ("originals: {action: mov}", 1, "originals.action", "'mov'", "'move', 'keep' or 'delete'"),
        ("log: {level: loud}", 1, "log.level", "'loud'", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_value_is_named_with_what_would_be_right(text: str, line: int, key: str, value: str, right: str) -> None:
    """A value that is not right is told with file, line, key, the value itself and what was expected."""
    said = refusal(text)
    assert said.startswith(f"home.yaml, line {line}: {key}: {value} is not right: ")
    assert right in said
    assert "\n" not in said
    assert "pydantic" not in said


def test_a_preset_without_style_says_what_is_missing() -> None:
    """A key that must be there is named, with the line of its section."""
    assert refusal("presets:\n  a:\n    size: 80\n") == "home.yaml, line 2: presets.a.style: is missing."


def test_a_sweep_of_millions_is_refused_at_once() -> None:
    """A grid that nobody can paint is refused by its size, not tried out."""
    numbers = list(range(64, 364))
    text = f"presets: {{a: {{style: x, sweep: {{size: {numbers}, keys: {[n * 4 for n in numbers]}}}}}}}"
    started_at = time.process_time()
    assert "expected at most 1000 variants, these are 90000" in refusal(text)
    assert time.process_time() - started_at < 3


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    """Whoever mends a file sees everything that is wrong with it, from top to bottom, but no hundreds of lines."""
    said = refusal("retry: {attempts: 0}\nwatch: {quiet_seconds: 0}\nfaild: /a\n").splitlines()
    assert [line.split(":")[0] for line in said] == [f"home.yaml, line {number}" for number in (1, 2, 3)]
    many = refusal(f"default_presets: {[f'p{number}' for number in range(500)]}").splitlines()
    assert many[-1] == "... and 480 more."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inbox: /a\nstate: /b\ninbox: /c\n", "home.yaml, line 3: 'inbox' stands here and on line 1: keep one."),
        ("presets:\n  a: {style: x}\n  a: {style: y}\n", "home.yaml, line 3: 'a' stands here and on line 2: keep one."),
        ("- inbox\n", "home.yaml: expected `key: value` lines, found a list."),
        ("inbox\n", "home.yaml: expected `key: value` lines, found a text."),
        ("42\n", "home.yaml: expected `key: value` lines, found one value."),
        ("inbox: /a\n---\nstate: /b\n", "home.yaml, line 2: not valid YAML: but found another document."),
        ("inbox: /a: b\n", "home.yaml, line 1: not valid YAML: mapping values are not allowed here."),
        (
            "log:\n\tlevel: info\n",
            "home.yaml, line 2: not valid YAML: found character '\\t' that cannot start any token.",
        ),
        ("log:\n level: \x07\n", "home.yaml, line 2: not valid YAML: the character '\\x07' is not allowed."),
        ('log:\n level: "\\ud800"\n', "home.yaml, line 2: '\\ud800' is no whole text."),
        ("presets:\n  on: {style: x}\n", "home.yaml, line 2: the key 'on' is no text to YAML: put it in quotes."),
        ("presets:\n  1: {style: x}\n", "home.yaml, line 2: the key '1' is no text to YAML: put it in quotes."),
        ("log:\n  ? [a, b]\n  : 3\n", "home.yaml, line 2: a list or section cannot be a key."),
        (f"log: {'[' * 40}{']' * 40}\n", "home.yaml: not valid YAML: nested too deeply, or part of itself."),
        ("*a\n", "home.yaml, line 1: not valid YAML: found undefined alias 'a'."),
        (
            "inbox: !!int ''\n",
            "home.yaml: a value looks like a number, or has a tag, and cannot be read as that: put text in quotes.",
        ),
    ],
)
def test_what_is_no_configuration_at_all(text: str, said: str) -> None:
    """Text that is not YAML, not a mapping, or names a key twice is refused with the line."""
    assert refusal(text) == said


def test_tags_build_nothing(tmp_path: Path) -> None:
    """A YAML tag that would run Python is refused and runs nothing."""
    target = tmp_path / "made"
    for tag in (f'!!python/object/apply:os.mkdir ["{target}"]', "!!python/name:os.system", "!custom x"):
        assert "home.yaml, line 1: not valid YAML: could not determine a constructor" in refusal(f"inbox: {tag}\n")
    assert not target.exists()


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{key}: &{key} [{', '.join([f'*{last}'] * 9)}]\n" for last, key in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a {k: v}\n"
        + "".join(
            f"{key}: &{key} {{<<: [{', '.join([f'*{last}'] * 9)}]}}\n"
            for last, key in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "presets: &p\n  a: *p\n",
        "inbox: &i [*i]\n",
        "[" * 5_000,
        "{a: " * 3_000,
        "- " * 3_000,
        f"inbox: {'9' * 5_000}",
    ],
    ids=["laughs", "merges", "mapping-in-itself", "list-in-itself", "lists", "mappings", "dashes", "digits"],
)
def test_a_bomb_does_not_go_off(text: str) -> None:
    """Text that stands for far more than it is, or for itself, is refused quickly."""
    started_at = time.process_time()
    assert "home.yaml" in refusal(text)
    assert time.process_time() - started_at < 3


# ---------------------------------------------------------------- the environment


@pytest.mark.parametrize(
    ("name", "value", "key", "meant"),
    [
        ("INBOX", "/photos", "inbox", Path("/photos")),
        ("KEEP_GPS", "true", "keep_gps", True),
        ("OUTBOX", "null", "outbox", None),
        ("LIMITS__MEGAPIXELS", "50", "limits.megapixels", 50),
        ("WATCH__QUIET_SECONDS", "0.5", "watch.quiet_seconds", 0.5),
        ("watch__quiet_seconds", "0.5", "watch.quiet_seconds", 0.5),
        ("WATCH__IGNORE", '["*.bak", "drafts/**"]', "watch.ignore", ("*.bak", "drafts/**")),
        ("WATCH", "{polling: always}", "watch.polling", "always"),
        ("DEFAULT_PRESETS", "[scream, woodcut]", "default_presets", ("scream", "woodcut")),
        ("LOG__LEVEL", "debug", "log.level", "debug"),
        ("WORKERS", "cpu", "workers", "cpu"),
        ("WORKERS__GPUS", "[1]", "workers.gpus", (1,)),
        ("ORIGINALS__FOLDER", "/done", "originals.folder", Path("/done")),
    ],
)
def test_the_environment_overrides_every_kind_of_value(name: str, value: str, key: str, meant: object) -> None:
    """A variable sets any value, written as it would be in the file, with and without a file that says otherwise."""
    file = "inbox: /a\noutbox: /b\nkeep_gps: false\nlimits: {megapixels: 9}\nwatch: {quiet_seconds: 9}\nworkers: auto\n"
    for text in ("", file):
        found: Any = settings(text, **{PREFIX + name: value})
        for part in key.split("."):
            found = getattr(found, part)
        assert found == meant


def test_several_variables_work_together() -> None:
    """A section by one variable and a value in it by another; what none of them names stays as the file says."""
    read = settings(
        "watch: {rescan_seconds: 7}\nworkers: cpu\n",
        NEURAL_SELFIE__LIMITS="{file_mib: 9, megapixels: 9}",
        NEURAL_SELFIE__LIMITS__MEGAPIXELS="10",
        NEURAL_SELFIE__WATCH__POLLING="never",
        NEURAL_SELFIE__WORKERS__DASK__SCHEDULER="tls://h:1",
        NEURAL_SELFIE__WORKERS__DASK__TLS="{ca_file: /ca.pem}",
        NEURAL_SELFIE_CONFIG="/this/is/no/option",
        UNRELATED__INBOX="/no",
    )
    assert (read.limits.file_mib, read.limits.megapixels) == (9, 10)
    assert (read.watch.rescan_seconds, read.watch.polling) == (7, "never")
    assert isinstance(read.workers, DaskWorkers)
    assert read.workers.dask.tls == {"ca_file": Path("/ca.pem")}


def test_presets_are_reached_although_a_shell_knows_no_dash() -> None:
    """`_` stands for `-` in the name of a preset: of the file's, of one that ships, and of one that is new."""
    read = settings(
        "presets: {My-Night: {style: x.jpg}}\ndefault_presets: [stained-glass]\n",
        NEURAL_SELFIE__PRESETS__MY_NIGHT__SIZE="80",
        NEURAL_SELFIE__PRESETS__MY_NIGHT__SWEEP__CONTENT_WEIGHT="[0.2, 0.6]",
        NEURAL_SELFIE__PRESETS__STAINED_GLASS__SIZE="90",
        NEURAL_SELFIE__PRESETS__FRESH__STYLE="y.jpg",
    )
    assert list(read.presets) == ["My-Night", "fresh", "stained-glass"]
    assert (read.presets["My-Night"].size, read.presets["stained-glass"].size) == (80, 90)
    assert read.presets["My-Night"].sweep == {"content_weight": (0.2, 0.6)}
    assert list(settings("", NEURAL_SELFIE__PRESETS__STARRY_NIGHT__SIZE="80").presets) == list(Settings().presets)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WATCH__QUIET_SECONDS", "soon", ": watch.quiet_seconds: 'soon' is not right: expected a number"),
        ("WATCH__QUIT_SECONDS", "3", ": watch.quit_seconds: unknown key; did you mean 'quiet_seconds'?"),
        ("INBX", "/a", ": inbx: unknown key; did you mean 'inbox'?"),
        ("INBOX", "", ": inbox: None is not right: expected a path"),
        ("INBOX__DEEP", "1", ": inbox is not a section."),
        ("DEFAULT_PRESETS", "[nope]", ": default_presets[0]: 'nope' is not right: expected one of starry-night"),
        ("WORKERS__GPUS", "[x]", ": workers.gpus[0]: 'x' is not right: expected a whole number"),
        ("PRESETS__STARRY_NIGHT__SIZE", "1", ": presets.starry-night.size: 1 is not right: expected greater"),
        ("RULES", "[{match: a", ": '[{match: a' is not valid YAML"),
        ("INBOX", "!!python/name:os.system", ": '!!python/name:os.system' is not valid YAML"),
        ("INBOX", "\udcff", r": '\udcff' is not valid YAML"),
        ("", "3", ": : unknown key"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str, said: str) -> None:
    """What is wrong in the environment is told with the name of the variable, not of the file."""
    assert refusal("inbox: /a\n", **{PREFIX + name: value}).startswith(f"environment variable {PREFIX}{name}{said}")


def test_file_and_environment_are_told_apart() -> None:
    """With one fault in each, each is told where it is."""
    said = refusal("retry: {attempts: 0}\n", NEURAL_SELFIE__LOG__LEVEL="loud").splitlines()
    assert sorted(line.split(":")[0] for line in said) == [
        "environment variable NEURAL_SELFIE__LOG__LEVEL",
        "home.yaml, line 1",
    ]


# ---------------------------------------------------------------- which file, and where folders are


def test_the_option_wins_over_the_variable(tmp_path: Path) -> None:
    """`--config` is read rather than $NEURAL_SELFIE_CONFIG; an empty variable counts as none."""
    for name in ("option", "variable"):
        (tmp_path / name).write_text(f"inbox: /{name}\n")
    environ = {config.PATH_VARIABLE: str(tmp_path / "variable")}
    assert config.load(tmp_path / "option", environ).settings.inbox == Path("/option")
    assert config.load(None, environ).settings.inbox == Path("/variable")
    assert config.find(None, {config.PATH_VARIABLE: ""}) == config.find(None, {})


def test_the_system_file_is_read_when_nothing_is_named(tmp_path: Path) -> None:
    """Without option and variable /etc/neural-selfie/config.yaml speaks, seen in a process whose /etc is ours."""
    private = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        lacking("no mount namespace of its own can be had here")
    (tmp_path / "neural-selfie").mkdir()
    (tmp_path / "neural-selfie" / "config.yaml").write_text("inbox: /from/etc\n")
    show = f'mount --bind "{tmp_path}" /etc && exec "{sys.executable}" -m neural_selfie config show'
    done = subprocess.run([*private, show], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout)["inbox"] == "/from/etc"


def test_relative_folders_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are taken from the folder of the file, wherever the daemon is started; without a file, from there."""
    file = tmp_path / "home" / "config.yaml"
    file.parent.mkdir()
    file.write_text("inbox: photos/in\nstate: ../state\noriginals: {folder: done}\nfailed: /elsewhere\n")
    monkeypatch.chdir(tmp_path)
    read = config.load(Path("home/config.yaml"), {}).settings
    assert read.inbox == tmp_path / "home/photos/in"
    assert read.state == tmp_path / "home/../state"
    assert read.originals_folder == tmp_path / "home/done"
    assert read.failed_folder == Path("/elsewhere")
    assert read.outbox_folder == tmp_path / "home/photos/outbox"
    if not config.DEFAULT_PATH.exists():
        assert config.load(None, {f"{PREFIX}INBOX": "in"}).settings.inbox == tmp_path / "in"


def test_null_folders_lie_beside_the_inbox() -> None:
    """Whoever names only an inbox finds outbox, originals and failed next to it."""
    read = settings("inbox: /photos/inbox\n")
    assert read.outbox_folder == Path("/photos/outbox")
    assert read.originals_folder == Path("/photos/originals")
    assert read.failed_folder == Path("/photos/failed")


def test_a_tilde_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` in a folder is the home of the user, never a folder of that name; a user who does not exist is told."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.yaml").write_text("inbox: ~/Pictures\n")
    assert config.load(tmp_path / "config.yaml", {}).settings.inbox == tmp_path / "Pictures"
    (tmp_path / "config.yaml").write_text("inbox: ~nobody-of-this-name/Pictures\n")
    with pytest.raises(ConfigError, match="~nobody-of-this-name/Pictures: there is no user with such a home"):
        config.load(tmp_path / "config.yaml", {})


def test_a_file_that_cannot_be_read_as_text(tmp_path: Path) -> None:
    """Missing files, folders and other encodings are refused in a sentence; a byte order mark is none of them."""
    file = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match="there is no such configuration file"):
        config.load(file, {})
    with pytest.raises(ConfigError, match="there is no such configuration file"):
        config.load(tmp_path, {})
    file.write_bytes("inbox: /a\nstate: /Fotos/Grüße\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml, line 2: not UTF-8 text; save the file as UTF-8\."):
        config.load(file, {})
    file.write_bytes("inbox: /Fotos/Grüße\n".encode("utf-8-sig"))
    assert config.load(file, {}).settings.inbox == Path("/Fotos/Grüße")


def test_a_file_that_may_not_be_read_is_a_matter_of_permission() -> None:
    """A configuration that this user may not read ends with exit code 77, not 78."""
    with open_folder() as folder:
        file = folder / "config.yaml"
        file.write_text("inbox: /a\n")
        file.chmod(0)
        said = as_nobody(lambda: config.load(file, {}))
    assert said.startswith(f"PermissionDeniedError: {file}: this user (id ")
    assert PermissionDeniedError.exit_code == 77


# ---------------------------------------------------------------- the commands


def test_check_says_that_all_is_well(tmp_path: Path) -> None:
    """`config check` of the product's example exits 0 and says what its gatys preset has to wait for."""
    for name in ("starry-night", "scream"):
        style_image(tmp_path / "styles" / f"{name}.jpg")
    (tmp_path / "config.yaml").write_text(EXAMPLE)
    done = command("config", "check", "--config", tmp_path / "config.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "presets.selfie-sweep: The VGG-19 weights are not there: looked for /" in done.stdout
    assert "Run `neural-selfie models fetch`" in done.stdout
    assert f"{tmp_path / 'config.yaml'}: in order; 3 presets." in done.stdout


def test_check_ends_with_78_and_a_plain_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault in file, style or variable ends `config check` with 78, on standard error, without a traceback."""
    file = tmp_path / "config.yaml"
    file.write_text("presets:\n  a: {style: nowhere.jpg}\n")
    with pytest.raises(SystemExit) as end:
        main(["config", "check", "--config", str(file)])
    assert end.value.code == 78
    assert capsys.readouterr().err.startswith("neural-selfie: presets.a.style: 'nowhere.jpg' is not there; looked in ")
    done = command("config", "check", "--config", file, NEURAL_SELFIE__KEEP_GPS="perhaps")
    assert done.returncode == 78
    assert "environment variable NEURAL_SELFIE__KEEP_GPS: keep_gps: 'perhaps' is not right" in done.stderr
    assert "Traceback" not in done.stderr


def test_show_prints_what_reads_back_the_same(tmp_path: Path) -> None:
    """`config show` prints file, environment and defaults together; as a file it means the same."""
    file = tmp_path / "config.yaml"
    file.write_text(EXAMPLE)
    done = command("config", "show", NEURAL_SELFIE_CONFIG=str(file), NEURAL_SELFIE__LOG__LEVEL="debug")
    assert (done.returncode, done.stderr) == (0, "")
    shown = settings(done.stdout)
    assert shown.log.level == "debug"
    assert shown == config.load(file, {"NEURAL_SELFIE__LOG__LEVEL": "debug"}).settings


def test_schema_names_every_section() -> None:
    """`config schema` prints a JSON Schema that knows every top-level key."""
    done = command("config", "schema")
    assert done.returncode == 0
    assert set(json.loads(done.stdout)["properties"]) == set(Settings.model_fields)


@pytest.mark.parametrize("arguments", [["config", "chekc"], ["config", "show", "--confg", "x"], ["nonsense"]])
def test_a_wrong_call_ends_with_64(arguments: list[str]) -> None:
    """An unknown command or option is a matter of usage: exit code 64."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 64


# ---------------------------------------------------------------- anything at all

KEYS = sorted(
    {
        *Settings.model_fields,
        *PatchPreset.model_fields,
        *("match", "gpus", "dask", "a", "scream", "x y", "", "é", "n\no"),
    }
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["auto", "scream", "styles/scream.jpg", "a"])
    | st.text(max_size=8)
)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
)
quickly = hypothesis_settings(max_examples=40, suppress_health_check=list(HealthCheck))


def outcome(text: str, **environ: str) -> None:
    """Read a configuration; it is accepted, or refused by a ConfigError that fits on a terminal."""
    try:
        read = settings(text, **environ)
    except ConfigError as error:
        told = str(error)
        assert told.strip()
        assert told.split("\n") == [shown(line) for line in told.split("\n")]
    else:
        assert settings(config.as_yaml(read)) == read


@quickly
@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), DATA, max_size=4))
def test_any_data_is_accepted_or_refused_plainly(data: dict[str, Any]) -> None:
    """Whatever stands under the known keys, the answer is settings or one ConfigError; accepted ones read back."""
    stream = io.StringIO()
    yaml.safe_dump(data, stream, allow_unicode=True)
    outcome(stream.getvalue())


@quickly
@given(st.lists(st.sampled_from([*"\n :-[]{}&*!|>'\"%@`?,#~<=\\\t", "\n  ", ": ", "- ", *KEYS]), max_size=40))
def test_any_text_is_accepted_or_refused_plainly(parts: list[str]) -> None:
    """Whatever text the file holds, nothing but ConfigError comes of it."""
    outcome("".join(parts))


@quickly
@given(st.integers(0, len(EXAMPLE) - 1), st.integers(0, 6), st.text(max_size=3))
def test_a_slip_of_the_pen_is_accepted_or_refused_plainly(at: int, lost: int, typed: str) -> None:
    """Wherever something is struck out of or typed into the example, nothing but ConfigError comes of it."""
    outcome(EXAMPLE[:at] + typed + EXAMPLE[at + lost :])


@quickly
@given(
    st.dictionaries(
        st.lists(st.sampled_from(KEYS) | st.text("ABC_-", max_size=4), min_size=1, max_size=4).map("__".join),
        st.text(max_size=12) | DATA.map(json.dumps),
        max_size=3,
    )
)
def test_any_environment_is_accepted_or_refused_plainly(variables: dict[str, str]) -> None:
    """Whatever the environment says, nothing but ConfigError comes of it."""
    outcome(EXAMPLE, **{PREFIX + name: value for name, value in variables.items()})


def test_reading_the_configuration_loads_neither_torch_nor_numpy() -> None:
    """The daemon's own process stays small: reading and checking settings imports no tensors."""
    code = "import sys; from neural_selfie import config; config.parse('', source='x'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy"} & set(done.stdout.split())
