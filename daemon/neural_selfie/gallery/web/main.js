// Puts the parts together: filters, the address of what is open, keys, and news every few seconds.

const filter = { words: "", preset: "", folder: "", from: "", to: "", state: "" };
const STATES = { "": "Any state", unmarked: "Not marked", keep: "Kept", star: "Starred", reject: "Rejected", warned: "With a note" };
/** @type {Record<string, any>} */
const fields = {};
let unfolded = false; // what goes on is to be seen, as soon as there is something

/** @param {Painting} painting */
function passes(painting) {
  if (filter.preset && painting.preset !== filter.preset) return false;
  if (filter.folder && painting.folder !== filter.folder) return false;
  if (filter.state && !hasState(painting, filter.state)) return false;
  if (filter.from && painting.at < Date.parse(`${filter.from}T00:00:00`) / 1000) return false;
  if (filter.to && painting.at > Date.parse(`${filter.to}T23:59:59`) / 1000) return false;
  return !filter.words || filter.words.toLowerCase().split(/\s+/).every((word) => wordsOf(painting).includes(word));
}

function hasState(painting, state) {
  const mark = markOf(painting);
  if (state === "unmarked") return mark === undefined;
  return state === "warned" ? Boolean(painting.warned) : mark === state;
}

/** @param {Partial<typeof filter>} changes */
function setFilter(changes) {
  Object.assign(filter, changes);
  for (const [name, value] of Object.entries(filter)) if (fields[name] && fields[name].value !== value) fields[name].value = value;
  scrollTo(0, Math.min(scrollY, byId("wall").offsetTop));
  showWall();
}

function showWall() {
  const isFiltered = Object.values(filter).some(Boolean);
  const shown = isFiltered ? store.paintings.filter(passes) : store.paintings;
  fields.clear.hidden = !isFiltered;
  hang(shown);
  const photos = new Set(shown.map((painting) => painting.folder)).size;
  const known = `${counted(shown.length, "painting", "paintings")} of ${counted(photos, "photo", "photos")}`;
  if (store.loaded) byId("facts").textContent = shown.length ? known : isFiltered ? "No painting is like that" : "";
  showEmpty(store.loaded && store.total === 0, isFiltered && !shown.length);
}

function showEmpty(nothing, noneFits) {
  const box = byId("empty");
  box.hidden = !(nothing || noneFits);
  if (box.hidden) return;
  box.replaceChildren(
    element("h2", {}, nothing ? "Nothing hangs here yet." : "Nothing fits."),
    element("p", {}, nothing ? "Drop a photo into the inbox folder. Its first painting appears here by itself." : "No painting is like what is asked for above."));
}

/** Fill the lists of presets and photos, newest first, without losing what is chosen. */
function fillChoices() {
  const presets = [...new Set(store.paintings.map((painting) => painting.preset))].sort((one, other) => one.localeCompare(other));
  const photos = new Map(store.paintings.map((painting) => [painting.folder, painting.photo]));
  fill(fields.preset, [["", "Any preset"], ...presets.map((preset) => [preset, preset])], filter.preset);
  fill(fields.folder, [["", "Any photo"], ...[...photos].slice(0, 2000)], filter.folder);
}

function fill(select, choices, value) {
  const key = JSON.stringify(choices);
  if (select.key !== key) {
    select.replaceChildren(...choices.map(([to, label]) => element("option", { value: to }, label)));
    select.key = key;
  }
  select.value = value;
}

function buildFilters() {
  const field = (name, label, made) => {
    fields[name] = made;
    made.addEventListener(made.type === "search" ? "input" : "change", () => setFilter({ [name]: made.value }));
    return element("label", {}, unseen(label), made);
  };
  const dates = element("span", { class: "dates" },
    element("label", {}, "from ", (fields.from = element("input", { type: "date", onchange: () => setFilter({ from: fields.from.value }) }))),
    element("label", {}, "to ", (fields.to = element("input", { type: "date", onchange: () => setFilter({ to: fields.to.value }) }))));
  fields.clear = button("Show all", () => setFilter({ words: "", preset: "", folder: "", from: "", to: "", state: "" }), { hidden: true });
  const more = element("div", { class: "more" },
    field("preset", "Preset", element("select")), field("folder", "Photo", element("select")),
    field("state", "State", element("select", {}, ...Object.entries(STATES).map(([value, label]) => element("option", { value }, label)))), dates);
  const opener = button("Filter", () => opener.setAttribute("aria-expanded", String(byId("filters").classList.toggle("open"))), { class: "opener", "aria-expanded": "false" });
  byId("filters").append(field("words", "Search", element("input", { type: "search", placeholder: "Search", autocomplete: "off", spellcheck: "false" })), opener, more, fields.clear);
}

function buildTools() {
  fields.queue = button("", () => { unfolded = byId("queue").hidden; showTools(); }, { "aria-expanded": "false", "aria-controls": "queue", hidden: true });
  fields.export = button("Save picks", exportPicks, { hidden: true });
  byId("tools").append(fields.queue, fields.export);
}

function showTools() {
  const { lines, asleep, painted, waiting, failed } = showQueue();
  const words = [asleep ? "No daemon runs" : "", painted ? `${painted} being painted` : "", waiting ? `${waiting} waiting` : "", failed ? `${failed} failed` : ""].filter(Boolean);
  const label = words.join(", ") || "What goes on";
  if (fields.queue.textContent !== label) fields.queue.textContent = label;
  fields.queue.hidden = lines === 0;
  byId("queue").hidden = lines === 0 || !unfolded;
  fields.queue.setAttribute("aria-expanded", String(!byId("queue").hidden));
  const marked = [...picks.keys()].filter((id) => store.byId.has(id)).length;
  fields.export.hidden = marked === 0 || handing.works;
  fields.export.textContent = `Save ${counted(marked, "pick", "picks")}`;
}

/** What is open stands in the address, so that "back" closes it and a link opens it. */
function route(open, instead = false) {
  const [[kind, value] = ["", ""]] = Object.entries(open);
  const address = kind ? `#${kind}=${value}` : `${location.pathname}${location.search}`;
  if (instead || !kind) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  openWhatIsAsked();
}

function openWhatIsAsked() {
  const [, kind, value] = /^#(picture|compare|sweep)=(.+)$/.exec(location.hash) ?? [];
  const asked = (value ?? "").split(",").map((id) => store.byId.get(id)).filter(Boolean);
  if (kind === "picture" && asked.length) openViewer(asked[0]);
  else closeViewer();
  if (kind === "compare" && asked.length > 1) openComparison(asked.slice(0, MOST_CHOSEN));
  else closeComparison();
  if (kind === "sweep" && asked.length) openSweep(asked[0]);
  else closeSweep();
}

function news() {
  forgetDonePicks();
  fillChoices();
  showWall();
  showTools();
  if (location.hash && !document.querySelector("dialog[open]")) openWhatIsAsked();
}

async function watch() {
  if (!document.hidden && !stream.alive) await refresh();
  setTimeout(watch, REFRESH_MS);
}

function begin() {
  buildFilters();
  buildTools();
  document.body.append(chosenTray());
  onNews.push(news);
  onChosen.push(() => wall.tiles.forEach(refreshTile));
  onPick.push(() => {
    wall.tiles.forEach(refreshTile);
    showTools();
    if (filter.state) showWall();
  });
  addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  new ResizeObserver(() => byId("wall").clientWidth !== wall.width && arrange()).observe(byId("wall"));
  addEventListener("hashchange", openWhatIsAsked);
  addEventListener("popstate", openWhatIsAsked);
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "/" && !isTyping(event)) {
      event.preventDefault();
      fields.words.focus();
    } else wallKey(event);
  });
  for (const listener of onBegin) listener();
  watch();
}

begin();
