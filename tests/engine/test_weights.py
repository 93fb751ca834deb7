"""Every layout of VGG-19 is read as the same network; what is none is refused with a sentence that helps."""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torchvision.models.vgg import vgg19

import random_vgg
from neural_selfie.engine.gatys import layouts, weights
from neural_selfie.errors import EngineUnavailableError, WeightsUnavailableError

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """A random network in torchvision's layout."""
    return random_vgg.torchvision()


def loaded(content: object, path: Path, **how: object) -> weights.Vgg:
    """Save with torch, load, and leave nothing on the disk."""
    torch.save(content, path, **how)  # type: ignore[arg-type]  # the options of torch.save
    try:
        return weights.load(path)
    finally:
        path.unlink()


def refused(path: Path) -> str:
    """Return why a file cannot be used; the sentence names it."""
    with pytest.raises(WeightsUnavailableError) as caught:
        weights.load(path)
    assert str(path) in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def features(vgg: weights.Vgg, photo: Tensor, padding: str) -> list[Tensor]:
    """Return the sixteen rectified features (channels, height, width) of a photo (3, H, W)."""
    seen = torch.einsum("dc,chw->dhw", vgg.matrix, photo) + vgg.offset[:, None, None]
    found = []
    for index, (weight, bias) in enumerate(vgg.convolutions):
        if index in {2, 4, 8, 12}:
            seen = functional.max_pool2d(seen[None], 2)[0]
        seen = functional.pad(seen[None], (1, 1, 1, 1), mode=padding)[0]
        seen = functional.conv2d(seen[None], weight, bias)[0].relu()
        found.append(seen)
    return found


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest difference relative to the largest feature of its layer."""
    pairs = zip(one, other, strict=True)
    return max(float((first - second).abs().max() / first.abs().max()) for first, second in pairs)


def test_the_layouts_of_one_network_have_the_same_features(state: State, tmp_path: Path) -> None:
    """One network in the four layouts sees the same in a photo, to the precision of its numbers.

    Padded with zeros, torchvision's and Caffe's differ a little at the borders: their mean colours are not the same.
    """
    photo = torch.rand(3, 48, 32, generator=torch.Generator().manual_seed(1))
    found = {name: loaded(maker(state), tmp_path / "x.pth") for name, maker in random_vgg.LAYOUTS.items()}
    assert {name: vgg.layout for name, vgg in found.items()} == {name: name for name in random_vgg.LAYOUTS}
    assert {(vgg.padding, vgg.ceil_pooling) for name, vgg in found.items() if name != "vgg_normalised"} == {
        ("zeros", False)
    }
    assert (found["vgg_normalised"].padding, found["vgg_normalised"].ceil_pooling) == ("reflect", True)
    true = features(found["torchvision"], photo, "reflect")
    for name in ("caffe", "vgg_conv", "vgg_normalised"):
        assert apart(true, features(found[name], photo, "reflect")) < 1e-5, name
    bordered = features(found["torchvision"], photo, "constant")
    assert apart(true, bordered) > 0.1
    assert apart(bordered, features(found["caffe"], photo, "constant")) < 5e-3


def test_what_is_loaded_is_what_the_file_says(state: State, tmp_path: Path) -> None:
    """Sixteen pairs in order, float32 on the CPU, with the hash of the bytes; the file may go away afterwards."""
    path = tmp_path / "x.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    vgg = weights.load(path)
    path.write_bytes(b"")
    assert vgg.sha256 == digest
    for number, (weight, bias) in zip(random_vgg.FEATURES, vgg.convolutions, strict=True):
        assert torch.equal(weight, state[f"features.{number}.weight"])
        assert torch.equal(bias, state[f"features.{number}.bias"])
        assert weight.dtype == bias.dtype == torch.float32
    assert torch.allclose(vgg.matrix @ random_vgg.MEAN + vgg.offset, torch.zeros(3), atol=1e-6)


def test_torchvisions_own_fresh_network(tmp_path: Path) -> None:
    """What `torchvision.models.vgg19(weights=None)` begins with is read as torchvision's."""
    torch.manual_seed(0)
    with torch.device("meta"):
        net = vgg19(weights=None, init_weights=False)
    del net.classifier
    net = net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None:
            torch.nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            torch.nn.init.zeros_(module.bias)
    assert loaded(net.state_dict(), tmp_path / "x.pth").layout == "torchvision"


@pytest.mark.parametrize(
    ("bias_mean", "bias_spread", "last_spread", "layout"),
    [
        (0.010, 0.497, 0.015, "torchvision"),  # published figures of torchvision's VGG-19
        (-0.065, 0.519, 0.016, "torchvision"),  # and VGG-16
        (0.501, 0.328, 0.0085, "caffe"),  # and of Caffe's VGG-16
        (0.0, 0.0, 0.001, "torchvision"),  # fresh ones, whatever their spread
        (0.0, 0.0, 0.01, "torchvision"),
    ],
)
def test_trained_networks_are_told_apart_by_their_numbers(
    state: State, bias_mean: float, bias_spread: float, last_spread: float, layout: str
) -> None:
    """With the published spread of weights and biases, each trained network is recognised without its hash."""
    generator = torch.Generator().manual_seed(3)
    trained = dict(state)
    trained["features.0.weight"] = torch.randn(64, 3, 3, 3, generator=generator) * 0.2
    trained["features.0.bias"] = bias_mean + bias_spread * torch.randn(64, generator=generator)
    for number in random_vgg.FEATURES[-4:]:
        key = f"features.{number}.weight"
        trained[key] = state[key] / state[key].std() * last_spread
    assert layouts.parts(trained, trained.keys()).layout == layout


def test_a_known_file_and_the_first_classifier_are_told_by_name(state: State) -> None:
    """The hash of a published file decides, and so do the classifier keys that only Caffe's first conversion has."""
    assert layouts.parts(state, state.keys(), "caffe").layout == "caffe"
    assert layouts.parts(state, [*state, "classifier.1.weight"]).layout == "caffe"
    assert layouts.parts(state, [*state, "classifier.0.weight"]).layout == "torchvision"


def test_wrappings_and_half_precision(state: State, tmp_path: Path) -> None:
    """A checkpoint's nest, "module.", a classifier, an old file's form and half precision change nothing but bits."""
    half = {key: value.half() for key, value in state.items()}
    nested = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in half.items()}}
    nested["state_dict"]["module.classifier.0.weight"] = torch.zeros(8, 8)  # type: ignore[index]  # the dict above
    for how in ({}, {"_use_new_zipfile_serialization": False}):
        vgg = loaded(nested, tmp_path / "x.pt", **how)
        assert vgg.layout == "torchvision"
        assert vgg.convolutions[5][0].dtype == torch.float32
        assert torch.allclose(vgg.convolutions[5][0], state["features.12.weight"], atol=1e-4)
    bare = {key.removeprefix("features."): value for key, value in half.items()}
    assert loaded(bare, tmp_path / "x.pt").layout == "torchvision"


def test_safetensors(state: State, tmp_path: Path) -> None:
    """A .safetensors file is read too, whatever its keys begin with; a cut one is refused."""
    path = tmp_path / "x.safetensors"
    save_file({f"vgg.{key}": value.bfloat16() for key, value in random_vgg.vgg_conv(state).items()}, path)
    vgg = weights.load(path)
    assert vgg.layout == "vgg_conv"
    assert torch.allclose(vgg.convolutions[3][0], state["features.7.weight"], atol=1e-2)
    os.truncate(path, path.stat().st_size - 4)
    assert "damaged" in refused(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"features.1.running_mean": torch.zeros(64)}, "batch normalisation"),
        ({"features.16.weight": None}, "1 of the 16 convolutions"),
        ({"features.34.bias": None}, "features.34.bias is missing"),
        ({"features.7.weight": torch.zeros(128, 64, 3, 3)}, r"shape \(128, 64, 3, 3\)"),
        ({"features.7.bias": torch.full((128,), torch.nan)}, "NaN"),
        ({"features.7.bias": torch.full((128,), torch.inf)}, "NaN or infinite"),
        ({"features.7.bias": torch.zeros(128, dtype=torch.int64)}, "floating-point"),
        ({"features.0.weight": None}, "no VGG-19 in any layout"),
    ],
)
def test_other_networks_are_refused(state: State, change: dict[str, Tensor | None], says: str) -> None:
    """A network with batch normalisation, fewer layers, other shapes or numbers that are none: each is named."""
    other = {key: value for key, value in {**state, **change}.items() if value is not None}
    with pytest.raises(ValueError, match=says):
        layouts.parts(other, other.keys())


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


def zipped(content: object) -> bytes:
    """Return what torch.save writes."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    """A pickle that wants to run a program is refused before it can, in either form of file."""
    mark, path = tmp_path / "ran", tmp_path / "x.pth"
    for data in (pickle.dumps({"features.0.weight": Bomb(mark)}, protocol=2), zipped({"a": Bomb(mark)})):
        path.write_bytes(data)
        assert "program code" in refused(path)
    assert not mark.exists()


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    """Nothing, a folder, an empty file, a web page, noise, a cut file, other objects: each gets its own sentence."""
    path = tmp_path / "x.pth"
    assert "There is no file" in refused(path)
    assert "no file" in refused(tmp_path)
    for data, says in (
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        (bytes(range(200, 256)) * 9, "damaged"),
        (zipped({"features.0.weight": torch.zeros(64, 3, 3, 3)})[:-200], "damaged"),
        (zipped(torch.zeros(3)), "by name"),
        (zipped({}), "by name"),
        (zipped({"epoch": 1}), "no VGG-19"),
    ):
        path.write_bytes(data)
        assert says in refused(path), data[:20]
    os.mkfifo(tmp_path / "pipe.pth")
    assert "no file" in refused(tmp_path / "pipe.pth")
    assert issubclass(WeightsUnavailableError, EngineUnavailableError)
