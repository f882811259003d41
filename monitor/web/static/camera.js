// The charts of one camera. Colours come from the sheet, words from the page, figures from series.json.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("camera");
  const [words, decisions, states] = JSON.parse(root.dataset.words);
  const language = root.dataset.language;
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const charts = new Map();
  let windows = Number(root.querySelector("[data-windows][aria-pressed=true]").dataset.windows);
  let data = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const TONES = {
    OK: "good", HARMLESS: "good", SUSPECT: "watch", LEARNING: "work", RETRAIN: "work", SHADOW: "work", HARMFUL: "danger", CLOSED: "quiet",
  };
  const tone = (state) => TONES[state] ?? "alarm";
  const DECISIONS = [["OK", "ok-fill"], ["REVIEW", "review-fill"], ["NG", "ng-fill"], ["NO_VERDICT", "none-fill"]];

  const figure = (value, digits) => value == null ? "–" : value.toLocaleString(language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
  const share = (value) => value == null ? "–" : figure(100 * value, 1) + "\u202f%";

  const axis = (values) => ({ stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif", size: 48, ...(values ? { values: (_, splits) => splits.map((value) => value == null ? "" : values(value)) } : {}) });

  function timeAxis() {
    const long = data.at.length > 1 && data.at.at(-1) - data.at[0] > 36 * 3600;
    const form = long ? { day: "2-digit", month: "short", hour: "2-digit", hourCycle: "h23" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return { ...axis((value) => new Date(value * 1000).toLocaleString(language, form)), size: 28, space: long ? 110 : 70 };
  }

  const clock = (value) => value == null ? "–" : new Date(value * 1000).toLocaleString(language, { dateStyle: "short", timeStyle: "medium", hourCycle: "h23" });

  // Bands of the camera's state behind the curve: colour and, on top, the word.
  function stateBands() {
    return { hooks: { drawClear: [(chart) => {
      const { ctx, bbox } = chart;
      ctx.save();
      for (const [from, to, state] of runs(data.state)) {
        const left = chart.valToPos(data.at[Math.max(0, from - 1)], "x", true);
        const right = chart.valToPos(data.at[to], "x", true);
        ctx.fillStyle = colour(tone(state) + "-bg");
        ctx.fillRect(Math.max(left, bbox.left), bbox.top, Math.min(right, bbox.left + bbox.width) - Math.max(left, bbox.left), bbox.height);
      }
      ctx.restore();
    }], draw: [(chart) => {
      const { ctx, bbox } = chart;
      ctx.save();
      ctx.strokeStyle = colour("soft");
      ctx.fillStyle = colour("soft");
      ctx.textAlign = "left";
      ctx.textBaseline = "alphabetic";
      ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
      data.release.forEach((number, index) => {
        if (number == null || (index > 0 && number === data.release[index - 1])) return;
        const at = Math.round(chart.valToPos(data.at[index], "x", true));
        ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.beginPath(); ctx.moveTo(at, bbox.top); ctx.lineTo(at, bbox.top + bbox.height); ctx.stroke();
        ctx.fillText("R" + number, at + 4 * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
      });
      ctx.restore();
    }] } };
  }

  function runs(values) {
    const found = [];
    values.forEach((value, index) => {
      if (found.length && found.at(-1)[2] === value) found.at(-1)[1] = index;
      else found.push([index, index, value]);
    });
    return found;
  }

  const line = (label, name, extra = {}) => ({ label, stroke: colour(name), width: 1.8, points: { show: false }, spanGaps: false, ...extra });

  function base(height, series, axes, more = {}) {
    return { height, series: [{ label: words.time, value: (_, value) => clock(value) }, ...series], axes: [timeAxis(), ...axes], cursor: { sync: { key: "camera" }, points: { size: 6 }, y: false }, legend: { live: true }, scales: { x: { time: true } }, ...more };
  }

  const BUILD = {
    t2: () => {
      const top = Math.max(...data.t2.map((value, index) => value && data.limit[index] ? value / data.limit[index] : 0));
      const low = Math.min(...data.t2.filter((value) => value > 0));
      const logarithmic = top > 8 && low > 0;
      const positive = (value) => value == null ? null : Math.max(value, low > 0 ? low : 1e-3);
      return [base(250, [
        line(words.t2_series, "accent", { value: (_, value) => figure(value, 1), points: { show: data.at.length < 150, size: 4 } }),
        line(words.limit, "danger", { dash: [6, 5], width: 1.5, value: (_, value) => figure(value, 1) }),
      ], [axis((value) => figure(value, value < 10 ? 1 : 0))], { scales: { x: { time: true }, y: logarithmic ? { distr: 3 } : { range: (_, __, max) => [0, max * 1.08 || 1] } }, plugins: [stateBands()] }),
        [data.at, logarithmic ? data.t2.map(positive) : data.t2, data.limit]];
    },
    decisions: () => {
      const sums = data.at.map(() => 0);
      const stacked = DECISIONS.map(([name]) => data.decisions[name].map((value, index) => value == null ? null : (sums[index] += value)));
      const series = DECISIONS.map(([name, fill], index) => line(decisions[name], fill, { fill: colour(fill), width: 0.5, value: (_, __, ___, at) => share(at == null ? null : data.decisions[name][at]) }));
      const bands = DECISIONS.slice(1).map((_, index) => ({ series: [index + 2, index + 1], fill: colour(DECISIONS[index + 1][1]) }));
      return [base(200, series, [axis((value) => Math.round(100 * value) + "%")], { bands, scales: { x: { time: true }, y: { range: [0, 1] } } }), [data.at, ...stacked]];
    },
    confidence: () => [base(200, [line(words.confidence_mean, "accent", { value: (_, value) => share(value) }), line(words.confidence_low, "review-fill", { value: (_, value) => share(value) })],
      [axis((value) => Math.round(100 * value) + "%")], { scales: { x: { time: true }, y: { range: (_, min) => [Math.max(0, Math.min(min ?? 0, 0.9) - 0.03), 1] } } }), [data.at, data.confidence_mean, data.confidence_low]],
    image: () => {
      const names = Object.keys(data.statistics);
      const relative = names.map((name) => {
        const first = data.statistics[name].find((value) => value != null && value !== 0);
        return data.statistics[name].map((value) => value == null || first == null ? null : value / first);
      });
      const shades = ["accent", "ok-fill", "review-fill"];
      return [base(200, names.map((name, index) => line(words[name] ?? name, shades[index % 3], { value: (_, value) => share(value) })), [axis((value) => Math.round(100 * value) + "%")],
        { scales: { x: { time: true }, y: { range: (_, min, max) => [Math.min(min ?? 1, 0.9) - 0.02, Math.max(max ?? 1, 1.1) + 0.02] } } }), [data.at, ...relative]];
    },
    right: () => {
      if (data.labelled.length === 0) return null;
      const at = data.labelled.map((point) => point.at);
      const edge = line(words.interval, "good-bg", { width: 0, value: (_, value) => share(value) });
      const middle = line(words.right_share, "good", { points: { show: true, size: 8, fill: colour("good") }, value: (_, value) => share(value) });
      return [base(200, [{ ...edge }, { ...edge }, middle], [axis((value) => Math.round(100 * value) + "%")],
        { bands: [{ series: [1, 2], fill: colour("good-bg") }], cursor: { y: false }, scales: { x: { time: true, range: () => [data.at[0], data.at.at(-1)] }, y: { range: (_, min) => [Math.max(0, Math.min(min ?? 0.5, 0.8) - 0.05), 1.03] } } }),
        [at, data.labelled.map((point) => point.interval[1]), data.labelled.map((point) => point.interval[0]), data.labelled.map((point) => point.right)]];
    },
    latency: () => [base(200, [line(words.latency_series, "accent", { value: (_, value) => figure(value, 1) })], [axis((value) => figure(value, 0))], { scales: { x: { time: true }, y: { range: (_, __, max) => [0, (max || 1) * 1.15] } } }), [data.at, data.latency_ms]],
  };

  function draw() {
    document.getElementById("no-windows").hidden = data.at.length > 0;
    root.querySelector(".charts").hidden = data.at.length === 0;
    if (data.at.length === 0) return;
    for (const place of root.querySelectorAll("[data-chart]")) {
      charts.get(place)?.destroy();
      charts.delete(place);
      const built = BUILD[place.dataset.chart]();
      if (place.dataset.chart === "right") document.getElementById("no-labels").hidden = Boolean(built);
      place.hidden = !built;
      if (built) charts.set(place, new uPlot({ ...built[0], width: place.clientWidth }, built[1], place));
    }
    drawLegend();
    drawCarries();
  }

  function drawLegend() {
    const seen = [...new Set(data.state)].map((state) => {
      const chip = document.createElement("span");
      chip.className = "chip " + tone(state);
      chip.textContent = states[state] ?? state;
      return chip;
    });
    root.querySelector("[data-legend=state]").replaceChildren(...seen);
  }

  function drawCarries() {
    const groups = data.contributions.findLast((item) => item != null) ?? {};
    const widest = Math.max(6, ...Object.values(groups));
    const rows = Object.entries(groups).sort((left, right) => right[1] - left[1]).flatMap(([name, part]) => {
      const label = document.createElement("span");
      label.textContent = words["group_" + name.replaceAll("-", "_")] ?? name;
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      bar.setAttribute("viewBox", "0 0 100 10");
      bar.setAttribute("preserveAspectRatio", "none");
      const fill = document.createElementNS(bar.namespaceURI, "rect");
      fill.setAttribute("width", String(100 * Math.max(0, part) / widest));
      fill.setAttribute("height", "10");
      bar.append(fill);
      const value = document.createElement("span");
      value.textContent = figure(part, 1) + " σ";
      return [label, bar, value];
    });
    document.getElementById("carries").replaceChildren(...rows);
  }

  async function load() {
    const away = document.getElementById("offline");
    const response = await fetch(`${root.dataset.series}?windows=${windows}`, { credentials: "same-origin" }).catch(() => null);
    away.hidden = Boolean(response?.ok);
    if (!response?.ok) return;
    const fresh = await response.json();
    const same = data && JSON.stringify(fresh) === JSON.stringify(data);
    data = fresh;
    if (!same) draw();
  }

  for (const button of root.querySelectorAll("[data-windows]")) {
    button.addEventListener("click", () => {
      windows = Number(button.dataset.windows);
      for (const other of root.querySelectorAll("[data-windows]")) other.setAttribute("aria-pressed", String(other === button));
      load();
    });
  }
  let resizing;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => { if (data) draw(); }, 150); });
  scheme.addEventListener("change", () => { if (data) draw(); });
  setInterval(load, 10000);
  load();
});
