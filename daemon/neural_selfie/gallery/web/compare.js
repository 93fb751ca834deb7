// Two to four paintings side by side; zooming one zooms all.

const MOST_CHOSEN = 4;
/** @type {Set<string>} */
const chosen = new Set();
/** @type {Array<() => void>} */
const onChosen = [];

/** Choose a painting for comparing, or leave it out again. @param {Painting} painting */
function toggleChosen(painting) {
  if (chosen.delete(painting.id)) say(`${describedPainting(painting)}: not compared`);
  else {
    if (chosen.size === MOST_CHOSEN) chosen.delete([...chosen][0]); // the first makes room
    chosen.add(painting.id);
    say(`${describedPainting(painting)}: chosen, ${chosen.size} of at most ${MOST_CHOSEN}`);
  }
  for (const listener of onChosen) listener();
}

/** @type {any} */
let comparison = null;

/** Show paintings side by side. @param {Painting[]} paintings two to four */
function openComparison(paintings) {
  closeComparison();
  const view = newView();
  const updates = [];
  const places = paintings.map((painting) => {
    const stage = newStage(view);
    stage.show(painting);
    const marks = markButtons(() => painting);
    updates.push(marks.update);
    const place = element("section", { class: "place", "aria-label": describedPainting(painting), tabindex: "0" }, stage.box,
      element("div", { class: "place-bar" }, element("p", {}, named(painting.photo), " × ", named(painting.preset), ...variantParts(painting)), marks));
    place.addEventListener("keydown", (event) => {
      if (pickByKey(event, painting)) event.preventDefault();
    });
    return place;
  });
  const title = element("h2", { tabindex: "-1", id: "comparison-title" }, `${paintings.length} paintings compared`);
  const slider = element("input", { type: "range", min: 0, max: 100, value: 0, "aria-label": "How much of the photos is seen", oninput: () => { for (const stage of view.stages) stage.uncover(slider.value / 100); } });
  const dialog = element("dialog", { class: "comparison", "aria-labelledby": "comparison-title", oncancel: (event) => { event.preventDefault(); route({}); } },
    element("header", { class: "bar" }, element("div", { class: "heading" }, title), element("div", { class: "uncover" }, element("span", { "aria-hidden": "true" }, "Painting"), slider, element("span", { "aria-hidden": "true" }, "Photo")), zoomButtons(view), iconButton("close", "Close (Esc)", () => route({}))),
    element("div", { class: `places of-${paintings.length}` }, ...places));
  dialog.addEventListener("keydown", (event) => {
    if (!isTyping(event) && zoomByKey(event, view)) event.preventDefault();
    event.stopPropagation();
  });
  const listener = () => updates.forEach((update) => update());
  onPick.push(listener);
  comparison = { dialog, listener, view };
  document.body.append(dialog);
  dialog.showModal();
  title.focus();
}

function closeComparison() {
  if (!comparison) return;
  onPick.splice(onPick.indexOf(comparison.listener), 1);
  comparison.dialog.close();
  comparison.dialog.remove();
  comparison = null;
}

/** The line at the bottom that says what is chosen. */
function chosenTray() {
  const tray = element("aside", { class: "tray", "aria-label": "Chosen to compare", hidden: true });
  const update = () => {
    const paintings = [...chosen].map((id) => store.byId.get(id)).filter(Boolean);
    tray.hidden = paintings.length === 0;
    const open = button(paintings.length < 2 ? "Choose another to compare" : `Compare ${paintings.length}`, () => route({ compare: paintings.map((painting) => painting.id).join(",") }), { class: "strong", disabled: paintings.length < 2 });
    tray.replaceChildren(...paintings.map((painting) => element("img", { src: smallestOf(painting), alt: describedPainting(painting), width: 48, height: 48 })), open,
      button("None", () => { chosen.clear(); for (const listener of onChosen) listener(); }));
  };
  onChosen.push(update);
  return tray;
}
