// Building elements. Text only ever becomes text nodes and attributes: nothing is parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: h("button.primary", { onclick, "aria-label": "…", hidden: false }, ...children).
 * Children are nodes, texts, numbers, arrays of them; null, undefined and false are left out.
 */
export function h(what, properties = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  return fill(element, properties, children);
}

/** The same for SVG. */
export function s(what, properties = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElementNS(SVG, tag);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  return fill(element, properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child === undefined || child === null || child === false) continue;
    else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Put `children` in place of what `element` holds. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** A text node's content is changed only if it differs: a screen reader then hears only news. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
}

/** Calls `act` once after calls of the result have ceased for `ms`. */
export function debounced(ms, act) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), ms);
  };
}

/** Draw what is below `root` anew; the focus goes to what stands where it was. */
export function keepFocus(root, draw) {
  const { activeElement } = document;
  const steps = activeElement !== root && root.contains(activeElement) ? stepsTo(root, activeElement) : null;
  draw();
  if (!steps) return;
  const found = steps.reduce((element, step) => element?.children[step], root) ?? root;
  found.focus({ preventScroll: true });
  if (document.activeElement === document.body)
    root.querySelector("a, button, [tabindex]")?.focus({ preventScroll: true });
}

function stepsTo(root, element) {
  const steps = [];
  for (let one = element; one !== root; one = one.parentElement)
    steps.unshift([...one.parentElement.children].indexOf(one));
  return steps;
}
