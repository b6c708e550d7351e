// One job.
import {showAttribution} from "./attribution.js";
import {follow, get, newKey, post, repeat} from "./api.js";
import {JobCharts} from "./charts.js";
import {
  announce, confirmed, h, setText, showBanner, showSlots,
} from "./dom.js";
import * as format from "./format.js";
import {LogView} from "./log.js";
import {Series} from "./series.js";
import {mayChange} from "./session.js";
import {setState, stateBadge} from "./state.js";

const section = (title, ...children) => {
  const out = h("section", {}, h("h2", {}, title), ...children);
  out.hidden = true;
  return out;
};

class Tiles {
  constructor() {
    this.element = h("dl", {class: "tiles"});
    this.tiles = new Map();
  }
  set(name, value, title) {
    if (!this.tiles.has(name)) {
      const dd = h("dd", {});
      this.tiles.set(name, dd);
      this.element.append(h("div", {}, h("dt", {title}, name), dd));
    }
    setText(this.tiles.get(name), value);
  }
}

class JobView {
  constructor(main, id, signal) {
    this.id = id;
    this.signal = signal;
    this.job = null;
    this.series = new Series();
    this.kept = {};  // the last of what is measured now and then
    this.history = [];

    this.title = h("h1", {}, `Job ${id}`);
    this.badge = stateBadge();
    this.cancel = h("button", {type: "button", class: "danger",
                               onclick: () => this.askCancel()}, "Cancel");
    this.resume = h("button", {type: "button",
                               onclick: () => this.askResume()}, "Resume");
    this.report = h("a", {class: "button", target: "_blank",
                          rel: "noopener", href: `/api/jobs/${id}/report`},
                    "Report");
    for (const control of [this.cancel, this.resume, this.report]) {
      control.hidden = true;
    }
    this.reason = h("p", {class: "why"});
    this.facts = h("p", {class: "facts"});
    this.bar = h("progress", {max: 1, value: 0,
                              "aria-label": "Progress of the job"});
    this.tiles = new Tiles();
    this.charts = new JobCharts(signal);
    this.attribution = section("Attribution");
    this.checkpointBody = h("tbody", {});
    this.checkpoints = section("Checkpoints", h(
      "div", {class: "scroll"}, h(
        "table", {}, h("thead", {}, h("tr", {},
          ...["Step", "Size", "Ranks", ""].map((name, i) =>
            h("th", {scope: "col", class: i < 3 ? "number" : ""}, name)))),
        this.checkpointBody)));
    this.historyBody = h("tbody", {});
    this.past = section("History", h(
      "div", {class: "scroll"}, h(
        "table", {class: "history"}, h("thead", {}, h("tr", {},
          ...["When", "State", "Because"].map((name) =>
            h("th", {scope: "col"}, name)))),
        this.historyBody)));
    this.log = new LogView(id, signal);
    this.logs = section("Log", this.log.element);
    this.text = h("pre", {tabindex: 0, "aria-label": "The job as it runs"});
    this.spec = section("Job", h(
      "details", {}, h("summary", {}, "Every setting, as it runs"),
      this.text));
    main.append(
      h("p", {class: "back"}, h("a", {href: "#/"}, "All jobs")),
      h("div", {class: "heading"}, this.title, this.badge,
        h("div", {class: "actions"}, this.report, this.resume, this.cancel)),
      this.reason, this.facts, this.bar, this.tiles.element,
      this.charts.element, this.attribution,
      h("div", {class: "pair"}, this.checkpoints, this.past),
      this.logs, this.spec);
  }

  async load() {
    let job;
    try {
      job = await get(`/api/jobs/${this.id}`, this.signal);
    } catch (error) {
      if (this.signal.aborted) return;
      if (error.status === 404) {
        setText(this.title, error.message);
      } else {
        showBanner(error.message);
      }
      return;
    }
    showBanner("");
    showSlots(job.service);
    const before = this.job?.state;
    this.job = job;
    if (before && before !== job.state) {
      announce(`Job ${this.id} is ${format.state(job.state).toLowerCase()}`);
    }
    const name = job.name || `job ${job.id}`;
    document.title = `${name} · Caracal`;
    setText(this.title, name);
    setState(this.badge, job.state);
    setText(this.reason, job.reason);
    this.reason.classList.toggle("bad", job.state === "FAILED");
    const facts = [
      `job ${job.id}`, `submitted ${format.time(job.submitted)}`,
      `${job.slots} slot${job.slots === 1 ? "" : "s"}`,
      job.priority ? `priority ${job.priority}` : "",
      job.owner !== "local" ? `by ${job.owner}` : "",
      job.after.length ? `after ${job.after.join(", ")}` : "",
      job.hosts?.length ? format.ranks(job.hosts) : "",
      job.gangs > 1 ? `${job.gangs} starts` : "",
      job.not_before ? `goes on ${format.time(job.not_before)}` : "",
      job.run_folder,
    ];
    setText(this.facts, facts.filter(Boolean).join(" · "));
    const changes = mayChange(job.owner);
    this.cancel.hidden = !changes || format.isFinal(job.state) ||
      job.state === "CANCELLING";
    this.resume.hidden =
      !changes || !["FAILED", "CANCELLED"].includes(job.state);
    this.report.hidden = !job.has_report;
    setText(this.text, job.job);
    this.spec.hidden = !job.job;
    this.logs.hidden = job.gangs === 0;
    this.log.setRunning(job.gangs > 0 && !format.isFinal(job.state));
    this.showProgress();
    if (before !== job.state) this.loadFiles();
  }

  showProgress() {
    const {job, series} = this;
    if (!job) return;
    const last = series.last ?? job.metrics ?? {};
    // The coordinator hears of a step a moment after its metrics were written.
    const step = Math.max(job.step, last.global_step ?? 0);
    this.bar.max = job.steps || 1;
    this.bar.value = Math.min(step, job.steps || 1);
    this.bar.dataset.state = job.state;
    this.tiles.set("Step", job.steps
      ? `${format.count(step)} / ${format.count(job.steps)}` : "–");
    this.tiles.set("Stage", job.stage || last.stage || "–");
    this.tiles.set("Loss", format.loss(last.loss));
    this.tiles.set("Validation",
                   format.loss(this.kept.validation_loss));
    this.tiles.set("Tokens/s", format.rate(last.tokens_per_s));
    if (this.kept.drop_probability !== undefined) {
      this.tiles.set("p", format.share(last.drop_probability),
                     "Probability that a step drops the window");
    }
    if (this.kept.window !== undefined) {
      this.tiles.set("W", Number.isFinite(last.window)
        ? format.count(last.window) : "–", "Window, in tokens");
    }
    if (this.kept.r !== undefined) {
      this.tiles.set("r", format.share(this.kept.r),
                     "What linear attention brings, of what it could");
    }
  }

  onEvent(event) {
    const data = event.data;
    if (event.kind === "metrics") {
      this.series.add(data);
      for (const key of ["validation_loss", "drop_probability", "window",
        "r"]) {
        if (typeof data[key] === "number") this.kept[key] = data[key];
      }
      this.soon();
    } else if (event.kind === "curriculum") {
      this.series.decide(data);
      this.soon();
    } else if (event.kind === "gang") {
      this.refresh?.();
    } else if (event.kind === "removed") {
      this.historyBody.prepend(h(
        "tr", {}, h("td", {class: "when"}, ""), h("td", {}, "removed"),
        h("td", {}, "Metrics up to here are no longer kept.")));
      this.past.hidden = false;
    } else if (event.kind === "tuned") {
      const set = [];
      if (typeof data.drop_probability === "number") {
        set.push(`p = ${data.drop_probability}`);
      }
      if (typeof data.window === "number") set.push(`W = ${data.window}`);
      this.historyBody.prepend(h(
        "tr", {}, h("td", {class: "when"}, format.time(event.time)),
        h("td", {}, "tuned"),
        h("td", {}, `${set.join(", ") || "back to the curriculum"}, by ` +
                    String(data.by ?? ""))));
      this.past.hidden = false;
    } else if (event.kind === "store") {
      this.historyBody.prepend(h(
        "tr", {}, h("td", {class: "when"}, format.time(event.time)),
        h("td", {}, "store"),
        h("td", {}, data.ok ? "Changes are stored again."
          : `Changes can’t be stored; nothing new is told meanwhile: ${
            String(data.why ?? "")}`)));
      this.past.hidden = false;
    } else if (event.kind === "state") {
      const badge = stateBadge();
      setState(badge, data.state);
      const why = [data.because, data.reason].filter(Boolean).join(": ");
      this.historyBody.prepend(h(
        "tr", {}, h("td", {class: "when"}, format.time(event.time)),
        h("td", {}, badge), h("td", {}, why)));
      this.past.hidden = false;
      this.refresh?.();
    }
  }

  // Figures that come together are shown together.
  soon() {
    this.charts.update(this.series);
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.showProgress();
    });
  }

  async loadFiles() {
    const {id, signal} = this;
    try {
      const {checkpoints, best} = await get(
        `/api/jobs/${id}/checkpoints`, signal);
      this.checkpoints.hidden = checkpoints.length === 0;
      this.checkpointBody.replaceChildren(...checkpoints.map((c) => {
        const note = c.problem ??
          (best?.step === c.step ? `best, ${format.loss(best.score)}` : "");
        return h(
          "tr", {}, h("td", {class: "number"}, format.count(c.step)),
          h("td", {class: "number"},
            c.bytes === undefined ? "–" : format.bytes(c.bytes)),
          h("td", {class: "number"}, String(c.ranks ?? "–")),
          h("td", {}, note));
      }));
      if (!this.shownAttribution && format.isFinal(this.job.state)) {
        const result = await get(`/api/jobs/${id}/attribution`, signal);
        this.shownAttribution = true;
        showAttribution(this.attribution, result, signal);
      }
    } catch (error) {
      // A job without them shows none.
      if (error.status !== 404 && !signal.aborted) showBanner(error.message);
    }
  }

  async askCancel() {
    const running = ["LAUNCHING", "RUNNING"].includes(this.job.state);
    if (!await confirmed(
      `Cancel job ${this.id}?`,
      running ? "Its gang saves a checkpoint and ends. It can be resumed later."
        : "It has no gang now, and gets none. It can be resumed later.",
      "Cancel the job", "Keep it")) return;
    this.change(`/api/jobs/${this.id}/cancel`, {idempotency_key: newKey()});
  }

  async askResume() {
    if (!await confirmed(
      `Resume job ${this.id}?`,
      "It goes on from its newest checkpoint, or from the start if it has " +
      "none.", "Resume the job", "Leave it")) return;
    this.change(`/api/jobs/${this.id}/resume`, {idempotency_key: newKey()});
  }

  async change(path, body) {
    this.cancel.disabled = this.resume.disabled = true;
    try {
      await post(path, body);
      await this.load();
    } catch (error) {
      showBanner(error.message);
    } finally {
      this.cancel.disabled = this.resume.disabled = false;
    }
  }
}

export function showJob(main, id, signal) {
  document.title = `Job ${id} · Caracal`;
  const view = new JobView(main, id, signal);
  view.refresh = repeat(() => view.load(), 4000, signal);
  repeat(() => view.job && !format.isFinal(view.job.state)
    ? view.loadFiles() : null, 15000, signal);
  follow(id, signal, (event) => view.onEvent(event), (live) => {
    main.dataset.live = String(live);
  });
}
