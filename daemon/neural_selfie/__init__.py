"""Drop a photo into a shared folder; paintings of it appear in another."""

__version__ = "0.1.0"
