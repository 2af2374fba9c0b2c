"use strict";
/* The grid: rows of tiles as wide as the page, of which only those near the screen exist. */

const STATES = { held: "Held", pending: "Pending", failed: "Failed", lost: "Lost" };

class Grid {
  constructor(list) {
    this.list = list;
    this.items = [];
    this.tiles = new Map(); // those that exist, by their item
    this.places = new Map(); // where each item of the list is, made when it is asked for
    this.active = 0; // the tile that the keyboard reaches
    this.drawing = 0;
    this.idle = 0;
    window.addEventListener("scroll", () => this.later(), { passive: true });
    new ResizeObserver(() => this.resized()).observe(list);
    list.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("focusin", (event) => this.focused(event));
    this.width = 0;
  }

  /** Show these items; the page stays where it is scrolled to. */
  set(items) {
    this.items = items;
    this.places = new Map();
    this.active = Math.min(this.active, Math.max(items.length - 1, 0));
    this.lay();
    for (const [item, tile] of this.tiles) {
      if (items[tile.index] !== item) this.drop(item, tile);
    }
    this.draw();
  }

  resized() {
    if (this.list.clientWidth && this.list.clientWidth !== this.width) {
      this.lay();
      this.draw();
    }
  }

  /** Find where each row begins, and how high it is. */
  lay() {
    const width = this.list.clientWidth;
    if (!width) return;
    this.width = width;
    const narrow = width < 640;
    this.gap = narrow ? 10 : 18;
    this.caption = 58;
    const wanted = narrow ? 170 : width < 1100 ? 200 : 230;
    const rows = [];
    let [first, sum, top] = [0, 0, 0];
    for (let index = 0; index < this.items.length; index += 1) {
      sum += ratioOf(this.items[index]);
      const room = width - this.gap * (index - first);
      const last = index === this.items.length - 1;
      if (sum * wanted >= room || last) {
        const height = Math.min(room / sum, last ? wanted : wanted * 1.6);
        rows.push({ first, end: index + 1, top, height });
        top += Math.round(height) + this.caption + this.gap;
        [first, sum] = [index + 1, 0];
      }
    }
    this.rows = rows;
    this.list.style.height = `${top}px`;
  }

  later() {
    if (!this.drawing) this.drawing = requestAnimationFrame(() => this.draw());
  }

  /** Make the tiles near the screen, and remove the others. */
  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = 0;
    if (!this.rows || !this.list.clientWidth) return;
    const above = this.list.getBoundingClientRect().top;
    const reach = innerHeight * 0.75;
    const from = this.rowAt(-above - reach);
    const until = this.rowAt(-above + innerHeight + reach);
    const wanted = new Set();
    for (let row = from; row <= until && row < this.rows.length; row += 1) {
      this.drawRow(this.rows[row], wanted);
    }
    for (const [item, tile] of this.tiles) {
      if (!wanted.has(item) && !tile.element.contains(document.activeElement)) {
        this.drop(item, tile);
      }
    }
    this.markActive();
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.showFrames(), 160);
  }

  drawRow(row, wanted) {
    let left = 0;
    for (let index = row.first; index < row.end; index += 1) {
      const item = this.items[index];
      const width = ratioOf(item) * row.height;
      wanted.add(item);
      const tile = this.tiles.get(item) || this.add(item);
      tile.index = index;
      this.place(tile, { left, top: row.top, width, height: Math.round(row.height) });
      left += width + this.gap;
    }
  }

  place(tile, { left, top, width, height }) {
    const { element: li, frame } = tile;
    const place = `${left} ${top} ${width} ${height}`;
    if (tile.place !== place) {
      tile.place = place;
      li.style.transform = `translate(${left}px, ${top}px)`;
      li.style.width = `${width}px`;
      frame.style.height = `${height}px`;
    }
    li.setAttribute("aria-posinset", tile.index + 1);
    li.setAttribute("aria-setsize", this.items.length);
  }

  /** Return the row at a height; the first one above the top. */
  rowAt(height) {
    let [low, high] = [0, this.rows.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.rows[middle].top <= height) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  add(item) {
    const li = element("li", "tile");
    const link = element("a", `tile-link ${item.state}`);
    link.href = `#${item.name}`;
    link.tabIndex = -1;
    const frame = element("span", "frame");
    fillFrame(frame, item);
    link.append(frame, captionOf(item));
    li.append(link);
    this.list.append(li);
    const tile = { element: li, link, frame, place: "", index: 0 };
    this.tiles.set(item, tile);
    return tile;
  }

  drop(item, tile) {
    const video = tile.element.querySelector("video");
    if (video) {
      video.removeAttribute("src"); // stop loading it
      video.load();
    }
    tile.element.remove();
    this.tiles.delete(item);
  }

  /** Where there is no poster, let the browser show the video's own first frame. */
  showFrames() {
    for (const [item, { frame }] of this.tiles) {
      const bare = item.state === "held" && !item.poster && item.framed && item.paths[0];
      if (bare && !frame.querySelector("video, img.moving")) frame.prepend(firstFrame(item));
    }
  }

  // --- The keyboard

  focused(event) {
    const li = event.target.closest("li");
    for (const tile of this.tiles.values()) if (tile.element === li) this.active = tile.index;
    this.markActive();
  }

  /** Let the tab key reach one tile: the active one or, where that is far, the first on screen. */
  markActive() {
    let reached = null;
    for (const tile of this.tiles.values()) {
      tile.link.tabIndex = -1;
      if (tile.index === this.active) reached = tile;
    }
    if (!reached) {
      const row = this.rows[this.rowAt(1 - this.list.getBoundingClientRect().top)];
      const item = row && this.items[row.first];
      reached = item && this.tiles.get(item);
    }
    if (reached) reached.link.tabIndex = 0;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = {
      ArrowRight: () => this.active + 1,
      ArrowLeft: () => this.active - 1,
      ArrowDown: () => this.beside(1),
      ArrowUp: () => this.beside(-1),
      Home: () => 0,
      End: () => this.items.length - 1,
    };
    if (!steps[event.key]) return;
    event.preventDefault();
    this.focus(steps[event.key]());
  }

  /** Return the item in another row that is nearest to the active one. */
  beside(step) {
    const here = this.rows.findIndex((row) => row.end > this.active);
    const there = this.rows[here + step];
    if (!there) return this.active;
    const middle = this.middleOf(this.rows[here], this.active);
    let best = there.first;
    for (let index = there.first; index < there.end; index += 1) {
      const near = Math.abs(this.middleOf(there, index) - middle);
      if (near < Math.abs(this.middleOf(there, best) - middle)) best = index;
    }
    return best;
  }

  middleOf(row, index) {
    let left = 0;
    for (let each = row.first; each < index; each += 1) {
      left += ratioOf(this.items[each]) * row.height + this.gap;
    }
    return left + (ratioOf(this.items[index]) * row.height) / 2;
  }

  /** Scroll an item into view and focus it. */
  focus(index) {
    if (index < 0 || index >= this.items.length) return;
    this.active = index;
    const row = this.rows.find((each) => each.end > index);
    const top = row.top + this.list.getBoundingClientRect().top;
    const bar = document.querySelector(".masthead").getBoundingClientRect().bottom;
    const room = bar + 12;
    const bottom = top + row.height + this.caption;
    if (top < room) scrollBy({ top: top - room, behavior: "instant" });
    else if (bottom > innerHeight) scrollBy({ top: bottom - innerHeight + 12, behavior: "instant" });
    this.draw();
    const tile = this.tiles.get(this.items[index]);
    if (tile) tile.link.focus({ preventScroll: true });
    this.draw();
  }

  /** Focus the tile of an item, if it is shown. */
  focusItem(item) {
    const index = this.indexOf(item);
    if (index >= 0) this.focus(index);
  }

  /** Return where an item is among those shown; -1 if it is not. */
  indexOf(item) {
    if (!this.places.size) this.items.forEach((each, index) => this.places.set(each, index));
    return this.places.has(item) ? this.places.get(item) : -1;
  }
}

/** Return width by height, within what still makes a tile. */
function ratioOf({ width, height }) {
  return width && height ? Math.min(Math.max(width / height, 0.6), 2) : 4 / 3;
}

function fillFrame(frame, item) {
  if (item.poster) {
    const image = element("img");
    image.alt = "";
    image.decoding = "async";
    image.src = item.poster;
    image.addEventListener("error", () => image.replaceWith(plain(item)), { once: true });
    frame.append(image);
  } else {
    frame.append(plain(item));
  }
  if (item.duration) frame.append(element("span", "badge", show.clock(item.duration)));
  if (item.paths.length > 1) {
    frame.append(element("span", "badge many", show.counted(item.paths.length, "video")));
  }
}

/** Return what a tile shows without an image: nothing of a video, the state of what is no video. */
function plain(item) {
  const made = element("span", "plain");
  if (item.state === "held") {
    made.append(element("span", "plain-kind", item.paths[0] ? kindOf(item.paths[0]) : ""));
  } else {
    made.append(element("span", "state", STATES[item.state]));
    if (item.reason) made.append(element("span", "reason", beginning(item.reason, 140)));
  }
  return made;
}

const kindOf = (path) => path.slice(path.lastIndexOf(".") + 1).toUpperCase();

function firstFrame(item) {
  const moving = item.paths[0].endsWith(".gif");
  const made = element(moving ? "img" : "video", "moving");
  if (moving) {
    made.alt = "";
    made.decoding = "async";
  } else {
    made.muted = true;
    made.playsInline = true;
    made.preload = "metadata";
    made.tabIndex = -1;
    made.setAttribute("aria-hidden", "true");
  }
  made.addEventListener("error", () => made.remove(), { once: true });
  made.src = urlOf(item.paths[0]) + (moving ? "" : "#t=0.1");
  return made;
}

function captionOf(item) {
  const caption = element("span", "caption");
  const title = element("span", "caption-title", beginning(item.prompt, 160) || item.id);
  title.dir = "auto";
  const parts = [item.prompt ? item.id : item.family, item.date ? show.day(item.date) : ""];
  caption.append(title, element("span", "caption-meta", parts.filter(Boolean).join(" · ")));
  return caption;
}
