"use strict";
/* Puts the parts together: loading, filters, decisions and keys. */

pumice.say = (text) => {
  const said = pumice.find("said");
  said.textContent = text;
  clearTimeout(pumice.saying);
  pumice.saying = setTimeout(() => { said.textContent = ""; }, 8000);
};

(() => {
  const { list, viewer, decisions, transfer, charts, page, find } = pumice;

  let waiting = 0;

  function refresh() {
    clearTimeout(waiting);
    list.show(pumice.filter.apply());
    const all = list.size() === pumice.report.listed;
    find("count").textContent = `${pumice.number(list.size())}${all ? "" : ` of ${pumice.number(pumice.count)}`} pages`;
    charts.refresh();
  }

  /* Filter by what a chart's bar stands for. */
  pumice.narrow = (values) => {
    pumice.filter.set(values);
    refresh();
    find("list").focus();
  };

  /* At once, as all that keys do: the next key must not decide about a page of the old list. */
  function clear() {
    find("filters").reset();
    refresh();
  }

  function look(row, next) {
    page.show(row);
    if (row !== null) viewer.show(row, next);
  }

  function decide(decision) {
    const row = list.row();
    if (row === null) return;
    if (!pumice.isCleaned(row)) {
      pumice.say("This page was not cleaned: there is nothing to decide.");
      return;
    }
    decisions.decide(row, decision);
    pumice.showTotals();
    const word = ["Undecided again", "Accepted", "Rejected"][decision];
    pumice.say(`${word}: ${pumice.nameOf(row)}`);
    if (decision) list.step(1);
    else list.draw();
    page.showDecision(list.row());
  }

  function shown() {
    page.show(list.row());
    list.draw();
    pumice.showTotals();
  }

  const keys = [
    [["j", "ArrowDown"], "next page", () => list.step(1)],
    [["k", "ArrowUp"], "previous page", () => list.step(-1)],
    [["PageDown"], "ten pages on", () => list.step(10)],
    [["PageUp"], "ten pages back", () => list.step(-10)],
    [["Home"], "first page", () => list.go(0)],
    [["End"], "last page", () => list.last()],
    [["a"], "accept, and on to the next", () => decide(pumice.ACCEPT)],
    [["r"], "reject, and on to the next", () => decide(pumice.REJECT)],
    [["u"], "take the decision back", () => decide(pumice.UNDECIDED)],
    [["n"], "write a note (Enter or Escape leaves it)", () => find("note").focus()],
    [["ArrowLeft"], "boundary to the left", () => viewer.slideBy(-2)],
    [["ArrowRight"], "boundary to the right", () => viewer.slideBy(2)],
    [["1"], "slider between before and after", () => viewer.setView("slider")],
    [["2"], "side by side", () => viewer.setView("side")],
    [["3", "b"], "blink: before and after by turns", () => viewer.setView("blink")],
    [[" "], "in blink: turn by hand", () => viewer.flipByHand()],
    [["+", "="], "zoom in", () => viewer.zoom(1.25)],
    [["-"], "zoom out", () => viewer.zoom(0.8)],
    [["0"], "fit", () => viewer.reset()],
    [["m"], "marks of what was lost and added, on and off", () => viewer.toggleMarks()],
    [["."], "zoom to the next mark", () => viewer.nextMark()],
    [["/"], "search", () => find("search").focus()],
    [["x"], "clear all filters", clear],
    [["c"], "charts", () => charts.toggle()],
    [["e"], "export JSON", () => transfer.json()],
    [["E"], "export CSV", () => transfer.csv()],
    [["i"], "import decisions.json", () => find("file").click()],
    [["?"], "these keys", () => find("keys").showModal()],
  ];
  const shifted = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
  const byKey = new Map(keys.flatMap(([names, , does]) => names.map((name) => [name, does])));

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || find("keys").open) return;
    if (event.target.matches("input, select")) {
      if (event.key === "Escape" || (event.key === "Enter" && event.target.id !== "file")) {
        event.preventDefault();
        event.target.blur();
        if (event.target.form === find("filters")) refresh();
        find("list").focus();
      }
      return;
    }
    if (event.target.matches("button, summary") && ["Enter", " "].includes(event.key)) return;
    if (event.shiftKey && shifted[event.key]) viewer.pan(...shifted[event.key]);
    else if (byKey.has(event.key)) byKey.get(event.key)();
    else return;
    event.preventDefault();
  }

  function fillKeys() {
    const names = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space" };
    const lines = [...keys.map(([all, text]) => [all, text]), [["Shift + arrows"], "move a page that is zoomed"]];
    find("keys").querySelector("table").append(...lines.map(([all, text]) => {
      const line = pumice.make("tr");
      const cell = pumice.make("td");
      for (const name of all) cell.append(pumice.make("kbd", names[name] || name), " ");
      line.append(cell, pumice.make("td", text));
      return line;
    }));
  }

  function showReport() {
    const { destination, made_at: when, remarks } = pumice.report;
    find("destination").textContent = pumice.readable(destination);
    document.title = `Review of ${pumice.readable(destination)} – Pumice`;
    find("when").textContent = when;
    find("remarks").hidden = !remarks.length;
    find("remarks").querySelector("summary").textContent = `Not everything is here: ${remarks.length === 1 ? "one remark" : `${remarks.length} remarks`}`;
    find("remarks").querySelector("ul").append(...remarks.map((one) => pumice.make("li", pumice.readable(one))));
  }

  function wire() {
    document.addEventListener("keydown", onKey);
    find("filters").addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(refresh, 80);
    });
    find("filters").addEventListener("submit", (event) => event.preventDefault());
    const clicks = {
      accept: () => decide(pumice.ACCEPT), reject: () => decide(pumice.REJECT), "do-charts": charts.toggle,
      "do-json": transfer.json, "do-csv": transfer.csv, "do-import": () => find("file").click(),
      clear, "do-keys": () => find("keys").showModal(), "do-marks": viewer.toggleMarks, "do-mark": viewer.nextMark,
      "zoom-in": () => viewer.zoom(1.25), "zoom-out": () => viewer.zoom(0.8), "zoom-fit": viewer.reset,
    };
    for (const [id, does] of Object.entries(clicks)) find(id).addEventListener("click", () => does());
    find("note").addEventListener("change", (event) => decisions.annotate(list.row(), event.target.value.trim()));
    find("file").addEventListener("change", async (event) => {
      const [file] = event.target.files;
      if (file) transfer.take(await file.text());
      event.target.value = "";
      shown();
    });
    // Another tab decided something.
    window.addEventListener("storage", (event) => {
      if (!decisions.isOurs(event.key)) return;
      decisions.recall(0, [event.key]);
      shown();
    });
  }

  /* The first piece has the flagged pages: they are there while the others still come. */
  async function start() {
    pumice.prepare();
    decisions.begin();
    showReport();
    pumice.filter.fill();
    list.begin(look);
    viewer.begin();
    fillKeys();
    wire();
    let first = 0;
    pumice.whenRows = () => {
      decisions.recall(first);
      if (!first) {
        refresh();
        pumice.showTotals();
        find("list").focus();
      }
      first = pumice.count;
    };
    page.show(null);
    try {
      await pumice.loadRows();
    } catch (error) {
      pumice.say(error.message);
    }
    refresh();
    pumice.showTotals();
    document.body.dataset.ready = "yes";
  }

  start();
})();
