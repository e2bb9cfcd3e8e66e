"use strict";
/* Distributions, drawn by Plotly when they are asked for; a click on a bar filters the list by it. */

pumice.charts = (() => {
  const MOST = 15;
  const BINS = 40;
  let ready = null;

  // Plotly reads some HTML in labels, and names come from archives.
  const label = (text) => pumice.readable(text).replaceAll("<", "‹").replaceAll("&", "＆");
  const short = (text) => (text.length > 28 ? `…${text.slice(-27)}` : text);
  // Asked of an element, because the variable itself is still a choice between light and dark.
  function colour(name) {
    const probe = pumice.find("charts");
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color;
    probe.style.color = "";
    return found;
  }

  function layout(title, more = {}) {
    const axis = { gridcolor: colour("--line"), zeroline: false, automargin: true, fixedrange: true };
    return {
      title: { text: title, font: { size: 13 }, x: 0, xref: "paper" },
      font: { family: "inherit", size: 11, color: colour("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 40, r: 10, t: 30, b: 28 }, bargap: 0.15, showlegend: false,
      xaxis: { ...axis, ...more.xaxis }, yaxis: { ...axis, ...more.yaxis },
      ...more.layout,
    };
  }

  function draw(id, traces, shape, summary, onClick) {
    const element = pumice.find(id);
    element.setAttribute("aria-label", summary);
    Plotly.react(element, traces, shape, { displayModeBar: false, responsive: true });
    element.removeAllListeners("plotly_click");
    element.on("plotly_click", (event) => onClick(event.points[0]));
  }

  function counted(of) {
    const counts = new Map();
    for (let row = 0; row < pumice.count; row += 1) {
      for (const name of of(row)) counts.set(name, (counts.get(name) || 0) + 1);
    }
    return [...counts].sort((one, other) => other[1] - one[1]).slice(0, MOST).reverse();
  }

  function drawCounts(id, title, counts, field, shown = (name) => name) {
    const names = counts.map(([name]) => name);
    const labels = names.map((name) => label(shown(name)));
    const places = names.map((_, index) => index);
    const trace = {
      type: "bar", orientation: "h", y: places, x: counts.map(([, count]) => count), marker: { color: colour("--accent") },
      text: labels, textposition: "none", hovertemplate: "%{text}: %{x}<extra></extra>",
    };
    const yaxis = { tickmode: "array", tickvals: places, ticktext: labels.map(short) };
    const summary = counts.map(([name, count]) => `${pumice.readable(name)}: ${count}`).reverse().join(", ");
    draw(id, [trace], layout(counts.length ? title : `${title}: none`, { yaxis }), `${title}. ${summary}`, (point) => {
      pumice.narrow({ [field]: pumice.readable(names[point.pointNumber]) });
    });
  }

  function histogram(values, width) {
    const bins = new Array(BINS).fill(0);
    for (const value of values) if (!Number.isNaN(value)) bins[Math.min(BINS - 1, Math.floor(value / width))] += 1;
    return bins;
  }

  /* Of the measure that the list is ordered by, or of dirt; before and after where it has both. */
  function drawMeasure() {
    const chosen = pumice.find("measure").value || "dirt_after";
    const name = chosen.replace(/_(before|after)$/, "");
    const present = [`${name}_before`, `${name}_after`, name].filter((one) => pumice.measures[one]);
    let top = 0;
    for (const one of present) for (const value of pumice.measures[one]) if (value > top) top = value;
    const width = (top || 1) / BINS;
    const traces = present.map((one) => {
      const early = one.endsWith("_before");
      return {
        type: "bar", y: histogram(pumice.measures[one], width), width, name: pumice.words(one),
        x: Array.from({ length: BINS }, (_, index) => (index + 0.5) * width),
        marker: { color: colour(early ? "--faint" : "--accent") }, opacity: early ? 0.9 : 0.7,
        hovertemplate: `%{x:.3g}: %{y} pages<extra>${pumice.words(one)}</extra>`,
      };
    });
    const shape = layout(`Pages by ${pumice.words(name)}`, {
      xaxis: { range: [0, top || 1] },
      layout: { barmode: "overlay", showlegend: true, legend: { orientation: "h", x: 1, xanchor: "right", y: 1, yanchor: "bottom" } },
    });
    draw("chart-measure", traces, shape, `Pages by ${pumice.words(name)}`, (point) => {
      const low = point.pointNumber * width;
      const ends = { low: pumice.figure(low), high: pumice.figure(low + width) };
      pumice.narrow({ measure: present[point.curveNumber], ...ends });
    });
  }

  function drawAll() {
    const flagged = (row) => pumice.columns.flagged[row];
    drawCounts("chart-reasons", "Why pages are flagged", counted((row) => (flagged(row) ? pumice.reasonsOf(row) : [])), "reason", pumice.words);
    drawMeasure();
    const shardOf = (row) => (flagged(row) ? [pumice.report.shards[pumice.columns.shard[row]]] : []);
    drawCounts("chart-shards", "Shards with flagged pages", counted(shardOf), "shard");
  }

  /* Draw them if they are open, for what the list is ordered by now. */
  async function refresh() {
    if (pumice.find("charts").hidden) return;
    ready ||= pumice.loadScript("app/plotly.min.js");
    await ready;
    drawAll();
  }

  async function toggle() {
    const section = pumice.find("charts");
    section.hidden = !section.hidden;
    pumice.find("do-charts").setAttribute("aria-expanded", !section.hidden);
    await refresh();
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  return { toggle, refresh };
})();
