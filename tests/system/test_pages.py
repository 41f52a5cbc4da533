"""The pages in a browser: what they show with and without scripts, on screen and on paper."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from builders import dx, pixels, to_bytes
from click.testing import CliRunner
from PIL import Image

from cxr_device.cli import main
from verification import verifies

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed")
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a folder: two films, a lateral, no DICOM, an unreadable one below a folder."""
    films = tmp_path_factory.mktemp("films")
    (films / "1_film.dcm").write_bytes(to_bytes(dx(PatientName="Planted^Name")))
    (films / "2_clear.dcm").write_bytes(to_bytes(dx(pixels(opacity=False))))
    (films / "3_lateral.dcm").write_bytes(to_bytes(dx(ViewPosition="LL", Modality="CT")))
    (films / "a & b").mkdir()
    (films / "a & b/4_text.txt").write_text("not DICOM")
    out = tmp_path_factory.mktemp("results")
    done = CliRunner().invoke(main, ["read", str(films), "--out", str(out)])
    assert done.exit_code == 4
    return out


def of(run: Path, name: str) -> Path:
    """The report of one film."""
    (folder,) = run.glob(f"{name}-*")
    return folder / "report.html"


def chromium(browser: str, page: Path, tmp_path: Path, *options: str) -> str:
    """Open a page in headless Chromium; returns what it printed."""
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--virtual-time-budget=2000", f"--user-data-dir={tmp_path}/profile", *options,
        page.resolve().as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    assert done.returncode == 0, done.stderr[-800:]
    return done.stdout


def probed(browser: str, page: Path, tmp_path: Path, script: str) -> list[str]:
    """What `script` (an expression giving an array) sees in a page, its own policy lifted."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    probe = f"<script>document.title=JSON.stringify({script})</script>"
    (tmp_path / "probe.html").write_text(text.replace("</body>", probe + "</body>"), "utf-8")
    dom = chromium(browser, tmp_path / "probe.html", tmp_path, "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title, dom[:400]
    return [str(value) for value in json.loads(title[1])]


@verifies("SRS-230@3505fbb4", "RC-230@3a7d10b8", level="system")
def test_without_scripts_the_page_shows_film_and_answer(
    browser: str, run: Path, tmp_path: Path
) -> None:
    source = of(run, "1_film")
    text, changed = re.subn(
        r"script-src 'sha256-[^']+'", "script-src 'none'", source.read_text(encoding="utf-8")
    )
    assert changed == 1
    page, shot = tmp_path / "page.html", tmp_path / "shot.png"
    page.write_text(text, encoding="utf-8")
    chromium(browser, page, tmp_path, "--window-size=1280,1400", f"--screenshot={shot}")
    grey = np.asarray(Image.open(shot).convert("L"), dtype=np.float64)
    film, answer = grey[150:600, 80:600], grey[100:330, 680:1200]
    assert film.std() > 25  # the phantom: dark lungs, bright heart
    assert 0.02 < (answer < 160).mean() < 0.5  # words and a bar on a light page
    dom = chromium(browser, page, tmp_path, "--dump-dom")
    assert (
        '<form class="tools" hidden' in dom
    )  # sliders that could not work; the script did not run
    words = re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", dom, flags=re.DOTALL)
    entry = json.loads((source.parent / "result.json").read_text(encoding="utf-8"))
    assert "Pneumonia suspected" in words or "Pneumonia not suspected" in words
    assert f"Calibrated probability {entry['finding']['probability']:.3f}" in words
    assert f"threshold {entry['finding']['operating_point']['threshold']:.3f}" in words
    assert all(check["code"] in words for check in entry["checks"])


@verifies("SRS-230@3505fbb4", "RC-230@3a7d10b8", level="system")
def test_a_script_put_into_the_page_does_not_run(browser: str, run: Path, tmp_path: Path) -> None:
    text = of(run, "1_film").read_text(encoding="utf-8")
    planted = "<script>document.title='planted'</script>"
    (tmp_path / "page.html").write_text(text.replace("</body>", planted + "</body>"), "utf-8")
    dom = chromium(browser, tmp_path / "page.html", tmp_path, "--dump-dom")
    assert "<title>planted</title>" not in dom
    assert re.search(r'<form class="tools"(?! hidden)', dom)  # the page's own script did


@verifies("SRS-231@56e224fa", level="system")
def test_width_level_and_inversion_map_the_greys(browser: str, run: Path, tmp_path: Path) -> None:
    script = """(() => {
      const say = [], e = tools.elements, f = document.querySelector('#window *').children[0];
      const now = () => say.push(+(+f.getAttribute('slope')).toFixed(6),
                                 +(+f.getAttribute('intercept')).toFixed(6));
      now();
      e.width.value = 50; e.level.value = 40; e.width.dispatchEvent(new Event('input',
        {bubbles: true})); now();
      e.invert.checked = true; e.invert.dispatchEvent(new Event('input', {bubbles: true})); now();
      say.push(getComputedStyle(document.querySelector('.stack img')).filter);
      return say;})()"""
    found = probed(browser, of(run, "1_film"), tmp_path, script)
    assert [float(value) for value in found[:6]] == [1, 0, 2, -0.3, -2, 1.3]
    assert "#window" in found[6]


@verifies("SRS-236@b66621e7", level="system")
def test_the_opacity_slider_fades_the_map(browser: str, tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(to_bytes(dx()))
    command = ["read", str(tmp_path / "film.dcm"), "--out", str(tmp_path), "--profile", "research"]
    assert CliRunner().invoke(main, command).exit_code == 0
    script = """(() => {
      const say = [], map = document.querySelector('.map'), slider = tools.elements.opacity;
      say.push(getComputedStyle(map).opacity);
      slider.value = 0; slider.dispatchEvent(new Event('input', {bubbles: true}));
      say.push(getComputedStyle(map).opacity, map.naturalWidth > 0 && map.naturalHeight > 0);
      return say;})()"""
    found = probed(browser, of(tmp_path, "film"), tmp_path, script)
    assert found == ["0.45", "0", "True"]


@verifies("SRS-233@41d15859", level="system")
@pytest.mark.parametrize("name", ["1_film", "3_lateral", "4_text"])
def test_a_report_prints_on_one_page(browser: str, run: Path, tmp_path: Path, name: str) -> None:
    counter = shutil.which("pdfinfo")
    if counter is None:
        pytest.skip("poppler-utils is not installed")
    printed = tmp_path / "report.pdf"
    chromium(
        browser, of(run, name), tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={printed}"
    )
    told = subprocess.run([counter, printed], capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert re.search(r"^Pages: +1$", told, re.MULTILINE), told
    assert re.search(r"^Page size: +59\d\.?\d* x 84\d", told, re.MULTILINE), told


@verifies("SRS-233@41d15859", level="system")
@pytest.mark.parametrize(("scheme", "low", "high"), [("1", 240, 255), ("0", 0, 40)])
def test_the_page_follows_light_and_dark(  # noqa: PLR0913, PLR0917
    browser: str, run: Path, tmp_path: Path, scheme: str, low: int, high: int
) -> None:
    for page in (of(run, "1_film"), run / "index.html"):
        shot = tmp_path / "shot.png"
        chromium(
            browser, page, tmp_path, f"--blink-settings=preferredColorScheme={scheme}",
            "--window-size=1280,900", f"--screenshot={shot}",
        )  # fmt: skip
        corner = np.asarray(Image.open(shot).convert("L"))[:10, :10]
        assert low <= corner.min() <= corner.max() <= high


@verifies("SRS-234@d5f006d9", "RC-234@945cce00", level="system")
def test_the_index_lists_every_film_and_filters(browser: str, run: Path, tmp_path: Path) -> None:
    script = """(() => {
      const shown = () => [...document.querySelectorAll('ol li')]
        .filter(c => getComputedStyle(c).display !== 'none')
        .map(c => c.querySelector('.name').textContent.split('/').pop()).join(' ');
      const say = [shown()];
      for (const id of ['rejected', 'failed', 'all']) {
        document.querySelector(`label[for=${id}]`).click(); say.push(shown());
      }
      return say;})()"""
    page = run / "index.html"
    everything = "1_film.dcm 2_clear.dcm 3_lateral.dcm 4_text.txt"
    assert probed(browser, page, tmp_path, script) == [
        everything, "3_lateral.dcm", "4_text.txt", everything,
    ]  # fmt: skip
    text = page.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"]+)"', text)
    assert [(run / link).is_file() for link in links] == [True] * 4
    assert "Planted" not in text


@verifies("SRS-234@d5f006d9", "RC-234@945cce00", level="system")
def test_one_file_gives_no_index(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(to_bytes(dx()))
    done = CliRunner().invoke(
        main, ["read", str(tmp_path / "film.dcm"), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0
    assert not (tmp_path / "out/index.html").exists()


@verifies("SRS-234@d5f006d9", "SRS-150@17d39870", level="system")
def test_an_index_that_cannot_be_written_is_exit_6(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/film.dcm").write_bytes(to_bytes(dx()))
    (tmp_path / "out/index.html").mkdir(parents=True)
    done = CliRunner().invoke(main, ["read", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 6
    assert "OUTPUT" in done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir() if p.name.endswith(".part")] == []
