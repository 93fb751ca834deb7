"""The `feedforward` engine: one pass through a network that was trained for one style. Nothing is trained here."""
