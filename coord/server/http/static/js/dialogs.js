// Dialogs: one at a time, focus kept inside by the browser, Escape closes, focus returns.

import { h, replace } from "/page/js/dom.js";
import { icon } from "/page/js/icons.js";

/**
 * Open a dialog. `submit()` does the work and closes on success; what it throws is shown and the
 * dialog stays. Returns { dialog, close, busy }.
 */
export function openDialog({ title, body, action, tone = "primary", isWide = false, submit }) {
  const opener = document.activeElement;
  const problem = h("div.problem", { role: "alert", hidden: true });
  const button = h(`button.${tone}`, { type: "submit" }, action);
  const close = () => dialog.close();
  const form = h(
    "form",
    { method: "dialog", novalidate: false },
    h(
      "header.dialog-head",
      {},
      h("h1.grow", { id: "dialog-title" }, title),
      h("button.quiet.square", { type: "button", "aria-label": "Close", onclick: close }, icon("cross")),
    ),
    h("div.dialog-body", {}, body),
    problem,
    h("footer.dialog-foot", {}, h("button", { type: "button", onclick: close }, "Cancel"), button),
  );
  const dialog = h(isWide ? "dialog.wide" : "dialog", { "aria-labelledby": "dialog-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.hidden = true;
    try {
      await submit();
      close();
    } catch (error) {
      replace(problem, icon("warning"), h("p", {}, error.message), ...(error.remedy ?? []));
      problem.hidden = false;
    }
    button.disabled = false;
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close, button };
}

export function field(label, input, hint) {
  const id = `field-${label.toLowerCase().replace(/\W+/g, "-")}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h(
    "div.field",
    {},
    h("label", { for: id }, label),
    input,
    hint ? h("span.hint", { id: `${id}-hint` }, hint) : null,
  );
}
