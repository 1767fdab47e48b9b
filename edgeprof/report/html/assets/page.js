"use strict";
// Draws the charts that the page describes. Everything that it writes is text or SVG attributes: no HTML is parsed.
(() => {
  const COLOURS = {
    steady: "var(--steady)", preempted: "var(--preempted)", throttled: "var(--throttled)", "warm-up": "var(--warm-up)",
  };
  const SERIES = ["var(--steady)", "var(--preempted)", "var(--second)", "var(--third)", "var(--throttled)", "var(--warm-up)"];
  const SYMBOLS = { steady: "circle", preempted: "triangle", throttled: "square", "warm-up": "times" };
  const SMALL = 480;
  const label = (axis) => axis.label + (axis.unit ? ` (${axis.unit})` : "");
  const number = (value) => (value >= 100 ? Math.round(value) : +value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 6 });
  const shown = (axis, value) => `${number(value)}${axis.unit ? " " + axis.unit : ""}`;
  const clipped = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  // A few round ticks in each decade that fits: the library's own crowd a narrow plot.
  const logTicks = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const steps = high / low > 1e3 ? [1] : high / low > 20 ? [1, 3] : [1, 2, 5];
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const step of steps) {
        const tick = step * 10 ** power;
        if (tick >= low * 0.999 && tick <= high * 1.001) found.push(tick);
      }
    }
    return found.length > 1 ? found : undefined;
  };
  const scale = (axis, values, more = {}) => ({
    label: label(axis), type: axis.log ? "log" : "linear", labelArrow: "none", tickFormat: axis.log ? number : undefined,
    ticks: axis.log && values.length ? logTicks(values) : undefined, ...more,
  });
  const base = (width, more) => ({ width, height: 280, marginLeft: 62, marginBottom: 42, marginTop: 26, marginRight: 22, className: "ep", ...more });
  const tip = (data, options) => Plot.tip(data, Plot.pointer({ stroke: "var(--line)", fill: "var(--card)", ...options }));
  const grid = (ticks) => [Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks })];
  const halo = { stroke: "var(--card)", strokeWidth: 4 };

  const draw = {
    histogram({ x, y, drawn }, width) {
      const bars = drawn.kinds.flatMap((kind, k) =>
        drawn.counts[k].map((count, at) => ({ kind, count, from: drawn.edges[at], to: drawn.edges[at + 1] })));
      const all = [...drawn.edges, ...drawn.marks.map((mark) => mark[0])];
      const place = (value) => (x.log ? Math.log(value) : value);
      const span = place(Math.max(...all)) - place(Math.min(...all));
      const binned = place(drawn.edges.at(-1)) - place(drawn.edges[0]);
      const narrow = (binned / span) * (width - 84) < 3 * (drawn.edges.length - 1);
      const total = d3.sum(bars, (bar) => bar.count);
      const rare = new Set(drawn.kinds.filter((kind, k) => kind !== "steady" && d3.sum(drawn.counts[k]) < 0.2 * total));
      const tallest = Math.max(...bars.map((bar) => bar.count));
      const middle = (bar) => (x.log ? Math.sqrt(bar.from * bar.to) : (bar.from + bar.to) / 2);
      const marks = drawn.marks.map(([value, name], at) => ({ value, name, at }));
      return Plot.plot(base(width, {
        symbol: { type: "identity" }, marginTop: 18 + 13 * marks.length,
        x: scale(x, all, { domain: [Math.min(...all), Math.max(...all)] }), y: scale(y, [], { nice: true }),
        marks: [
          ...grid(),
          Plot.rectY(bars.filter((bar) => bar.count), Plot.stackY({
            x1: "from", x2: "to", y: "count", fill: (bar) => COLOURS[bar.kind], insetLeft: narrow ? 0 : 0.5, insetRight: narrow ? 0 : 0.5,
            stroke: narrow ? (bar) => COLOURS[bar.kind] : "none", strokeWidth: 1.5,
            ariaDescription: "data",
          })),
          Plot.ruleY([0], { stroke: "var(--soft)" }),
          // A handful among thousands has a bar that cannot be seen: a sign stands in its place.
          Plot.dot(bars.filter((bar) => bar.count && rare.has(bar.kind) && bar.count < 0.015 * tallest), {
            x: middle, y: 0, dy: -5, r: 2.5, symbol: (bar) => SYMBOLS[bar.kind], fill: (bar) => COLOURS[bar.kind],
          }),
          Plot.ruleX(marks, { x: "value", stroke: "var(--ink)", strokeDasharray: "3 3" }),
          ...marks.map((mark) => Plot.text([mark], {
            x: "value", text: (m) => `${m.name} ${shown(x, m.value)}`, frameAnchor: "top", dy: -8 - 13 * mark.at,
            textAnchor: mark.value > (all[0] + Math.max(...all)) / 2 || (x.log && mark.value > Math.sqrt(Math.min(...all) * Math.max(...all))) ? "end" : "start",
            fill: "var(--ink)", ...halo,
          })),
          tip(bars.filter((bar) => bar.count), {
            x: middle, y: "count",
            title: (bar) => `${bar.count.toLocaleString("en")} ${bar.kind}\n${shown(x, bar.from)} to ${shown(x, bar.to)}`,
          }),
        ],
      }));
    },
    scatter({ x, y, drawn }, width) {
      const points = drawn.points.map(([a, b, kind]) => ({ a, b, kind: drawn.kinds[kind] }));
      // What is rare is drawn last, and so on top.
      return Plot.plot(base(width, {
        x: scale(x, []), y: scale(y, points.map((point) => point.b)), symbol: { type: "identity" },
        marks: [
          ...grid(y.log ? logTicks(points.map((point) => point.b)) : undefined),
          ...drawn.kinds.map((kind) => Plot.dot(points.filter((point) => point.kind === kind), {
            x: "a", y: "b", symbol: SYMBOLS[kind], r: kind === "steady" || points.length > 1000 && points.filter((point) => point.kind === kind).length > 500 ? 1.6 : 3, ariaDescription: "data",
            fill: kind === "warm-up" ? "none" : COLOURS[kind], fillOpacity: kind === "steady" ? 0.55 : 0.9,
            stroke: kind === "warm-up" ? COLOURS[kind] : "none", strokeWidth: 1.4,
          })),
          tip(points, { x: "a", y: "b", title: (p) => `${shown(y, p.b)}, ${p.kind}\nat ${shown(x, p.a)}` }),
        ],
      }));
    },
    bars({ x, drawn }, width) {
      const wide = width > SMALL;
      const rows = drawn.bars.map(([name, value, type, says], at) => ({ name, value, type, says, at: String(at) }));
      const room = wide ? Math.min(230, width * 0.38) : width * 0.36;
      const letters = Math.floor(room / 7);
      return Plot.plot(base(width, {
        height: 56 + rows.length * 20, marginLeft: room, marginRight: 14 + 6.8 * Math.max(...rows.map((row) => row.says.length)), marginTop: 8,
        x: scale(x, [], { domain: [0, Math.max(...rows.map((row) => row.value))], ticks: wide ? 5 : 2, nice: false }),
        y: { domain: rows.map((row) => row.at), tickFormat: (at) => clipped(rows[at].name, letters), tickSize: 0, label: null },
        marks: [
          Plot.barX(rows, {
            x: "value", y: "at", insetTop: 2, insetBottom: 2, rx: 2, ariaDescription: "data",
            fill: (row) => (drawn.given_order && row.type === "as it is" ? "var(--second)" : "var(--steady)"),
          }),
          Plot.text(rows, { x: "value", y: "at", text: "says", textAnchor: "start", dx: 5, fill: "var(--soft)" }),
          tip(rows, { x: "value", y: "at", title: (row) => `${row.name}\n${row.type}\n${shown(x, row.value)}, ${row.says}` }),
        ],
      }));
    },
    steps({ x, y, drawn }, width) {
      const half = drawn.stride / 2;
      const steps = drawn.steps.map(([at, live, name]) => ({ at, live, name, from: at - half, to: at + half }));
      const [place, top, name] = drawn.peak;
      const right = place > (steps[0].at + steps.at(-1).at) / 2;
      return Plot.plot(base(width, {
        x: scale(x, [], { domain: [steps[0].from, steps.at(-1).to], ticks: Math.min(12, steps.length), tickFormat: (at) => (Number.isInteger(at) ? String(at) : "") }),
        y: scale(y, [], { domain: [0, top * 1.12] }),
        marks: [
          ...grid(),
          Plot.rectY(steps, {
            x1: "from", x2: "to", y: "live", insetLeft: steps.length < 80 ? 1 : 0, insetRight: steps.length < 80 ? 1 : 0,
            fill: (step) => (step.at === place ? "var(--throttled)" : "var(--steady)"), ariaDescription: "data",
          }),
          Plot.ruleY([0], { stroke: "var(--soft)" }),
          Plot.text([{ place, top }], {
            x: "place", y: "top", text: () => clipped(name, 46), textAnchor: right ? "end" : "start",
            dy: -9, dx: right ? 8 : -8, fill: "var(--ink)", fontWeight: 600, ...halo,
          }),
          tip(steps, { x: "at", y: "live", title: (step) => `${step.name}\n${shown(y, step.live)}` }),
        ],
      }));
    },
    roofline({ x, y, drawn }, width) {
      const points = drawn.points.map(([intensity, rate, bound, timed, name]) => ({ intensity, rate, bound, timed, name }));
      const xs = [...points.map((point) => point.intensity), drawn.ridge];
      const [low, high] = [Math.min(...xs) / 3, Math.max(...xs) * 3];
      const roof = [[low, low * drawn.bandwidth], [drawn.ridge, drawn.peak], [high, drawn.peak]];
      const ys = [...points.map((point) => point.rate), ...roof.map((corner) => corner[1])];
      const colour = (point) => (point.bound === "memory" ? "var(--preempted)" : "var(--second)");
      return Plot.plot(base(width, {
        x: scale(x, [low, high], { domain: [low, high] }), y: scale(y, ys, { domain: [Math.min(...ys) / 2, Math.max(...ys) * 2.5] }),
        marks: [
          ...grid(logTicks(ys)),
          Plot.ruleX([drawn.ridge], { stroke: "var(--soft)", strokeDasharray: "3 3" }),
          Plot.line(roof, { stroke: "var(--ink)", strokeWidth: 1.8 }),
          Plot.text([[drawn.ridge, drawn.peak]], { text: () => "← memory-bound ", textAnchor: "end", frameAnchor: "bottom", x: "0", dy: -6, fill: "var(--soft)" }),
          Plot.text([[drawn.ridge, drawn.peak]], { text: () => `ridge ${number(drawn.ridge)} op/B`, x: "0", y: "1", dy: -10, fill: "var(--ink)", ...halo }),
          Plot.dot(points, {
            x: "intensity", y: "rate", r: 4, symbol: (point) => (point.bound === "memory" ? "circle" : "square"), stroke: colour,
            fill: (point) => (point.timed ? colour(point) : "var(--card)"), strokeWidth: 1.5, ariaDescription: "data",
          }),
          tip(points, {
            x: "intensity", y: "rate",
            title: (p) => `${p.name}\n${number(p.intensity)} op/B, ${p.bound}-bound\n${number(p.rate)} Gop/s${p.timed ? "" : " at most"}`,
          }),
        ],
      }));
    },
    lines({ x, y, drawn }, width) {
      const points = drawn.series.flatMap((series, at) => series.points.map(([a, b]) => ({ a, b, at, name: series.name })));
      const values = points.map((point) => point.b).filter((value) => value !== null);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const floor = low === high ? low - 0.05 * Math.abs(low || 1) : low > 0 && (high - low) < 0.15 * high ? low - Math.max(high - low, 0.02 * high) : Math.min(0, low);
      return Plot.plot(base(width, {
        x: scale(x, []), y: scale(y, [], { domain: [floor, high + (high - floor) * (low === high ? 1 : 0.08)], nice: true }),
        marks: [
          Plot.rectX(drawn.bands, { x1: "0", x2: "1", fill: "var(--band)", fillOpacity: 0.55, ariaDescription: "bands" }),
          ...grid(),
          Plot.line(points, { x: "a", y: "b", z: "at", stroke: (point) => SERIES[point.at % SERIES.length], strokeWidth: 1.8, ariaDescription: "data" }),
          drawn.dots || points.length < 40
            ? Plot.dot(points.filter((point) => point.b !== null), { x: "a", y: "b", r: 3, fill: (point) => SERIES[point.at % SERIES.length], ariaDescription: "data" })
            : null,
          tip(points.filter((point) => point.b !== null), { x: "a", y: "b", title: (p) => `${p.name}\n${shown(y, p.b)}\nat ${shown(x, p.a)}` }),
        ],
      }));
    },
  };

  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const keyOf = (chart) => {
    const { kind, drawn } = chart;
    const entries =
      kind === "roofline"
        ? [["memory-bound", "var(--preempted)", "circle"], ["compute-bound", "var(--second)", "square"]]
        : kind === "lines"
          ? drawn.series.map((series, at) => [series.name, SERIES[at % SERIES.length], "circle"])
          : (drawn.kinds || []).map((name) => [name, COLOURS[name], kind === "scatter" ? SYMBOLS[name] : "square"]);
    if (entries.length < 2) return null;
    const list = document.createElement("ul");
    list.className = "key";
    list.setAttribute("aria-hidden", "true");
    for (const [text, colour, symbol] of entries) {
      const item = document.createElement("li");
      const sign = svg("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12" });
      const shape = { circle: d3.symbolCircle, triangle: d3.symbolTriangle, square: d3.symbolSquare, times: d3.symbolTimes }[symbol];
      const path = svg("path", { d: d3.symbol(shape, 48)(), ...(symbol === "times" ? { stroke: colour, "stroke-width": 1.5 } : { fill: colour }) });
      sign.append(path);
      item.append(sign, text);
      list.append(item);
    }
    return list;
  };

  const paint = (chart, place) => {
    const width = Math.max(260, Math.floor(place.clientWidth));
    if (place.dataset.width === String(width)) return;
    const drawing = draw[chart.kind](chart, width);
    // The library's own style element would need a policy that lets any style in; page.css says the same.
    for (const style of drawing.querySelectorAll("style")) style.remove();
    drawing.setAttribute("aria-hidden", "true");
    const key = keyOf(chart);
    place.replaceChildren(...(key ? [key] : []), drawing);
    place.dataset.width = String(width);
    place.closest("figure").dataset.drawn = String(drawing.querySelectorAll('g[aria-description="data"] > *').length);
  };

  const charts = JSON.parse(document.getElementById("charts").textContent);
  const places = new Map(charts.map((chart) => [document.getElementById(chart.id), chart]));
  const all = () => places.forEach((chart, place) => paint(chart, place));
  // A slice of charts a frame: the page answers while the later ones are drawn.
  const waiting = [...places];
  const next = () => {
    const until = performance.now() + 24;
    while (waiting.length && performance.now() < until) {
      const [place, chart] = waiting.shift();
      paint(chart, place);
    }
    if (waiting.length) setTimeout(next, 0);
    else document.documentElement.dataset.drawn = String(Math.round(performance.now()));
  };
  next();
  let asked = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(all);
  });
  addEventListener("beforeprint", all);

  const button = document.getElementById("theme");
  const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.setAttribute("aria-label", "switch between light and dark");
  button.hidden = false;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
})();
