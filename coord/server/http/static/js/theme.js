// Light, dark, or as the system says.

import { h, replace, setAttributes } from "/page/js/dom.js";
import { icon } from "/page/js/icons.js";

const KEY = "coord.theme";
const ORDER = ["auto", "light", "dark"];
const ICONS = { auto: "auto", light: "sun", dark: "moon" };

export function themeButton() {
  let theme = localStorage.getItem(KEY) ?? "auto";
  const button = h("button.quiet.square", {
    type: "button",
    onclick: () => set(ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length]),
  });
  const set = (wanted) => {
    theme = ORDER.includes(wanted) ? wanted : "auto";
    localStorage.setItem(KEY, theme);
    setAttributes(document.documentElement, { "data-theme": theme === "auto" ? null : theme });
    const label = theme === "auto" ? "Colours: as the system" : `Colours: ${theme}`;
    setAttributes(button, { "aria-label": label, title: label });
    replace(button, icon(ICONS[theme]));
  };
  set(theme);
  return button;
}
