"use strict";
/* What is said of the page that is looked at: its names, reasons, decision and measures. */

pumice.page = (() => {
  const MODES = { 1: "black and white", L: "grey", RGB: "colour" };

  function show(row) {
    pumice.find("page").classList.toggle("empty", row === null);
    if (row === null) return;
    const { columns } = pumice;
    pumice.find("member").replaceChildren(pumice.make("bdi", pumice.nameOf(row)));
    pumice.find("member").title = pumice.nameOf(row);
    const facts = pumice.find("facts");
    facts.replaceChildren(pumice.make("bdi", pumice.shardOf(row)));
    for (const fact of plainFacts(row)) facts.append(" · ", fact);
    const reasons = pumice.reasonsOf(row).map((one) => pumice.make("span", pumice.words(pumice.readable(one)), { class: "reason" }));
    if (columns.error[row]) reasons.push(pumice.make("bdi", pumice.readable(columns.error[row]), { class: "error" }));
    pumice.find("reasons").replaceChildren(...reasons);
    showDecision(row);
    showMeasures(row);
  }

  function plainFacts(row) {
    const { columns, report } = pumice;
    const facts = [];
    if (columns.width[row]) facts.push(`${columns.width[row]} × ${columns.height[row]} pixels`);
    if (columns.dpi[row]) facts.push(`${columns.dpi[row]} dpi`);
    const mode = report.modes[columns.mode[row]];
    if (mode) facts.push(MODES[mode] || pumice.readable(mode));
    facts.push(pumice.words(pumice.statusOf(row)));
    return facts;
  }

  function showDecision(row) {
    const decision = pumice.decisions.of(row);
    const able = pumice.isCleaned(row);
    for (const [id, value] of [["accept", pumice.ACCEPT], ["reject", pumice.REJECT]]) {
      pumice.find(id).setAttribute("aria-pressed", decision === value);
      pumice.find(id).disabled = !able;
    }
    const note = pumice.find("note");
    note.value = pumice.decisions.note(row);
    note.disabled = !able;
    pumice.find("page").dataset.decision = pumice.WORDS[decision];
  }

  function showMeasures(row) {
    const table = pumice.find("measures").firstElementChild;
    const value = (name) => (pumice.measures[name] ? pumice.measures[name][row] : NaN);
    const paired = pumice.report.measures.filter((name) => name.endsWith("_before")).map((name) => name.slice(0, -7));
    const single = pumice.report.measures.filter((name) => !/_(before|after)$/.test(name));
    const head = pumice.make("tr");
    const before = pumice.make("tr");
    const after = pumice.make("tr");
    head.append(pumice.make("th"));
    before.append(pumice.make("th", "before", { scope: "row" }));
    after.append(pumice.make("th", "after", { scope: "row" }));
    for (const name of paired) {
      const [old, now] = [value(`${name}_before`), value(`${name}_after`)];
      head.append(pumice.make("th", pumice.words(name), { scope: "col" }));
      before.append(pumice.make("td", pumice.figure(old)));
      const arrow = Number.isNaN(old + now) || Math.abs(now - old) < 0.0005 ? "" : now > old ? " ↑" : " ↓";
      after.append(pumice.make("td", pumice.figure(now) + arrow));
    }
    for (const name of single) {
      if (Number.isNaN(value(name))) continue;
      head.append(pumice.make("th", pumice.words(name), { scope: "col", class: "single" }));
      before.append(pumice.make("td", "", { class: "single" }));
      after.append(pumice.make("td", pumice.figure(value(name)), { class: "single" }));
    }
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(before, after);
  }

  return { show, showDecision };
})();

/* The figures at the top. */
pumice.showTotals = () => {
  const { totals, sample } = pumice.report;
  const { todo, done, drawn, sampled, faulty, accepted, rejected } = pumice.decisions.progress();
  const figures = [
    ["pages", totals.pages], ["cleaned", totals.statuses.cleaned || 0], ["left alone", totals.statuses.passed_through || 0],
    ["failed", totals.statuses.failed || 0], ["flagged", totals.flagged],
  ];
  pumice.find("figures").replaceChildren(...figures.map(([name, count]) => {
    const item = pumice.make("div", "", { class: name });
    item.append(pumice.make("dt", name), pumice.make("dd", pumice.number(count)));
    return item;
  }));
  pumice.find("decided").max = Math.max(1, todo);
  pumice.find("decided").value = done;
  pumice.find("decided-text").textContent = `${pumice.number(done)} of ${pumice.number(todo)} decided: `
    + `${pumice.number(accepted)} accepted, ${pumice.number(rejected)} rejected`;
  pumice.find("bound").textContent = sample ? boundText(drawn, sampled, faulty, sample.population) : "";

  function boundText(size, count, bad, population) {
    if (!count) return `Sample: none of ${pumice.number(size)} decided yet.`;
    const bound = pumice.upperBound(bad, count);
    return `Sample: ${pumice.number(count)} of ${pumice.number(size)} decided, ${pumice.number(bad)} rejected: `
      + `at most ${pumice.figure(100 * bound)}% of ${pumice.number(population)} unflagged pages are faulty (95% confidence).`;
  }
};
