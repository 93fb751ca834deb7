// One painting, large: against its photo, with its record, its loss and its recipe.

/** @type {any} */
let viewer = null;

/** Open the picture view, or show another painting in it. @param {Painting} painting */
function openViewer(painting) {
  viewer ??= newViewer();
  viewer.show(painting);
  if (!viewer.dialog.open) {
    document.body.append(viewer.dialog);
    viewer.dialog.showModal();
    viewer.title.focus();
    viewer.view.stages[0].place();
  }
}

/** Close the picture view; the wall has the focus where it was opened, or where the reader went meanwhile. */
function closeViewer() {
  if (!viewer?.dialog.open) return;
  viewer.dialog.close();
  viewer.dialog.remove();
  const index = wall.shown.findIndex((painting) => painting.id === viewer.painting.id);
  goTo(index);
}

function newViewer() {
  const view = newView();
  const state = { view, index: 0, /** @type {any} */ painting: null };
  const step = (by) => {
    const found = wall.shown.findIndex((painting) => painting.id === state.painting.id);
    const index = (found >= 0 ? found : state.index - (by > 0 ? 1 : 0)) + by; // it may have been moved away meanwhile
    if (index >= 0 && index < wall.shown.length) route({ picture: wall.shown[index].id }, true);
  };
  const stage = newStage(view, { onSwipe: step });
  const marks = markButtons(() => state.painting);
  const position = element("p", { class: "position" });
  const title = element("h2", { tabindex: "-1", id: "viewer-title" });
  const slider = element("input", { type: "range", min: 0, max: 100, step: 1, value: 0, id: "uncover", oninput: () => uncover() });
  const uncover = () => {
    stage.uncover(slider.value / 100);
    slider.setAttribute("aria-valuetext", `${slider.value} % photo`);
  };
  const sliderRow = element("div", { class: "uncover" }, element("label", { for: "uncover" }, "Painting"), slider, element("span", { "aria-hidden": "true" }, "Photo"));
  slider.setAttribute("aria-label", "How much of the photo is seen");
  const previous = iconButton("previous", "Newer painting (←)", () => step(-1));
  const next = iconButton("next", "Older painting (→)", () => step(1));
  const compare = iconButton("compare", "Compare (C)", () => toggleChosen(state.painting));
  const facts = element("div", { class: "facts-panel", tabindex: "0", role: "region", "aria-label": "About this painting" });
  const bar = element("header", { class: "bar" }, element("div", { class: "heading" }, title, position), marks, compare, previous, next, iconButton("close", "Close (Esc)", () => route({})));
  const dialog = element("dialog", { class: "viewer", "aria-labelledby": "viewer-title", oncancel: (event) => { event.preventDefault(); route({}); } },
    bar, element("div", { class: "stage-side" }, stage.box, element("div", { class: "stage-tools" }, sliderRow, zoomButtons(view))), facts);
  dialog.addEventListener("keydown", (event) => {
    if (isTyping(event) && event.key !== "Escape") return;
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "b") { slider.value = Number(slider.value) > 0 ? 0 : 100; uncover(); }
    else if (event.key === "c") toggleChosen(state.painting);
    else if (!(zoomByKey(event, view) || pickByKey(event, state.painting))) return;
    event.preventDefault();
    event.stopPropagation();
  });
  const refreshMarks = () => {
    marks.update();
    compare.setAttribute("aria-pressed", String(chosen.has(state.painting?.id)));
  };
  onPick.push(refreshMarks);
  onChosen.push(refreshMarks);
  const show = async (painting) => {
    const index = wall.shown.findIndex((each) => each.id === painting.id);
    Object.assign(state, { painting, index: Math.max(0, index) });
    title.replaceChildren(named(painting.photo), " × ", named(painting.preset));
    position.textContent = index < 0 ? "" : `${(index + 1).toLocaleString()} of ${wall.shown.length.toLocaleString()}`;
    previous.disabled = index <= 0;
    next.disabled = index < 0 || index === wall.shown.length - 1;
    fit(view);
    stage.show(painting);
    slider.value = 0;
    slider.disabled = !painting.preview;
    uncover();
    refreshMarks();
    facts.replaceChildren(...factsOf(painting, undefined));
    facts.scrollTop = 0;
    const detail = await detailOf(painting);
    if (state.painting === painting) facts.replaceChildren(...factsOf(painting, detail));
    for (const near of [wall.shown[index + 1], wall.shown[index - 1]]) if (near && index >= 0) new Image().src = near.picture;
  };
  return Object.assign(state, { dialog, title, show });
}

/** What else is told about a painting. @type {Array<(painting: Painting, detail: any) => Node[]>} */
const onFacts = [];

/** What is told about a painting; before its record has been read only what the wall knows. */
function factsOf(painting, detail) {
  const record = detail?.record;
  /** @type {Array<[string, any]>} */
  const rows = [["Preset", named(painting.preset)]];
  for (const [name, value] of Object.entries(painting.variant)) rows.push([name, shownValue(value)]);
  rows.push(["Photo", named(painting.photo)], ["Size", `${painting.width} × ${painting.height} px`], ["Painted", shownTime(painting.at)]);
  if (record) {
    const seconds = Object.entries(record.timings.seconds);
    const sum = seconds.reduce((total, [, each]) => total + Number(each), 0);
    rows.push(
      ["Took", `${shownDuration(sum)}${seconds.length > 1 ? ` (${seconds.map(([stage, each]) => `${stage} ${shownDuration(Number(each))}`).join(", ")})` : ""}`],
      ["Engine", `${record.engine.name} ${record.engine.version}, ${record.engine.device}`],
      ["Photo size", `${record.photo.width} × ${record.photo.height} px`],
      ["Photo taken", record.photo.taken_at ? shownIso(record.photo.taken_at) : ""],
      ["Seed", String(record.seed)], ["Attempts", record.attempts > 1 ? String(record.attempts) : ""]);
  }
  const parts = [definitions(rows)];
  for (const warning of record?.warnings ?? []) parts.push(element("p", { class: "note" }, warning));
  if (!record) return parts;
  parts.push(...stylesPart(record, detail), ...lossPart(detail.record.trace), ...recipePart(record, detail), ...onFacts.flatMap((more) => more(painting, detail)), linksPart(painting, detail));
  return parts;
}

/** @param {Array<[string, any]>} rows */
const definitions = (rows) => element("dl", {}, ...rows.filter(([, value]) => value !== "").flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));

function stylesPart(record, detail) {
  const figures = record.styles.map((style, index) => {
    const id = detail.styleIds[index];
    const share = record.styles.length > 1 ? `, weight ${shownValue(style.weight)}` : "";
    const picture = store.styles.has(id) ? element("img", { src: `gallery/styles/${id}.webp`, alt: `The style image ${style.name}`, loading: "lazy" }) : null;
    return element("figure", {}, picture, element("figcaption", {}, named(style.name), share));
  });
  return [element("h3", {}, figures.length > 1 ? "Styles" : "Style"), element("div", { class: "styles" }, ...figures)];
}

function lossPart(trace) {
  const plot = lossPlot(trace);
  return plot ? [element("h3", {}, "Loss"), plot] : [];
}

function recipePart(record, detail) {
  const code = element("pre", { tabindex: "0", "aria-label": "The preset as YAML" }, detail.yaml);
  const numbers = Object.entries(record.recipe).map(([name, value]) => /** @type {[string, any]} */ ([name, shownValue(value)]));
  return [
    element("h3", {}, "Recipe"),
    element("details", {}, element("summary", {}, "Every number"), definitions(numbers)),
    element("details", {}, element("summary", {}, "As a preset"), code),
    button("Copy as preset", () => copyText(detail.yaml, code)),
  ];
}

function linksPart(painting, detail) {
  const swept = Object.keys(painting.variant).length > 0;
  return element("p", { class: "links" },
    element("a", { href: painting.picture }, "Full picture"), element("a", { href: detail.recordAddress }, "Record"),
    swept ? element("a", { href: `#sweep=${painting.id}` }, "The whole sweep") : null,
    button("All of this photo", () => { setFilter({ folder: painting.folder }); route({}); }, { class: "like-a-link" }));
}

/** @param {string} text @param {any} shownIn the element that shows it, to be selected where copying is not allowed */
async function copyText(text, shownIn) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied. Paste it below presets: in the configuration.");
  } catch {
    shownIn.closest("details")?.setAttribute("open", "");
    getSelection()?.selectAllChildren(shownIn);
    say("The text is selected: copy it with Ctrl+C.");
  }
}
