// What each component of attention brings: attribution.json of a run.
import {baseOptions, colours} from "./charts.js";
import {h} from "./dom.js";
import * as format from "./format.js";

const Chart = window.Chart;
const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;

function figure(title, unit, height) {
  const canvas = h("canvas", {role: "img"});
  const box = h("div", {class: "canvas"}, canvas);
  box.style.height = `${height}px`;
  return {canvas, element: h(
    "figure", {class: "chart"},
    h("figcaption", {}, h("h3", {}, title), h("span", {class: "unit"}, unit)),
    box)};
}

// Modes and baselines as [{name, loss, low, high}].
function modesOf(result) {
  const out = [];
  for (const group of [result.modes ?? {}, result.baselines ?? {}]) {
    for (const [name, mode] of Object.entries(group)) {
      if (name === "masses" || typeof mode?.loss !== "number") continue;
      out.push({name, loss: mode.loss, low: mode.interval?.low ?? mode.loss,
                high: mode.interval?.high ?? mode.loss});
    }
  }
  return out;
}

// The mean as a tick on the bar of its interval.
const meanTicks = {
  id: "meanTicks",
  afterDatasetsDraw(chart, _, options) {
    const {ctx, scales: {x}} = chart;
    ctx.save();
    ctx.fillStyle = options.color;
    chart.getDatasetMeta(0).data.forEach((bar, i) => {
      ctx.fillRect(x.getPixelForValue(options.means[i]) - 1, bar.y - 7, 2, 14);
    });
    ctx.restore();
  },
};

function drawModes(canvas, modes) {
  const c = colours();
  const options = baseOptions(c);
  options.indexAxis = "y";
  options.parsing = true;
  options.interaction = {mode: "nearest", axis: "y", intersect: false};
  options.scales = {x: {...options.axis(), beginAtZero: false, grace: "5%"},
                    y: {...options.axis()}};
  options.scales.y.grid.display = false;
  options.scales.y.ticks.autoSkip = false;
  options.scales.x.ticks.callback = (value) => format.tick(Number(value));
  options.plugins.legend.display = false;
  options.plugins.meanTicks = {means: modes.map((m) => m.loss),
                               color: c.line[0]};
  options.plugins.tooltip.callbacks = {label: ({dataIndex}) => {
    const m = modes[dataIndex];
    return `${format.loss(m.loss)}  95% ${format.loss(m.low)} to ${
      format.loss(m.high)}`;
  }};
  canvas.setAttribute("aria-label", "Loss of each mode. " + modes.map((m) =>
    `${m.name} ${format.loss(m.loss)}`).join(", "));
  return new Chart(canvas, {
    type: "bar", options, plugins: [meanTicks],
    data: {labels: modes.map((m) => m.name),
           datasets: [{data: modes.map((m) => [m.low, m.high]),
                       backgroundColor: `${c.line[0]}59`, barThickness: 8,
                       minBarLength: 2, borderRadius: 2,
                       borderSkipped: false}]},
  });
}

function drawLayers(canvas, masses) {
  const c = colours();
  const options = baseOptions(c);
  options.parsing = true;
  options.interaction = {mode: "index", intersect: false};
  options.scales = {x: {...options.axis()},
                    y: {...options.axis(), min: 0}};
  options.scales.x.grid.display = false;
  options.scales.x.ticks.maxTicksLimit = 16;
  options.scales.y.ticks.callback = (value) =>
    `${Math.round(Number(value) * 100)}%`;
  options.plugins.tooltip.callbacks = {
    title: ([item]) => `layer ${item.label}`,
    label: (item) => `${item.dataset.label}: ${
      Math.round(item.parsed.y * 1000) / 10}%`,
  };
  const datasets = [
    ["la_mass", "linear part", c.line[0]],
    ["teacher_out_mass", "teacher outside the window", c.line[1]],
  ].filter(([key]) => Array.isArray(masses[key])).map(([key, label, colour]) =>
    ({label, data: masses[key].map(mean), backgroundColor: colour,
      borderRadius: 2, maxBarThickness: 18, categoryPercentage: 0.7}));
  canvas.setAttribute("aria-label", "Attention mass by layer. " +
    datasets.map((d) => `${d.label}: ${d.data.map((x) =>
      `${Math.round(x * 100)}%`).join(", ")}`).join(". "));
  return new Chart(canvas, {type: "bar", options, data: {
    labels: (masses.la_mass ?? []).map((_, i) => String(i)), datasets}});
}

function modeTable(modes) {
  const teacher = modes.find((m) => m.name === "teacher");
  return h("div", {class: "scroll"}, h(
    "table", {},
    h("thead", {}, h("tr", {}, ...["Mode", "Loss", "95% interval",
      "− teacher"].map((name, i) =>
      h("th", {scope: "col", class: i ? "number" : ""}, name)))),
    h("tbody", {}, ...modes.map((m) => h(
      "tr", {}, h("td", {}, h("code", {}, m.name)),
      h("td", {class: "number"}, format.loss(m.loss)),
      h("td", {class: "number"},
        `${format.loss(m.low)} – ${format.loss(m.high)}`),
      h("td", {class: "number"}, teacher && m !== teacher
        ? `${m.loss >= teacher.loss ? "+" : "−"}${
          format.loss(Math.abs(m.loss - teacher.loss))}` : ""))))));
}

export function showAttribution(section, result, signal) {
  const modes = modesOf(result);
  if (modes.length === 0) return;
  const losses = figure("Loss with parts removed",
                        "nats per token, 95% interval", 40 + 22 * modes.length);
  const parts = [losses.element];
  const masses = result.modes?.masses;
  const layers = masses?.la_mass?.length
    ? figure("Attention mass by layer", "mean of heads",
             Math.max(220, 40 + 22 * modes.length)) : null;
  if (layers) parts.push(layers.element);
  const la = result.drop?.la;
  const sentence = la ? h(
    "p", {}, "Without its linear part the loss changes by ",
    h("strong", {}, `${la.mean >= 0 ? "+" : "−"}${
      format.loss(Math.abs(la.mean))}`),
    ` nats per token (95% interval ${format.loss(la.low)} to ${
      format.loss(la.high)}).`) : null;
  section.append(...[sentence, h("div", {class: "charts"}, ...parts),
                     h("details", {}, h("summary", {}, "As a table"),
                       modeTable(modes))].filter(Boolean));
  section.hidden = false;
  let charts = [];
  const draw = () => {
    for (const chart of charts) chart.destroy();
    charts = [drawModes(losses.canvas, modes)];
    if (layers) charts.push(drawLayers(layers.canvas, masses));
  };
  draw();
  addEventListener("themechange", draw, {signal});
  signal.addEventListener("abort", () => {
    for (const chart of charts) chart.destroy();
  });
}
