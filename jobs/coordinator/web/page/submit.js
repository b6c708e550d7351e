// A form for a job.
import {newKey, post} from "./api.js";
import {announce, h} from "./dom.js";

const kExample = `name: "my-job"
preset: "lolcats"
model { path: "/path/of/the/model" }
data { path: "/path/of/train.h5" validation: "/path/of/heldout.h5" }
attention { window: 64 sinks: 4 feature_map: "hedgehog" features: 64 }
budget { transfer_steps: 32 finetune_steps: 16 batch: 4 }
`;

export function showSubmit(main) {
  document.title = "Submit · Caracal";
  const text = h("textarea", {
    id: "job", rows: 18, spellcheck: "false", autocomplete: "off",
    "aria-describedby": "hint problems", required: true,
  });
  text.value = kExample;
  const priority = h("input", {
    id: "priority", type: "number", step: 1, value: 0, inputmode: "numeric",
  });
  const button = h("button", {type: "submit", class: "primary"}, "Submit");
  const problems = h("div", {id: "problems", class: "problems",
                             tabindex: -1});
  problems.hidden = true;
  let key = newKey();
  text.addEventListener("input", () => { key = newKey(); });
  priority.addEventListener("input", () => { key = newKey(); });

  function showProblems(error) {
    problems.hidden = false;
    const list = error.problems.map((problem) => h(
      "li", {},
      problem.field ? h("code", {}, problem.field) : null,
      h("span", {}, problem.message),
      problem.where ? h("small", {}, problem.where) : null));
    const n = list.length;
    problems.replaceChildren(
      h("h2", {}, n === 0 ? "It was not taken in"
        : `${n} problem${n === 1 ? "" : "s"}; nothing was submitted`),
      n === 0 ? h("p", {}, error.message) : h("ul", {}, ...list));
    text.setAttribute("aria-invalid", "true");
    announce(`${n || 1} problem${n > 1 ? "s" : ""}`);
    problems.focus();
  }

  const form = h(
    "form", {class: "submit", novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const answer = await post("/api/jobs", {
          job: text.value, priority: Math.trunc(Number(priority.value)) || 0,
          idempotency_key: key,
        });
        announce(`Job ${answer.id} was submitted`);
        location.hash = `#/jobs/${answer.id}`;
      } catch (error) {
        showProblems(error);
      } finally {
        button.disabled = false;
      }
    }},
    h("label", {for: "job"}, "Job"),
    h("p", {id: "hint", class: "hint"},
      "Protobuf text format or JSON. Paths are absolute, and are those of the ",
      "coordinator’s machine."),
    text,
    h("div", {class: "row"},
      h("label", {for: "priority"}, "Priority"), priority, button),
    problems);
  main.append(h("div", {class: "heading"}, h("h1", {}, "Submit a job")), form);
}
