// The loss over the steps of the engine as a drawing.

const PLOT = { width: 320, height: 130, left: 8, right: 8, top: 8, bottom: 20 };
const TOTAL = 5; // in a point of the trace: scale, iteration, content, style, tv, total

/** @param {Array<Array<number | null>>} trace @returns {any} a figure, or null without a trace */
function lossPlot(trace) {
  const totals = trace.map((point) => point[TOTAL]).filter((value) => value !== null && value > 0);
  if (totals.length < 2) return null;
  const [lowest, highest] = [Math.min(...totals), Math.max(...totals)];
  const logarithmic = highest / lowest > 20;
  const level = (value) => (logarithmic ? Math.log(value) : value);
  const span = level(highest) - level(lowest) || 1;
  const x = (index) => PLOT.left + (index / (trace.length - 1)) * (PLOT.width - PLOT.left - PLOT.right);
  const y = (value) => PLOT.top + (1 - (level(value) - level(lowest)) / span) * (PLOT.height - PLOT.top - PLOT.bottom);
  const path = trace.map((point, index) => (point[TOTAL] > 0 ? `${x(index).toFixed(1)},${y(point[TOTAL]).toFixed(1)}` : "")).filter(Boolean).join(" ");
  const borders = trace.flatMap((point, index) => (index && point[0] !== trace[index - 1][0] ? [x(index - 0.5)] : []));
  const floor = PLOT.height - PLOT.bottom;
  const words = `Loss from ${shownValue(totals[0])} to ${shownValue(totals.at(-1))}${borders.length ? `, in ${borders.length + 1} scales` : ""}${logarithmic ? "; logarithmic" : ""}`;
  return element("figure", { class: "plot" },
    drawing("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": words },
      ...borders.map((at) => drawing("line", { x1: at, x2: at, y1: PLOT.top, y2: floor, class: "border" })),
      drawing("line", { x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: floor, y2: floor, class: "axis" }),
      drawing("polyline", { points: path, class: "curve" })),
    element("figcaption", {}, words));
}
