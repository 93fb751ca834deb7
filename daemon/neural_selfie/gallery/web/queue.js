// What is being painted now, what waits and what failed, each with its reason.

const STALE_SECONDS = 90;

/** Show what goes on; return how many lines there are. */
function showQueue() {
  const { running = [], waiting = [], failed = [], counts = {}, at = 0 } = store.now;
  const stale = running.length > 0 && Date.now() / 1000 - at > STALE_SECONDS;
  const parts = [
    listOf("Being painted", stale ? [] : running, runningLine),
    listOf("Waiting", waiting, troubleLine),
    listOf("Could not be painted", failed, troubleLine),
  ].filter(Boolean);
  if (stale) parts.unshift(element("p", { class: "note" }, `The daemon has said nothing since ${shownTime(at)}; it may have ended.`));
  const asleep = store.now.daemon === false;
  if (asleep) parts.unshift(element("p", { class: "note" }, "No daemon runs: nothing is painted until it is started (neural-selfie run)."));
  if (counts.queued) parts.splice(1, 0, element("p", { class: "quiet" }, `${counted(counts.queued, "picture is", "pictures are")} in the line.`));
  const box = byId("queue");
  const focused = box.contains(document.activeElement);
  box.replaceChildren(...parts);
  if (!parts.length && focused) byId("wall").focus();
  return { lines: parts.length, asleep, painted: stale ? 0 : running.length, waiting: waiting.length, failed: failed.length };
}

function listOf(heading, items, line) {
  return items.length ? element("div", {}, element("h2", {}, heading), element("ul", { role: "list" }, ...items.map(line))) : null;
}

function runningLine({ photo, preset, variant, fraction, eta_seconds: left, stage }) {
  const percent = Math.round(fraction * 100);
  const words = shownVariant(variant ?? {});
  return element("li", { class: "running" },
    element("p", {}, named(photo), " × ", named(preset), words ? ` (${words})` : ""),
    element("progress", { max: 100, value: percent, "aria-label": `${photo} painted with ${preset}` }),
    element("p", { class: "quiet" }, stage === "start" ? "begins" : `${percent} %${left === null || left === undefined ? "" : `, ${shownDuration(left)} left`}`));
}

function troubleLine({ photo, reason, when }) {
  return element("li", {}, element("p", {}, named(photo), " ", element("time", { datetime: when, class: "quiet" }, shownIso(when))), element("p", { class: "reason" }, reason));
}
