"""The parts of the `patch` engine, each against the plain way to say the same."""

import pytest
import torch
from torch import Tensor

from neural_selfie.engine.colour import mixed_palette, move_colours, palette_of
from neural_selfie.engine.patch.atlas import Places, build_atlas, draw_places, patches_at
from neural_selfie.engine.patch.canvas import Grid, distances, rebuild
from neural_selfie.engine.patch.contrast import contrasted, contrasts, local_contrast
from neural_selfie.engine.patch.finish import forms
from neural_selfie.engine.patch.flow import combed, direction
from neural_selfie.engine.patch.matching import Code, fit_code, key_columns, propagate, search_all
from neural_selfie.engine.patch.refine import drawn_goals, octaves_of, quantiles, random_directions, transported
from neural_selfie.engine.patch.weight_map import weight_map
from neural_selfie.engine.pyramid import fit_long_edge, scales


def drawn(*shape: int, seed: int = 1) -> Tensor:
    """Return numbers in 0..1, the same for the same seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def nothing(_: int) -> None:
    """Take a count of finished queries and forget it."""


def test_one_product_is_the_normalised_distance() -> None:
    """The match found by one product is the one of a plain double loop over d / (alpha + min over queries of d)."""
    queries, keys, alpha = drawn(70, 5).double(), drawn(45, 5, seed=2).double(), 0.005
    d = [[float((query - key).square().sum()) for key in keys] for query in queries]
    least = [min(row[k] for row in d) for k in range(len(keys))]
    wanted = [min(range(len(keys)), key=lambda k: row[k] / (alpha + least[k])) for row in d]
    found, divisor = search_all(queries, key_columns(keys), alpha, torch.Generator(), nothing)
    assert found.tolist() == wanted
    assert divisor.tolist() == pytest.approx([alpha + least[k] for k in wanted])


def test_every_query_is_counted() -> None:
    """The search tells how many queries it has done, and the counts add up to all of them."""
    counts: list[int] = []
    search_all(drawn(20_000, 2), key_columns(drawn(33, 2, seed=2)), 1.0, torch.Generator(), counts.append)
    assert len(counts) > 1
    assert sum(counts) == 20_000


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(14, 14), (15, 22), (31, 16)])
def test_cutting_and_rebuilding_is_exact(size: tuple[int, int], stride: int) -> None:
    """A picture whose every patch is matched to itself is rebuilt exactly, and its distances are zero."""
    picture, grid = drawn(3, *size), Grid(*size, 7, stride)
    padded = grid.padded(picture)
    atlas = build_atlas([padded], [1.0])
    row = torch.arange(grid.rows)[:, None].expand(-1, grid.columns) * stride
    column = torch.arange(grid.columns)[None].expand(grid.rows, -1) * stride
    field = Places(torch.zeros_like(row), row, column)
    assert torch.allclose(rebuild(grid, atlas, field), picture, atol=1e-6)
    assert float(distances(grid, padded, atlas, field).abs().max()) == 0


def test_patches_and_their_mirror_images() -> None:
    """A place names the same pixels as a slice of its style image, or of its mirror image in the odd views."""
    images = [drawn(3, 9, 12), drawn(3, 20, 8, seed=2)]
    atlas = build_atlas(images, [0.5, 0.5])
    views = [images[0], images[0].flip(2), images[1], images[1].flip(2)]
    places = draw_places(atlas, 40, 5, torch.Generator().manual_seed(0))
    assert set(places.view.tolist()) == {0, 1, 2, 3}
    for number, patch in enumerate(patches_at(atlas, places, 5)):
        view, row, column = int(places.view[number]), int(places.row[number]), int(places.column[number])
        assert torch.equal(patch.view(3, 5, 5), views[view][:, row : row + 5, column : column + 5])


def test_keys_follow_the_weights() -> None:
    """Keys are drawn from each style by its share, and at least one from each."""
    atlas = build_atlas([drawn(3, 9, 9)] * 3, [0.75, 0.2499, 0.0001])
    image = draw_places(atlas, 1000, 5, torch.Generator()).view // 2
    assert torch.bincount(image).tolist() == [750, 250, 1]


def test_code_of_a_picture_is_the_code_of_its_patches() -> None:
    """Coding a whole picture by convolution equals cutting its patches and coding each."""
    picture, grid = drawn(3, 16, 20), Grid(16, 20, 5, 2)
    padded = grid.padded(picture)
    patches = torch.nn.functional.unfold(padded[None], 5, stride=2)[0].T
    code = fit_code(patches, 12)
    assert torch.allclose(code.over(grid, padded), code.of(patches), atol=1e-5)


def test_full_code_keeps_distances() -> None:
    """With all dimensions, distances between codes are those between patches, up to one factor."""
    patches = drawn(300, 27)
    code: Code = fit_code(patches, 27)
    plain, coded = torch.pdist(patches), torch.pdist(code.of(patches))
    assert torch.allclose(coded / plain, (coded / plain).mean().expand_as(plain), rtol=1e-3)


def test_propagation_only_improves() -> None:
    """Continuing the neighbours' matches never raises a patch's normalised distance, and lowers some."""
    grid = Grid(20, 20, 5, 2)
    atlas = build_atlas([drawn(3, 24, 24, seed=2)], [1.0])
    padded = grid.padded(drawn(3, 20, 20))
    field = draw_places(atlas, grid.rows * grid.columns, 5, torch.Generator().manual_seed(0))
    field = field[torch.arange(grid.rows * grid.columns).view(grid.rows, -1)]
    divisor = 0.1 + drawn(grid.rows, grid.columns)
    before = distances(grid, padded, atlas, field) / divisor
    better, after_divisor = propagate(grid, padded, atlas, field, divisor)
    after = distances(grid, padded, atlas, better) / after_divisor
    assert bool((after <= before).all())
    assert float(after.mean()) < float(before.mean())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_colours_meet_halfway(share: float) -> None:
    """Moved by s and by 1 - s, two pictures have the same mean and covariance; at 1 they are the target's."""
    one, two = drawn(3, 40, 40) * 0.5, 0.3 + 0.7 * drawn(3, 30, 50, seed=2) ** 2
    first, second = palette_of(one), palette_of(two)
    left = palette_of(move_colours(one, first, second, share))
    right = palette_of(move_colours(two, second, first, 1 - share))
    assert torch.allclose(left.mean, right.mean, atol=1e-4)
    assert torch.allclose(left.covariance, right.covariance, atol=1e-4)
    if share == 1:
        assert torch.allclose(left.covariance, second.covariance, atol=1e-4)


def test_mixed_palette_is_that_of_pictures_side_by_side() -> None:
    """The palette of two styles equals the palette of both in one picture, when shares follow their areas."""
    one, two = drawn(3, 10, 30), drawn(3, 10, 10, seed=2) * 0.4
    mixed, plain = mixed_palette([one, two], [0.75, 0.25]), palette_of(torch.cat([one, two], 2))
    assert torch.allclose(mixed.mean, plain.mean, atol=1e-6)
    assert torch.allclose(mixed.covariance, plain.covariance, atol=1e-6)


def test_weight_is_higher_on_edges_and_on_faces() -> None:
    """The map is 0.3 in flat parts, higher on an edge, and higher still on an edge of skin colour."""
    photo = torch.full((3, 96, 96), 0.5)
    photo[:, 40:56, 10:26] = 0.2
    skin = torch.tensor([0.85, 0.65, 0.52])[:, None, None]
    photo[:, 20:76, 50:90] = skin
    photo[:, 40:56, 62:78] = skin * 0.55
    plain, faces = (weight_map(photo, edges=3.0, faces=f)[0] for f in (0.0, 2.0))
    assert float(plain[2:6, 2:6].mean()) == pytest.approx(0.3, abs=0.02)
    assert float(plain[48, 10]) > 1
    assert float(faces[48, 10]) == pytest.approx(float(plain[48, 10]), rel=0.3)
    assert float(faces[48, 62]) > 1.3 * float(plain[48, 62])


def test_directions_are_orthonormal() -> None:
    """The random directions have length one and stand at right angles."""
    rows = random_directions(16, 5, torch.Generator().manual_seed(1)).flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(16), atol=1e-5)


def test_quantiles_keep_the_distribution() -> None:
    """Fewer or more quantiles than answers keep their range and mean; as many are the sorted answers."""
    answers = drawn(2, 500)
    assert torch.equal(quantiles(answers, 500), answers.sort(1)[0])
    for count in (100, 3000):
        assert torch.allclose(quantiles(answers, count).mean(1), answers.mean(1), atol=0.01)


def test_transport_brings_contrast_back() -> None:
    """Steps of transport bring a blurred picture's spread near the style's, and end where nothing is lacking."""
    style = drawn(3, 60, 60)
    picture = torch.nn.functional.avg_pool2d(drawn(1, 3, 60, 60, seed=2), 3, 1, 1)[0]
    generator = torch.Generator().manual_seed(0)
    for _ in range(12):
        goals = drawn_goals(octaves_of([style], 1), [1.0], generator)
        picture, lack = transported(picture, goals, generator, 1.0)
    assert float(picture.std()) == pytest.approx(float(style.std()), rel=0.1)
    assert lack < 0.1


def test_contrast_becomes_the_styles_and_lines_stay() -> None:
    """At each octave local contrast comes nearer to the style's distribution, and gradients keep their directions."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    picture = (0.5 + 0.1 * torch.sin(x / 5) * torch.cos(y / 7) + 0.02 * drawn(96, 128)).expand(3, -1, -1)
    style = (0.5 + 0.18 * torch.sin((x + y) / 6) * (0.3 + y / 96) / 1.3 + 0.05 * drawn(96, 128, seed=2)).expand(
        3, -1, -1
    )
    octaves = octaves_of([style], 3)
    found = contrasted(picture, contrasts(octaves, [1.0]), 1.0)
    for was, now, (wanted,) in zip(octaves_of([picture], 3), octaves_of([found], 3), octaves, strict=True):
        before, after, aim = (quantiles(local_contrast(p).flatten()[None], 50) for p in (was[0], now[0], wanted))
        assert float((after - aim).abs().mean()) < 0.75 * float((before - aim).abs().mean())
    right, _, clear = direction(picture[0])
    assert float((direction(found[0])[0].abs() - right.abs()).abs()[clear > 0.8].median()) < 0.05
    assert torch.equal(contrasted(picture, contrasts(octaves, [1.0]), 0.0), picture)


def test_forms_are_neither_fine_nor_large() -> None:
    """Waves of the size of a window stay as forms, waves of a few pixels and the slope of a sky do not."""
    x = torch.arange(512.0).expand(3, 340, -1)
    waves = [torch.sin(x * (2 * torch.pi / period)) for period in (4, 32, 1024)]
    fine, middle, large = (float(forms(wave)[:, :, 64:-64].std() / wave.std()) for wave in waves)
    assert middle > 0.4
    assert max(fine, large) < 0.15


def test_strokes_are_drawn_along_not_across() -> None:
    """Combing keeps clean slanted stripes and takes most of the grain that lies on them; their direction is found."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    stripes = (0.5 + 0.4 * torch.sin((x + y) / 2)).expand(3, -1, -1)
    inner = slice(8, -8)
    right, down, clear = (part[inner, inner] for part in direction(stripes[0]))
    assert torch.allclose(right, -down, atol=0.05)
    assert float(clear.min()) > 0.9
    grain = 0.05 * (drawn(3, 64, 64) - 0.5)
    kept, cleaned = combed(stripes, 2.0), combed(stripes + grain, 2.0)
    assert float((kept - stripes)[:, inner, inner].abs().mean()) < 0.03
    assert float((cleaned - kept)[:, inner, inner].std()) < 0.7 * float(grain.std())
    flat = torch.full((3, 20, 30), 0.4)
    assert torch.equal(combed(flat, 2.0), flat)


def test_sizes() -> None:
    """Scales rise to 1 and keep the short edge; the long edge fits and the short one never vanishes."""
    found = scales(400, 300, ratio=0.7, coarsest_px=40)
    assert found[-1] == 1
    assert found == sorted(found)
    assert 40 <= 300 * found[0] < 40 / 0.7
    assert scales(30, 3000, ratio=0.7, coarsest_px=40) == [1.0]
    assert fit_long_edge(3000, 40, 64) == (64, 1)
