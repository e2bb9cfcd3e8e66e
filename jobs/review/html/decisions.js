"use strict";
/* What was decided, kept in this browser one entry a page, so that tabs don't overwrite each other. */

pumice.UNDECIDED = 0;
pumice.ACCEPT = 1;
pumice.REJECT = 2;
pumice.WORDS = ["", "accept", "reject"];

pumice.decisions = (() => {
  let prefix = "";
  let decided = new Int8Array(0);
  const notes = new Map();

  const key = (row) => {
    const { shard, member, member_index, page_index } = pumice.columns;
    return prefix + JSON.stringify(
      [pumice.report.shards[shard[row]], member[row], member_index[row], page_index[row]],
    );
  };

  function begin() {
    prefix = `pumice:${pumice.report.id}:`;
    decided = new Int8Array(pumice.report.listed);
  }

  /* Storage on file:// is shared with other pages: what stands there may be anything. */
  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch {
      return null;
    }
  }

  function stored() {
    try {
      return Object.keys(localStorage).filter((name) => name.startsWith(prefix));
    } catch {
      return []; // a browser that keeps nothing for files; `keep` says so
    }
  }

  /* Take over what was decided earlier about rows from number `first` on, under the keys `names`. */
  function recall(first, names = stored()) {
    const members = new Set(names.map((name) => parsed(name.slice(prefix.length))?.[1]));
    if (!members.size) return;
    for (let row = first; row < pumice.count; row += 1) if (members.has(pumice.columns.member[row])) refresh(row);
  }

  function refresh(row) {
    const entry = parsed(localStorage.getItem(key(row)));
    // A page that was cleaned anew since has another output: what was decided isn't about that one.
    const valid = entry && pumice.isCleaned(row) && entry.sha256 === pumice.columns.sha256[row];
    const known = valid && pumice.WORDS[entry.decision] !== undefined;
    decided[row] = known ? entry.decision : pumice.UNDECIDED;
    if (known && entry.note) notes.set(row, String(entry.note));
    else notes.delete(row);
  }

  function keep(row) {
    const note = notes.get(row);
    try {
      if (!decided[row] && !note) localStorage.removeItem(key(row));
      else {
        const entry = { decision: decided[row], sha256: pumice.columns.sha256[row], ...(note ? { note } : {}) };
        localStorage.setItem(key(row), JSON.stringify(entry));
      }
    } catch {
      pumice.say("This browser keeps nothing for this page: export your decisions before you close it.");
    }
  }

  function decide(row, decision) {
    decided[row] = decision;
    keep(row);
  }

  function annotate(row, note) {
    if (note) notes.set(row, note);
    else notes.delete(row);
    keep(row);
  }

  function* all() {
    for (let row = 0; row < pumice.count; row += 1) if (decided[row]) yield row;
  }

  /* How many are to be decided, how many are, and the same of the sample. */
  function progress() {
    const counts = { todo: 0, done: 0, drawn: 0, sampled: 0, faulty: 0, accepted: 0, rejected: 0 };
    for (let row = 0; row < pumice.count; row += 1) {
      const decision = decided[row];
      if (decision) counts[decision === pumice.ACCEPT ? "accepted" : "rejected"] += 1;
      if (!pumice.isCleaned(row)) continue;
      const sampled = pumice.isSampled(row);
      if (pumice.columns.flagged[row] || sampled) {
        counts.todo += 1;
        if (decision) counts.done += 1;
      }
      if (sampled) {
        counts.drawn += 1;
        if (decision) counts.sampled += 1;
        if (decision === pumice.REJECT) counts.faulty += 1;
      }
    }
    return counts;
  }

  return {
    begin, recall, refresh, decide, annotate, all, progress,
    of: (row) => decided[row],
    note: (row) => notes.get(row) || "",
    isOurs: (name) => name !== null && name.startsWith(prefix),
  };
})();

/* The one-sided 95% upper bound of Clopper and Pearson on a rate, `faulty` of `count` having been found. */
pumice.upperBound = (faulty, count) => {
  if (faulty >= count) return 1;
  const tail = (rate) => {
    let log = count * Math.log1p(-rate);
    let sum = Math.exp(log);
    for (let k = 1; k <= faulty; k += 1) {
      log += Math.log((count - k + 1) / k) + Math.log(rate) - Math.log1p(-rate);
      sum += Math.exp(log);
    }
    return sum;
  };
  let [low, high] = [faulty / count, 1];
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (tail(middle) > 0.05) low = middle;
    else high = middle;
  }
  return high;
};
