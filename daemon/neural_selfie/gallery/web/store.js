// What the page knows: paintings, newest first, from small scripts beside it, and what is going on.

/**
 * @typedef {object} Painting
 * @property {string} id folder and name, percent-encoded
 * @property {string} folder
 * @property {string} picture address of the picture
 * @property {string} photo
 * @property {string} preset
 * @property {Record<string, any>} variant
 * @property {number} width px
 * @property {number} height px
 * @property {number} at seconds since the epoch; 0 is unknown
 * @property {string[]} styles
 * @property {number[]} [small] long edges of its small copies, px
 * @property {string} [preview] address of the photo
 * @property {number} [warned]
 * @property {"keep" | "star"} [mark] what its record says that somebody thought of it
 * @property {string} [words] what is searched, in lower case
 */

const DATA = "gallery/data";
const REFRESH_MS = 3000;
const AT_ONCE = 8; // shards that are fetched side by side

const store = {
  /** @type {Painting[]} */ paintings: [],
  /** @type {Map<string, Painting>} */ byId: new Map(),
  /** @type {Record<string, any>} */ now: {},
  /** @type {Set<string>} */ styles: new Set(),
  total: 0,
  loaded: false,
};
/** @type {Map<string, {version: string, entries: Painting[]}>} */
const shardsByName = new Map();
/** @type {Map<string, any>} */
const details = new Map();
/** @type {Array<() => void>} */
const onNews = [];
/** What else begins with the page. @type {Array<() => void>} */
const onBegin = [];
/** Whether somebody tells what goes on, so that nobody need ask. */
const stream = { alive: false };
let listed = { total: 0, shards: [], styles: [] };

const policy = globalThis.trustedTypes?.createPolicy("gallery", {
  createScriptURL(address) {
    if (/^gallery\/(data|details)\/[^?#]+\.js\?[a-z0-9=]*$/.test(address) && !address.includes("..")) return address;
    throw new TypeError("no data of this page");
  },
});

// The scripts beside the page call this: on pages from a disk no browser hands out data in any other way.
Object.defineProperty(globalThis, "neuralSelfie", {
  value(kind, content) {
    if (kind === "index") listed = content;
    else if (kind === "now" && !stream.alive) store.now = content; // on a disk it is older than what was heard
    else if (kind === "shard") shardsByName.set(content.name, content);
    else if (kind === "detail") details.set(content.id, content);
  },
});

/** @param {string} address @returns {Promise<void>} settled when the script has run, or could not be had */
function fetchScript(address) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = policy ? policy.createScriptURL(address) : address;
    script.onload = () => { script.remove(); done(); };
    script.onerror = () => { script.remove(); failed(new Error(`${address} cannot be read`)); };
    document.head.append(script);
  });
}

/** Look for news: the list of shards, then the shards that are other than before or could not be had, newest first. */
async function refresh() {
  const before = JSON.stringify(listed);
  const nowBefore = JSON.stringify(store.now);
  await Promise.allSettled(["index", ...(stream.alive ? [] : ["now"])].map((name) => fetchScript(`${DATA}/${name}.js?t=${Date.now()}`)));
  const wanted = listed.shards.filter((shard) => shardsByName.get(shard.name)?.version !== shard.version);
  if (!wanted.length && JSON.stringify(listed) === before && store.loaded) {
    if (JSON.stringify(store.now) !== nowBefore) tellNews();
    return;
  }
  for (let index = 0; index < wanted.length; index += index ? AT_ONCE : 1) {
    await Promise.allSettled(wanted.slice(index, index + (index ? AT_ONCE : 1)).map(fetchShard));
    if (index === 0 && !store.loaded) assemble(); // the first screen need not wait for the others
  }
  assemble();
}

/** A share may hand out an older shard than the listed one: its own version says so, and it is asked for again. */
const fetchShard = ({ name, version }) => fetchScript(`${DATA}/${name}.js?v=${version}`);

function assemble() {
  const names = new Set(listed.shards.map((shard) => shard.name));
  for (const name of shardsByName.keys()) if (!names.has(name)) shardsByName.delete(name);
  store.paintings = listed.shards.flatMap((shard) => shardsByName.get(shard.name)?.entries ?? []);
  store.byId = new Map(store.paintings.map((painting) => [painting.id, painting]));
  store.styles = new Set(listed.styles);
  store.total = listed.total;
  store.loaded = true;
  for (const id of details.keys()) details.delete(id); // a picture may have been painted again
  tellNews();
}

function tellNews() {
  for (const listener of onNews) listener();
}

/** All that is told about a painting, or undefined. @param {Painting} painting */
async function detailOf(painting) {
  if (!details.has(painting.id)) {
    await fetchScript(`gallery/details/${painting.id}.js?t=${painting.at}`).catch(() => {});
  }
  return details.get(painting.id);
}

/** @param {Painting} painting @returns {string} what is searched */
function wordsOf(painting) {
  painting.words ??= [painting.photo, painting.preset, shownVariant(painting.variant), ...painting.styles].join(" ").toLowerCase();
  return painting.words;
}

/** Addresses of a painting in several sizes, for `srcset`. @param {Painting} painting */
function sourcesOf(painting) {
  const longEdge = Math.max(painting.width, painting.height);
  const widthAt = (level) => Math.max(1, Math.round((painting.width * level) / longEdge));
  const small = (painting.small ?? []).map((level) => `gallery/small/${painting.id}.${level}.webp ${widthAt(level)}w`);
  return [...small, `${painting.picture} ${painting.width}w`].join(", ");
}

/** The smallest copy that is there. @param {Painting} painting */
const smallestOf = (painting) => (painting.small?.length ? `gallery/small/${painting.id}.${painting.small[0]}.webp` : painting.picture);
