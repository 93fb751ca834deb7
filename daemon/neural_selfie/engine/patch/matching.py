"""Which style patch belongs where: the normalised nearest neighbour over all keys, and search around known matches.

The normalised distance of GPNN (arXiv 2103.15545), d(query, key) / (alpha + min over queries of d(query', key)), makes
every style patch wanted somewhere: it brings strokes into flat skies. Nothing here blends or draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neural_selfie.engine.patch.atlas import Atlas, Places
from neural_selfie.engine.patch.canvas import Grid, distances

_CHUNK = 256  # queries per product: 256 x 8,000 distances stay in a CPU's cache (measured best of 128..4,096)
_BLOCK = 32  # keys whose minimum is taken first: minima across rows vectorise, the position of a minimum does not
_CHUNKS_TOLD = 64  # between two calls of on_rows
_COVERAGE_QUERIES = 6000  # enough to estimate each key's smallest distance; all of them change few choices


@dataclass(frozen=True, slots=True)
class Code:
    """A linear description of patches: (patch - mean) @ basis, scaled so that the mean squared length is 1."""

    mean: Tensor
    basis: Tensor

    def of(self, patches: Tensor) -> Tensor:
        """Given patches (N, D), return their codes (N, dimensions)."""
        return (patches - self.mean) @ self.basis

    def over(self, grid: Grid, padded: Tensor) -> Tensor:
        """Given a padded picture, return the codes (rows·columns, dimensions) of its patches, without cutting them."""
        p, dimensions = grid.patch_px, self.basis.shape[1]
        filters = self.basis.T.reshape(dimensions, 3, p, p)
        answers = functional.conv2d(padded[None], filters, stride=grid.stride)[0].flatten(1).T
        return answers - self.mean @ self.basis


def fit_code(patches: Tensor, dimensions: int) -> Code:
    """Given style patches (N, D), return the code of their first principal components."""
    mean = patches.mean(0, keepdim=True)
    centred = patches - mean
    values, vectors = torch.linalg.eigh((centred.T @ centred).double() / len(patches))
    kept = min(dimensions, patches.shape[1])
    length = values[-kept:].clamp_min(0).sum().sqrt().clamp_min(1e-3)
    return Code(mean, (vectors[:, -kept:] / length).float())


def key_columns(keys: Tensor) -> Tensor:
    """Given coded keys (K, d), return columns (d + 2, K) for `query_rows`: their product is the squared distance."""
    return torch.cat([-2 * keys, torch.ones_like(keys[:, :1]), keys.square().sum(1, keepdim=True)], 1).T.contiguous()


def query_rows(queries: Tensor) -> Tensor:
    """Given coded queries (N, d), return rows (N, d + 2): [q, |q|², 1]."""
    return torch.cat([queries, queries.square().sum(1, keepdim=True), torch.ones_like(queries[:, :1])], 1)


def coverage_of(rows: Tensor, columns: Tensor) -> Tensor:
    """Given query rows and key columns, return each key's smallest squared distance (K,) to any of the queries."""
    smallest = columns.new_full((columns.shape[1],), torch.inf)
    for first in range(0, len(rows), _CHUNK):
        smallest = torch.minimum(smallest, (rows[first : first + _CHUNK] @ columns).amin(0))
    return smallest.clamp_min(0)


def nearest(rows: Tensor, columns: Tensor) -> Tensor:
    """Given query rows (N, d + 2) and key columns (d + 2, K), return the number (N,) of each query's smallest product.

    The minimum is found in two steps, first over blocks of keys; of equal keys any one may be returned.
    """
    spare = columns.new_zeros(len(columns), -columns.shape[1] % _BLOCK)
    spare[-1] = 1e30  # never the nearest
    columns = torch.cat([columns, spare], 1)
    found = []
    for first in range(0, len(rows), _CHUNK):
        chunk = rows[first : first + _CHUNK]
        products = (chunk @ columns).view(len(chunk), _BLOCK, -1)
        block = products.amin(1).argmin(1)
        inside = products.gather(2, block[:, None, None].expand(-1, _BLOCK, 1)).argmin(1)[:, 0]
        found.append(inside * products.shape[2] + block)
    return torch.cat(found)


def search_all(
    coded: Tensor, columns: Tensor, coverage: float, generator: torch.Generator, on_rows: Callable[[int], None]
) -> tuple[Tensor, Tensor]:
    """Given coded queries (N, d) and key columns, return the number (N,) of each one's best key, normalised distance.

    `coverage` is GPNN's alpha. Each key's smallest distance is taken over a draw of the queries. `on_rows` is told
    how many queries were done since it was last told.
    """
    drawn = coded
    if len(coded) > _COVERAGE_QUERIES:
        chosen = torch.randperm(len(coded), generator=generator)[:_COVERAGE_QUERIES]
        drawn = coded[chosen.to(coded.device)]
    divisor = coverage + coverage_of(query_rows(drawn), columns)
    columns = columns / divisor
    found = []
    for first in range(0, len(coded), _CHUNKS_TOLD * _CHUNK):
        part = coded[first : first + _CHUNKS_TOLD * _CHUNK]
        found.append(nearest(query_rows(part), columns))
        on_rows(len(part))
    number = torch.cat(found)
    return number, divisor[number]


def propagate(grid: Grid, padded: Tensor, atlas: Atlas, field: Places, divisor: Tensor) -> tuple[Places, Tensor]:
    """Given a field of places and the divisors of their distances (rows, columns), return both improved.

    Each patch tries what continues the match of each of its four neighbours (PatchMatch, Barnes et al. 2009), so that
    whole strokes come along. A continuation inherits its neighbour's divisor: with plain distances instead, the
    style's dullest patches would win again.
    """
    best = distances(grid, padded, atlas, field) / divisor
    for rows, columns in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        view, row, column, other = (
            part.roll((rows, columns), (0, 1)) for part in (field.view, field.row, field.column, divisor)
        )
        places = atlas.clamped(Places(view, row + rows * grid.stride, column + columns * grid.stride), grid.patch_px)
        found = distances(grid, padded, atlas, places) / other
        better = found < best
        best, divisor = torch.where(better, found, best), torch.where(better, other, divisor)
        field = Places(
            torch.where(better, places.view, field.view),
            torch.where(better, places.row, field.row),
            torch.where(better, places.column, field.column),
        )
    return field, divisor
