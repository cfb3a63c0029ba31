"""JavaScript that looks at a page on behalf of the tests."""

from __future__ import annotations

RANGE = "const r = gptdiag.runs.get('run-1'); return [r.xRange.start, r.xRange.end]"
# Text of all tooltips, which stand inside shadow roots.
TOOLTIP = """
const found = [];
const walk = (node) => {
  for (const e of node.querySelectorAll("*")) {
    if (e.shadowRoot) {
      if (e.className.includes("Tooltip")) found.push(e.shadowRoot.textContent);
      walk(e.shadowRoot);
    }
  }
};
walk(document);
return found.join(" ");
"""
_LIGHT = """
const rgb = (c) => (c[0] === "#" ? [1, 3, 5].map((k) => parseInt(c.slice(k, k + 2), 16))
  : (c.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number));
const light = (c) => {
  const [r, g, b] = c.map((v) => {
    v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [a, b] = [one, other].map((c) => light(rgb(c).slice(0, 3)));
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
"""
# Contrast of every piece of text against what lies behind it (WCAG 2: 4.5, large text 3).
POOR_TEXT = (
    _LIGHT
    + """
const behind = (e) => {
  for (let at = e; at; at = at.parentElement) {
    const c = getComputedStyle(at).backgroundColor;
    if (rgb(c).length < 4 || rgb(c)[3] > 0) return c;
  }
  return "rgb(255, 255, 255)";
};
const poor = [];
const folds = [...document.querySelectorAll("details:not([open])")];
folds.forEach((d) => { d.open = true; });
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const e = node.parentElement, name = e.className.baseVal ?? e.className;
  if (!node.data.trim() || ["SCRIPT", "STYLE"].includes(e.tagName)) continue;
  if (!e.getClientRects().length) continue;
  const s = getComputedStyle(e), size = parseFloat(s.fontSize);
  const ratio = contrast(e instanceof SVGElement ? s.fill : s.color, behind(e));
  const large = size >= 24 || (size >= 18.66 && s.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5))
    poor.push(`${ratio.toFixed(2)} ${name || e.tagName}: ${node.data.trim().slice(0, 40)}`);
}
folds.forEach((d) => { d.open = false; });
return [...new Set(poor)];
"""
)
# The same of the interactive charts: texts 4.5, lines and marks 3 (WCAG 2.1, 1.4.11). Single
# batches are faint on purpose where their smoothed line is drawn over them.
POOR_CHARTS = (
    _LIGHT
    + """
const poor = [], page = getComputedStyle(document.body).backgroundColor;
const look = (colour, least, what) => {
  const is = colour?.value ?? colour;
  if (typeof is !== "string") return;
  const ratio = contrast(is, page);
  if (ratio < least) poor.push(`${ratio.toFixed(2)} ${what}`);
};
let texts = 0;
for (const run of gptdiag.runs.values())
  for (const { plot, chart } of run.plots ?? []) {
    for (const axis of [...plot.below, ...plot.left]) {
      look(axis.axis_label_text_color, 4.5, `${chart.kind} label`);
      look(axis.major_label_text_color, 4.5, `${chart.kind} numbers`);
      texts += 1;
    }
    for (const legend of plot.above) look(legend.label_text_color, 4.5, `${chart.kind} legend`);
    const smoothed = chart.series.some((s) => s.name === "batches, smoothed");
    plot.renderers.forEach(({ glyph }) => {
      const faint = smoothed && (glyph.line_alpha?.value ?? glyph.line_alpha) < 1;
      if (!faint && glyph.line_color !== undefined && glyph.type !== "Scatter")
        look(glyph.line_color, 3, `${chart.kind} ${glyph.type}`);
      const cross = (glyph.marker?.value ?? glyph.marker) === "x";
      const ink = cross ? glyph.line_color : glyph.fill_color;
      if (glyph.type === "Scatter") look(ink, 3, `${chart.kind} marks`);
    });
  }
return [...(texts ? [] : ["no chart was looked at"]), ...new Set(poor)];
"""
)
# Follow every link by a click, and tell those that lead nowhere.
LOST_LINKS = """
const done = arguments[arguments.length - 1];
(async () => {
  const lost = [];
  for (const link of document.links) {
    const href = link.getAttribute("href");
    link.click();
    for (let k = 0; k < 20 && decodeURIComponent(location.hash) !== href; k++)
      await new Promise((later) => setTimeout(later, 5));
    const target = document.querySelector(":target");
    if (!target || `#${target.id}` !== href) lost.push(href);
  }
  done(lost);
})();
"""
