// Before the page is drawn, so that it does not flash: the theme that was
// chosen here, if one was. "" follows the system.
(() => {
  const key = "caracal-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const read = () => {
    try {
      return localStorage.getItem(key) ?? "";
    } catch {
      return "";
    }
  };
  const apply = (choice) => {
    root.dataset.theme = choice || (system.matches ? "dark" : "light");
    root.dataset.choice = choice || "auto";
    dispatchEvent(new Event("themechange"));
  };
  system.addEventListener("change", () => apply(read()));
  apply(read());
  const names = {auto: "auto", light: "light", dark: "dark"};
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      const name = names[root.dataset.choice];
      const what = document.createElement("span");
      what.className = "wide";
      what.textContent = "Theme: ";
      button.replaceChildren(what, name);
      button.setAttribute("aria-label", `Theme: ${name}. Change it`);
    };
    label();
    button.addEventListener("click", () => {
      const after = {auto: "light", light: "dark", dark: ""};
      const next = after[root.dataset.choice];
      try {
        localStorage.setItem(key, next);
      } catch {
        // Then it lasts until the page is left.
      }
      apply(next);
      label();
    });
  });
})();
