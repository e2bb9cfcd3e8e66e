"use strict";
/* Which rows are listed, and in which order. */

pumice.filter = (() => {
  const fields = ["search", "kind", "decision", "reason", "shard", "measure", "low", "high"];
  const kinds = {
    "": ["all pages", () => true],
    review: ["flagged or sample", (row) => pumice.columns.flagged[row] || pumice.isSampled(row)],
    flagged: ["flagged", (row) => pumice.columns.flagged[row]],
    sample: ["random sample", pumice.isSampled],
    pictured: ["with pictures", (row) => pumice.columns.picture[row] >= 0],
    uncleaned: ["not cleaned", (row) => !pumice.isCleaned(row)],
  };
  let lowered = [];

  const option = (value, text) => pumice.make("option", text, { value });

  function fill() {
    const { reasons, shards, measures } = pumice.report;
    const present = Object.entries(kinds).filter(([name]) => name !== "sample" || pumice.report.sample);
    pumice.find("kind").replaceChildren(...present.map(([value, [text]]) => option(value, text)));
    pumice.find("reason").replaceChildren(
      option("", "any reason"), ...reasons.map((name) => option(name, pumice.words(pumice.readable(name)))),
    );
    pumice.find("measure").replaceChildren(
      option("", "flagged first"), ...measures.map((name) => option(name, `by ${pumice.words(name)}`)),
    );
    // A list of many thousands would cost more than it helps; typing finds those as well.
    pumice.find("shards").replaceChildren(...shards.slice(0, 2000).map((name) => option(pumice.readable(name), "")));
  }

  const read = () => Object.fromEntries(fields.map((name) => [name, pumice.find(name).value.trim()]));

  function set(values) {
    for (const [name, value] of Object.entries(values)) pumice.find(name).value = value;
  }

  function searched(row) {
    if (lowered[row] === undefined) lowered[row] = `${pumice.shardOf(row)}/${pumice.nameOf(row)}`.toLowerCase();
    return lowered[row];
  }

  function tests(wanted) {
    const all = [];
    if (wanted.kind) all.push(kinds[wanted.kind][1]);
    if (wanted.decision) all.push((row) => pumice.isCleaned(row) && pumice.decisions.of(row) === Number(wanted.decision));
    if (wanted.reason) {
      const hits = pumice.report.reason_sets.map((set) => set.includes(wanted.reason));
      all.push((row) => hits[pumice.columns.reasons[row]]);
    }
    if (wanted.shard) {
      const needle = wanted.shard.toLowerCase();
      const names = pumice.report.shards.map((name) => pumice.readable(name).toLowerCase());
      const exact = names.includes(needle);
      const hits = names.map((name) => (exact ? name === needle : name.includes(needle)));
      all.push((row) => hits[pumice.columns.shard[row]]);
    }
    const measure = pumice.measures[wanted.measure];
    if (measure && wanted.low !== "") all.push((row) => measure[row] >= Number(wanted.low));
    if (measure && wanted.high !== "") all.push((row) => measure[row] <= Number(wanted.high));
    if (wanted.search) {
      const needle = wanted.search.toLowerCase();
      all.push((row) => searched(row).includes(needle));
    }
    return all;
  }

  function order(rows, wanted) {
    if (wanted.measure) {
      const measure = pumice.measures[wanted.measure];
      // Pages without the measure come last; a contrast that is low is as telling as dirt that is high, so
      // the order alone says nothing about which end is bad: the largest come first, always.
      const rank = (row) => (Number.isNaN(measure[row]) ? -Infinity : measure[row]);
      rows.sort((one, other) => rank(other) - rank(one) || one - other);
    } else if (wanted.kind === "sample") {
      // In the order of the draw, whoever stops early has still looked at a random sample.
      rows.sort((one, other) => pumice.columns.draw[one] - pumice.columns.draw[other]);
    }
    return rows;
  }

  function apply() {
    const wanted = read();
    const all = tests(wanted);
    const found = new Int32Array(pumice.count);
    let count = 0;
    rows: for (let row = 0; row < pumice.count; row += 1) {
      for (const test of all) if (!test(row)) continue rows;
      found[count] = row;
      count += 1;
    }
    return order(found.subarray(0, count), wanted);
  }

  return { fill, set, apply };
})();
