// A sweep as a grid: one number to the right, one down, each labelled; further ones are chosen above.

/** @type {any} */
let sweepDialog = null;

/** Show the sweep that a painting is a variant of. @param {Painting} painting */
function openSweep(painting) {
  closeSweep();
  const variants = store.paintings.filter((each) => each.folder === painting.folder && each.preset === painting.preset && Object.keys(each.variant).length);
  const axes = axesOf(variants);
  const order = [...axes.keys()].sort((one, other) => axes.get(other).length - axes.get(one).length);
  const state = { across: order[0], down: order[1], fixed: new Map(order.slice(2).map((name) => [name, painting.variant[name]])) };
  const table = element("div", { class: "sweep-scroll", tabindex: "0", role: "region", "aria-label": "The grid of the sweep" });
  const choices = element("div", { class: "choices" });
  const update = () => {
    table.replaceChildren(gridOf(variants, axes, state));
    choices.replaceChildren(...choicesOf(axes, state, update));
  };
  const title = element("h2", { tabindex: "-1", id: "sweep-title" }, named(painting.photo), " × ", named(painting.preset));
  const dialog = element("dialog", { class: "sweep", "aria-labelledby": "sweep-title", oncancel: (event) => { event.preventDefault(); route({}); } },
    element("header", { class: "bar" }, element("div", { class: "heading" }, title, element("p", { class: "position" }, counted(variants.length, "variant", "variants"))), choices, iconButton("close", "Close (Esc)", () => route({}))), table);
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  update();
  document.body.append(dialog);
  dialog.showModal();
  title.focus();
  onPick.push(update);
  sweepDialog = { dialog, update };
}

function closeSweep() {
  if (!sweepDialog) return;
  onPick.splice(onPick.indexOf(sweepDialog.update), 1);
  sweepDialog.dialog.close();
  sweepDialog.dialog.remove();
  sweepDialog = null;
}

/** The numbers that are swept, each with its values in order. @param {Painting[]} variants @returns {Map<string, any[]>} */
function axesOf(variants) {
  const axes = new Map();
  for (const { variant } of variants) for (const [name, value] of Object.entries(variant)) axes.set(name, [...(axes.get(name) ?? []), value]);
  for (const [name, values] of axes) {
    const distinct = [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
    axes.set(name, distinct.sort((one, other) => (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other)))));
  }
  return axes;
}

const sameValue = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function gridOf(variants, axes, { across, down, fixed }) {
  const matching = variants.filter(({ variant }) => [...fixed].every(([name, value]) => sameValue(variant[name], value)));
  const at = (column, row) => matching.find(({ variant }) => sameValue(variant[across], column) && (down === undefined || sameValue(variant[down], row)));
  const columns = axes.get(across);
  const rows = down === undefined ? [null] : axes.get(down);
  return element("table", { style: { "--columns": columns.length } },
    element("caption", { class: "unseen" }, `${across} to the right${down ? `, ${down} down` : ""}`),
    element("thead", {},
      element("tr", {}, element("td", { rowspan: 2, class: "corner" }, down ? `${down} ↓` : ""), element("th", { colspan: columns.length, scope: "colgroup" }, across)),
      element("tr", {}, ...columns.map((value) => element("th", { scope: "col" }, shownValue(value))))),
    element("tbody", {}, ...rows.map((row) => element("tr", {},
      element("th", { scope: "row" }, row === null ? "" : shownValue(row)),
      ...columns.map((column) => element("td", {}, cellOf(at(column, row))))))));
}

/** @param {Painting | undefined} painting */
function cellOf(painting) {
  if (!painting) return element("span", { class: "missing" }, "not painted");
  const mark = markOf(painting);
  return element("a", { href: `#picture=${painting.id}`, "data-mark": mark ?? "" },
    element("img", { src: smallestOf(painting), srcset: sourcesOf(painting), sizes: "(max-width: 40rem) 45vw, 20rem", alt: describedPainting(painting) + (mark ? `, ${MARKS[mark].toLowerCase()}` : ""), width: painting.width, height: painting.height, loading: "lazy" }),
    mark ? element("span", { class: "mark-sign", "aria-hidden": "true" }, icon(mark)) : null);
}

function choicesOf(axes, state, update) {
  const found = [];
  if (state.down !== undefined) found.push(button("Turn the grid", () => { [state.across, state.down] = [state.down, state.across]; update(); }));
  for (const [name, chosenValue] of state.fixed) {
    const select = element("select", { onchange: () => { state.fixed.set(name, axes.get(name)[select.selectedIndex]); update(); } },
      ...axes.get(name).map((value) => element("option", { selected: sameValue(value, chosenValue) }, shownValue(value))));
    found.push(element("label", {}, name, select));
  }
  return found;
}
