"use strict";
/* Decisions out of this browser and into it: JSON for `pumice review apply` and this page, CSV for people too. */

pumice.transfer = (() => {
  const COLUMNS = [
    "shard", "member", "member_index", "page_index", "output_sha256", "decision", "sampled", "note",
  ];

  function entry(row) {
    const { shard, member, member_index, page_index, sha256 } = pumice.columns;
    const note = pumice.decisions.note(row);
    return {
      shard: pumice.report.shards[shard[row]],
      member: member[row],
      member_index: member_index[row],
      page_index: page_index[row],
      output_sha256: sha256[row],
      decision: pumice.WORDS[pumice.decisions.of(row)],
      sampled: pumice.isSampled(row),
      ...(note ? { note } : {}),
    };
  }

  const entries = () => Array.from(pumice.decisions.all(), entry);

  const asJson = () => JSON.stringify({
    pumice_decisions: 1,
    destination: pumice.report.destination,
    sample: pumice.report.sample,
    decisions: entries(),
  }, null, 1);

  /* A spreadsheet takes a cell that begins so for a formula. It gets an apostrophe before it, and so does one
     that begins with an apostrophe: whoever reads takes one leading apostrophe away, and has the text again. */
  function cell(value) {
    const text = String(value ?? "");
    const guarded = /^[=+\-@\t\r']/.test(text) && typeof value === "string" ? `'${text}` : text;
    return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
  }

  const asCsv = () => [COLUMNS, ...entries().map((one) => COLUMNS.map((name) => one[name]))]
    .map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");

  function save(name, type, text) {
    const link = pumice.make("a", "", { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    pumice.say(`${name}: ${pumice.number(entries().length)} decisions. Apply them with: pumice review apply ${name}`);
  }

  const identity = (one) => JSON.stringify([one.shard, one.member, one.member_index, one.page_index]);

  /* Take over decisions of another file; those about pages that aren't here, or that were cleaned anew, are left. */
  function take(text) {
    let file = null;
    try {
      file = JSON.parse(text);
    } catch { /* said below */ }
    if (file?.pumice_decisions !== 1 || !Array.isArray(file.decisions)) {
      pumice.say("That file holds no decisions: choose a decisions.json that was exported from such a page.");
      return;
    }
    const wanted = new Map(file.decisions.map((one) => [identity(one ?? {}), one]));
    let taken = 0;
    for (let row = 0; row < pumice.count; row += 1) {
      const known = entry(row);
      const one = wanted.get(identity(known));
      const decision = pumice.WORDS.indexOf(one?.decision);
      if (decision < 1 || one.output_sha256 !== known.output_sha256 || !pumice.isCleaned(row)) continue;
      pumice.decisions.decide(row, decision);
      if (typeof one.note === "string") pumice.decisions.annotate(row, one.note.slice(0, 500));
      taken += 1;
    }
    const left = file.decisions.length - taken;
    const why = left ? `; ${pumice.number(left)} are about pages that are not here or were cleaned anew` : "";
    pumice.say(`${pumice.number(taken)} decisions taken over${why}.`);
  }

  return {
    json: () => save("decisions.json", "application/json", asJson()),
    csv: () => save("decisions.csv", "text/csv", asCsv()),
    take,
  };
})();
