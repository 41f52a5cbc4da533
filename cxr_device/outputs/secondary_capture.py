"""The Secondary Capture: the result page as a colour picture that every viewer opens.

Under the triage claim nothing is marked on the film. Under the research profile the activation map
is drawn over it, below a burnt-in banner that says that this is not the device.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cxr_device.errors import ClaimError
from cxr_device.explanation import ActivationMap
from cxr_device.outputs.activation_picture import draw_map, legend
from cxr_device.outputs.composite_instance import (
    Making,
    Written,
    begin,
    code_item,
    reference_item,
    written,
)
from cxr_device.outputs.source_study import SourceStudy
from cxr_device.outputs.statement import Statement
from cxr_device.result import Analyzed
from cxr_device.vocabulary import DicomOutput, Flag, Profile

__all__ = ["draw_page", "secondary_capture"]

_WIDTH: Final = 1600
_HEIGHT: Final = 1000
"""Pixels of the page; one with many warnings is taller."""
_MARGIN: Final = 28
_BANNER: Final = 56
_FILM: Final = 880
"""Pixels of the square that the film is fitted into."""
_OPACITY: Final = 0.5
"""Of the activation map's densest cell; the film stays visible under it."""
_PAGE: Final = "#10141a"
_INK: Final = "#e8edf3"
_DIM: Final = "#9aa4af"
_RED: Final = "#b0202a"
_BLUE: Final = "#144a8a"
_SUSPECTED: Final = "#ff7b72"
_NOT_SUSPECTED: Final = "#78c88c"
_LINE: Final = "#3a424c"


def secondary_capture(  # noqa: PLR0913  # two of them are pictures
    result: Analyzed,
    statement: Statement,
    study: SourceStudy,
    making: Making,
    *,
    picture: NDArray[np.uint8],
    activation: ActivationMap | None = None,
) -> Written:
    """Build the Secondary Capture of a film that was read.

    Parameters
    ----------
    result : Analyzed
        The result; a refused film has no page, its report says why.
    statement : Statement
        The result in words.
    study : SourceStudy
        The study that the picture joins.
    making : Making
        Device, time and new UIDs.
    picture : ndarray of uint8, shape (rows, columns)
        Display copy of the film.
    activation : ActivationMap or None
        Drawn over the film; the research profile alone has one.

    Raises
    ------
    ClaimError
        `activation` was given for a result of another profile.

    References
    ----------
    .. [1] PS3.3 A.8.1 (Secondary Capture Image IOD), C.7.6.3 (Image Pixel), C.8.6.
    """
    page = draw_page(result, statement, picture=picture, activation=activation)
    capture = begin(DicomOutput.SECONDARY_CAPTURE, study, making)
    capture.ImageType, capture.ConversionType = ["DERIVED", "SECONDARY"], "WSD"
    capture.DateOfSecondaryCapture = capture.ContentDate
    capture.TimeOfSecondaryCapture = capture.ContentTime
    # Laterality is required of a paired body part; the chest has none (PS3.3 C.7.3.1).
    capture.BodyPartExamined, capture.PatientOrientation = "CHEST", ""
    capture.BurnedInAnnotation = "YES"  # text stands in the pixels, though no patient's
    capture.DerivationDescription = statement.banner
    source = reference_item(study)
    source.PurposeOfReferenceCodeSequence = [
        code_item("121322", "DCM", "Source image for image processing operation")
    ]
    capture.SourceImageSequence = [source]
    capture.SamplesPerPixel, capture.PhotometricInterpretation = 3, "RGB"
    capture.PlanarConfiguration, capture.PixelRepresentation = 0, 0
    capture.Rows, capture.Columns = page.shape[:2]
    capture.BitsAllocated, capture.BitsStored, capture.HighBit = 8, 8, 7
    capture.PixelData = page.tobytes()
    capture["PixelData"].VR = "OB"
    return written(DicomOutput.SECONDARY_CAPTURE, capture)


def draw_page(
    result: Analyzed,
    statement: Statement,
    *,
    picture: NDArray[np.uint8],
    activation: ActivationMap | None = None,
) -> NDArray[np.uint8]:
    """Draw the result page, shape (rows, columns, 3): banner, film, answer, identity."""
    if activation is not None and result.device.profile != Profile.RESEARCH:
        raise ClaimError(result.device.profile)
    page, needed = _drawn(result, statement, picture, activation, height=_HEIGHT)
    if needed > _HEIGHT:
        page, needed = _drawn(result, statement, picture, activation, height=needed)
    return np.asarray(page, dtype=np.uint8)


def _drawn(
    result: Analyzed,
    statement: Statement,
    picture: NDArray[np.uint8],
    activation: ActivationMap | None,
    *,
    height: int,
) -> tuple[Image.Image, int]:
    """Draw the page `height` pixels tall; also returns the height that its text needs."""
    page = Image.new("RGB", (_WIDTH, height), _PAGE)
    pen = ImageDraw.Draw(page)
    device = result.device
    research = device.profile == Profile.RESEARCH
    pen.rectangle((0, 0, _WIDTH, _BANNER), fill=_RED if research else _BLUE)
    heading = f"{statement.banner}   |   {device.name} {device.version}, {device.claim}"
    pen.text((_WIDTH / 2, _BANNER / 2), heading, _INK, _font(26), anchor="mm")
    film = Image.fromarray(picture)
    film.thumbnail((_FILM, _FILM), Image.Resampling.LANCZOS)
    page.paste(film.convert("RGB"), (_MARGIN, _BANNER + _MARGIN))
    if activation is not None:
        drawn = draw_map(activation, columns=film.width, rows=film.height).resize(film.size)
        drawn.putalpha(drawn.getchannel("A").point(lambda alpha: round(_OPACITY * alpha)))
        page.paste(drawn, (_MARGIN, _BANNER + _MARGIN), drawn)
    caption = "Display copy of the film. Not for diagnosis."
    pen.text((_MARGIN, _BANNER + _MARGIN + film.height + 6), caption, _DIM, _font(18))
    left = _MARGIN + _FILM + 2 * _MARGIN
    column = _Column(pen, left, _BANNER + _MARGIN, _WIDTH - _MARGIN - left)
    suspected = result.decision.flag is Flag.SUSPECTED
    column.write(statement.headline, 44, _SUSPECTED if suspected else _NOT_SUSPECTED, 18)
    column.bar(
        result.decision.probability,
        result.decision.operating_point.threshold,
        _SUSPECTED if suspected else _NOT_SUSPECTED,
    )
    for sentence in statement.sentences:
        column.write(sentence, 22, _INK, 12)
    if result.view is not None:
        column.write(f"View {result.view.value}, from {result.view.source}.", 20, _DIM, 12)
    if activation is not None:
        column.write(legend(activation), 18, _DIM, 12)
    for warning in statement.warnings:
        column.write(f"Warning: {warning}", 18, _DIM, 4)
    foot = (
        f"Weights SHA-256 {device.weights_sha256}",
        f"Configuration SHA-256 {device.config_sha256}",
        f"Film SHA-256 {result.source.sha256}",
    )
    column.top = max(column.top + 12, height - 196)
    for line in foot:
        column.write(line, 15, _DIM, 8)
    return page, round(column.top) + _MARGIN


class _Column:
    """Text set from the top down in a column of the page."""

    def __init__(self, pen: ImageDraw.ImageDraw, left: float, top: float, width: float) -> None:
        self._pen, self._left, self._width = pen, left, width
        self.top = top

    def write(self, text: str, size: int, colour: str, gap: int) -> None:
        """Set one paragraph, its lines broken at the column's width, then a gap."""
        font = _font(size)
        for line in _broken(text, font, self._width):
            self._pen.text((self._left, self.top), line, colour, font)
            self.top += 1.25 * size
        self.top += gap

    def bar(self, share: float, threshold: float, colour: str) -> None:
        """Draw the probability as a bar, with a stroke at the threshold."""
        left, top, height = self._left, self.top, 16
        self._pen.rectangle((left, top, left + self._width, top + height), fill=_LINE)
        self._pen.rectangle((left, top, left + share * self._width, top + height), fill=colour)
        at = left + threshold * self._width
        self._pen.line((at, top - 6, at, top + height + 6), fill=_INK, width=3)
        self._pen.text((at, top + height + 10), f"threshold {threshold:.3f}", _DIM, _font(17), "ma")
        self.top += height + 48


def _broken(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break a text into lines no wider than `width` pixels; a longer word is cut."""
    lines, line = [], ""
    for whole in text.split():
        word = whole
        while word:
            joined = f"{line} {word}" if line else word
            if font.getlength(joined) <= width:
                line, word = joined, ""
            elif line:
                lines.append(line)
                line = ""
            else:
                fits = next(n for n in range(len(word), 0, -1) if font.getlength(word[:n]) <= width)
                lines.append(word[:fits])
                word = word[fits:]
    return [*lines, line] if line else lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        message = "Pillow was built without FreeType: install a wheel of Pillow"
        raise TypeError(message)
    return font
