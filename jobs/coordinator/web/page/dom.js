// Elements without markup: whatever comes from a job is only ever text.

// h("button", {class: "quiet", onclick: f}, "text", child, ...)
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

// Only when it changes: readers of screens hear of each change.
export function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function announce(text) {
  setText(document.getElementById("live"), text);
}

export function showBanner(text) {
  const banner = document.getElementById("banner");
  setText(banner, text);
  banner.hidden = text === "";
}

// Of all gangs together, in the bar.
export function showSlots({used_slots: used, slots}) {
  setText(document.getElementById("slots"), `${used} of ${slots} slots in use`);
}

// Resolves to whether it was confirmed.
export function confirmed(question, detail, yes, no) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog", {"aria-labelledby": "question"},
      h("h2", {id: "question"}, question),
      h("p", {}, detail),
      h("form", {method: "dialog", class: "actions"},
        h("button", {value: "no", autofocus: true}, no),
        h("button", {value: "yes", class: "danger"}, yes)));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
