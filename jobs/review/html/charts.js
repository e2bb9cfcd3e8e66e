"use strict";
/* Distributions as bars, drawn when they are asked for; a click on a bar filters the list by it. */

pumice.charts = (() => {
  const MOST = 15;
  const BINS = 40;
  const { make, words, readable, number, figure } = pumice;

  const short = (text) => (text.length > 28 ? `…${text.slice(-27)}` : text);

  function counted(of) {
    const counts = new Map();
    for (let row = 0; row < pumice.count; row += 1) {
      for (const name of of(row)) counts.set(name, (counts.get(name) || 0) + 1);
    }
    return [...counts].sort((one, other) => other[1] - one[1]).slice(0, MOST);
  }

  /* One line for each name: the name, its bar and its count. */
  function drawCounts(id, title, counts, field, shown = (name) => name) {
    const most = Math.max(...counts.map(([, count]) => count));
    const lines = counts.map(([name, count]) => {
      const label = readable(shown(name));
      const line = make("button", "", { class: "bar", title: `${label}: ${number(count)}` });
      const track = make("span", "", { class: "track" });
      track.append(make("i"));
      track.firstChild.style.width = `${100 * count / most}%`;
      line.append(make("span", short(label)), track, make("span", number(count)));
      line.addEventListener("click", () => pumice.narrow({ [field]: readable(name) }));
      return line;
    });
    pumice.find(id).replaceChildren(make("h2", counts.length ? title : `${title}: none`), ...lines);
  }

  function histogram(values, width) {
    const bins = new Array(BINS).fill(0);
    for (const value of values) if (!Number.isNaN(value)) bins[Math.min(BINS - 1, Math.floor(value / width))] += 1;
    return bins;
  }

  const kindOf = (measure) => (measure.endsWith("_before") ? "early" : "late");

  /* Of the measure that the list is ordered by, or of dirt; before and after where it has both. */
  function drawMeasure() {
    const chosen = pumice.find("measure").value || "dirt_after";
    const name = chosen.replace(/_(before|after)$/, "");
    const present = [`${name}_before`, `${name}_after`, name].filter((one) => pumice.measures[one]);
    let top = 0;
    for (const one of present) for (const value of pumice.measures[one]) if (value > top) top = value;
    const width = (top || 1) / BINS;
    const counts = present.map((one) => histogram(pumice.measures[one], width));
    const most = Math.max(1, ...counts.flat());
    const plot = make("div", "", { class: "plot" });
    plot.append(...Array.from({ length: BINS }, (_, place) => {
      const ends = { low: figure(place * width), high: figure((place + 1) * width) };
      const told = present.map((one, index) => `${words(one)}: ${number(counts[index][place])} pages`);
      const bin = make("div", "", { class: "bin", title: `${ends.low} to ${ends.high}\n${told.join("\n")}` });
      bin.append(...present.map((one, index) => {
        const bar = make("i", "", { class: kindOf(one), "data-measure": one });
        bar.style.height = `${100 * counts[index][place] / most}%`;
        return bar;
      }));
      // Above the bars, the last measure is meant: the page after cleaning.
      bin.addEventListener("click", (event) => {
        pumice.narrow({ measure: event.target.dataset.measure || present.at(-1), ...ends });
      });
      return bin;
    }));
    const legend = make("p", "", { class: "legend" });
    for (const one of present) legend.append(make("i", "", { class: kindOf(one) }), words(one));
    const axis = make("p", "", { class: "axis" });
    axis.append(make("span", "0"), make("span", `highest bar: ${number(most)} pages`), make("span", figure(top || 1)));
    const title = `Pages by ${words(name)}`;
    const element = pumice.find("chart-measure");
    element.setAttribute("aria-label", title);
    element.replaceChildren(make("h2", title), legend, plot, axis);
  }

  function drawAll() {
    const flagged = (row) => pumice.columns.flagged[row];
    drawCounts("chart-reasons", "Why pages are flagged", counted((row) => (flagged(row) ? pumice.reasonsOf(row) : [])), "reason", words);
    drawMeasure();
    const shardOf = (row) => (flagged(row) ? [pumice.report.shards[pumice.columns.shard[row]]] : []);
    drawCounts("chart-shards", "Shards with flagged pages", counted(shardOf), "shard");
  }

  /* Draw them if they are open, for what the list is ordered by now. */
  function refresh() {
    if (!pumice.find("charts").hidden) drawAll();
  }

  function toggle() {
    const section = pumice.find("charts");
    section.hidden = !section.hidden;
    pumice.find("do-charts").setAttribute("aria-expanded", !section.hidden);
    refresh();
  }

  return { toggle, refresh };
})();
