// Keep, reject, star: kept in this browser, and exported as a file that the daemon understands.

const MARKS = { keep: "Kept", star: "Starred", reject: "Rejected" };
const PICKS_KEY = `neural-selfie picks ${location.pathname}`;

/** What was picked here and is not in the records yet; "none" takes the mark of a record off. @type {Map<string, string>} */
const picks = new Map(readPicks());

/** Whether somebody takes the picks at once, so that no file need be saved. */
const handing = { works: false };

function readPicks() {
  try {
    const stored = JSON.parse(localStorage.getItem(PICKS_KEY) ?? "{}");
    return Object.entries(stored).filter(([, mark]) => mark === "none" || Object.hasOwn(MARKS, String(mark)));
  } catch {
    return []; // a browser that keeps nothing
  }
}

/** The mark of a painting: what was picked here, else what its record says. @param {Painting | undefined} painting @returns {keyof typeof MARKS | undefined} */
function markOf(painting) {
  const mark = picks.get(painting?.id ?? "") ?? painting?.mark;
  return mark === "none" ? undefined : /** @type {any} */ (mark);
}

/** Mark a painting, or take the same mark off again. @param {Painting} painting @param {keyof typeof MARKS | null} mark */
function pick(painting, mark) {
  const wanted = mark === null || markOf(painting) === mark ? "none" : mark;
  if (wanted === (painting.mark ?? "none")) picks.delete(painting.id);
  else picks.set(painting.id, wanted);
  keepPicks();
  const now = markOf(painting);
  say(`${describedPainting(painting)}: ${now ? MARKS[now].toLowerCase() : "no mark"}`);
  for (const listener of onPick) listener(painting);
}
/** @type {Array<(painting: Painting) => void>} */
const onPick = [];

function keepPicks() {
  try {
    localStorage.setItem(PICKS_KEY, JSON.stringify(Object.fromEntries(picks)));
  } catch {
    // they last as long as the page is open
  }
}

/** Forget the picks that the records say by now. */
function forgetDonePicks() {
  for (const [id, mark] of picks) {
    const painting = store.byId.get(id);
    if (painting && (painting.mark ?? "none") === mark) picks.delete(id);
  }
  keepPicks();
}

/** The file for the inbox: a line for each marked painting that still hangs. */
function picksFile() {
  const marked = [...picks].filter(([id]) => store.byId.has(id));
  return JSON.stringify({ "neural-selfie": "picks", version: 1, picks: marked.map(([id, mark]) => ({ painting: id, mark })) }, null, 1);
}

/** Let the browser save `picks.json`. */
function exportPicks() {
  const address = URL.createObjectURL(new Blob([picksFile()], { type: "application/json" }));
  const link = element("a", { href: address, download: "picks.json" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say("picks.json is saved. Drop it into the inbox.");
}

/** Buttons for the three marks of a painting. @param {() => Painting | undefined} current */
function markButtons(current) {
  const buttons = Object.entries({ keep: "Keep (K)", star: "Star (S)", reject: "Reject (X)" }).map(([mark, label]) => {
    const made = iconButton(/** @type {any} */ (mark), label, () => { const painting = current(); if (painting) pick(painting, /** @type {any} */ (mark)); });
    made.classList.add("mark");
    made.dataset.mark = mark;
    return made;
  });
  const group = element("div", { class: "marks", role: "group", "aria-label": "Mark this painting" }, ...buttons);
  group.update = () => {
    const mark = markOf(current());
    for (const made of buttons) made.setAttribute("aria-pressed", String(made.dataset.mark === mark));
  };
  group.update();
  return group;
}

const MARK_KEYS = { k: "keep", s: "star", x: "reject", u: null };

/** Do what a key says about a painting; return whether it says anything. @param {KeyboardEvent} event @param {Painting} painting */
function pickByKey(event, painting) {
  if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(MARK_KEYS, event.key)) return false;
  pick(painting, MARK_KEYS[event.key]);
  return true;
}
