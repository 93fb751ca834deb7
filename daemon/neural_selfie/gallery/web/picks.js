// Keep, reject, star: kept in this browser, and exported as a file that the daemon understands.

const MARKS = { keep: "Kept", star: "Starred", reject: "Rejected" };
const PICKS_KEY = `neural-selfie picks ${location.pathname}`;

/** @type {Map<string, keyof typeof MARKS>} */
const picks = new Map(readPicks());

function readPicks() {
  try {
    const stored = JSON.parse(localStorage.getItem(PICKS_KEY) ?? "{}");
    return Object.entries(stored).filter(([, mark]) => Object.hasOwn(MARKS, String(mark)));
  } catch {
    return []; // a browser that keeps nothing
  }
}

/** Mark a painting, or take the same mark off again. @param {Painting} painting @param {keyof typeof MARKS | null} mark */
function pick(painting, mark) {
  if (mark === null || picks.get(painting.id) === mark) picks.delete(painting.id);
  else picks.set(painting.id, mark);
  try {
    localStorage.setItem(PICKS_KEY, JSON.stringify(Object.fromEntries(picks)));
  } catch {
    // it lasts as long as the page is open
  }
  const now = picks.get(painting.id);
  say(`${describedPainting(painting)}: ${now ? MARKS[now].toLowerCase() : "no mark"}`);
  for (const listener of onPick) listener(painting);
}
/** @type {Array<(painting: Painting) => void>} */
const onPick = [];

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
    const mark = picks.get(current()?.id ?? "");
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
