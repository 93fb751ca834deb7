"""The `patch` engine: a painting made of the style image's own patches, with no trained network. Entry: paint.paint."""
