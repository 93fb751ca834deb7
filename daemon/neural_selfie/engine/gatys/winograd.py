"""3 x 3 convolution by Winograd's minimal filtering F(4 x 4, 3 x 3), for wide layers on a CPU.

Lavin and Gray 2016 (arXiv 1509.09308), section 4.2: every 4 x 4 block of the result takes 36 products for each pair of
channels instead of 144, as 36 matrix products. From 256 channels on that is faster than the library's direct
convolution on a CPU; below, moving the data costs what the products save. The result differs from the direct one by
about 1e-5 of its largest value. Not for GPUs: cuDNN chooses such algorithms itself.
"""

import torch
from torch import Tensor
from torch.nn import functional

_BLOCK, _WINDOW = 4, 6
_CHUNK_NUMBERS = 3 << 20  # 12 MB for each buffer: by measurement, the caches of a desktop CPU like no more

# The matrices of section 4.2 in the paper (B, G and A there).
_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_FILTER = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def pays(outputs: int, inputs: int) -> bool:
    """Given the channels of a convolution, say whether this way is the faster one on a CPU (by measurement)."""
    return outputs * inputs >= 128 * 256


def prepared(weight: Tensor) -> Tensor:
    """Given the weight of a convolution (O, C, 3, 3), return it transformed: (36, C, O), float32."""
    filters = torch.tensor(_FILTER, dtype=torch.float64) / 24
    both = torch.kron(filters, filters).float()  # (36, 9)
    outputs, inputs = weight.shape[:2]
    return torch.mm(both, weight.permute(2, 3, 1, 0).reshape(9, -1)).view(_WINDOW**2, inputs, outputs)


def convolved(image: Tensor, weight: Tensor) -> Tensor:
    """Given an image (B, C, H, W) with its padding of 1 not yet made, and a prepared weight, return (B, O, H, W).

    Zeros are padded. Both images are stored channels last.
    """
    batch, channels, height, width = image.shape
    outputs = weight.shape[2]
    down, right = -(-height // _BLOCK), -(-width // _BLOCK)
    padded = functional.pad(
        image.permute(0, 2, 3, 1), (0, 0, 1, right * _BLOCK + 1 - width, 1, down * _BLOCK + 1 - height)
    )
    result = image.new_empty(batch, down * _BLOCK, right * _BLOCK, outputs)
    blocks = result.view(batch, down, _BLOCK, right, _BLOCK, outputs)
    rows = max(1, min(down, _CHUNK_NUMBERS // (_WINDOW**2 * right * max(channels, outputs))))
    taken = image.new_empty(2, _WINDOW**2 * rows * right * max(channels, outputs))
    for one in range(batch):
        for top in range(0, down, rows):
            count = min(rows, down - top)
            blocks[one, top : top + count] = _strip(padded[one], weight, slice(top, top + count), right, taken)
    return result[:, :height, :width].permute(0, 3, 1, 2)


def _strip(padded: Tensor, weight: Tensor, rows: slice, right: int, buffers: Tensor) -> Tensor:
    """Return some rows of blocks, `right` in each: (rows, 4, right, 4, O)."""
    count = rows.stop - rows.start
    channels, outputs = weight.shape[1], weight.shape[2]
    down_stride, right_stride, _ = padded.stride()
    windows = padded.as_strided(
        (_WINDOW, _WINDOW, count, right, channels),
        (down_stride, right_stride, _BLOCK * down_stride, _BLOCK * right_stride, 1),
        padded.storage_offset() + _BLOCK * rows.start * down_stride,
    )
    size = _WINDOW**2 * count * right
    gathered = buffers[0, : size * channels].view(windows.shape).copy_(windows).view(_WINDOW**2, -1)
    spread = torch.mm(_square(_INPUT, padded), gathered, out=buffers[1, : size * channels].view(_WINDOW**2, -1))
    products = torch.bmm(
        spread.view(_WINDOW**2, count * right, channels),
        weight,
        out=buffers[0, : size * outputs].view(_WINDOW**2, count * right, outputs),
    )
    blocks = torch.mm(_square(_OUTPUT, padded), products.view(_WINDOW**2, -1))
    return blocks.view(_BLOCK, _BLOCK, count, right, outputs).permute(2, 0, 3, 1, 4)


def convolved_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """Given the gradient (B, O, H, W) of a result and the prepared weight, return that of the image (B, C, H, W).

    The way of `convolved` step by step in reverse, so that one prepared weight serves both ways. Channels last.
    """
    batch, _, height, width = gradient.shape
    down, right = -(-height // _BLOCK), -(-width // _BLOCK)
    padded = functional.pad(gradient.permute(0, 2, 3, 1), (0, 0, 0, right * _BLOCK - width, 0, down * _BLOCK - height))
    channels, outputs = weight.shape[1], weight.shape[2]
    rows = max(1, min(down, _CHUNK_NUMBERS // (_WINDOW**2 * right * max(channels, outputs))))
    taken = gradient.new_empty(2, _WINDOW**2 * rows * right * max(channels, outputs))
    # One block more than there are, for windows reach two pixels into the next one.
    result = gradient.new_zeros(batch, down + 1, _BLOCK, right + 1, _BLOCK, channels)
    for one in range(batch):
        for top in range(0, down, rows):
            strip = slice(top, top + min(rows, down - top))
            windows = _strip_back(padded[one], weight, strip, right, taken)
            for low in (0, 1):
                for far in (0, 1):
                    from_row, from_column = slice(low * _BLOCK, _BLOCK + low * 2), slice(far * _BLOCK, _BLOCK + far * 2)
                    into = result[one, strip.start + low : strip.stop + low, : 2 if low else _BLOCK]
                    into = into[:, :, far : right + far, : 2 if far else _BLOCK]
                    into += windows[from_row, from_column].permute(2, 0, 3, 1, 4)
    whole = result.view(batch, (down + 1) * _BLOCK, (right + 1) * _BLOCK, channels)
    return whole[:, 1 : height + 1, 1 : width + 1].permute(0, 3, 1, 2)


def _strip_back(padded: Tensor, weight: Tensor, rows: slice, right: int, buffers: Tensor) -> Tensor:
    """Return what some rows of blocks, `right` in each, give their windows: (6, 6, rows, right, C)."""
    count = rows.stop - rows.start
    channels, outputs = weight.shape[1], weight.shape[2]
    size = _WINDOW**2 * count * right
    blocks = padded[_BLOCK * rows.start : _BLOCK * rows.stop].view(count, _BLOCK, right, _BLOCK, outputs)
    gathered = buffers[0, : _BLOCK**2 * count * right * outputs].view(_BLOCK, _BLOCK, count, right, outputs)
    gathered.copy_(blocks.permute(1, 3, 0, 2, 4))
    spread = torch.mm(
        _square(_OUTPUT, padded).T, gathered.view(_BLOCK**2, -1), out=buffers[1, : size * outputs].view(_WINDOW**2, -1)
    )
    products = torch.bmm(
        spread.view(_WINDOW**2, count * right, outputs),
        weight.mT,
        out=buffers[0, : size * channels].view(_WINDOW**2, count * right, channels),
    )
    turned = _square(_INPUT, padded).T.contiguous()
    windows = torch.mm(turned, products.view(_WINDOW**2, -1), out=buffers[1, : size * channels].view(_WINDOW**2, -1))
    return windows.view(_WINDOW, _WINDOW, count, right, channels)


def _square(matrix: tuple[tuple[int, ...], ...], like: Tensor) -> Tensor:
    """Return the matrix that does to both edges of a window at once what the given one does to one."""
    edge = torch.tensor(matrix, dtype=like.dtype, device=like.device)
    return torch.kron(edge, edge)
