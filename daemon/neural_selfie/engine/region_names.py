"""What a region of a mask may be called: plain colours by name, any other as '#rrggbb'. Free of torch."""

import re

HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")  # in the order of their hue, 60 degrees apart
NAMES = ("black", "grey", "white", *HUES)
_HEXADECIMAL = re.compile(r"#[0-9a-f]{6}")


def normal_region(text: str) -> str:
    """Given a region as people write it, return it in the one form; raise ValueError if it is no colour."""
    region = text.strip().lower()
    region = "grey" if region == "gray" else region
    if region not in NAMES and _HEXADECIMAL.fullmatch(region) is None:
        raise ValueError(f"expected {', '.join(NAMES)} or '#rrggbb'")
    return region
