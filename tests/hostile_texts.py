"""YAML that explodes, builds objects, leads elsewhere or is none: as sidecars and as configurations."""


def laughs(key: str) -> str:
    """Return ten lines that stand for 9⁹ values below a key."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for last, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]")
    return "\n".join([*lines, f"{key}: *i", ""])


def merges() -> str:
    """Return lines that merge one mapping 9⁸ times."""
    lines = ["a: &a {k: v}"]
    for last, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} {{<<: [{', '.join([f'*{last}'] * 9)}]}}")
    return "\n".join([*lines, ""])


ANY_YAML: dict[str, bytes] = {  # wrong in a sidecar and in a configuration
    "laughs": laughs("presets").encode(),
    "merges": merges().encode(),
    "itself": b"presets: &p [*p]\n",
    "itself as a mapping": b"&all\nb: *all\n",
    "brackets": b"[" * 15_000,
    "braces": b"{a: " * 4_000,
    "dashes": b"- " * 8_000,
    "questions": b"? " * 8_000,
    "indents": "".join(" " * depth + "k:\n" for depth in range(170)).encode(),
    "half open": b"presets: [" + b"a," * 7_000,
    "ten megabytes": b"# nothing\n" * (1 << 20),
    "digits": b"presets: " + b"9" * 15_000,
    "base sixty": b"presets: " + b"59:" * 5_000 + b"1",
    "many keys": "".join(f"key{number}: 1\n" for number in range(1_300)).encode(),
    "long key": b"k" * 15_000 + b": 1\n",
    "long keys": "".join("k" * 1_000 + f"{number}: 1\n" for number in range(15)).encode(),
    "long key twice": (b"k" * 1_000 + b": 1\n") * 2,
    "unknown alias": b"presets: *" + b"a" * 15_000,
    "key that is no text": b"? [a, b]\n: c\n",
    "key twice": b"presets: [plain]\npresets: [plain]\n",
    "runs a program": b"presets: !!python/object/apply:os.system ['touch /tmp/owned-by-yaml']\n",
    "imports a module": b"presets: !!python/module:antigravity\n",
    "builds an object": b"presets: !!python/object/new:type {}\n",
    "own tag": b"presets: !custom [plain]\n",
    "dates": b"presets: " + b"2001-01-01 " * 1_000,
    "no number": b"presets: [.nan, .inf, 1e400]\n",
    "two documents": b"presets: [plain]\n---\npresets: [plain]\n",
    "nothing but tabs": b"\t\t\tpresets: [plain]\n",
    "latin": b"presets: [caf\xe9]\n",
    "UTF-16": "presets: [plain]\n".encode("utf-16"),
    "zeros": bytes(5_000),
    "control characters": b"presets: [\x1b]0;owned\x07]\n",
    "half a character": b'presets: ["\\ud800"]\n',
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10,
    "page": b"<html><script>alert(1)</script></html>",
    "text": b"please paint this like van Gogh, thank you",
    "list": b"- plain\n",
}

SIDECARS: dict[str, bytes] = ANY_YAML | {
    "mask above": b"mask: ../../etc/passwd\n",
    "mask in a picture's name above": b"mask: ../secret.mask.png\n",
    "mask from the root": b"mask: /etc/passwd.mask.png\n",
    "mask below": b"mask: below/me.mask.png\n",
    "mask on Windows": b"mask: '..\\secret.mask.png'\n",
    "mask with a zero": b'mask: "me\\0.mask.png"\n',
    "mask of two lines": b'mask: "me\\n.mask.png"\n',
    "mask that is long": b"mask: " + b"m" * 300 + b".mask.png\n",
    "mask that is missing": b"mask: nowhere.mask.png\n",
    "mask that is a list": b"mask: [a.mask.png]\n",
    "style": b"overrides: {style: /etc/passwd}\n",
    "weights": b"overrides: {weights: /etc/passwd}\n",
    "start image": b"overrides: {start_image: /etc/passwd}\n",
    "engine": b"overrides: {engine: gatys}\n",
    "sweep": b"overrides: {sweep: {size: [64, 65, 66]}}\n",
    "size of millions": b"overrides: {size: 1e9}\n",
    "size below zero": b"overrides: {size: -1}\n",
    "size that is none": b"overrides: {size: .nan}\n",
    "size without end": b"overrides: {size: .inf}\n",
    "size too long": b"overrides: {size: 0x" + b"f" * 10_000 + b"}\n",
    "weight without end": b"overrides: {content_weight: 1e400}\n",
    "overrides that are a list": b"overrides: [size, 64]\n",
    "unknown number": b"overrides: {sice: 64}\n",
    "unknown preset": b"presets: [../../etc]\n",
    "unknown presets": b"presets: [" + b"a," * 3_000 + b"]\n",
    "preset with a long name": b"presets: [" + b"p" * 15_000 + b"]\n",
    "presets that are a text": b"presets: plain\n",
    "no presets": b"presets: []\n",
}

CONFIGS: dict[str, bytes] = ANY_YAML | {
    "thousands of keys": "".join(f"key{number}: 1\n" for number in range(8_000)).encode(),
    "style that is no picture": b"presets: {plain: {style: /etc/passwd}}\n",
    "style that is a device": b"presets: {plain: {style: /dev/zero}}\n",
    "style above": b"presets: {plain: {style: ../../../../../../etc/hostname}}\n",
    "style that is a folder": b"presets: {plain: {style: /etc}}\n",
    "sweep of millions": b"presets: {plain: {style: a.png, sweep: {seed: [" + b"1," * 5_000 + b"]}}}\n",
    "size of millions": b"presets: {plain: {style: a.png, size: 1e400}}\n",
    "inbox with a zero": b'inbox: "/a\\0b"\n',
    "inbox that is empty": b"inbox: ''\n",
    "inbox that is a number": b"inbox: 7\n",
    "outbox in the inbox": b"inbox: /srv/a\noutbox: /srv/a/b\n",
    "home of nobody": b"inbox: ~nobody-of-that-name/inbox\n",
    "seconds without end": b"watch: {quiet_seconds: .inf}\n",
    "attempts below zero": b"retry: {attempts: -1}\n",
    "megapixels of millions": b"limits: {megapixels: 99999999999999999999}\n",
    "preset that leads elsewhere": b"presets: {'../../etc': {style: a.png}}\n",
    "workers of another kind": b"workers: {ssh: [root@localhost]}\n",
}
