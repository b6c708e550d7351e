// What a job's ranks have printed: its end, and what is added.
import {get, repeat} from "./api.js";
import {h} from "./dom.js";

const kMostText = 256 << 10;  // that stays on the page

export class LogView {
  constructor(id, signal) {
    this.id = id;
    this.signal = signal;
    this.running = true;
    this.gang = 0;
    this.next = null;  // where to read on; null: the end
    this.text = document.createTextNode("");
    this.pre = h("pre", {class: "log", tabindex: 0, role: "log",
                         "aria-live": "off", "aria-label": "Log"}, this.text);
    this.tail = h("input", {type: "checkbox", id: "tail", checked: true});
    this.where = h("span", {class: "hint"});
    this.element = h(
      "div", {}, h("div", {class: "row"}, this.tail,
        h("label", {for: "tail"}, "Follow"), this.where), this.pre);
    repeat(() => this.load(), 1500, signal);
  }

  setRunning(running) {
    // Once more after it has ended.
    this.finished = !running && !this.running;
    this.running = running;
  }

  async load() {
    if (this.finished && this.next !== null) return;
    const query = this.next === null ? ""
      : `?gang=${this.gang}&offset=${this.next}`;
    let answer;
    try {
      answer = await get(`/api/jobs/${this.id}/logs${query}`, this.signal);
    } catch {
      return;  // the view tells, if it lasts
    }
    if (answer.gang === 0) return;
    if (this.next === null && answer.offset > 0) {
      this.where.textContent = "the end of it; caracal logs shows all";
    }
    this.gang = answer.gang;
    this.next = answer.next;
    this.append(answer.text);
    if (answer.next >= answer.size && answer.gangs > answer.gang) {
      ++this.gang;
      this.next = 0;
      this.append(`\n— start ${this.gang} —\n`);
    }
  }

  append(text) {
    if (!text) return;
    const all = this.text.data + text;
    this.text.data = all.length > kMostText
      ? all.slice(all.indexOf("\n", all.length - kMostText) + 1) : all;
    if (this.tail.checked) this.pre.scrollTop = this.pre.scrollHeight;
  }
}
