// A stage: one picture that can be zoomed and moved, with its photo beneath it. Stages that share a view move together.

const LARGEST_ZOOM = 64;
const LARGEST_FIT = 1.5; // small pictures are hardly enlarged to fit

/** How stages are looked at: `zoom` 1 fits the picture in; `x`, `y` (0..1) is the point of it in the middle. */
function newView() {
  return { zoom: 1, x: 0.5, y: 0.5, /** @type {any[]} */ stages: [] };
}

/**
 * @param {ReturnType<typeof newView>} view
 * @param {{onSwipe?: (step: 1 | -1) => void}} [wishes]
 */
function newStage(view, { onSwipe } = {}) {
  const photo = element("img", { class: "photo", alt: "", draggable: "false", hidden: true });
  const picture = element("img", { class: "picture", alt: "", draggable: "false" });
  const edge = element("div", { class: "edge", hidden: true });
  const canvas = element("div", { class: "canvas" }, photo, picture, edge);
  const box = element("div", { class: "stage" }, canvas);
  const stage = {
    box, view, width: 1, height: 1, cut: 0,
    /** @param {Painting} painting */
    show(painting) {
      Object.assign(stage, { width: painting.width, height: painting.height });
      picture.src = painting.picture;
      picture.alt = describedPainting(painting);
      photo.hidden = !painting.preview;
      if (painting.preview) photo.src = painting.preview;
      else photo.removeAttribute("src");
      photo.alt = painting.preview ? `The photo ${painting.photo}` : "";
      stage.place();
    },
    /** How much of the photo is seen from the left, 0 to 1. @param {number} share */
    uncover(share) {
      stage.cut = share;
      picture.style.clipPath = share > 0 ? `inset(0 0 0 ${share * 100}%)` : "";
      edge.hidden = share <= 0 || share >= 1;
      edge.style.left = `${share * 100}%`;
    },
    fitted() {
      const scale = Math.min(box.clientWidth / stage.width, box.clientHeight / stage.height, LARGEST_FIT);
      return { width: stage.width * scale, height: stage.height * scale };
    },
    place() {
      const { width, height } = stage.fitted();
      const at = (room, size, point) => (size * view.zoom <= room ? (room - size * view.zoom) / 2 : Math.min(0, Math.max(room - size * view.zoom, room / 2 - point * size * view.zoom)));
      const left = at(box.clientWidth, width, view.x);
      const top = at(box.clientHeight, height, view.y);
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px`, transform: `translate(${left}px, ${top}px) scale(${view.zoom})` });
      edge.style.width = `${2 / view.zoom}px`;
      box.classList.toggle("pixels", view.zoom > 2 * stage.pixelZoom());
      box.classList.toggle("zoomed", view.zoom > 1);
      stage.left = left;
      stage.top = top;
    },
    /** The zoom at which a pixel of the picture is one of the screen. */
    pixelZoom: () => stage.width / Math.max(1, stage.fitted().width) / devicePixelRatio,
    /** Zoom so that a point of the screen stays where it is. */
    zoomTo(zoom, clientX, clientY) {
      const next = Math.min(LARGEST_ZOOM, Math.max(1, zoom));
      const bounds = box.getBoundingClientRect();
      const [px, py] = [(clientX ?? bounds.left + bounds.width / 2) - bounds.left, (clientY ?? bounds.top + bounds.height / 2) - bounds.top];
      const { width, height } = stage.fitted();
      const [u, v] = [(px - stage.left) / (width * view.zoom), (py - stage.top) / (height * view.zoom)];
      view.zoom = next;
      look(view, u + (box.clientWidth / 2 - px) / (width * next), v + (box.clientHeight / 2 - py) / (height * next));
    },
    move(dx, dy) {
      const { width, height } = stage.fitted();
      look(view, view.x - dx / (width * view.zoom), view.y - dy / (height * view.zoom));
    },
  };
  view.stages.push(stage);
  new ResizeObserver(() => stage.place()).observe(box);
  listenToPointers(stage, onSwipe);
  return stage;
}

/** Look at another point with all stages of a view. */
function look(view, x, y) {
  view.x = view.zoom === 1 ? 0.5 : Math.min(1, Math.max(0, x));
  view.y = view.zoom === 1 ? 0.5 : Math.min(1, Math.max(0, y));
  for (const stage of view.stages) stage.place();
}

function fit(view) {
  view.zoom = 1;
  look(view, 0.5, 0.5);
}

/** Wheel, double click, drag, pinch and swipe. */
function listenToPointers(stage, onSwipe) {
  const { box, view } = stage;
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let began = { x: 0, y: 0 };
  const spread = () => {
    const [one, two] = [...down.values()];
    return { distance: Math.hypot(one.x - two.x, one.y - two.y), x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 };
  };
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    stage.zoomTo(view.zoom * Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  }, { passive: false });
  box.addEventListener("dblclick", (event) => (view.zoom > 1 ? fit(view) : stage.zoomTo(Math.max(2, stage.pixelZoom()), event.clientX, event.clientY)));
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    box.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    began = { x: event.clientX, y: event.clientY };
  });
  box.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const pinch = down.size === 2 ? spread() : null;
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pinch) {
      const now = spread();
      stage.zoomTo((view.zoom * now.distance) / Math.max(1, pinch.distance), now.x, now.y);
    } else if (view.zoom > 1) stage.move(event.clientX - before.x, event.clientY - before.y);
  });
  const up = (event) => {
    const alone = down.size === 1;
    if (!down.delete(event.pointerId) || event.type === "pointercancel" || !alone || view.zoom > 1) return;
    const [dx, dy] = [event.clientX - began.x, event.clientY - began.y];
    if (Math.abs(dx) > 40 && Math.abs(dx) > 2 * Math.abs(dy)) onSwipe?.(dx < 0 ? 1 : -1);
  };
  box.addEventListener("pointerup", up);
  box.addEventListener("pointercancel", up);
}

/** Do what a key says about a view; return whether it says anything. @param {KeyboardEvent} event */
function zoomByKey(event, view) {
  const stage = view.stages[0];
  if (!stage || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.key === "+" || event.key === "=") stage.zoomTo(view.zoom * 1.5);
  else if (event.key === "-") stage.zoomTo(view.zoom / 1.5);
  else if (event.key === "0") fit(view);
  else if (event.key === "1") stage.zoomTo(Math.max(1, stage.pixelZoom()));
  else return false;
  return true;
}

/** Buttons for those who zoom without wheel and keys. */
const zoomButtons = (view) => element("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
  iconButton("minus", "Smaller (−)", () => view.stages[0]?.zoomTo(view.zoom / 1.5)),
  iconButton("fit", "Whole picture (0)", () => fit(view)),
  button("1:1", () => view.stages[0]?.zoomTo(Math.max(1, view.stages[0].pixelZoom())), { class: "icon-button", title: "Pixel for pixel (1)", "aria-label": "Pixel for pixel (1)" }),
  iconButton("plus", "Larger (+)", () => view.stages[0]?.zoomTo(view.zoom * 1.5)));
