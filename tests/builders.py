"""Builders: films made by code, each a conformant DX instance in which a test changes one thing."""

from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from cxr_device.intake import receive
from cxr_device.phantom import draw
from cxr_device.radiograph import Radiograph
from cxr_device.release import Release

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
UID_ROOT = "1.2.826.0.1.3680043.10.1559"
JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS, J2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
RLE = str(RLELossless)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def pixels(*, opacity: bool = True, side: int = 1024, seed: int = 7) -> NDArray[np.uint16]:
    """Stored values of the phantom, 12 bits."""
    return draw(opacity=opacity, rng=np.random.default_rng(seed), side=side)


def dx(
    frame: NDArray[Any] | None = None, /, *, bits_stored: int = 12, **changes: Any
) -> FileDataset:
    """A conformant DX For Presentation instance; `changes` set keywords, None deletes one."""
    frame = pixels() if frame is None else frame
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = DX, f"{UID_ROOT}.3"
    film.StudyInstanceUID, film.SeriesInstanceUID = f"{UID_ROOT}.1", f"{UID_ROOT}.2"
    film.StudyID, film.SeriesNumber, film.InstanceNumber, film.AccessionNumber = "1", 1, 1, ""
    film.StudyDate, film.StudyTime, film.ReferringPhysicianName = "20260101", "120000", ""
    film.ContentDate, film.ContentTime = "20260101", "120000"
    film.PatientName, film.PatientID = "Phantom^Chest", "PHANTOM-1"
    film.PatientBirthDate, film.PatientSex, film.PatientAge = "", "O", "045Y"
    film.Manufacturer, film.ManufacturerModelName = "cxr phantom", "procedural"
    film.Modality, film.PresentationIntentType = "DX", "FOR PRESENTATION"
    film.ImageType = ["ORIGINAL", "PRIMARY", ""]
    film.BodyPartExamined, film.ViewPosition = "CHEST", "PA"
    film.AnatomicRegionSequence = [code("816094009", "SCT", "Chest")]
    film.ViewCodeSequence = [code("272479007", "SCT", "Postero-anterior")]
    film.ViewCodeSequence[0].ViewModifierCodeSequence = []
    film.ImageLaterality, film.PatientOrientation = "U", ["L", "F"]
    film.PositionerType, film.DetectorType, film.BurnedInAnnotation = "NONE", "DIRECT", "NO"
    film.AcquisitionContextSequence = []
    film.ImagerPixelSpacing, film.LossyImageCompression = [0.35, 0.35], "00"
    film.PixelIntensityRelationship, film.PixelIntensityRelationshipSign = "LOG", -1
    film.RescaleIntercept, film.RescaleSlope, film.RescaleType = 0, 1, "US"
    film.PhotometricInterpretation, film.PresentationLUTShape = "MONOCHROME2", "IDENTITY"
    film.SamplesPerPixel, film.PixelRepresentation = 1, 0
    film.Rows, film.Columns = frame.shape
    film.BitsAllocated = 8 * frame.dtype.itemsize
    film.BitsStored, film.HighBit = bits_stored, bits_stored - 1
    film.PixelData = frame.tobytes()
    film["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        if value is None:
            del film[keyword]
        else:
            setattr(film, keyword, value)
    return film


def to_bytes(film: FileDataset) -> bytes:
    """Serialize as a Part 10 file."""
    buffer = BytesIO()
    film.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def compressed(film: FileDataset, syntax: str) -> FileDataset:
    """The same film in another transfer syntax, encoded by imagecodecs (RLE by pydicom)."""
    frame, bits = film.pixel_array, int(film.BitsStored)
    encode = {
        JPEG_BASELINE: lambda: imagecodecs.jpeg8_encode(frame, level=90),
        JPEG_EXTENDED: lambda: imagecodecs.jpeg8_encode(frame, level=90, bitspersample=bits),
        JPEG_LOSSLESS: lambda: imagecodecs.ljpeg_encode(frame, bitspersample=bits),
        JPEG_LOSSLESS_SV1: lambda: imagecodecs.jpeg8_encode(
            frame, lossless=True, predictor=1, bitspersample=bits
        ),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(frame),
        JPEG_LS_NEAR: lambda: imagecodecs.jpegls_encode(frame, level=2),
        J2K_LOSSLESS: lambda: imagecodecs.jpeg2k_encode(
            frame, level=0, codecformat="J2K", bitspersample=bits
        ),
        J2K: lambda: imagecodecs.jpeg2k_encode(
            frame, level=60, codecformat="J2K", bitspersample=bits, reversible=False
        ),
    }
    if syntax == RLE:
        packed = dcmread(BytesIO(to_bytes(film)))
        packed.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        return packed
    stream = encode[syntax]()
    copy = FileDataset("", film, file_meta=FileMetaDataset(film.file_meta), preamble=b"\0" * 128)
    copy.file_meta.TransferSyntaxUID = UID(syntax)
    copy.PixelData = encapsulate([bytes(stream)])
    copy["PixelData"].VR = "OB"
    return copy


@cache
def _header() -> Radiograph:
    film = receive(to_bytes(dx()), Release.load().label).radiograph
    assert film is not None
    return film


def radiograph(**changes: Any) -> Radiograph:
    """The header of a conformant film, with fields changed."""
    return replace(_header(), **changes)


def splice(film: FileDataset, element: bytes, before: bytes = b"\x10\x00\x10\x00PN") -> bytes:
    """The film's bytes with raw bytes put in before an element (PatientName)."""
    data = to_bytes(film)
    at = data.index(before)
    return data[:at] + element + data[at:]


def run_lengths(*segments: bytes, count: int | None = None) -> bytes:
    """Write an RLE frame (PS3.5 annex G) of packed segments; `count` is the number it states."""
    offsets = [64 + sum(map(len, segments[:at])) for at in range(len(segments))]
    words = [len(segments) if count is None else count, *offsets, *[0] * (15 - len(segments))]
    return b"".join(word.to_bytes(4, "little") for word in words) + b"".join(segments)


def nested(depth: int) -> bytes:
    """A film with `depth` sequences, each inside the one before (undefined lengths)."""
    opening = b"\x08\x00\x40\x11SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    closing = b"\xfe\xff\x0d\xe0" + b"\0" * 4 + b"\xfe\xff\xdd\xe0" + b"\0" * 4
    return splice(dx(), opening * depth + closing * depth)
