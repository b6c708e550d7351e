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

// The whole number that was typed. What is none goes as it is, for the
// coordinator to refuse with all else that is wrong.
function number(typed) {
  return /^-?[0-9]{1,15}$/.test(typed) ? Number(typed) : typed;
}

// `otherwise` where nothing was typed.
function whole(typed, otherwise) {
  return typed.trim() === "" ? otherwise : number(typed.trim());
}

// The numbers of "3, 4".
function ids(typed) {
  return typed.split(/[\s,]+/).filter((word) => word !== "").map(number);
}

export function showSubmit(main) {
  document.title = "Submit · Caracal";
  const text = h("textarea", {
    id: "job", rows: 18, spellcheck: "false", autocomplete: "off",
    "aria-describedby": "hint problems", required: true,
  });
  text.value = kExample;
  // As text: of an input for numbers nothing is left of what is none.
  const field = (id, value) => h("input", {
    id, type: "text", value, inputmode: "numeric",
    autocomplete: "off",
  });
  const priority = field("priority", 0);
  const retries = field("retries", 3);
  const after = h("input", {
    id: "after", type: "text", inputmode: "numeric", placeholder: "none",
    autocomplete: "off", pattern: "[0-9, ]*",
  });
  const button = h("button", {type: "submit", class: "primary"}, "Submit");
  const problems = h("div", {id: "problems", class: "problems",
                             tabindex: -1});
  problems.hidden = true;
  let key = newKey();
  for (const field of [text, priority, retries, after]) {
    field.addEventListener("input", () => { key = newKey(); });
  }

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
          job: text.value, priority: whole(priority.value, 0),
          max_retries: whole(retries.value, 3), after: ids(after.value),
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
      "coordinator’s machine. It takes as many slots as its ranks have threads ",
      "(“parallel”, “threads”)."),
    text,
    h("div", {class: "row"},
      h("label", {for: "priority"}, "Priority"), priority,
      h("label", {for: "after"}, "After jobs"), after,
      h("label", {for: "retries"}, "Retries"), retries, button),
    problems);
  main.append(h("div", {class: "heading"}, h("h1", {}, "Submit a job")), form);
}
