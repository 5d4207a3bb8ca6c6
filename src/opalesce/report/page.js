(function () {
"use strict";
const spec = JSON.parse(document.getElementById("opalesce-data").textContent);
const axis = spec.axis, x1 = axis.x1 || 1, log = axis.scale === "log";
const toU = (x) => (x === null ? null : log ? Math.log10(1 + x / x1) : x);
const toX = (u) => (log ? x1 * (Math.pow(10, u) - 1) : u);
const L = 56, R = 14, T = 16, B = 20;
const u0 = toU(spec.first), u1 = toU(spec.last), pad = 0.012 * (u1 - u0) || 0.5;
const whole = [u0 - pad, u1 + pad];
let range = whole.slice(), busy = false;

const { colour, painted } = paint;
let style = paint.refresh();

/* numbers */
function num(v, digits) {
  if (v === null || v === undefined || !isFinite(v)) return "–";
  const a = Math.abs(v);
  if (a >= 1e15 || (a > 0 && a < 1e-4)) return v.toExponential(2);
  if (a >= 1e6) return label(v);
  return v.toLocaleString("en-US", a >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits || 4 });
}
function label(x) {
  if (Math.abs(x) >= 1e6) return x.toLocaleString("en-US", { notation: "compact", maximumSignificantDigits: 4 });
  return x.toLocaleString("en-US", { maximumSignificantDigits: 6 });
}
function ticks(px) {
  const [a, b] = range, room = (u) => (px * u) / (b - a), out = [];
  const lo = Math.max(toX(a), spec.first), hi = Math.min(toX(b), spec.last);
  const tryAt = (x) => {
    if (!(x >= lo && x <= hi * (1 + 1e-12))) return;
    const u = toU(x), half = 3.6 * label(x).length;
    if (out.every((o) => room(Math.abs(o.u - u)) > half + 3.6 * o.text.length + 14)) out.push({ u: u, x: x, text: label(x) });
  };
  const even = (n) => {
    const raw = (hi - lo) / n || 1, size = Math.pow(10, Math.floor(Math.log10(raw)));
    const step = size * [1, 2, 5, 10].find((m) => m * size >= raw * 0.999);
    for (let k = Math.ceil(lo / step); k * step <= hi; k++) tryAt(Number((k * step).toPrecision(12)));
  };
  if (log) {
    tryAt(spec.first); tryAt(spec.last);
    const from = Math.floor(Math.log10(x1)), to = Math.ceil(Math.log10(Math.max(hi, x1)));
    if (toX(b) / Math.max(toX(a), x1) > 4) for (const m of [1, 5, 2, 3]) for (let k = from; k <= to; k++) tryAt(Number((m * Math.pow(10, k)).toPrecision(3)));
    else even(Math.max(3, px / 90));
  } else even(Math.max(3, px / 90));
  return out.sort((p, q) => p.u - q.u);
}

/* Plotly figures */
const figures = [];
function layout(f, width) {
  const t = ticks(width - f.left - f.right), shapes = [], soft = colour("--soft");
  const line = (x, dash, c) => shapes.push({ type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, layer: "below", line: { width: 1, dash: dash, color: c } });
  for (const b of spec.bands) {
    if (f.bands && !f.bands.includes(b.id)) continue;
    const filled = b.kind === "transition" && !f.heat, at = [toU(b.low), toU(b.high)];
    if (at[0] === at[1]) { line(at[0], "solid", colour("--" + b.kind)); continue; }
    if (f.heat && b.kind !== "transition") continue;
    shapes.push({ type: "rect", xref: "x", yref: "paper", x0: at[0], x1: at[1], y0: 0, y1: 1, layer: f.heat ? "above" : "below",
      fillcolor: filled ? colour("--band") : "rgba(0,0,0,0)",
      line: filled ? { width: 0 } : { width: 1.2, dash: "dash", color: colour("--" + b.kind) } });
  }
  for (const e of spec.events) line(toU(e.x), "dash", soft);
  const out = {
    margin: { l: f.left, r: f.right, t: f.top, b: B }, width: width, height: f.height,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, shapes: shapes,
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: soft },
    hovermode: f.heat ? "closest" : "x", hoverdistance: -1, dragmode: "zoom",
    xaxis: { type: "linear", range: range.slice(), tickvals: t.map((p) => p.u), ticktext: t.map((p) => p.text), showgrid: false, zeroline: false,
      ticks: "outside", ticklen: 3, tickcolor: colour("--rule"), showline: false },
    yaxis: f.heat
      ? { type: "linear", autorange: "reversed", tickvals: f.labels.map((_, i) => i), ticktext: f.labels, fixedrange: true, showgrid: false, zeroline: false, ticks: "" }
      : { type: "linear", range: f.range, fixedrange: true, showgrid: false, zeroline: false, nticks: 4, ticks: "outside", ticklen: 3, tickcolor: colour("--rule"), exponentformat: "power", separatethousands: true },
  };
  if (f.heat && f.step > 1) { out.yaxis.tickvals = out.yaxis.tickvals.filter((i) => i % f.step === 0); out.yaxis.ticktext = f.labels.filter((_, i) => i % f.step === 0); }
  return out;
}
function data(f) {
  return f.traces.map((t) => Object.assign(painted(t), { x: t.x.map(toU) }));
}
function draw(f) {
  const width = f.frame.clientWidth;
  if (!width) return;
  if (f.heat) {
    const chars = f.labels.reduce((m, s) => Math.max(m, s.length), 0), names = parseFloat(style.getPropertyValue("--labels")) || 150;
    f.left = width < 560 ? Math.min(140, 14 + 6.6 * chars) : names + L;
    f.step = Math.max(1, Math.ceil(11 / ((f.height - f.top - B) / f.labels.length)));
  }
  busy = true;
  Plotly.react(f.div, data(f), layout(f, width), { displayModeBar: false, responsive: false, doubleClick: false, showTips: false });
  busy = false;
  if (f.drawn) return;
  f.drawn = true;
  f.div.dataset.drawn = "yes";
  f.div.on("plotly_relayout", (e) => { if (!busy && e["xaxis.range[0]"] !== undefined) show([e["xaxis.range[0]"], e["xaxis.range[1]"]]); });
  f.div.on("plotly_doubleclick", () => show(whole));
  f.div.on("plotly_hover", (e) => point(e.points[0].x, f, e.points[0]));
  f.div.on("plotly_unhover", () => point(null));
}
function figure(div, f) {
  const frame = div.parentElement;
  figures.push(Object.assign({ left: L, right: R, top: T, height: 132 }, f, { div: div, frame: frame, cursor: frame.querySelector(".cursor"), readout: frame.querySelector(".readout") }));
}
document.querySelectorAll(".plot[data-panel]").forEach((div) => figure(div, spec.panels[div.dataset.panel]));
const map = document.querySelector(".plot.heat");
if (map) {
  const top = 46, height = top + B + Math.min(560, Math.max(90, 17 * spec.heat.labels.length));
  map.style.height = height + "px";
  figure(map, { heat: true, top: top, traces: spec.heat.traces, labels: spec.heat.labels, height: height });
}

/* one range and one cursor for all of them */
function show(next) {
  range = [Math.max(whole[0], Math.min(next[0], next[1])), Math.min(whole[1], Math.max(next[0], next[1]))];
  if (!(range[1] - range[0] > 1e-9 * (whole[1] - whole[0]))) range = whole.slice();
  drawAll();
}
function drawAll() {
  style = paint.refresh();
  figures.forEach(draw);
  strip();
  const all = range[0] === whole[0] && range[1] === whole[1];
  document.querySelector("button[data-zoom='']")?.setAttribute("aria-pressed", String(all));
}
function nearest(xs, u) {
  let best = -1, gap = Infinity;
  xs.forEach((x, i) => { const d = x === null ? Infinity : Math.abs(toU(x) - u); if (d < gap) { gap = d; best = i; } });
  return best;
}
function reading(f, u) {
  const out = [];
  for (const t of f.traces) {
    const role = t.meta.role;
    if (!["main", "twin", "seed"].includes(role)) continue;
    const i = nearest(t.x, u);
    if (i < 0) continue;
    if (role === "main") out.unshift(axis.name + " " + label(t.x[i]) + ":  " + num(t.y[i]) + (t.meta.se && t.meta.se[i] !== null ? " ± " + num(t.meta.se[i], 2) : ""));
    else if (role === "twin") out.push("twins " + num(t.y[i], 3) + " [" + num(t.meta.low[i], 3) + ", " + num(t.meta.high[i], 3) + "]");
    else out.push(t.meta.name + " " + num(t.y[i], 3));
  }
  return out.join("  ·  ");
}
function point(u, from, at) {
  for (const f of figures) {
    if (!f.drawn) continue;
    const off = u === null || u < range[0] || u > range[1];
    f.cursor.hidden = off;
    f.readout.textContent = "";
    if (off) continue;
    const width = f.frame.clientWidth - f.left - f.right;
    f.cursor.style.left = f.left + (width * (u - range[0])) / (range[1] - range[0]) + "px";
    f.cursor.style.top = f.top + "px";
    f.cursor.style.height = f.height - f.top - B + "px";
    if (!f.heat) f.readout.textContent = reading(f, u);
    else if (f === from) f.readout.textContent = f.traces[0].meta.names[at.y] + " · " + axis.name + " " + label(Number(toX(u).toPrecision(6))) + ": " + num(at.z, 3);
  }
}

/* the strip: boxes on the axis, labels in rows that never touch */
const NS = "http://www.w3.org/2000/svg";
const pen = document.createElement("canvas").getContext("2d");
function strip() {
  const box = document.querySelector(".strip"), W = box.clientWidth, at = (u) => L + ((W - L - R) * (u - range[0])) / (range[1] - range[0]);
  if (!W) return;
  const family = getComputedStyle(document.body).fontFamily, inside = (u) => u >= range[0] && u <= range[1];
  const place = (items, gap) => {
    const rows = [];
    for (const it of items) {
      pen.font = it.font + " " + family;
      const w = pen.measureText(it.text).width;
      it.left = Math.min(Math.max(it.x - w / 2, 2), W - w - 4);
      it.row = 0;
      while ((rows[it.row] || []).some(([p, q]) => it.left < q + gap && it.left + w > p - gap)) it.row++;
      (rows[it.row] = rows[it.row] || []).push([it.left, it.left + w]);
    }
    return rows.length;
  };
  const boxes = spec.bands.filter((b) => toU(b.high) >= range[0] && toU(b.low) <= range[1])
    .map((b) => ({ b: b, text: b.label, big: b.kind === "transition", x: at(Math.min(Math.max(toU(b.value), range[0]), range[1])) }))
    .map((it) => Object.assign(it, { font: it.big ? "700 15px" : "12px" })).sort((p, q) => p.x - q.x);
  const events = spec.events.filter((e) => inside(toU(e.x))).map((e) => ({ text: e.label, font: "12px", x: at(toU(e.x)) }));
  const above = boxes.filter((it) => it.big), below = boxes.filter((it) => !it.big).concat(events);
  const up = place(above, 14), down = place(below, 14);
  const y = 20 * up + 28, H = y + 42 + 17 * down;
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 " + W + " " + H); svg.setAttribute("height", H);
  const put = (tag, attrs, text) => {
    const el = document.createElementNS(NS, tag);
    for (const k of Object.keys(attrs)) el.setAttribute(k, attrs[k]);
    if (text !== undefined) el.textContent = text;
    svg.appendChild(el);
  };
  put("line", { x1: L, x2: W - R, y1: y, y2: y, stroke: colour("--rule"), "stroke-width": 1.5 });
  for (const t of ticks(W - L - R)) {
    put("line", { x1: at(t.u), x2: at(t.u), y1: y, y2: y + 4, stroke: colour("--rule") });
    put("text", { x: at(t.u), y: y + 34, "text-anchor": "middle", fill: colour("--soft") }, t.text);
  }
  for (const it of events) put("path", { d: "M" + it.x + " " + (y - 7) + "v14m-4 -4l4 4l4 -4", stroke: colour("--soft"), fill: "none", "stroke-width": 1.5 });
  for (const it of boxes) {
    const c = colour("--" + it.b.kind), half = it.big ? 19 : 10;
    const lo = Math.max(at(toU(it.b.low)), L), hi = Math.min(at(toU(it.b.high)), W - R), w = Math.max(hi - lo, 5);
    if (it.big && it.row) put("line", { x1: it.x, x2: it.x, y1: y - 21 - 20 * it.row, y2: y - half, stroke: c });
    put("rect", { x: (lo + hi - w) / 2, y: y - half, width: w, height: 2 * half, rx: 3, fill: c, "fill-opacity": it.big ? 0.88 : 0.35, stroke: c, "stroke-dasharray": it.big ? "none" : "3 2" });
  }
  const fill = (it) => colour(it.b ? "--" + it.b.kind : "--soft");
  for (const it of above) put("text", { x: it.left, y: y - 25 - 20 * it.row, fill: fill(it), class: "big" }, it.text);
  for (const it of below) put("text", { x: it.left, y: y + 52 + 17 * it.row, fill: fill(it) }, it.text);
  box.replaceChildren(svg);
  box.dataset.drawn = "yes";
}

/* buttons, folding parts, size, theme, paper */
document.querySelectorAll("button[data-zoom]").forEach((button) => button.addEventListener("click", () => {
  const b = spec.bands.find((it) => it.id === button.dataset.zoom);
  if (!b) return show(whole);
  const u = toU(b.value), half = Math.max(1.5 * (toU(b.high) - toU(b.low)), 0.12 * (whole[1] - whole[0]));
  show([u - half, u + half]);
}));
document.querySelectorAll("details.block").forEach((d) => d.addEventListener("toggle", drawAll));
let waiting = 0;
const later = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(drawAll); };
addEventListener("resize", later);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
addEventListener("beforeprint", () => { document.documentElement.dataset.paper = "yes"; document.body.style.width = "690px"; drawAll(); });
addEventListener("afterprint", () => { delete document.documentElement.dataset.paper; document.body.style.width = ""; drawAll(); });
const copy = document.getElementById("copy");
if (copy) copy.addEventListener("click", async () => {
  const source = document.getElementById("bibtex"), said = document.getElementById("copied");
  try { await navigator.clipboard.writeText(source.textContent); said.textContent = "copied"; }
  catch (error) {
    getSelection().selectAllChildren(source);
    said.textContent = document.execCommand("copy") ? "copied" : "selected: press Ctrl+C";
  }
});
drawAll();
document.documentElement.dataset.ready = "yes";
})();
