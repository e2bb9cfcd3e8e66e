"use strict";
/* The report's rows as columns. Data files call `pumice.addRows`, because fetch() doesn't work on file://. */

const pumice = { report: null, pictures: {}, count: 0, columns: {}, measures: {}, whenRows: () => {} };

pumice.TEXTS = ["member", "error", "sha256"];
pumice.NUMBERS = [
  "shard", "member_index", "page_index", "status", "code", "flagged", "reasons", "draw", "picture", "width",
  "height", "dpi", "mode",
];

pumice.prepare = () => {
  const { listed, measures } = pumice.report;
  for (const name of pumice.TEXTS) pumice.columns[name] = [];
  for (const name of pumice.NUMBERS) pumice.columns[name] = new Int32Array(listed);
  for (const name of measures) pumice.measures[name] = new Float32Array(listed).fill(NaN);
};

/* One piece of the rows: columns of equal length, measures with null where there is none. */
pumice.addRows = (piece) => {
  const at = pumice.count;
  for (const name of pumice.TEXTS) for (const text of piece[name]) pumice.columns[name].push(text);
  for (const name of pumice.NUMBERS) pumice.columns[name].set(piece[name], at);
  for (const [name, values] of Object.entries(piece.measures)) {
    const into = pumice.measures[name];
    values.forEach((value, index) => { if (value !== null) into[at + index] = value; });
  }
  pumice.count += piece.member.length;
  pumice.whenRows();
};

pumice.loadScript = (path) => new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = path;
  script.async = false;
  script.onload = resolve;
  script.onerror = () => reject(new Error(`${path} is missing: make the page again with pumice report --html.`));
  document.head.append(script);
});

pumice.loadRows = () => Promise.all(
  Array.from({ length: pumice.report.pieces }, (_, index) => pumice.loadScript(`data/rows-${index}.js`)),
);

/* Names come from archives: what turns the reading direction, or can't be seen, is written out. */
pumice.readable = (text) => text.replace(
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
  (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
);

pumice.nameOf = (row) => {
  const page = pumice.columns.page_index[row];
  const name = pumice.readable(pumice.columns.member[row]) || "(the archive itself)";
  return page > 0 ? `${name} [${page}]` : name;
};

pumice.shardOf = (row) => pumice.readable(pumice.report.shards[pumice.columns.shard[row]]);
pumice.reasonsOf = (row) => pumice.report.reason_sets[pumice.columns.reasons[row]] || [];
pumice.statusOf = (row) => pumice.report.statuses[pumice.columns.status[row]];
pumice.isCleaned = (row) => pumice.statusOf(row) === "cleaned";
pumice.isSampled = (row) => pumice.columns.draw[row] >= 0;
pumice.words = (name) => name.replaceAll("_", " ");
pumice.number = (value) => value.toLocaleString("en");

/* Up to three digits that say something; measures are shares, so most lie in 0 to 1. */
pumice.figure = (value) => (Number.isNaN(value) ? "–" : value === 0 ? "0" : String(Number(value.toPrecision(3))));

/* An element with text, and attributes; text is never parsed as HTML. */
pumice.make = (tag, text = "", attributes = {}) => {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

pumice.find = (id) => document.getElementById(id);
