// What a server adds: news as it comes instead of every few seconds, and picks that are done at once.

const PICK_MS = 500; // quick picks travel together
const REJECT_MS = 5000; // a rejected painting moves away: so long it can be taken back
const RETRY_MS = 10000;

/** What was picked and the server does not know yet: the mark, and when it is told. @type {Map<string, {mark: string, at: number}>} */
const outgoing = new Map();
let looking = Promise.resolve();
/** @type {any} */
let timer;

/** Look for news, one look after the other. */
function look() {
  looking = looking.then(refresh).catch(() => {});
}

/** Hear the news; while nobody speaks the page asks every few seconds, as from a disk. */
function listen() {
  const line = new EventSource("events");
  line.addEventListener("open", () => {
    stream.alive = true;
    look(); // for what came before
    schedule();
  });
  line.addEventListener("now", (event) => {
    store.now = JSON.parse(event.data);
    showTools();
  });
  line.addEventListener("hung", look);
  line.addEventListener("error", () => {
    stream.alive = false;
    if (line.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS); // otherwise the browser tries again itself
  });
}

/** Ask the server to do something. @param {string} address @param {any} content @returns {Promise<any>} its answer, or why not as `error` */
async function post(address, content) {
  try {
    const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
    const told = await answer.json().catch(() => ({}));
    return answer.ok ? told : { error: told.error ?? `The server refused it (${answer.status}). Load the page again.` };
  } catch {
    return { error: "The server cannot be reached." };
  }
}

function schedule(atLeast = 0) {
  clearTimeout(timer);
  if (!outgoing.size) return;
  const next = Math.min(...[...outgoing.values()].map(({ at }) => at));
  timer = setTimeout(sendPicks, Math.max(atLeast, next - Date.now()));
}

async function sendPicks() {
  const due = [...outgoing].filter(([, { at }]) => at <= Date.now());
  const content = due.map(([id, { mark }]) => ({ painting: id, mark }));
  const { error, daemon } = due.length ? await post("picks", { "neural-selfie": "picks", version: 1, picks: content }) : {};
  handing.works = !error;
  if (error) say(`The picks could not be handed over: ${error}`);
  else for (const [id, entry] of due) if (outgoing.get(id) === entry) outgoing.delete(id);
  if (daemon === false) say("The picks are done when the daemon runs again.");
  showTools();
  schedule(error ? RETRY_MS : 0);
}

onPick.push((painting) => {
  const mark = markOf(painting) ?? "none";
  outgoing.set(painting.id, { mark, at: Date.now() + (mark === "reject" ? REJECT_MS : PICK_MS) });
  schedule();
});

onBegin.push(() => {
  handing.works = true;
  for (const [id, mark] of picks) outgoing.set(id, { mark, at: 0 }); // from a time when nobody could be reached
  listen();
});
