// Elements from names and values. Every text becomes a text node: nothing here ever parses markup.

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `class`, `on…` listeners, `style` as an object; undefined and false leave it out
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {any} the element
 */
function element(tag, attributes = {}, ...children) {
  return dressed(document.createElement(tag), attributes, children);
}

/** As `element`, for the parts of a drawing. */
function drawing(tag, attributes = {}, ...children) {
  return dressed(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function dressed(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, to] of Object.entries(value)) made.style.setProperty(key, to);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** @param {string} id @returns {any} the element of the page with this id */
const byId = (id) => document.getElementById(id);

/** A name from outside, set apart so that its writing direction changes nothing around it. @param {string} text */
const named = (text) => element("bdi", {}, text);

/** Text that a screen reader says and nobody sees. @param {string} text */
const unseen = (text) => element("span", { class: "unseen" }, text);

/** Let screen readers say something that happened. @param {string} text */
function say(text) {
  byId("said").textContent = text;
}

/** @param {string} text @param {() => void} action @param {Record<string, any>} [more] */
const button = (text, action, more = {}) => element("button", { type: "button", onclick: action, ...more }, text);

const ICONS = {
  previous: "M15 5l-7 7 7 7", next: "M9 5l7 7-7 7", close: "M6 6l12 12M18 6L6 18", keep: "M5 13l4 4L19 7",
  reject: "M12 3.5a8.5 8.5 0 1 0 .01 0zM6 6l12 12", star: "M12 3.6l2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9L3.5 9.8l5.9-.8z",
  compare: "M4 5h7v14H4zM13 5h7v14h-7z", plus: "M12 5v14M5 12h14", minus: "M5 12h14", fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
};

/** @param {keyof typeof ICONS} name */
const icon = (name) => drawing("svg", { viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true", class: `icon ${name}` }, drawing("path", { d: ICONS[name] }));

/** A button that shows a picture and says a word. */
function iconButton(name, label, action, more = {}) {
  const made = button("", action, { title: label, "aria-label": label, class: "icon-button", ...more });
  made.append(icon(name));
  return made;
}

/** Whether a key was meant for a field and not for the page. @param {Event} event */
function isTyping(event) {
  const target = /** @type {any} */ (event.target);
  return Boolean(target?.closest?.("input:not([type=checkbox]), select, textarea"));
}
