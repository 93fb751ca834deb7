"""The `gatys` engine: style transfer by optimisation on VGG-19, as in Gatys et al. (arXiv 1508.06576)."""
