// Draws the interactive charts from the JSON blocks of the page, with BokehJS and nothing else.
// A run's charts share one x range. Whatever is switched, the run is drawn anew: it takes 0.1 s.
(() => {
  "use strict";
  const M = Bokeh.Models;
  const { toUnit, toStep, told, tooltipColumns } = gptdiag;
  const Document_ = Bokeh.require("document").Document;
  const coarse = matchMedia("(pointer: coarse)").matches; // a finger must scroll the page, not zoom
  const small = matchMedia("(max-width: 599px)");
  const narrow = () => small.matches;
  const runs = new Map();

  const css = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  
  // --- one chart -----------------------------------------------------------------------------

  function axes(run, chart, log) {
    const text = css("--soft"), line = css("--line");
    const common = {
      axis_label_text_color: text, major_label_text_color: text, axis_line_color: line,
      major_tick_line_color: line, minor_tick_line_color: null, axis_label_text_font: css("--font"),
      major_label_text_font: css("--font"), axis_label_text_font_style: "normal",
      axis_label_text_font_size: "12px", major_label_text_font_size: "11px",
    };
    const format = run.unit === "steps" && !run.data.axis.name ? "0,0" : "0,0.[00]";
    const x = new M.LinearAxis({
      ...common, axis_label: run.data.axis.labels[run.unit],
      formatter: new M.NumeralTickFormatter({ format }),
      ticker: new M.BasicTicker({ desired_num_ticks: narrow() ? 4 : 7 }),
    });
    const Axis = log ? M.LogAxis : M.LinearAxis;
    const y = new Axis({
      ...common, axis_label: chart.label,
      formatter: new M.BasicTickFormatter({ power_limit_low: -6, power_limit_high: 9 }),
      ...(log ? { ticker: new M.LogTicker({ desired_num_ticks: 5 }) } : {}),
    });
    return [x, y];
  }

  function source(run, series) {
    const data = { x: series.steps.map((s) => toUnit(run, s)), step: series.steps };
    for (const name of ["y", "low", "high"]) if (series[name]) data[name] = series[name];
    if (series.mark === "points") Object.assign(data, { shown: series.y, marker: series.y.map(() => "circle") });
    return new M.ColumnDataSource({ data });
  }

  const field = (name) => ({ field: name });

  // A mark is a list of glyphs, drawn in this order. All colours come from the style sheet.
  function glyphs(series) {
    const colour = css(series.colour);
    const line = { line_color: colour, line_width: series.width ?? 1.5, line_join: "round" };
    const x = field("x"), y = field("y");
    switch (series.mark) {
      case "band":
        return [new M.VArea({ x, y1: field("low"), y2: field("high"), fill_color: colour, fill_alpha: 0.18 })];
      case "bars":
        return [new M.Segment({ x0: x, x1: x, y0: field("low"), y1: field("high"), line_color: colour })];
      case "points": // what lies above the chart stands at its edge as a triangle, see fitY
        return [new M.Scatter({ x, y: field("shown"), marker: field("marker"), size: 6, fill_color: colour, line_color: null })];
      case "evals":
        return [new M.Line({ x, y, ...line }),
          new M.Scatter({ x, y, marker: "circle", size: 5, fill_color: colour, line_color: null })];
      case "bad":
        return [new M.Scatter({ x, y, marker: "x", size: 9, line_color: colour, line_width: 2 })];
      case "best":
        return [new M.Scatter({ x, y, marker: "star", size: 15, fill_color: colour, line_color: css("--page") })];
      default:
        return [new M.Line({ x, y, ...line, line_dash: series.mark === "dash" ? [5, 4] : [],
          line_alpha: series.alpha ?? 1 })];
    }
  }

  function shade(run, chart, plot) {
    for (const band of chart.bands) {
      const left = toUnit(run, band.from), right = toUnit(run, band.to);
      plot.add_layout(new M.BoxAnnotation({
        left, right, fill_color: css(`--${band.severity}`), fill_alpha: +css("--shade"),
        line_color: css(`--${band.severity}`), line_alpha: 0.35, line_dash: [2, 3],
        level: "underlay", editable: false,
      }));
    }
    for (const step of run.data.resumes)
      plot.add_layout(new M.Span({ dimension: "height", location: toUnit(run, step),
        line_color: css("--soft"), line_dash: [1, 4], level: "underlay" }));
  }

  function legend(plot, items, width) {
    // Bokeh lets a row of entries run out of the page: as many columns as there is room for.
    const room = width - plot.min_border_left - plot.min_border_right;
    const wide = items.map((item) => 6.6 * item.label.value.length + 40);
    const fit = Math.max(1, Math.floor(room / Math.max(...wide)));
    plot.add_layout(new M.Legend({
      items, orientation: "horizontal", border_line_color: null, background_fill_color: null,
      label_text_color: css("--text"), label_text_font: css("--font"), label_text_font_size: "12px",
      label_height: 14, glyph_height: 14, glyph_width: 18, spacing: 14, margin: 0, padding: 4,
      ncols: wide.reduce((a, b) => a + b, 0) <= room ? "auto" : fit, click_policy: "hide", location: "top_left",
    }), "above");
  }

  function tools(anchor) {
    const lines = new M.HoverTool({
      renderers: [anchor], mode: "vline", tooltips: [], point_policy: "snap_to_data",
      line_policy: "nearest", attachment: "horizontal",
    });
    const span = new M.CrosshairTool({ dimensions: "height", line_color: css("--soft"), line_alpha: 0.5 });
    if (coarse) return [lines, span];
    return [lines, span, new M.BoxZoomTool({ dimensions: "width" }), new M.PanTool({ dimensions: "width" }),
      new M.WheelZoomTool({ dimensions: "width", modifiers: { ctrl: true } })];
  }

  function makePlot(run, chart) {
    const log = run.log.has(chart.id);
    const [below, left] = axes(run, chart, log);
    const yRange = new M.Range1d({ start: 0, end: 1 });
    const plot = new M.Plot({
      x_range: run.xRange, y_range: yRange, x_scale: new M.LinearScale(),
      y_scale: log ? new M.LogScale() : new M.LinearScale(),
      height: chart.main ? (narrow() ? 320 : 430) : 220, sizing_mode: "stretch_width", toolbar_location: null,
      background_fill_color: null, border_fill_color: null, outline_line_color: null,
      min_border_left: narrow() ? 62 : 82, min_border_right: 14, lod_threshold: null,
    });
    plot.add_layout(below, "below");
    plot.add_layout(left, "left");
    plot.add_layout(new M.Grid({ axis: left, dimension: 1, grid_line_color: css("--line"), grid_line_alpha: 0.6 }), "center");
    shade(run, chart, plot);
    let anchor = null, steps = [];
    const items = [], points = [];
    for (const series of chart.series) {
      const data = source(run, series);
      if (series.mark === "points") points.push({ series, data });
      let first = null;
      for (const glyph of glyphs(series)) {
        // The star may lie on the last step: only what is above the glyphs' level is not cut there.
        const level = series.mark === "best" ? "annotation" : "glyph";
        const renderer = plot.add_glyph(glyph, data, { level });
        first ??= renderer;
      }
      if (series.told && anchor === null) [anchor, steps] = [first, series.steps];
      if (["bars", "band", "best"].includes(series.mark)) continue;
      items.push(new M.LegendItem({ label: { value: series.name }, renderers: plot.renderers.filter((r) => r.data_source === data) }));
    }
    if (items.length > 1) legend(plot, items, document.getElementById(chart.id).clientWidth);
    let fill = null;
    if (anchor !== null) {
      const made = tools(anchor);
      fill = () => { // what tooltips say is worked out when they are first needed
        const { columns, list } = tooltipColumns(run, steps);
        anchor.data_source.setv({ data: { ...anchor.data_source.data, ...columns } });
        made[0].setv({ tooltips: list });
      };
      plot.add_tools(...made);
      const zoom = made.find((tool) => tool instanceof M.BoxZoomTool);
      if (zoom) plot.toolbar.active_drag = zoom;
    }
    return { plot, chart, yRange, log, points, fill };
  }

  // --- ranges --------------------------------------------------------------------------------

  // y follows what is in sight, so that a zoom into steps shows their detail.
  function fitY(run) {
    const from = toStep(run, run.xRange.start), to = toStep(run, run.xRange.end);
    for (const { chart, yRange, log, points } of run.plots) {
      let low = Infinity, high = -Infinity;
      for (const series of chart.series)
        for (const name of ["y", "low", "high"]) {
          if (!series[name]) continue;
          series[name].forEach((v, k) => {
            if (series.steps[k] < from || series.steps[k] > to || (log && v <= 0)) return;
            low = Math.min(low, v);
            high = Math.max(high, v);
          });
        }
      if (low > high) continue;
      const wide = to - from > 0.3 * (run.full[1] - run.full[0]);
      if (chart.cap && !log && (wide || points.length)) high = Math.min(high, chart.cap);
      if (log) yRange.setv({ start: low / 1.08, end: high * 1.08 });
      else {
        const room = 0.05 * (high - low) || 0.1 * Math.abs(high) || 1;
        const floor = low >= 0 && low - room < 0 ? 0 : low - room;
        yRange.setv({ start: floor, end: high + room });
        const edge = high + 0.4 * room;
        for (const { series, data } of points) data.setv({ data: { ...data.data,
          shown: series.y.map((v) => Math.min(v, edge)),
          marker: series.y.map((v) => (v > edge ? "triangle" : "circle")) } });
      }
    }
  }

  function zoom(run, from, to) {
    const [first, last] = run.full;
    const width = Math.min(to - from, last - first);
    const start = Math.max(first, Math.min(from, last - width));
    run.xRange.setv({ start: toUnit(run, start), end: toUnit(run, start + width) });
  }

  function act(run, what) {
    const from = toStep(run, run.xRange.start), to = toStep(run, run.xRange.end);
    const width = to - from;
    if (what === "reset") zoom(run, ...run.full);
    if (what === "in") zoom(run, from + width / 4, to - width / 4);
    if (what === "out") zoom(run, from - width / 2, to + width / 2);
    if (what === "left") zoom(run, from - width / 4, to - width / 4);
    if (what === "right") zoom(run, from + width / 4, to + width / 4);
  }

  // --- a run ---------------------------------------------------------------------------------

  async function draw(run) {
    run.stale = run.drawing; // what changes meanwhile is drawn afterwards
    if (run.drawing) return;
    run.drawing = true;
    const seen = run.steps ?? run.full;
    run.views?.clear();
    run.xRange = new M.Range1d({ start: toUnit(run, seen[0]), end: toUnit(run, seen[1]) });
    run.told = told(run.data);
    run.plots = run.data.charts.map((chart) => makePlot(run, chart));
    fitY(run);
    run.xRange.change.connect(() => {
      run.steps = [toStep(run, run.xRange.start), toStep(run, run.xRange.end)];
      cancelAnimationFrame(run.frame);
      run.frame = requestAnimationFrame(() => fitY(run));
    });
    const doc = new Document_();
    run.plots.forEach(({ plot }) => doc.add_root(plot));
    const places = run.data.charts.map((chart) => document.getElementById(chart.id));
    places.forEach((place, k) => {
      place.replaceChildren();
      place.onpointerenter = () => {
        run.plots[k].fill?.();
        run.plots[k].fill = null;
      };
    });
    run.views = await Bokeh.embed.add_document_standalone(doc, document.body, places);
    run.drawing = false;
    if (run.stale) return draw(run);
    performance.mark(`drawn ${run.data.id}`);
    document.documentElement.dataset.drawn = [...runs.keys()].filter((id) => runs.get(id).views).join(" ");
  }

  function press(run, button) {
    const { act: what, unit, log } = button.dataset;
    if (what) act(run, what);
    else {
      if (unit) run.unit = unit;
      if (log !== undefined) run.data.charts.forEach(({ id, loggable }) =>
        loggable && (button.getAttribute("aria-pressed") === "true" ? run.log.delete(id) : run.log.add(id)));
      draw(run);
      show(run);
    }
  }

  function show(run) {
    const able = run.data.charts.filter((c) => c.loggable);
    const log = able.length > 0 && able.every((c) => run.log.has(c.id));
    for (const button of run.bars.flatMap((bar) => [...bar.querySelectorAll("button")])) {
      if (button.dataset.unit) button.setAttribute("aria-pressed", String(button.dataset.unit === run.unit));
      if ("log" in button.dataset) button.setAttribute("aria-pressed", String(log));
    }
  }

  function begin(block) {
    const data = JSON.parse(block.textContent);
    const bars = [...document.querySelectorAll(`[data-bar="${data.id}"]`)];
    const run = { data, bars, unit: "steps", log: new Set(data.charts.filter((c) => c.log).map((c) => c.id)),
      full: data.full };
    runs.set(data.id, run);
    for (const bar of bars)
      bar.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button) press(run, button);
      });
    show(run);
    // Charts are drawn when they come near the screen, so that fifty runs open as fast as one.
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((e) => e.isIntersecting)) return;
      observer.disconnect();
      draw(run);
    }, { rootMargin: "600px" }).observe(bars[0]);
  }

  async function copy(button) {
    const code = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }

  document.querySelectorAll('script[type="application/json"]').forEach(begin);
  document.querySelectorAll("button[data-copy]").forEach((button) =>
    button.addEventListener("click", () => copy(button)));
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open])")];
    unfolded.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => unfolded.forEach((fold) => { fold.open = false; }));
  const redraw = () => runs.forEach((run) => run.views && draw(run));
  for (const change of [matchMedia("(prefers-color-scheme: dark)"), small])
    change.addEventListener("change", redraw);
  Object.assign(gptdiag, { runs, act, draw }); // for tests, and for the console
})();
