"""The Encapsulated PDF: one result as a printable page, for a film read and for one refused."""

from io import BytesIO
from typing import Final
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table
from reportlab.platypus import Image as Picture

from cxr_device.outputs.composite_instance import (
    Making,
    Written,
    begin,
    code_item,
    reference_item,
    written,
)
from cxr_device.outputs.source_study import SourceStudy
from cxr_device.outputs.statement import Statement, printable
from cxr_device.result import Analyzed, Failed, Rejected
from cxr_device.vocabulary import DicomOutput, Flag, Profile

__all__ = ["draw_pdf", "encapsulated_pdf"]

_INK: Final = HexColor("#1b1f24")
_DIM: Final = HexColor("#5b6470")
_RED: Final = HexColor("#b0202a")
_BLUE: Final = HexColor("#144a8a")
_AMBER: Final = HexColor("#9a6700")
_GREEN: Final = HexColor("#1a7f37")
_LINE: Final = HexColor("#d5dae0")
_OUTCOMES: Final = {"pass": _GREEN, "warn": _AMBER, "reject": _RED, "not_run": _DIM}
_MARGIN: Final = 13 * mm
_PADDING: Final = 6
"""Points that a page frame and a table cell keep free at each side."""
_WIDTH: Final = A4[0] - 2 * _MARGIN - 2 * _PADDING
_FILM: Final = 62 * mm
_ALL: Final = ((0, 0), (-1, -1))
"""Every cell of a table."""
_FLUSH: Final = ("LEFTPADDING", *_ALL, 0)


def encapsulated_pdf(
    result: Analyzed | Rejected | Failed,
    statement: Statement,
    study: SourceStudy,
    making: Making,
    *,
    picture: NDArray[np.uint8] | None,
) -> Written:
    """Build the Encapsulated PDF of one film.

    The page names no patient: the object's header does, as its archive needs.

    Parameters
    ----------
    result, statement, study, making
        The result, the same in words, the study to join, and what is new.
    picture : ndarray of uint8, shape (rows, columns), or None
        Display copy of the film, None where none was decoded.

    References
    ----------
    .. [1] PS3.3 A.45.1 (Encapsulated PDF IOD), C.24.2 (Encapsulated Document).
    """
    page = draw_pdf(result, statement, making, picture=picture)
    document = begin(DicomOutput.ENCAPSULATED_PDF, study, making)
    document.AcquisitionDateTime, document.ConversionType = "", "WSD"
    document.BurnedInAnnotation = "NO"  # the page identifies no patient
    document.SourceInstanceSequence = [reference_item(study)]
    document.DocumentTitle = statement.headline
    document.ConceptNameCodeSequence = [code_item("11528-7", "LN", "Radiology Report")]
    document.VerificationFlag = "UNVERIFIED"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(page)
    document.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
    return written(DicomOutput.ENCAPSULATED_PDF, document)


def draw_pdf(
    result: Analyzed | Rejected | Failed,
    statement: Statement,
    making: Making,
    *,
    picture: NDArray[np.uint8] | None,
) -> bytes:
    """Set the page as a PDF: answer, film, every check, identity and limits."""
    buffer = BytesIO()
    device = result.device
    document = SimpleDocTemplate(
        buffer, pagesize=A4, invariant=1, title=statement.headline,
        author=f"{device.name} {device.version}", subject=statement.banner,
        leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN,
    )  # fmt: skip
    document.build(
        [
            _banner(result, statement),
            Spacer(1, 3 * mm),
            *_answer(result, statement, picture),
            Spacer(1, 2 * mm),
            _checks(result),
            Spacer(1, 2 * mm),
            *_foot(result, making),
        ]
    )
    return buffer.getvalue()


def _banner(result: Analyzed | Rejected | Failed, statement: Statement) -> Flowable:
    device = result.device
    colour = _RED if device.profile == Profile.RESEARCH else _BLUE
    text = f"<b>{escape(statement.banner)}</b> | {escape(device.name)} {escape(device.version)}"
    words = _text(f"{text}, {escape(device.claim)}", 10, HexColor("#ffffff"))
    return Table([[words]], [_WIDTH], style=[("BACKGROUND", *_ALL, colour)])


def _answer(
    result: Analyzed | Rejected | Failed, statement: Statement, picture: NDArray[np.uint8] | None
) -> list[Flowable]:
    """Set the answer beside the film; what may be long stands where it can go on the next page."""
    colour = _AMBER
    if isinstance(result, Analyzed):
        colour = _RED if result.decision.flag is Flag.SUSPECTED else _GREEN
    elif isinstance(result, Failed):
        colour = _RED
    words: list[Flowable] = [_text(f"<b>{statement.headline}</b>", 20, colour)]
    words += [_text(f"<b>{escape(reason)}</b>", 10, _INK) for reason in statement.reasons]
    words += [_text(escape(sentence), 10, _INK) for sentence in statement.sentences]
    if picture is not None:
        film = [_film(picture), _text("Display copy.", 8, _DIM)]
        widths = [_FILM + _PADDING, _WIDTH - _FILM - _PADDING]
        words = [Table([[film, words]], widths, style=[("VALIGN", *_ALL, "TOP"), _FLUSH])]
    words += [_text(f"Warning: {escape(told)}", 8, _DIM) for told in statement.warnings]
    return words


def _film(picture: NDArray[np.uint8]) -> Flowable:
    buffer = BytesIO()
    film = Image.fromarray(picture)
    film.thumbnail((900, 900), Image.Resampling.LANCZOS)
    film.save(buffer, "JPEG", quality=85)
    scale = _FILM / max(film.size)
    return Picture(buffer, film.width * scale, film.height * scale)


def _checks(result: Analyzed | Rejected | Failed) -> Flowable:
    """Set every check as a row: outcome, what was found, what is accepted."""
    head = [
        _text(f"<b>{word}</b>", 6.5, _DIM) for word in ("Check", "Outcome", "Found", "Accepted")
    ]
    rows = [
        [
            _text(check.code, 6.5, _INK),
            _text(f"<b>{check.outcome.replace('_', ' ')}</b>", 6.5, _OUTCOMES[check.outcome]),
            _text(escape(printable(check.value)), 6.5, _INK),
            _text(escape(printable(check.accepted)), 6.5, _DIM),
        ]
        for check in result.checks
    ]
    return Table(
        [head, *rows],
        [32 * mm, 14 * mm, 46 * mm, _WIDTH - 92 * mm],
        repeatRows=1,
        style=[
            ("LINEBELOW", *_ALL, 0.4, _LINE),
            ("VALIGN", *_ALL, "TOP"),
            ("TOPPADDING", *_ALL, 0.5),
            ("BOTTOMPADDING", *_ALL, 0.5),
            _FLUSH,
        ],
    )


def _foot(result: Analyzed | Rejected | Failed, making: Making) -> list[Flowable]:
    device, source, label = result.device, result.source, making.release.label
    view = f"{result.view.value} from {result.view.source}" if result.view else "not established"
    lines = (
        f"{label.intended_use} {' '.join(label.limitations)}",
        f"View {view}. Made {making.made_at:%Y-%m-%d %H:%M:%S}.",
        f"SOP Instance UID {source.sop_instance_uid}",
        f"Film SHA-256 {source.sha256}",
        f"Weights SHA-256 {device.weights_sha256}",
        f"Configuration SHA-256 {device.config_sha256}",
        f"Preprocessing SHA-256 {device.preprocessing_sha256}",
    )
    return [_text(escape(printable(line)), 6.5, _DIM) for line in lines]


def _text(markup: str, size: float, colour: HexColor) -> Paragraph:
    style = ParagraphStyle(
        f"{size}", fontName="Helvetica", fontSize=size, leading=1.2 * size, textColor=colour,
        spaceAfter=0.3 * size, splitLongWords=1,
    )  # fmt: skip
    return Paragraph(markup, style)
