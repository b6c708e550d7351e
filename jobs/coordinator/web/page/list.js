// All jobs, the newest first.
import {get, repeat} from "./api.js";
import {h, setText, showBanner, showSlots} from "./dom.js";
import * as format from "./format.js";
import {may} from "./session.js";
import {stateBadge, setState} from "./state.js";

const kPage = 50;

// One row, made once: what changes is text, so that focus stays where it is.
class Row {
  constructor(id) {
    this.id = id;
    this.link = h("a", {href: `#/jobs/${id}`});
    this.badge = stateBadge();
    this.reason = h("span", {class: "reason"});
    this.bar = h("progress", {max: 1, value: 0});
    this.steps = h("span", {class: "steps"});
    this.loss = h("span", {});
    this.speed = h("span", {});
    this.age = h("time", {});
    const cell = (label, ...parts) =>
      h("td", {"data-label": label}, ...parts);
    this.element = h(
      "tr", {},
      h("td", {class: "id"}, String(id)),
      h("td", {class: "name"}, this.link, this.reason),
      h("td", {class: "state"}, this.badge),
      h("td", {class: "progress"}, this.bar, this.steps),
      cell("Loss", this.loss), cell("Tokens/s", this.speed),
      cell("Age", this.age));
    for (const part of [this.loss, this.speed, this.age]) {
      part.parentElement.classList.add("number");
    }
  }

  update(job) {
    setText(this.link, job.name || `job ${job.id}`);
    setState(this.badge, job.state);
    const tells = !["RUNNING", "SUCCEEDED"].includes(job.state);
    setText(this.reason, tells ? job.reason : "");
    this.bar.max = job.steps || 1;
    this.bar.value = Math.min(job.step, job.steps || 1);
    this.bar.setAttribute("aria-label", `Progress of job ${job.id}`);
    this.bar.dataset.state = job.state;
    this.bar.classList.toggle("none", !job.steps);
    const stage = format.isFinal(job.state) ? "" : `${job.stage} `;
    setText(this.steps, job.steps
      ? `${stage}${format.count(job.step)}/${format.count(job.steps)}`
      : "not begun");
    setText(this.loss, format.loss(job.metrics?.loss));
    setText(this.speed, job.state === "RUNNING"
      ? format.rate(job.metrics?.tokens_per_s) : "–");
    // Where there is little room, figures that there are none of are left out.
    for (const part of [this.loss, this.speed]) {
      part.parentElement.classList.toggle("none", part.textContent === "–");
    }
    setText(this.age, format.duration(Date.now() - job.submitted));
    this.age.title = `submitted ${format.time(job.submitted)}`;
    this.age.dateTime = new Date(job.submitted).toISOString();
  }
}

export function showJobs(main, signal) {
  document.title = "Jobs · Caracal";
  let filter = "";
  let pages = [0];  // where each page so far begins
  const rows = new Map();
  const filters = h("div", {class: "filters", role: "group",
                            "aria-label": "Only jobs that are"});
  const body = h("tbody", {});
  const table = h(
    "table", {class: "jobs"},
    h("thead", {}, h("tr", {}, ...["Job", "Name", "State", "Progress", "Loss",
      "Tokens/s", "Age"].map((name, i) =>
      h("th", {scope: "col", class: i > 3 ? "number" : ""}, name)))),
    body);
  const empty = h("div", {class: "empty"});
  empty.hidden = true;
  const newer = h("button", {type: "button"}, "Newer");
  const older = h("button", {type: "button"}, "Older");
  const pager = h("nav", {class: "pager", "aria-label": "Pages of jobs"},
                  newer, older);
  main.append(
    h("div", {class: "heading"}, h("h1", {}, "Jobs"),
      may("submitter")
        ? h("a", {class: "button", href: "#/submit"}, "Submit a job") : null),
    filters, table, empty, pager);

  const buttons = new Map();
  function showFilters(counts) {
    const all = Object.values(counts).reduce((a, b) => a + b, 0);
    for (const [name, jobs] of [["", all], ...Object.entries(counts)]) {
      if (!buttons.has(name)) {
        const button = h("button", {type: "button", onclick: () => {
          filter = name;
          pages = [0];
          again();
        }});
        buttons.set(name, button);
        filters.append(button);
      }
      const button = buttons.get(name);
      setText(button, `${name ? format.state(name) : "All"} ${
        format.count(jobs)}`);
      button.hidden = jobs === 0 && name !== "" && name !== filter;
      button.setAttribute("aria-pressed", String(name === filter));
    }
  }

  let asked = 0;
  async function load() {
    const mine = ++asked;
    const query = new URLSearchParams({limit: kPage});
    if (filter) query.set("state", filter);
    if (pages.at(-1)) query.set("from", pages.at(-1));
    let answer;
    try {
      answer = await get(`/api/jobs?${query}`, signal);
    } catch (error) {
      if (!signal.aborted) showBanner(error.message);
      return;
    }
    if (mine !== asked || signal.aborted) return;
    showBanner(answer.health
      ? `The coordinator can't write to its disk: ${answer.health}` : "");
    showSlots(answer);
    showFilters(answer.counts);
    const wanted = answer.jobs.map((job) => {
      if (!rows.has(job.id)) rows.set(job.id, new Row(job.id));
      rows.get(job.id).update(job);
      return rows.get(job.id).element;
    });
    const same = wanted.length === body.children.length &&
        wanted.every((row, i) => row === body.children[i]);
    if (!same) body.replaceChildren(...wanted);
    table.hidden = wanted.length === 0;
    empty.hidden = wanted.length > 0;
    if (wanted.length === 0) {
      empty.replaceChildren(filter
        ? h("p", {}, `No job is ${filter.toLowerCase()}.`)
        : !may("submitter") ? h("p", {}, "No jobs yet.")
        : h("p", {}, "No jobs yet. ",
            h("a", {href: "#/submit"}, "Submit one here"), ", or with ",
            h("code", {}, "caracal submit job.textproto"), "."));
    }
    newer.disabled = pages.length === 1;
    older.disabled = !answer.next;
    pager.hidden = pages.length === 1 && !answer.next;
    older.onclick = () => {
      pages.push(answer.next);
      again();
    };
    newer.onclick = () => {
      pages.pop();
      again();
    };
  }
  repeat(load, 2000, signal);
  function again() {
    load();
  }
}
