// Values as people say them.

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** @param {number} seconds since the epoch; 0 is unknown */
function shownTime(seconds) {
  if (!seconds) return "";
  const when = new Date(seconds * 1000);
  return `${DAY.format(when)}, ${TIME.format(when)}`;
}

/** @param {string} iso */
function shownIso(iso) {
  const when = Date.parse(iso);
  return Number.isNaN(when) ? "" : shownTime(when / 1000);
}

/** "0.8 s", "42 s", "3 min 20 s", "2 h 5 min" @param {number} seconds */
function shownDuration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A number or another value of a recipe, as it stands in the configuration. */
function shownValue(value) {
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** "content_weight 0.6, style_scale 1" @param {Record<string, any>} variant */
const shownVariant = (variant) => Object.entries(variant).map(([name, value]) => `${name} ${shownValue(value)}`).join(", ");

/** @param {number} count @param {string} one @param {string} many */
const counted = (count, one, many) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

/** What a painting is called for those who do not see it. */
function describedPainting(painting) {
  const variant = shownVariant(painting.variant);
  return `${painting.photo}, painted with ${painting.preset}${variant ? `, ${variant}` : ""}`;
}
