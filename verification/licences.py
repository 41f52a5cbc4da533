"""Licences of packages: as their own metadata state them, as SPDX, and whether permissive."""

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Final

from verification.locks import Pinned

__all__ = ["PERMISSIVE", "Licence", "is_permissive", "of_package"]

PERMISSIVE: Final = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "HPND", "ISC",
        "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
    }
)  # fmt: skip
"""SPDX identifiers that may be needed at run time: they bind no product that embeds the device."""

_SPDX: Final = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "python software foundation license": "PSF-2.0",
}
"""Names that packages write instead of an SPDX identifier, where only one can be meant."""
_READ: Final = {("reportlab", "5.1.0"): "BSD-3-Clause"}
"""Packages whose words leave the licence open: what the licence file of that version says, read by
a person; another version is to be read again."""
_LONGEST_NAME: Final = 60
"""Characters: a longer `License` field is the text of a licence, not its name."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What a package states; `spdx` is None where its words are no SPDX expression."""

    stated: str
    spdx: str | None


def of_package(package: Pinned) -> Licence | None:
    """Read the licence of an installed package; None where that version is not installed."""
    try:
        stated = metadata.metadata(package.name)
    except metadata.PackageNotFoundError:
        return None
    if stated["Version"] != package.version:
        return None
    found, read = _from_metadata(stated), _READ.get((package.name, package.version))
    if found is not None and found.spdx is None and read is not None:
        return Licence(found.stated, read)
    return found


def _from_metadata(stated: Any) -> Licence | None:  # noqa: ANN401  # importlib's message type
    """Take the expression, else the name, else the classifier."""
    names = [stated.get("License-Expression"), stated.get("License")]
    names += [
        classifier.rpartition("::")[2]
        for classifier in stated.get_all("Classifier") or ()
        if classifier.startswith("License ::")
    ]
    words = [" ".join(name.split()) for name in names if name and len(name) <= _LONGEST_NAME]
    if not words:
        return None
    for word in words:
        spdx = _SPDX.get(word.lower(), word)
        if _parsed(spdx) is not None:
            return Licence(word, spdx)
    return Licence("; ".join(words), None)


def _parsed(expression: str) -> Any:  # noqa: ANN401  # a node of license_expression
    """Parse an SPDX expression; None where it is none."""
    from license_expression import ExpressionError  # noqa: PLC0415  # an extra

    try:
        return _licensing().parse(expression, validate=True)
    except ExpressionError:
        return None


@cache
def _licensing() -> Any:  # noqa: ANN401  # license_expression's parser
    """Build the parser of SPDX expressions once: it holds all of their licences."""
    from license_expression import get_spdx_licensing  # noqa: PLC0415  # an extra

    return get_spdx_licensing()


def is_permissive(spdx: str) -> bool:
    """Whether all that an expression joins by AND, and one of what it joins by OR, is permitted."""
    parsed = _parsed(spdx)
    return parsed is not None and _permitted(parsed)


def _permitted(node: Any) -> bool:  # noqa: ANN401  # a node of license_expression
    """Judge one node; a licence with an exception is not on the list."""
    if not node.args:
        return str(node) in PERMISSIVE
    combine = all if node.operator.strip() == "AND" else any
    return combine(_permitted(part) for part in node.args)
