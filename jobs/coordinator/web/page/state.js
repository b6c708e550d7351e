// A state as a word with a dot whose shape and colour go with it.
import {h, setText} from "./dom.js";
import * as format from "./format.js";

export const stateBadge = () => h("span", {class: "badge"});

export function setState(badge, state) {
  setText(badge, format.state(state));
  badge.dataset.state = state;
}
