/* colours: the names in the figures are CSS variables of the page */
const paint = (function () {
"use strict";
let style = getComputedStyle(document.documentElement);
const SHARED = ["x", "y", "z", "name", "meta", "ticktext", "tickvals"];
function colour(name) {
  const [key, alpha] = name.split("/"), value = style.getPropertyValue(key).trim();
  if (!alpha) return value;
  const n = parseInt(value.slice(1), 16);
  return "rgba(" + [n >> 16, (n >> 8) & 255, n & 255, alpha].join(",") + ")";
}
function painted(v) {
  if (typeof v === "string") return v.startsWith("--") ? colour(v) : v;
  if (Array.isArray(v)) return v.map(painted);
  if (v === null || typeof v !== "object") return v;
  const out = {};
  for (const k of Object.keys(v)) out[k] = SHARED.includes(k) ? v[k] : painted(v[k]);
  return out;
}
function refresh() { style = getComputedStyle(document.documentElement); return style; }
return { colour, painted, refresh };
})();
