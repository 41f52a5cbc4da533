"use strict";
const tools = document.querySelector(".tools"), film = document.querySelector(".stack");
if (tools && film) {
  const { width, level, invert, opacity } = tools.elements;
  const say = (slider) => { slider.nextElementSibling.value = `${slider.value} %`; };
  const show = () => {
    const slope = (invert.checked ? -100 : 100) / width.value;
    for (const channel of document.querySelectorAll("#window *")) {
      if (channel.localName.startsWith("feFunc")) {
        channel.setAttribute("slope", slope);
        channel.setAttribute("intercept", 0.5 - slope * level.value / 100);
      }
    }
    [width, level].forEach(say);
    if (opacity) {
      say(opacity);
      document.querySelector(".map").style.opacity = opacity.value / 100;
    }
  };
  let from = null;
  film.addEventListener("pointerdown", (e) => {
    from = { x: e.clientX, y: e.clientY, width: +width.value, level: +level.value };
    film.setPointerCapture(e.pointerId);
    e.preventDefault();
  });
  film.addEventListener("pointermove", (e) => {
    if (from) {
      width.value = from.width + (e.clientX - from.x) / 4;
      level.value = from.level + (e.clientY - from.y) / 4;
      show();
    }
  });
  film.addEventListener("pointerup", () => { from = null; });
  film.addEventListener("pointercancel", () => { from = null; });
  tools.addEventListener("input", show);
  tools.addEventListener("reset", () => setTimeout(show));
  tools.hidden = false;
  show();
}
