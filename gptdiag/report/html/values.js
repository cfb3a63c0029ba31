// Where a step stands on each x axis, and what a tooltip says of it. Draws nothing.
(() => {
  "use strict";

  // --- x as steps, tokens or time ------------------------------------------------------------

  function interpolate(x, from, to) {
    const last = from.length - 1;
    if (last < 1) return to[0] ?? x;
    let low = 0, high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (from[middle] <= x) low = middle;
      else high = middle;
    }
    return to[low] + ((x - from[low]) / (from[high] - from[low])) * (to[high] - to[low]);
  }

  const toUnit = (run, step) =>
    run.unit === "steps" ? step : interpolate(step, run.data.axis.steps, run.data.axis[run.unit]);
  const toStep = (run, x) =>
    run.unit === "steps" ? x : interpolate(x, run.data.axis[run.unit], run.data.axis.steps);

  // --- text of a tooltip ---------------------------------------------------------------------

  const grouped = new Intl.NumberFormat("en"); // toLocaleString makes a new one each time
  const value = (v, unit) =>
    `${Math.abs(v) >= 1e-2 ? +v.toPrecision(5) : v.toExponential(3)} ${unit}`;

  function nearest(steps, step) {
    let low = 0, high = steps.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] < step) low = middle + 1;
      else high = middle;
    }
    return low > 0 && step - steps[low - 1] < steps[low] - step ? low - 1 : low;
  }

  // Every chart's tooltip tells all values of that step; one logged at another step says which.
  function tooltip(run, step) {
    const { axis } = run.data; // of several runs over tokens or time, `name` says which
    const place = (x) => (axis.name ? String(+x.toPrecision(4)) : grouped.format(Math.round(x)));
    const rows = [[axis.name ?? "step", place(step)]];
    for (const kind of ["tokens", "time"]) {
      if (!axis[kind]) continue;
      const unit = axis.labels[kind].match(/\((.*)\)/)?.[1] ?? "";
      rows.push([kind, `${+interpolate(step, axis.steps, axis[kind]).toPrecision(4)} ${unit}`]);
    }
    for (const s of run.told) {
      const at = nearest(s.steps, step);
      if (Math.abs(s.steps[at] - step) > s.reach) continue;
      const there = s.steps[at] === step ? "" : ` (at ${axis.name ?? "step"} ${place(s.steps[at])})`;
      rows.push([s.name, value(s.y[at], s.unit) + there]);
    }
    return rows;
  }

  const told = (data) =>
    data.charts.flatMap((chart) => chart.series
      .filter((s) => s.told)
      .map((s) => ({
        name: s.name, unit: chart.unit, steps: s.steps, y: s.y,
        reach: Math.max(1, 0.6 * (s.steps.at(-1) - s.steps[0]) / Math.max(1, s.steps.length - 1)),
      })));

  function tooltipColumns(run, steps) {
    const columns = {};
    const rows = steps.map((step) => new Map(tooltip(run, step)));
    const names = ["step", "tokens", "time", ...run.told.map((s) => s.name)];
    const used = [...new Set(names)].filter((name) => rows.some((row) => row.has(name)));
    used.forEach((name, k) => { columns[`t${k}`] = rows.map((row) => row.get(name) ?? "–"); });
    return { columns, list: used.map((name, k) => [name, `@t${k}`]) };
  }

  globalThis.gptdiag = { toUnit, toStep, told, tooltipColumns };
})();
