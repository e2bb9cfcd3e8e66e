"use strict";
/* Before and after, zoomed and moved in step: a slider between them, side by side, or by turns. */

pumice.viewer = (() => {
  const MOST = 16; // times the size that fits
  const BLINK_MS = 700;
  const place = { zoom: 1, x: 0.5, y: 0.5 }; // the point of the picture that stands in the middle of a pane
  let size = { width: 1, height: 1 };
  let boundary = 50;
  let view = "slider";
  let marks = true;
  let boxes = [];
  let box = -1;
  let shown = -1;
  let timer = 0;
  let stage;
  let panes;

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const fit = () => Math.min(panes[0].clientWidth / size.width, panes[0].clientHeight / size.height) || 1;

  /* How far the middle may move: a picture that is smaller than its pane stays centred. */
  function hold(value, pane, picture) {
    const half = pane / picture / 2;
    return half >= 0.5 ? 0.5 : clamp(value, half, 1 - half);
  }

  function draw() {
    const scale = fit() * place.zoom;
    const { clientWidth, clientHeight } = panes[0];
    place.x = hold(place.x, clientWidth, size.width * scale);
    place.y = hold(place.y, clientHeight, size.height * scale);
    const [x, y] = [clientWidth / 2 - place.x * size.width * scale, clientHeight / 2 - place.y * size.height * scale];
    for (const image of stage.querySelectorAll(".pane img")) {
      image.style.width = `${size.width}px`;
      image.style.height = `${size.height}px`;
      image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      image.style.imageRendering = scale > 2 ? "pixelated" : "auto";
    }
    pumice.find("zoom").textContent = `${Math.round(scale * 100)}%`;
    stage.style.setProperty("--boundary", `${boundary}%`);
    pumice.find("handle").setAttribute("aria-valuenow", Math.round(boundary));
  }

  function zoom(factor, event) {
    const before = fit() * place.zoom;
    place.zoom = clamp(place.zoom * factor, 1, MOST);
    const after = fit() * place.zoom;
    if (event) { // what is under the pointer stays there
      const pane = event.target.closest(".pane") || panes[0];
      const edge = pane.getBoundingClientRect();
      const [dx, dy] = [event.clientX - edge.left - edge.width / 2, event.clientY - edge.top - edge.height / 2];
      place.x += (dx / before - dx / after) / size.width;
      place.y += (dy / before - dy / after) / size.height;
    }
    draw();
  }

  function pan(dx, dy) {
    const scale = fit() * place.zoom;
    place.x -= dx / (size.width * scale);
    place.y -= dy / (size.height * scale);
    draw();
  }

  function reset() {
    Object.assign(place, { zoom: 1, x: 0.5, y: 0.5 });
    draw();
  }

  function slide(to) {
    boundary = clamp(to, 0, 100);
    draw();
  }

  function flip() {
    stage.classList.toggle("flipped");
  }

  function setView(name) {
    view = name;
    stage.dataset.view = name;
    stage.classList.remove("flipped");
    clearInterval(timer);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (name === "blink" && !calm) timer = setInterval(flip, BLINK_MS);
    for (const button of pumice.find("views").children) {
      button.setAttribute("aria-pressed", button.dataset.view === name);
    }
    draw();
  }

  /* By hand instead of by turns, from now on. */
  function flipByHand() {
    if (view !== "blink") return;
    clearInterval(timer);
    flip();
  }

  function setMarks(on) {
    marks = on;
    stage.classList.toggle("unmarked", !on);
    pumice.find("do-marks").setAttribute("aria-pressed", on);
  }

  /* Go to the next place where something was lost or added, the largest first. */
  function nextMark() {
    if (!boxes.length) return;
    box = (box + 1) % boxes.length;
    const [left, top, width, height, kind] = boxes[box];
    const { clientWidth, clientHeight } = panes[0];
    const wanted = 0.3 * Math.min(clientWidth / (width * size.width), clientHeight / (height * size.height));
    place.zoom = clamp(wanted / fit(), 2, 8);
    Object.assign(place, { x: left + width / 2, y: top + height / 2 });
    setMarks(true);
    draw();
    pumice.say(`Mark ${box + 1} of ${boxes.length}: ${kind}.`);
  }

  function setPicture(element, source) {
    element.hidden = !source;
    if (source) element.src = source;
    else element.removeAttribute("src");
  }

  /* Show the pictures of a row, the whole page at first; the view stays as it is. */
  function show(row, next) {
    if (row !== shown) reset();
    shown = row;
    const facts = pumice.pictures[pumice.columns.picture[row]];
    const sources = ["before", "after", "marks"].map((kind) => pumice.pictureOf(row, kind));
    panes.forEach((pane, index) => {
      setPicture(pane.children[0], sources[index]);
      setPicture(pane.children[1], sources[2]);
      pane.hidden = !sources[index];
    });
    size = facts ? { width: facts.width, height: facts.height } : size;
    boxes = facts?.boxes || [];
    box = -1;
    stage.classList.toggle("alone", !(sources[0] && sources[1]));
    pumice.find("do-mark").disabled = !boxes.length;
    pumice.find("picture-note").textContent = sources[1] && facts.note ? pumice.readable(facts.note) : "";
    const nothing = pumice.find("nothing");
    nothing.hidden = Boolean(sources[0] || sources[1]);
    if (!nothing.hidden) nothing.textContent = why(row, facts);
    if (facts) draw();
    // The next page's pictures are asked for already, so that j shows them at once.
    if (next !== undefined) {
      for (const kind of ["before", "after", "marks"]) {
        const source = pumice.pictureOf(next, kind);
        if (source) new Image().src = source;
      }
    }
  }

  function why(row, facts) {
    if (facts?.note) return pumice.readable(facts.note);
    if (!pumice.isCleaned(row)) return "This page was not cleaned: its file is the source's, byte for byte.";
    return "No pictures were made of this page; the worst flagged ones, the sample and those with the most dirt left have them.";
  }

  function drag(event) {
    if (event.button !== 0) return;
    const handle = event.target.id === "handle";
    stage.setPointerCapture(event.pointerId);
    let [x, y] = [event.clientX, event.clientY];
    const move = (now) => {
      if (handle) {
        const edge = stage.getBoundingClientRect();
        slide((100 * (now.clientX - edge.left)) / edge.width);
      } else pan(now.clientX - x, now.clientY - y);
      [x, y] = [now.clientX, now.clientY];
    };
    stage.addEventListener("pointermove", move);
    const end = () => stage.removeEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, end, { once: true });
    if (handle) event.target.focus();
    event.preventDefault();
  }

  function begin() {
    stage = pumice.find("stage");
    panes = [pumice.find("before"), pumice.find("after")];
    stage.addEventListener("pointerdown", drag);
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => (place.zoom > 1 ? reset() : zoom(3, event)));
    pumice.find("views").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) setView(button.dataset.view);
    });
    new ResizeObserver(draw).observe(stage);
    setMarks(true);
  }

  return {
    begin, show, zoom, pan, reset, setView, flipByHand, nextMark,
    slideBy: (by) => slide(boundary + by),
    toggleMarks: () => setMarks(!marks),
  };
})();

/* Where a picture of a row is, or null; the numbers are ours, never names from an archive. */
pumice.pictureOf = (row, kind) => {
  const number = pumice.columns.picture[row];
  const facts = pumice.pictures[number];
  if (!facts || !facts.kinds.includes(kind)) return null;
  return `pictures/${String(number).padStart(6, "0")}-${kind}.${kind === "marks" ? "png" : "jpg"}`;
};
