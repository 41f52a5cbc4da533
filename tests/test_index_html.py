"""The page of a run: a card for every film, its answer, its reasons, and a filter of answers."""

import base64
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answers import CHILD, LATERAL, PASSED, WARNED, analyzed, failed, rejected, release
from PIL import Image

from cxr_device.outputs.index_html import card, index
from cxr_device.outputs.json_record import WrittenOutput, record
from cxr_device.result import Analyzed, Failed, Rejected
from cxr_device.vocabulary import CheckCode, Outcome
from verification import verifies

RUN = Path("out")


def entry_of(result: Analyzed | Rejected | Failed, *outputs: WrittenOutput) -> dict[str, Any]:
    return record(result, outputs)


def html_of(result: Analyzed | Rejected | Failed) -> str:
    return card(entry_of(result), picture=None, below=RUN).html


@verifies("SRS-234@d5f006d9", "RC-234@945cce00")
@pytest.mark.parametrize(
    ("result", "answer", "words"),
    [
        (analyzed(0.8), "suspected", "Pneumonia suspected"),
        (analyzed(0.1), "not_suspected", "Pneumonia not suspected"),
        (rejected(), "rejected", "Not analysed"),
        (failed(), "failed", "Not readable"),
    ],
)
def test_a_card_has_the_answer_of_its_record(
    result: Analyzed | Rejected | Failed, answer: str, words: str
) -> None:
    made = card(entry_of(result), picture=None, below=RUN)
    assert made.answer == answer
    assert made.html.startswith(f'<li class="{answer}">')
    assert f"<b>{words}</b>" in made.html
    assert "not read, so not shown" in made.html


@verifies("SRS-234@d5f006d9", "RC-234@945cce00")
def test_an_answer_shows_its_numbers_and_how_many_warnings_it_has() -> None:
    assert "probability 0.800, threshold 0.250</p>" in html_of(analyzed(0.8, PASSED))
    warned = (CheckCode.BITS, Outcome.WARN, "8", "8 bits")
    assert "threshold 0.250, 2 warnings</p>" in html_of(analyzed(0.8, PASSED, WARNED, warned))


@verifies("SRS-234@d5f006d9", "RC-234@945cce00")
def test_a_refusal_shows_each_check_that_stopped_it_and_no_other() -> None:
    told = html_of(rejected(PASSED, WARNED, LATERAL, CHILD))
    assert re.findall(r"<code>(\w+)</code> ([^<]*)</p>", told) == [
        ("VIEW", "the film is lateral (LL)"),
        ("AGE", "the patient is too young (12 years)"),
    ]
    odd = (CheckCode.BODY_PART, Outcome.REJECT, "<b>&", "not <i>")
    assert "not &lt;i&gt; (&lt;b&gt;&amp;)" in html_of(rejected(odd))


@verifies("SRS-234@d5f006d9", "RC-234@945cce00")
def test_a_card_is_linked_to_its_report_below_the_folder() -> None:
    page = WrittenOutput(
        kind="report_html", path="out/a film-1/report.html", sha256="", sop_instance_uid=None
    )
    other = WrittenOutput(
        kind="result_json", path="out/a film-1/result.json", sha256="", sop_instance_uid=None
    )
    made = card(entry_of(analyzed(), other, page), picture=None, below=RUN)
    assert re.findall('href="([^"]*)"', made.html) == ["a%20film-1/report.html"]
    assert "href" not in html_of(analyzed())


@verifies("SRS-234@d5f006d9")
def test_a_card_names_its_film_by_folder_and_file() -> None:
    entry = entry_of(analyzed())
    for path, name in (
        ("/archive/2025/<ward>/chest.dcm", "&lt;ward&gt;/chest.dcm"), ("chest.dcm", "chest.dcm"),
        (None, "film"),
    ):  # fmt: skip
        entry["source"]["path"] = path
        made = card(entry, picture=None, below=RUN)
        assert f'<span class="name">{name}</span>' in made.html


@verifies("SRS-234@d5f006d9")
def test_a_card_shows_a_small_copy_of_its_film() -> None:
    film = np.tile(np.linspace(0, 255, 1000).astype(np.uint8), (500, 1))
    made = card(entry_of(analyzed()), picture=film, below=RUN)
    (data,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', made.html)
    shown = Image.open(BytesIO(base64.b64decode(data)))
    assert shown.size == (200, 100)
    assert 'width="200" height="100"' in made.html
    assert np.abs(np.asarray(shown).astype(int)[50] - film[0, 2::5]).max() <= 4
    assert "not shown" not in made.html


@verifies("SRS-234@d5f006d9", "RC-234@945cce00")
def test_the_page_has_every_card_in_its_order_and_counts_each_answer() -> None:
    results = [rejected(), analyzed(0.8), rejected(CHILD), analyzed(0.1)]
    cards = [card(entry_of(result), picture=None, below=RUN) for result in results]  # type: ignore[arg-type]
    page = index(cards, release(), research=False)
    assert page.startswith("<!doctype html>")
    assert f"<ol>{''.join(each.html for each in cards)}</ol>" in page
    labels = re.findall(r'<label for="(\w+)">([\w ]+) <b>(\d+)</b></label>', page)
    assert labels == [
        ("all", "All films", "4"), ("suspected", "Pneumonia suspected", "1"),
        ("not_suspected", "Pneumonia not suspected", "1"), ("rejected", "Not analysed", "2"),
        ("failed", "Not readable", "0"),
    ]  # fmt: skip
    radios = re.findall(
        r'<input class="choice" type="radio" name="answer" id="(\w+)"( c\w+)?>', page
    )
    assert [name for name, _ in radios] == [name for name, _, _ in labels]
    assert [name for name, chosen in radios if chosen] == ["all"]
    for name in ("suspected", "not_suspected", "rejected", "failed"):
        assert f"#{name}:checked~ol li:not(.{name}){{display:none}}" in page
    assert "#all:checked~ol" not in page
    assert f"cxr_device {release().version}: 4 films of one run" in page
    assert "A film without a flag is not a normal film" in page


@verifies("SRS-234@d5f006d9", "SRS-155@5e9e6fbd", "RC-155@66076a19")
def test_the_page_of_a_research_run_says_that_it_is_not_the_device() -> None:
    assert "not the device" in index([], release(), research=True)
    assert "not the device" not in index([], release(), research=False)


@verifies("SRS-234@d5f006d9")
def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = index([], release(), research=False)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in page
    assert "<script" not in page
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    assert ".why" in style
