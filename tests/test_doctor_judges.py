"""What the doctor makes of machines that cannot be had here: units of systemd, GPUs, clocks, limits, mounts."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from house import House
from neural_selfie import config
from neural_selfie.config import GpuWorkers, Settings
from neural_selfie.doctor import engines, folders, machine, unit, watching
from neural_selfie.doctor.engines import Gpus, Torch
from neural_selfie.doctor.finding import Finding
from neural_selfie.doctor.folders import Looked

UNIT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "User": "root",
    "Group": "root",
    "UMask": "0002",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "ReadWritePaths": "/srv/neural-selfie",
    "StateDirectory": "neural-selfie",
    "ExecStart": "{ path=/opt/x ; argv[]=/opt/x run --config /etc/neural-selfie/config.yaml ; ignore_errors=no ; }",
}
FOLDERS = {"inbox": Path("/srv/neural-selfie/inbox"), "state": Path("/var/lib/neural-selfie")}
CONFIG = Path("/etc/neural-selfie/config.yaml")
CARD = Gpus(nodes=("nvidia-uvm", "nvidia0", "nvidiactl"), driver="NVRM version 535", cards=1)
NO_CARD = Gpus(nodes=(), driver=None, cards=0)
CUDA = Torch(version="2.9", build="12.8", gpus=("NVIDIA RTX A2000",))


def the_trouble(found: Iterable[Finding]) -> str:
    """Return the one finding that is not ok: state, name, sentence, mend; "" where all is well."""
    bad = [finding for finding in found if finding.state != "ok"]
    assert len(bad) <= 1, bad
    return " ".join(f"{one.state} {one.name}: {one.says} Mend: {one.mend}" for one in bad)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "^$"),
        ({"LoadState": "not-found"}, "^$"),
        ({"LoadState": "masked"}, "wrong unit: .*is masked.*systemctl unmask"),
        ({"LoadState": "bad-setting"}, "wrong unit: .*cannot load.*systemd-analyze verify"),
        ({"ActiveState": "failed", "ExecMainStatus": "78"}, "wrong unit: .*exit code 78.*journalctl -u"),
        ({"UnitFileState": "disabled"}, "warning unit: .*does not start.*systemctl enable"),
        ({"NeedDaemonReload": "yes"}, "warning unit: .*was changed.*daemon-reload"),
        ({"UMask": "0022"}, "warning unit.umask: .*may not delete.*UMask=0002"),
        ({"User": "nobody-of-this-name"}, "wrong unit.user: .*does not exist.*useradd --system"),
        ({"User": "nobody"}, "wrong unit.user: .*does not belong to nobody.*chown --recursive nobody:"),
        ({"Group": "no-such-group"}, "wrong unit.user: The group no-such-group.*groupadd"),
        ({"ReadWritePaths": "/mnt"}, "wrong unit.paths: .*write to /srv/neural-selfie/inbox.*ReadWritePaths="),
        ({"StateDirectory": ""}, r"wrong unit.paths: .*write to /var/lib/neural-selfie \(state\)"),
        ({"ExecStart": "{ argv[]=/x run --config /other.yaml ; }"}, "warning unit.config: .*--config /other.yaml"),
    ],
)
def test_units(change: dict[str, str], words: str) -> None:
    """Each way in which a unit of systemd can be in the way is told with what mends it."""
    assert re.search(words, the_trouble(unit.judged(UNIT | change, FOLDERS, CONFIG, 0)))


def test_folders_that_a_unit_hides() -> None:
    """Folders in a home or in /tmp are not there for a hardened unit; without systemd nothing is said."""
    assert "ProtectHome" in the_trouble(unit.judged(UNIT, {"inbox": Path("/home/ann/inbox")}, CONFIG, 0))
    assert "a /tmp of its own" in the_trouble(unit.judged(UNIT, {"inbox": Path("/tmp/inbox")}, CONFIG, 0))  # noqa: S108
    assert the_trouble(unit.judged({}, FOLDERS, CONFIG, 0)) == ""
    assert unit.makes(UNIT, FOLDERS["state"])
    assert not unit.makes(UNIT, FOLDERS["inbox"])
    assert not unit.makes({}, FOLDERS["state"])


def test_people_on_the_share() -> None:
    """A service's inbox and outbox let its group write, and hand the group on."""
    here = Path("/srv/outbox")
    assert the_trouble(unit.sharing("outbox", Looked((), device=1, mode=0o2775), here)) == ""
    assert "chmod 2775 /srv/outbox" in the_trouble(unit.sharing("outbox", Looked((), device=1, mode=0o755), here))
    assert the_trouble(unit.sharing("outbox", Looked(()), here)) == "", "nothing is known of it"


@pytest.mark.parametrize(
    ("torch", "gpus", "workers", "words"),
    [
        (CUDA, CARD, GpuWorkers(gpus=(0,)), "^$"),
        (Torch(version="2.9"), NO_CARD, "auto", "^$"),
        (Torch(trouble="libcudart.so.12 is not there"), CARD, "auto", "wrong torch: .*libcudart.*force-reinstall"),
        (Torch(version="2.9"), CARD, GpuWorkers(gpus=(0,)), "wrong gpu: .*without CUDA.*build with CUDA"),
        (Torch(build="12.8"), CARD, GpuWorkers(gpus=(0,)), "wrong gpu: .*torch cannot use it.*Renew the driver"),
        (
            Torch(build="12.8"),
            Gpus(("nvidia0", "nvidiactl"), None, 1),
            GpuWorkers(gpus=(0,)),
            "wrong gpu: .*nvidia_uvm.*modprobe",
        ),
        (Torch(build="12.8"), NO_CARD, GpuWorkers(gpus=(0,)), "wrong gpu: .*shows no GPU.*workers: cpu"),
        (CUDA, CARD, GpuWorkers(gpus=(0, 1)), "wrong gpu: workers.gpus names 1; torch sees 1"),
        (
            Torch(build="12.8", gpus=("GTX 980",), broken=("GPU 0: no kernel image",)),
            CARD,
            GpuWorkers(gpus=(0,)),
            "wrong gpu: .*no kernel image.*build of torch for this GPU",
        ),
        (
            Torch(build="12.8", complaint="The driver is too old."),
            CARD,
            GpuWorkers(gpus=(0,)),
            "wrong gpu: .*The driver is too old.*Renew the driver",
        ),
        (Torch(build="12.8"), Gpus((), None, 1), "auto", "warning gpu: .*no driver is loaded.*Install"),
    ],
)
def test_gpus(torch: Torch, gpus: Gpus, workers: object, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way in which card, driver, build of torch and configuration do not fit is told with what mends it."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    settings = Settings.model_validate({"workers": workers})
    assert re.search(words, the_trouble(engines.devices(torch, gpus, settings)))


def test_weights_of_another_network(house: House) -> None:
    """A file that is a network, but not the one that the engine needs, is told; so is one that cannot be read."""
    style, path = house.settings["presets"]["plain"]["style"], house.root / "net.pth"
    house.settings["presets"] = {"vgg": {"engine": "gatys", "style": style, "weights": str(path)}}
    house.write_config()
    loaded = config.load(house.config)
    assert engines.find_weights(loaded) == {"vgg": (path, False)}
    there = {"vgg": (path, True)}
    good = Torch(networks={path: "VGG-19"})
    other, bad = Torch(networks={path: "a network for feedforward"}), Torch(faults={path: "It is a cake."})
    assert the_trouble(engines.weights(loaded, there, good)) == ""
    assert "needs VGG-19. Mend: Name another file" in the_trouble(engines.weights(loaded, there, other))
    assert "It is a cake. Mend: Put another file there." in the_trouble(engines.weights(loaded, there, bad))


def test_optional_packages(house: House) -> None:
    """OpenCV is missed where a preset protects faces, pillow-heif always."""
    style = house.settings["presets"]["plain"]["style"]
    house.settings["presets"] |= {"us": {"engine": "gatys", "style": style, "protect": "faces"}}
    house.write_config()
    settings = config.load(house.config).settings
    assert the_trouble(engines.extras(settings, lambda _: True)) == ""
    assert "neural-selfie[faces]" in the_trouble(engines.extras(settings, lambda name: name != "cv2"))
    assert "neural-selfie[heif]" in the_trouble(engines.extras(settings, lambda name: name != "pillow_heif"))


def test_the_machine() -> None:
    """Clocks that cannot be right, little memory and a locale without Unicode are told."""
    assert machine.clock(1790000000.0).state == "ok"
    assert "1970-01-01" in the_trouble([machine.clock(60.0)])
    assert machine.memory_for_pictures("MemTotal: 1 kB\nMemAvailable: 4194304 kB\n", None).state == "ok"
    assert "Only 512 MiB" in the_trouble([machine.memory_for_pictures("MemAvailable: 4194304 kB\n", 512 << 20)])
    assert "LANG=C.UTF-8" in the_trouble([machine.encoding("ascii", "C")])
    assert list(folders.clock("inbox", 5.0)) == []
    assert "300 s behind" in the_trouble(folders.clock("inbox", -300.0))
    assert watching.watches(5, 1000)[0].state == "ok"
    assert "fs.inotify.max_user_watches=524288" in the_trouble(watching.watches(600, 1000))
    assert watching.watches(1000, 1000)[0].state == "wrong"


@pytest.mark.parametrize(
    ("folder", "point"),
    [
        ("/srv/share/inbox", "/srv/share"),
        ("/srv/share", "/srv/share"),
        ("/srv/shared", None),
        ("/mnt/a b/c", "/mnt/a b"),
    ],
)
def test_a_share_of_fstab_that_is_not_mounted(folder: str, point: str | None) -> None:
    """What fstab mounts above a folder and is not mounted is found, before anything is written underneath."""
    fstab = (
        "# nas:/old /srv/shared nfs\nUUID=1 / ext4\nUUID=2 none swap\nnas:/x /srv/share nfs\nnas:/y /mnt/a\\040b nfs\n"
    )
    found = folders.unmounted(Path(folder), fstab, "rootfs / ext4 rw 0 0\n")
    assert found == (None if point is None else Path(point))
    assert folders.unmounted(Path("/srv/share/inbox"), fstab, "nas:/x /srv/share nfs rw 0 0\n") is None
