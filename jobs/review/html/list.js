"use strict";
/* The list: however many rows, only those in sight are elements. */

pumice.list = (() => {
  const HEIGHT = 62;
  const SPARE = 4;
  const pool = [];
  let shown = new Int32Array(0);
  let at = -1;
  let chosen = () => {};
  let box;
  let inner;

  function begin(onChoice) {
    chosen = onChoice;
    box = pumice.find("list");
    inner = pumice.find("rows");
    box.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
    new ResizeObserver(draw).observe(box);
    inner.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) go(Number(item.dataset.at));
    });
  }

  function makeItem() {
    const item = pumice.make("div", "", { role: "option" });
    const picture = pumice.make("img", "", { alt: "", decoding: "async" });
    const text = pumice.make("div", "", { class: "text" });
    const name = pumice.make("bdi", "", { class: "name" });
    const shard = pumice.make("bdi", "", { class: "shard" });
    const badges = pumice.make("span", "", { class: "badges" });
    const mark = pumice.make("span", "", { class: "mark" });
    text.append(name, shard, badges);
    item.append(picture, text, mark);
    Object.assign(item, { picture, name, shard, badges, mark });
    inner.append(item);
    pool.push(item);
    return item;
  }

  function badges(row) {
    const found = [];
    const status = pumice.statusOf(row);
    if (status !== "cleaned") {
      const code = pumice.report.codes[pumice.columns.code[row]] || status;
      found.push(["status", pumice.words(pumice.readable(code))]);
    }
    for (const reason of pumice.reasonsOf(row)) found.push(["reason", pumice.words(pumice.readable(reason))]);
    if (pumice.columns.flagged[row] && !pumice.reasonsOf(row).length) found.push(["reason", "flagged"]);
    if (pumice.isSampled(row)) found.push(["sample", "sample"]);
    return found.map(([kind, text]) => pumice.make("span", text, { class: kind }));
  }

  function fillItem(item, index) {
    const row = shown[index];
    const decision = pumice.decisions.of(row);
    item.hidden = false;
    item.id = `row-${index}`;
    item.dataset.at = index;
    item.dataset.decision = pumice.WORDS[decision];
    item.style.transform = `translateY(${index * HEIGHT}px)`;
    item.setAttribute("aria-selected", index === at);
    item.setAttribute("aria-posinset", index + 1);
    item.setAttribute("aria-setsize", shown.length);
    item.name.textContent = pumice.nameOf(row);
    item.shard.textContent = pumice.shardOf(row);
    item.badges.replaceChildren(...badges(row));
    item.mark.textContent = ["", "✓", "✗"][decision];
    item.mark.setAttribute("aria-label", ["undecided", "accepted", "rejected"][decision]);
    const source = pumice.pictureOf(row, "thumb");
    item.picture.classList.toggle("none", !source);
    if (item.picture.getAttribute("src") !== source) {
      if (source) item.picture.setAttribute("src", source);
      else item.picture.removeAttribute("src");
    }
  }

  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - SPARE);
    const end = Math.min(shown.length, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + SPARE);
    while (pool.length < end - first) makeItem();
    pool.forEach((item, index) => {
      if (first + index < end) fillItem(item, first + index);
      else item.hidden = true;
    });
  }

  /* Show other rows; the page that is looked at stays the same if it is among them. */
  function show(rows) {
    const row = shown[at];
    shown = rows;
    inner.style.height = `${rows.length * HEIGHT}px`;
    const found = row === undefined ? -1 : rows.indexOf(row);
    at = -1;
    if (found < 0) box.scrollTop = 0;
    go(Math.max(0, found));
  }

  /* Look at the page with number `index` in the list, or at the nearest one. */
  function go(index) {
    at = Math.min(Math.max(0, index), shown.length - 1);
    if (at >= 0) {
      const top = at * HEIGHT;
      if (top < box.scrollTop) box.scrollTop = top;
      else if (top + HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + HEIGHT - box.clientHeight;
    }
    draw();
    if (at >= 0) box.setAttribute("aria-activedescendant", `row-${at}`);
    else box.removeAttribute("aria-activedescendant");
    chosen(at < 0 ? null : shown[at], shown[at + 1]);
  }

  return {
    begin, show, draw, go,
    step: (by) => go(at + by),
    last: () => go(shown.length - 1),
    row: () => (at < 0 ? null : shown[at]),
    size: () => shown.length,
  };
})();
