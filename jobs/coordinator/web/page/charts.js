// The charts of one job, drawn by Chart.js.
import {h, setText} from "./dom.js";
import * as format from "./format.js";
import {decimate} from "./series.js";

const Chart = window.Chart;
const kBuckets = 300;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    line: [of("c1"), of("c2"), of("c3"), of("c4")],
    text: of("text-2"), grid: of("grid"), mark: of("mark"),
    surface: of("surface"),
  };
}

// What every chart has.
export function baseOptions(c) {
  const font = {family: getComputedStyle(document.body).fontFamily, size: 11};
  const axis = () => ({
    grid: {color: c.grid, drawTicks: false, borderColor: c.grid},
    ticks: {color: c.text, font, padding: 6, maxRotation: 0,
            maxTicksLimit: 6},
  });
  return {
    animation: false, responsive: true, maintainAspectRatio: false,
    normalized: true, parsing: false,
    interaction: {mode: "nearest", axis: "x", intersect: false},
    layout: {padding: {top: 4, right: 4}},
    axis, font,
    plugins: {
      legend: {
        align: "start",
        labels: {color: c.text, font, boxWidth: 14, boxHeight: 2,
                 padding: 12},
      },
      tooltip: {animation: false, displayColors: true, boxWidth: 8,
                boxHeight: 8, titleFont: font, bodyFont: font},
    },
  };
}

// A thin line where each stage but the first begins, with its name.
const stageLines = {
  id: "stageLines",
  afterDatasetsDraw(chart, _, options) {
    const {ctx, chartArea: area, scales: {x}} = chart;
    ctx.save();
    ctx.strokeStyle = options.color;
    ctx.fillStyle = options.color;
    ctx.font = `10px ${getComputedStyle(document.body).fontFamily}`;
    ctx.setLineDash([3, 3]);
    for (const {name, step} of (options.stages ?? []).slice(1)) {
      const at = Math.round(x.getPixelForValue(step)) + 0.5;
      if (at < area.left || at > area.right) continue;
      ctx.beginPath();
      ctx.moveTo(at, area.top);
      ctx.lineTo(at, area.bottom);
      ctx.stroke();
      const wide = ctx.measureText(name).width + 4;
      ctx.fillText(name, at + 4 + wide > area.right ? at - wide : at + 4,
                   area.top + 10);
    }
    ctx.restore();
  },
};

// keys: [key, label, options]; right: those of the axis on the right.
const kCharts = [
  {title: "Speed", unit: "tokens/s", keys: [["tokens_per_s", "tokens/s"]],
   show: format.rate, zero: true},
  {title: "Curriculum", unit: "p and W", keys: [
    ["drop_probability", "p, drop probability", {step: true}],
    ["window", "W, tokens", {step: true, right: true}]],
   show: format.share, unitRange: true, decisions: true},
  {title: "Use of linear attention", unit: "r and u", keys: [
    ["r", "r", {points: true}],
    ["u", "u, nats", {points: true, right: true}],
    ["u_star", "u*, nats", {points: true, right: true}]],
   show: format.loss},
  {title: "Mass of the linear part", unit: "of attention, held out", keys: [
    ["la_mass", "mean of layers", {points: true}],
    ["la_mass_low", "lowest layer", {points: true}],
    ["la_mass_high", "highest layer", {points: true}]],
   show: format.percent, tick: format.percentTick, zero: true},
  {title: "Loss by component", unit: "nats per token", keys: [
    ["hybrid_loss", "hybrid", {points: true}],
    ["swa_only_loss", "window alone", {points: true}],
    ["la_only_loss", "linear alone", {points: true}]],
   show: format.loss},
];

// What a stage minimises is its own: one chart each.
const kMostStages = 6;
const lossOf = (stage) => ({
  title: "Loss", unit: "", stage, keys: [
    ["loss", "training"],
    ["validation_loss", "validation", {points: true}]],
  show: format.loss,
});

class JobChart {
  constructor(spec) {
    this.spec = spec;
    this.canvas = h("canvas", {role: "img"});
    this.unit = h("span", {class: "unit"}, spec.unit);
    this.element = h(
      "figure", {class: "chart"},
      h("figcaption", {}, h("h3", {}, spec.title), this.unit),
      h("div", {class: "canvas"}, this.canvas));
    this.element.hidden = true;
    this.chart = null;
  }

  datasets(series, c) {
    const out = [];
    const range = this.spec.stage === undefined ? []
      : series.rangeOf(this.spec.stage);
    this.spec.keys.forEach(([key, label, o = {}], i) => {
      if (!series.has(key)) return;
      const data = decimate(series.columns.get(key), kBuckets, ...range);
      if (data.length === 0) return;
      const few = data.length <= 60;
      out.push({
        label, data, yAxisID: o.right ? "y2" : "y",
        borderColor: c.line[i], backgroundColor: c.line[i],
        borderWidth: 1.5, stepped: o.step ?? false,
        pointRadius: o.points && few ? 2.5 : data.length === 1 ? 2 : 0,
        pointHoverRadius: 4,
      });
    });
    if (this.spec.decisions && series.decisions.length) {
      out.push({
        label: "decisions", data: series.decisions.slice(-500),
        yAxisID: "y", showLine: false, pointStyle: "rectRot", pointRadius: 4,
        borderColor: c.mark, backgroundColor: c.mark,
      });
    }
    return out;
  }

  options(series, c) {
    const options = baseOptions(c);
    const {axis} = options;
    const right = this.spec.keys.some(([key, , o]) =>
      o?.right && series.has(key));
    const left = this.spec.keys.some(([key, , o]) =>
      !o?.right && series.has(key));
    const show = (value) => this.spec.show(Number(value));
    const [from, to] = this.spec.stage === undefined
      ? [series.columns.get("loss").x[0], Infinity]
      : series.rangeOf(this.spec.stage);
    const last = Math.min(series.last.global_step, to - 1);
    options.scales = {
      x: {type: "linear", min: from, max: Math.max(last, from + 1), ...axis()},
      y: {...axis(), display: left, grace: "4%"},
    };
    options.scales.x.ticks.callback = (value) =>
      Number.isInteger(value) ? format.count(value) : "";
    const tick = this.spec.tick ?? format.tick;
    options.scales.y.ticks.callback = (value) => tick(Number(value));
    if (this.spec.unitRange) Object.assign(options.scales.y, {min: 0, max: 1});
    if (this.spec.zero) options.scales.y.min = 0;
    if (right) {
      options.scales.y2 = {...axis(), position: "right", grace: "4%"};
      options.scales.y2.ticks.callback = (value) =>
        format.tick(Number(value));
      if (left) options.scales.y2.grid.drawOnChartArea = false;
      if (this.spec.unitRange) options.scales.y2.min = 0;
    }
    options.plugins.stageLines = {
      stages: this.spec.stage === undefined ? series.stages : [],
      color: c.mark,
    };
    // One line needs no legend: the title names it.
    options.plugins.legend.display =
      this.spec.keys.filter(([key]) => series.has(key)).length > 1;
    options.plugins.tooltip.callbacks = {
      title: ([item]) => item ? `step ${format.count(item.raw.x)}` : "",
      label: (item) => `${item.dataset.label}: ${
        item.dataset.yAxisID === "y2" && this.spec.unitRange
          ? format.count(item.raw.y) : show(item.raw.y)}${
        item.raw.because ? ` (${item.raw.because})` : ""}`,
    };
    return options;
  }

  draw(series) {
    const {stage} = this.spec;
    if (stage !== undefined) {
      this.element.hidden = stage >= series.stages.length;
      if (this.element.hidden) return;
      setText(this.unit, series.stages[stage].name);
    }
    const c = colours();
    const datasets = this.datasets(series, c);
    this.element.hidden = datasets.length === 0;
    if (datasets.length === 0) return;
    const options = this.options(series, c);
    if (this.chart) {
      this.chart.data.datasets = datasets;
      this.chart.options = options;
      this.chart.update("none");
    } else {
      this.chart = new Chart(this.canvas, {
        type: "line", data: {datasets}, options, plugins: [stageLines],
      });
    }
    const show = this.spec.tick ? this.spec.show : format.loss;
    const last = datasets.map(({label, data}) =>
      `${label} ${show(data.at(-1).y)}`);
    const name = stage === undefined ? this.spec.title
      : `${this.spec.title}, ${series.stages[stage].name},`;
    this.canvas.setAttribute(
      "aria-label", `${name} by step. Last: ${last.join(", ")}.`);
  }
}

// la_mass by layer, as last measured.
class LayerChart {
  constructor() {
    this.canvas = h("canvas", {role: "img"});
    this.unit = h("span", {class: "unit"});
    this.element = h(
      "figure", {class: "chart"},
      h("figcaption", {}, h("h3", {}, "Mass of the linear part by layer"),
        this.unit),
      h("div", {class: "canvas"}, this.canvas));
    this.element.hidden = true;
    this.chart = null;
  }

  draw(series) {
    this.element.hidden = series.layers === null;
    if (series.layers === null) return;
    const {step, masses} = series.layers;
    setText(this.unit, `step ${format.count(step)}`);
    const c = colours();
    const options = baseOptions(c);
    options.parsing = true;
    options.interaction = {mode: "index", intersect: false};
    options.scales = {x: {...options.axis()}, y: {...options.axis(), min: 0}};
    options.scales.x.grid.display = false;
    options.scales.x.ticks.maxTicksLimit = 16;
    options.scales.y.ticks.callback = (value) =>
      format.percentTick(Number(value));
    options.plugins.legend.display = false;
    options.plugins.tooltip.callbacks = {
      title: ([item]) => item ? `layer ${item.label}` : "",
      label: (item) => format.percent(item.parsed.y),
    };
    const data = {
      labels: masses.map((_, i) => String(i)),
      datasets: [{data: masses, backgroundColor: c.line[0], borderRadius: 2,
                  maxBarThickness: 18, categoryPercentage: 0.8}],
    };
    this.canvas.setAttribute(
      "aria-label", `Mass of the linear part by layer at step ${step}. ${
        masses.map((x) => format.percent(x ?? NaN)).join(", ")}.`);
    if (this.chart) {
      this.chart.data = data;
      this.chart.options = options;
      this.chart.update("none");
    } else {
      this.chart = new Chart(this.canvas, {type: "bar", data, options});
    }
  }
}

// Draws when there is something new, at most twice a second.
export class JobCharts {
  constructor(signal) {
    this.charts = kCharts.map((spec) => new JobChart(spec));
    // Beside that of the same over time.
    this.charts.splice(kCharts.findIndex(({tick}) => tick) + 1, 0,
                       new LayerChart());
    this.losses = [];
    this.none = h("p", {class: "hint"}, "No steps have been taken yet.");
    this.element = h("div", {class: "charts"},
                     ...this.charts.map((chart) => chart.element), this.none);
    this.series = null;
    this.timer = 0;
    const again = () => this.draw();
    addEventListener("themechange", again, {signal});
    still.addEventListener("change", again, {signal});
    signal.addEventListener("abort", () => {
      clearTimeout(this.timer);
      for (const chart of [...this.losses, ...this.charts]) {
        chart.chart?.destroy();
      }
    });
  }

  update(series) {
    this.series = series;
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.draw();
    }, this.drawn ? 500 : 60);
  }

  draw() {
    if (!this.series) return;
    this.drawn = this.series.last !== null;
    this.none.hidden = this.drawn;
    const stages = Math.min(this.series.stages.length, kMostStages);
    while (this.losses.length < stages) {
      const chart = new JobChart(lossOf(this.losses.length));
      this.element.insertBefore(chart.element, this.charts[0].element);
      this.losses.push(chart);
    }
    for (const chart of this.losses) chart.draw(this.series);
    for (const chart of this.charts) chart.draw(this.series);
  }
}
