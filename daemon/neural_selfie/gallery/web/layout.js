// Where pictures hang: rows of equal height that fill the width, as in an album. Pure.

/**
 * @typedef {object} Row
 * @property {number} top px
 * @property {number} height of its pictures, px
 * @property {number} start index of its first picture
 * @property {number} end index after its last
 */

const NARROWEST = 0.55; // aspect ratios beyond these are cropped on the wall
const WIDEST = 2.6;

/** @param {{width: number, height: number}} painting */
const aspectOf = (painting) => Math.min(WIDEST, Math.max(NARROWEST, painting.width / painting.height || 1));

/**
 * @param {Array<{width: number, height: number}>} paintings
 * @param {{width: number, wanted: number, alone: number, gap: number, caption: number}} room px; `alone`: the height of an only row
 * @returns {{rows: Row[], height: number}}
 */
function rowsOf(paintings, { width, wanted, alone, gap, caption }) {
  /** @type {Row[]} */
  const rows = [];
  let top = 0;
  let start = 0;
  let aspects = 0;
  const close = (end, height) => {
    rows.push({ top, height, start, end });
    top += height + caption + gap;
    start = end;
    aspects = 0;
  };
  for (let index = 0; index < paintings.length; index++) {
    aspects += aspectOf(paintings[index]);
    const height = (width - gap * (index - start)) / aspects;
    if (height <= wanted) close(index + 1, height);
  }
  if (start < paintings.length) close(paintings.length, Math.min(start ? wanted : alone, (width - gap * (paintings.length - start - 1)) / aspects));
  return { rows, height: Math.max(0, top - gap) };
}

/** The rows that are at least partly between two heights. @param {Row[]} rows @param {number} from @param {number} to */
function rowsBetween(rows, from, to) {
  return { first: Math.max(0, rowAt(rows, from)), last: Math.max(-1, rowAt(rows, to)) };
}

/** The last row that begins at or above a height. @param {Row[]} rows @param {number} y */
function rowAt(rows, y) {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (rows[middle].top <= y) low = middle;
    else high = middle - 1;
  }
  return rows.length ? low : -1;
}
