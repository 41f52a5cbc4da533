"""The report of one film and the page of a run, as text."""

import base64
import json
import re
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from builders import dx, to_bytes
from PIL import Image

from cxr_device import Device
from cxr_device.outputs.index_html import card, index
from cxr_device.outputs.json_record import record
from cxr_device.outputs.report_html import report
from cxr_device.outputs.roc_figure import roc_figure
from cxr_device.release import PACKAGE
from verification import verifies

CARD = PACKAGE / "weights/card.json"


def with_curve(folder: Path) -> Path:
    """The package's card with a curve through known points."""
    found = json.loads(CARD.read_text(encoding="utf-8"))
    found["roc"] = [
        {
            "split": "tune", "endpoint": "three <findings>", "films": 964, "positives": 242,
            "false_positive_rate": [0.0, 0.25, 1.0], "sensitivity": [0.0, 0.75, 1.0],
            "operating_point": {
                "sensitivity": {"estimate": 0.75, "lower": 0.70, "upper": 0.80},
                "specificity": {"estimate": 0.75, "lower": 0.65, "upper": 0.85},
            },
        }
    ]  # fmt: skip
    path = folder / "card.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


@verifies("SRS-232@939386d8", level="integration")
def test_the_curve_that_the_card_s_figures_write_is_drawn(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas", reason="the extra validation is not installed")
    from validation.model_card import roc_record  # noqa: PLC0415

    cases = pd.DataFrame(
        {
            "score": [0.1, 0.4, 0.35, 0.8], "flag": [False, True, False, True],
            "patient_id": ["a", "b", "c", "d"],
        }
    )  # fmt: skip
    curve = roc_record(cases, np.array([False, False, True, True]), split="test", endpoint="e")
    # scikit-learn's example of roc_curve: (0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)
    assert curve["false_positive_rate"] == [0.0, 0.0, 0.5, 0.5, 1.0]
    assert curve["sensitivity"] == [0.0, 0.5, 0.5, 1.0, 1.0]
    found = json.loads(CARD.read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps({**found, "roc": [curve]}), encoding="utf-8")
    drawn = roc_figure(tmp_path / "card.json")
    assert 'points="34.0,208.0 34.0,108.0 134.0,108.0 134.0,8.0 234.0,8.0"' in drawn
    assert "4 films, 2 positive" in drawn


@verifies("SRS-232@939386d8", level="integration")
def test_the_operating_point_lies_on_the_card_s_curve(tmp_path: Path) -> None:
    drawn = roc_figure(with_curve(tmp_path))
    # The unit square: left 34, top 8, side 200 units.
    assert 'points="34.0,208.0 84.0,58.0 234.0,8.0"' in drawn
    assert 'cx="84.0" cy="58.0"' in drawn
    assert 'd="M64.0 58.0H104.0M84.0 48.0V68.0"' in drawn
    assert "964 films, 242 positive" in drawn
    assert "sensitivity 0.75 [0.70, 0.80], specificity 0.75 [0.65, 0.85]" in drawn
    assert "three &lt;findings&gt;" in drawn


@verifies("SRS-232@939386d8", level="integration")
def test_the_card_of_this_release_gives_the_point(device: Device) -> None:
    point = json.loads(CARD.read_text(encoding="utf-8"))["operating_point"]
    x = 34 + 200 * (1 - point["specificity"]["estimate"])
    y = 8 + 200 * (1 - point["sensitivity"]["estimate"])
    page = report(device.read(to_bytes(dx())), device.release, picture=None)
    assert f'cx="{x:.1f}" cy="{y:.1f}"' in page
    refused = report(device.read(to_bytes(dx(Modality="CT"))), device.release, picture=None)
    assert "<circle" not in refused


@verifies("SRS-232@939386d8", level="integration")
@pytest.mark.parametrize(
    "damage",
    [
        b"", b"{", b"[]", b'{"operating_point": {"endpoint": "e"}}',
        CARD.read_bytes().replace(b'"estimate": 0.80', b'"estimate": 1.80'),
    ],
)  # fmt: skip
def test_a_damaged_card_holds_no_report_back(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    assert roc_figure(path) == ""
    path.write_bytes(damage)
    assert roc_figure(path) == ""


@verifies("SRS-230@3505fbb4", "RC-230@3a7d10b8", level="integration")
def test_the_page_names_its_one_script_by_digest(device: Device) -> None:
    result = device.read(to_bytes(dx()))
    page = report(result, device.release, picture=device.picture(result))
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src "
    assert f"{policy}'sha256-{digest}'" in page
    assert page.count("<script") == 1


@verifies("SRS-178@5aa37ec3", "RC-178@72e47793", level="integration")
def test_the_triage_page_shows_the_display_copy_and_nothing_over_it(device: Device) -> None:
    result = device.read(to_bytes(dx()))
    picture = device.picture(result)
    assert picture is not None
    page = report(result, device.release, picture=picture)
    (figure,) = re.findall(r'<figure class="film-box">(.*?)</figure>', page, re.DOTALL)
    assert figure.count("<img") == page.count("<img") == 1
    assert "<svg" not in figure
    assert "<canvas" not in page
    assert 'class="map"' not in page
    assert 'name="opacity"' not in page
    (data,) = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(data))), dtype=np.int16)
    assert np.abs(shown - picture).max() <= 24  # JPEG, quality 92, of a noisy phantom
    assert np.abs(shown - picture).mean() < 2


@verifies("SRS-234@d5f006d9", "RC-234@945cce00", level="integration")
def test_the_index_has_a_card_for_every_answer(device: Device, tmp_path: Path) -> None:
    data = to_bytes(dx()).replace(b"CS\x06\x00CHEST ", b"CS\x06\x00<B>XY ")
    entries = [record(device.read(d)) for d in (to_bytes(dx()), data, b"no film")]
    cards = [card(entry, picture=None, below=tmp_path) for entry in entries]
    assert cards[0].answer in ("suspected", "not_suspected")
    assert [c.answer for c in cards[1:]] == ["rejected", "failed"]
    page = index(cards, device.release, research=False)
    assert page.index(cards[0].html) < page.index(cards[1].html) < page.index(cards[2].html)
    assert "All films <b>3</b>" in page
    assert "<B>XY" not in page
    assert "BODY_PART" in cards[1].html
    assert "<script" not in page
    assert "not the device" not in page
    assert "not the device" in index(cards, device.release, research=True)
