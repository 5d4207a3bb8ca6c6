(function () {
"use strict";
const spec = JSON.parse(document.getElementById("opalesce-data").textContent).exhibits || {};
const { colour, painted } = paint;
const MARGIN = { l: 50, r: 12, t: 18, b: 38 };
function decades(traces, key) {
  const seen = traces.flatMap((t) => t[key]).filter((v) => v > 0).map(Math.log10);
  return seen.length ? Math.max(...seen) - Math.min(...seen) : 0;
}
const ROUND = [...Array(40).keys()].flatMap((k) => [1, 2, 5].map((m) => m * Math.pow(10, k - 20)));
function axis(title, log, span) {
  // about one decade: 1, 2, 5, 10; every digit, as Plotly would have it, runs together
  const round = log && span > 0.6 && span <= 1.4 ? { tickmode: "array", tickvals: ROUND, ticktext: ROUND.map((v) => String(Number(v.toPrecision(1)))) } : {};
  return { ...round, dtick: log && span > 1.4 ? Math.ceil(span / 6) : undefined, title: { text: title, standoff: 6 }, type: log ? "log" : "linear", showgrid: false, zeroline: false, ticks: "outside", ticklen: 3,
    tickcolor: colour("--rule"), linecolor: colour("--rule"), showline: true, automargin: false, nticks: 6, exponentformat: "power", fixedrange: true };
}
function base(div, height) {
  return { width: div.clientWidth, height: height, margin: MARGIN, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colour("--soft") }, hovermode: "closest", dragmode: false };
}
function curves(div, p) {
  const at = (x) => (p.log_x ? Math.log10(x) : x), shapes = [], notes = [];
  const named = p.marks.filter((m) => m.label).map((m) => at(m.x)), seen = p.traces.flatMap((t) => t.x).map(at).filter(Number.isFinite);
  // two names closer than a third of the axis would run into each other: they point away from each other
  const close = named.length === 2 && Math.abs(named[1] - named[0]) < (Math.max(...seen) - Math.min(...seen)) / 3;
  const side = (x) => (!close ? "center" : x === Math.min(...named) ? "right" : "left");
  p.marks.forEach((m) => {
    if (m.low !== null && m.high !== null) shapes.push({ type: "rect", xref: "x", yref: "paper", x0: m.low, x1: m.high, y0: 0, y1: 1, layer: "below", fillcolor: colour("--band"), line: { width: 0 } });
    shapes.push({ type: "line", xref: "x", yref: "paper", x0: m.x, x1: m.x, y0: 0, y1: 1, layer: "below", line: { width: 1.3, dash: "dash", color: colour("--transition") } });
    if (m.label) notes.push({ xref: "x", yref: "paper", x: at(m.x), y: 1.0, yanchor: "bottom", xanchor: side(at(m.x)), text: m.label, showarrow: false, font: { size: 10.5, color: colour("--transition") } });
  });
  Plotly.react(div, p.traces.map(painted), Object.assign(base(div, 250), { margin: { ...MARGIN, l: p.log_y ? 64 : MARGIN.l }, shapes: shapes, annotations: notes, xaxis: axis(p.x, p.log_x, decades(p.traces, "x")), yaxis: Object.assign(axis(p.y, p.log_y, decades(p.traces, "y")), p.y_range ? { range: p.log_y ? p.y_range.map(Math.log10) : p.y_range } : {}) }), { displayModeBar: false, responsive: false, showTips: false });
}
function picture(div, p) {
  const z = p.image, rows = z.length, cols = rows ? z[0].length : 0, canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  canvas.width = cols; canvas.height = rows;
  canvas.className = "clusters";
  const data = pen.createImageData(cols, rows), card = colour("--card"), first = colour("--transition");
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) {
    const v = z[i][j], k = 4 * (i * cols + j), h = (v * 0.618034) % 1;
    const c = v === 0 ? rgb(card) : v === 1 ? rgb(first) : [140 + 70 * Math.sin(6.28 * h), 140 + 70 * Math.sin(6.28 * (h + 0.33)), 140 + 70 * Math.sin(6.28 * (h + 0.67))];
    data.data.set([c[0], c[1], c[2], 255], k);
  }
  pen.putImageData(data, 0, 0);
  div.replaceChildren(canvas);
}
function grid(div, p) {
  const g = p.grid, next = div.closest(".plates").querySelectorAll(".plate[data-plate]");
  const beside = [...next][[...next].indexOf(div) + 1];
  const trace = { type: "heatmap", x: g.x.map((_, j) => j), y: g.y.map((_, i) => i), z: g.z, hoverinfo: "z", hoverongaps: false, showscale: true,
    colorscale: [[0, colour("--card")], [1, colour("--transition")]], colorbar: { thickness: 8, outlinewidth: 0, nticks: 4, tickfont: { size: 10, color: colour("--soft") } } };
  const every = Math.ceil(g.x.length / 6), skip = Math.ceil(g.y.length / 14);
  const ticks = (names, n) => ({ tickmode: "array", tickvals: names.map((_, i) => i).filter((i) => i % n === 0), ticktext: names.filter((_, i) => i % n === 0) });
  const layout = Object.assign(base(div, 250), { margin: { l: 20, r: 6, t: 18, b: 38 }, xaxis: Object.assign(axis(p.x, false, 0), ticks(g.x, every)), yaxis: Object.assign(axis("", false, 0), ticks(g.y, skip), { tickfont: { size: 9.5 }, automargin: true }) });
  Plotly.react(div, [painted(trace)], layout, { displayModeBar: false, responsive: false, showTips: false });
  if (!g.cells.length || !beside) return;
  div.style.cursor = "pointer";
  div.removeAllListeners && div.removeAllListeners("plotly_click");
  div.on("plotly_click", (event) => {
    const at = event.points[0], i = Math.round(at.y), j = Math.round(at.x), mine = spec[beside.dataset.plate];
    spec[beside.dataset.plate] = Object.assign({}, mine, { traces: g.cells[i][j], marks: [] });
    beside.dataset.shows = g.plain.y[i] + " · " + g.plain.x[j];
    beside.setAttribute("aria-label", "spectrum of " + beside.dataset.shows);
    const caption = beside.closest("figure").querySelector("figcaption");
    caption.dataset.title = caption.dataset.title || caption.textContent;
    caption.textContent = caption.dataset.title + ": " + beside.dataset.shows;
    curves(beside, spec[beside.dataset.plate]);
  });
}
function drawAll() {
  paint.refresh();
  document.querySelectorAll(".plate[data-plate]").forEach((div) => {
    if (!div.clientWidth) return;
    const p = spec[div.dataset.plate];
    if (p.image) picture(div, p); else if (p.grid) grid(div, p); else curves(div, p);
    div.dataset.drawn = "yes";
  });
}
let waiting = 0;
const later = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(drawAll); };
addEventListener("resize", later);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
addEventListener("beforeprint", drawAll);
drawAll();
})();
