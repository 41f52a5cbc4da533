"""The conformance statement, printed from the tables that the code runs on."""

from cxr_device.checks import DESCRIPTIONS
from cxr_device.guards import HEADER_GUARDS
from cxr_device.intake import LOSSLESS, LOSSY
from cxr_device.node import services
from cxr_device.release import Release

__all__ = ["statement"]


def statement(release: Release) -> str:
    """Build the statement as Markdown: identity, transfer syntaxes, and a row for each check."""
    rows = [
        f"| {code} | {found.tag} | {found.accepted_by(release.label)} | {found.otherwise} "
        f"| {found.hazard} | {'header' if code in HEADER_GUARDS else 'file or pixels'} |"
        for code, found in DESCRIPTIONS.items()
    ]
    lossy = "with a warning" if release.label.lossy_accepted else "refused"
    return "\n".join(
        [
            f"# DICOM conformance of {release.name} {release.version}",
            "",
            release.label.intended_use,
            "",
            f"Transfer syntaxes read: {', '.join(sorted(LOSSLESS))}.",
            f"Lossy transfer syntaxes ({lossy}): {', '.join(sorted(LOSSY))}.",
            "",
            "| Code | Tag | Accepted | Otherwise | Hazard | Judged from |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            *services.statement(),
        ]
    )
