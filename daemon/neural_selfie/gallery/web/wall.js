// The wall: only the pictures near the screen are in the page, whatever number hangs.

const CAPTION_PX = 46;

const wall = {
  /** @type {Painting[]} */ shown: [],
  /** @type {Row[]} */ rows: [],
  width: 0,
  active: 0,
  /** @type {Map<string, any>} */ tiles: new Map(),
};

/** Hang these paintings, as many as are near the screen. @param {Painting[]} paintings */
function hang(paintings) {
  const focused = wall.shown[wall.active]?.id;
  wall.shown = paintings;
  const found = focused === undefined ? -1 : paintings.findIndex((painting) => painting.id === focused);
  wall.active = Math.max(0, found >= 0 ? found : Math.min(wall.active, paintings.length - 1));
  arrange();
}

/** Compute the rows for the width that there is now, and draw. */
function arrange() {
  const box = byId("wall");
  wall.width = box.clientWidth;
  const wanted = wall.width < 600 ? Math.max(140, wall.width * 0.6) : Math.min(340, 170 + wall.width / 14);
  const gap = wall.width < 600 ? 8 : 16;
  const alone = Math.max(wanted, 0.62 * innerHeight); // a few pictures need not be small
  const { rows, height } = rowsOf(wall.shown, { width: wall.width, wanted, alone, gap, caption: CAPTION_PX });
  Object.assign(wall, { rows, gap });
  box.style.height = `${height}px`;
  draw();
}

/** Bring the page in line with what is near the screen. */
function draw() {
  const box = byId("wall");
  const top = -box.getBoundingClientRect().top;
  const screen = innerHeight;
  const { first, last } = rowsBetween(wall.rows, top - screen, top + 2 * screen);
  const active = rowOf(wall.active);
  const near = new Set();
  for (let row = first; row <= last; row++) near.add(row);
  if (active >= 0) near.add(active); // or the focus would be lost
  const wanted = new Map();
  for (const row of [...near].sort((a, b) => a - b)) for (const [id, place] of placesIn(row)) wanted.set(id, place);
  for (const [id, tile] of wall.tiles) {
    if (!wanted.has(id)) {
      tile.remove();
      wall.tiles.delete(id);
    }
  }
  let after = null;
  for (const [id, place] of wanted) {
    let tile = wall.tiles.get(id);
    if (tile?.painting !== place.painting) {
      const fresh = tileOf(place.painting);
      const hadFocus = tile?.contains(document.activeElement);
      tile?.replaceWith(fresh);
      if (hadFocus) fresh.firstChild.focus({ preventScroll: true });
      tile = fresh;
      wall.tiles.set(id, tile);
    }
    put(tile, place);
    const due = after ? after.nextSibling : box.firstChild;
    if (tile !== due) box.insertBefore(tile, due);
    after = tile;
  }
}

/** @param {number} index of a painting @returns {number} its row */
function rowOf(index) {
  let low = 0;
  let high = wall.rows.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (wall.rows[middle].start <= index) low = middle;
    else high = middle - 1;
  }
  return wall.rows.length ? low : -1;
}

/**
 * @typedef {{painting: Painting, index: number, left: number, top: number, width: number, height: number}} Place px
 * @param {number} number of a row
 * @returns {Generator<[string, Place]>} what hangs in it, by the painting's id
 */
function* placesIn(number) {
  const row = wall.rows[number];
  let left = 0;
  for (let index = row.start; index < row.end; index++) {
    const painting = wall.shown[index];
    const width = aspectOf(painting) * row.height;
    yield [painting.id, { painting, index, left, top: row.top, width, height: row.height }];
    left += width + wall.gap;
  }
}

/** @param {Painting} painting */
function tileOf(painting) {
  const picture = element("img", { alt: "", src: smallestOf(painting), srcset: sourcesOf(painting), decoding: "async", loading: "lazy", draggable: "false" });
  const link = element(
    "a", { href: `#picture=${painting.id}`, class: "tile-link" }, element("span", { class: "frame" }, picture, element("span", { class: "mark-sign", "aria-hidden": "true" })),
    element("span", { class: "caption" },
      element("span", { class: "title", title: shownVariant(painting.variant) || false }, named(painting.preset), element("span", { class: "value" }, ` ${Object.values(painting.variant).map(shownValue).join(" · ")}`)),
      element("span", { class: "under" }, named(painting.photo), painting.warned ? element("span", { class: "warned" }, " · note") : null)),
  );
  const chooser = iconButton("compare", "Compare", () => toggleChosen(painting), { class: "icon-button choose", tabindex: "-1" });
  const tile = element("div", { class: "tile", role: "listitem" }, link, chooser);
  tile.painting = painting;
  link.addEventListener("focus", () => activate(wall.shown.indexOf(painting)));
  refreshTile(tile);
  return tile;
}

const variantParts = (painting) => Object.entries(painting.variant).map(([name, value]) => element("span", { class: "value" }, ` ${name} `, element("b", {}, shownValue(value))));

/** Show the marks of a tile. */
function refreshTile(tile) {
  const mark = markOf(tile.painting);
  const isChosen = chosen.has(tile.painting.id);
  tile.dataset.mark = mark ?? "";
  tile.querySelector(".mark-sign").replaceChildren(...(mark ? [icon(mark)] : []));
  tile.classList.toggle("chosen", isChosen);
  tile.querySelector(".choose").setAttribute("aria-pressed", String(isChosen));
  tile.querySelector("a").setAttribute("aria-label", describedPainting(tile.painting) + (mark ? `, ${MARKS[mark].toLowerCase()}` : "") + (isChosen ? ", chosen to compare" : ""));
}

function put(tile, { index, left, top, width, height }) {
  const values = { left: `${left}px`, top: `${top}px`, width: `${width}px` };
  for (const [key, to] of Object.entries(values)) if (tile.style.getPropertyValue(key) !== to) tile.style.setProperty(key, to);
  tile.style.setProperty("--height", `${height}px`);
  const sizes = `${Math.ceil(width)}px`;
  const picture = tile.querySelector("img");
  if (picture.sizes !== sizes) picture.sizes = sizes;
  tile.setAttribute("aria-posinset", String(index + 1));
  tile.setAttribute("aria-setsize", String(wall.shown.length));
  tile.firstChild.tabIndex = index === wall.active ? 0 : -1;
}

function activate(index) {
  if (index < 0 || index === wall.active) return;
  wall.tiles.get(wall.shown[wall.active]?.id)?.firstChild.setAttribute("tabindex", "-1");
  wall.active = index;
  wall.tiles.get(wall.shown[index].id)?.firstChild.setAttribute("tabindex", "0");
}

/** Move the focus to a painting, and scroll to it. @param {number} index */
function goTo(index) {
  if (index < 0 || index >= wall.shown.length) return;
  activate(index);
  draw();
  const link = wall.tiles.get(wall.shown[index].id).firstChild;
  link.focus({ preventScroll: true });
  link.scrollIntoView({ block: "nearest" });
}

/** The painting above or below, nearest to the middle of the active one. @param {1 | -1} step */
function beside(step) {
  const row = rowOf(wall.active);
  const next = row + step;
  if (next < 0 || next >= wall.rows.length) return wall.active;
  const middleOf = (place) => place.left + place.width / 2;
  const middle = [...placesIn(row)].map(([, place]) => place).find((place) => place.index === wall.active);
  const places = [...placesIn(next)].map(([, place]) => place);
  return places.reduce((best, place) => (Math.abs(middleOf(place) - middleOf(middle)) < Math.abs(middleOf(best) - middleOf(middle)) ? place : best)).index;
}

/** @param {KeyboardEvent} event */
function wallKey(event) {
  if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || !wall.shown.length) return;
  const onWall = byId("wall").contains(document.activeElement);
  const steps = { ArrowRight: wall.active + 1, ArrowLeft: wall.active - 1, Home: 0, End: wall.shown.length - 1 };
  if (onWall && event.key in steps) goTo(steps[event.key]);
  else if (onWall && (event.key === "ArrowDown" || event.key === "ArrowUp")) goTo(beside(event.key === "ArrowDown" ? 1 : -1));
  else if (onWall && event.key === "c") toggleChosen(wall.shown[wall.active]);
  else if (!(onWall && pickByKey(event, wall.shown[wall.active]))) return;
  event.preventDefault();
}
