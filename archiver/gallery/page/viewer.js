"use strict";
/* The viewer: one video, played in place, with what is known of it. */

class Viewer {
  constructor(grid, { details, changed, closed }) {
    this.grid = grid;
    this.loadDetails = details;
    this.changed = changed;
    this.closed = closed;
    this.dialog = document.getElementById("viewer");
    this.screen = document.getElementById("screen");
    this.item = null;
    this.output = 0;
    document.getElementById("close").addEventListener("click", () => this.closed());
    document.getElementById("previous").addEventListener("click", () => this.step(-1));
    document.getElementById("next").addEventListener("click", () => this.step(1));
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.closed();
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.closed();
    });
    this.dialog.addEventListener("keydown", (event) => this.key(event), { capture: true });
  }

  get open() {
    return this.dialog.open;
  }

  /** Show an item, or another of its videos. */
  show(item, output = 0) {
    const opening = !this.dialog.open;
    this.item = item;
    this.output = Math.min(output, Math.max(item.paths.length - 1, 0));
    this.fillScreen();
    this.fillOutputs();
    this.fillFacts(null);
    this.loadDetails(item).then((found) => {
      if (this.item === item && found) this.fillFacts(found);
    });
    const place = this.grid.indexOf(item);
    document.getElementById("previous").disabled = place <= 0;
    document.getElementById("next").disabled = place < 0 || place + 1 >= this.grid.items.length;
    if (opening) this.dialog.showModal();
    this.start(opening);
  }

  close() {
    if (!this.dialog.open) return;
    this.stop();
    this.dialog.close();
    this.grid.focusItem(this.item);
    this.item = null;
  }

  step(by) {
    const next = this.grid.items[this.grid.indexOf(this.item) + by];
    if (!next || this.grid.indexOf(this.item) < 0) return;
    this.changed(next);
    this.show(next);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const video = this.screen.querySelector("video");
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way && event.shiftKey && video) {
      video.currentTime = Math.max(0, video.currentTime + 5 * way);
    } else if (way) {
      this.step(way);
    } else if (event.key === " " && video && !event.target.closest("button, a")) {
      if (video.paused) video.play().catch(() => {});
      else video.pause();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  // --- The screen

  /** Play, if the browser lets us and the reader wants things to move. */
  start(opening) {
    const shown = this.screen.firstElementChild;
    if (opening && shown) shown.focus({ preventScroll: true });
    else if (document.activeElement === document.body || !document.activeElement) shown?.focus();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (shown instanceof HTMLVideoElement && !still) shown.play().catch(() => {});
  }

  stop() {
    const video = this.screen.querySelector("video");
    if (!video) return;
    video.pause();
    video.removeAttribute("src");
    video.load();
  }

  fillScreen() {
    this.stop();
    const path = this.item.paths[this.output];
    this.screen.replaceChildren(path ? this.player(path) : this.message());
  }

  player(path) {
    const moving = path.endsWith(".gif");
    const player = element(moving ? "img" : "video", "player");
    player.tabIndex = -1;
    if (moving) {
      player.alt = this.item.prompt || `The animation ${this.item.id}`;
    } else {
      player.controls = true;
      player.loop = (this.item.duration || 60) < 15;
      player.playsInline = true;
      player.preload = "auto";
      player.setAttribute("aria-label", beginning(this.item.prompt, 200) || this.item.id);
      if (this.item.poster && !this.output) player.poster = this.item.poster;
    }
    player.addEventListener("error", () => {
      if (player.hasAttribute("src")) player.replaceWith(this.cannotPlay());
    });
    player.src = urlOf(path);
    return player;
  }

  cannotPlay() {
    const box = element("div", "message");
    box.append(
      element("p", "message-title", "This browser cannot play it"),
      element("p", "", "The file may be of a kind that it does not know, or is not there. Download "
        + "it, or check the archive with “archiver verify”."));
    return box;
  }

  /** Return what stands in the place of a video that is not held. */
  message() {
    const { state, reason } = this.item;
    const explained = {
      held: "The catalogue names no video of it.",
      pending: "ModelsLab is still making it: the next backup asks again.",
      failed: "It could not be archived: the next backup tries again.",
      lost: "It was given up: “archiver backup --retry-lost” tries it again.",
    };
    const box = element("div", `message ${state}`);
    box.tabIndex = -1;
    box.append(element("p", "state", STATES[state]));
    if (reason) box.append(element("p", "message-title", beginning(reason, 600)));
    box.append(element("p", "", explained[state]));
    return box;
  }

  fillOutputs() {
    const buttons = this.item.paths.map((_, index) => {
      const button = element("button", "output", String(index + 1));
      button.type = "button";
      button.setAttribute("aria-label", `Video ${index + 1}`);
      button.setAttribute("aria-pressed", String(index === this.output));
      button.addEventListener("click", () => {
        const item = this.item;
        this.changed(item, index);
        this.show(item, index);
        document.getElementById("outputs").children[index].focus();
      });
      return button;
    });
    document.getElementById("outputs").replaceChildren(...(buttons.length > 1 ? buttons : []));
  }

  // --- The details

  fillFacts(found) {
    const { item } = this;
    const title = document.getElementById("viewer-title");
    title.textContent = item.id;
    const path = item.paths[this.output];
    const parts = [this.prompt(item), this.actions(path), this.list(item, path, found)];
    document.getElementById("facts").replaceChildren(...parts.filter(Boolean));
  }

  prompt(item) {
    if (!item.prompt) return null;
    const box = element("div", "prompt");
    const text = element("p", "prompt-text", item.prompt);
    text.dir = "auto";
    if (item.prompt.length > 600) {
      text.tabIndex = 0;
      text.setAttribute("role", "region");
      text.setAttribute("aria-label", "Prompt");
    }
    box.append(text, this.copying("Copy prompt", () => item.prompt));
    return box;
  }

  actions(path) {
    if (!path) return null;
    const bar = element("div", "actions");
    const download = element("a", "button strong", "Download");
    download.href = urlOf(path);
    download.download = path.slice(path.lastIndexOf("/") + 1);
    const link = () => location.href;
    bar.append(download, this.copying("Copy link", link, "button"));
    return bar;
  }

  list(item, path, found) {
    const list = element("dl", "facts");
    for (const [label, value, copied] of this.facts(item, path, found)) {
      if (!value) continue;
      const row = element("div", "fact");
      const text = element("dd");
      const shown = element("span", copied ? "mono" : "", value);
      shown.dir = "auto";
      text.append(shown);
      if (copied) text.append(this.copying("Copy", () => copied, "copy", label));
      row.append(element("dt", "", label), text);
      list.append(row);
    }
    return list;
  }

  facts(item, path, found) {
    const file = found && found.files[this.output];
    const { width, height, duration } = file && file.width ? file : item;
    const seconds = (file && file.duration) || duration || item.duration;
    const said = found || {};
    return [
      ["State", item.state === "held" ? "" : STATES[item.state]],
      ["ID", item.id, item.id],
      ["Family", item.family],
      ["Model", item.model],
      ["Seed", said.seed, said.seed],
      ["Negative prompt", said.negative],
      ["Duration", seconds ? `${Number(seconds.toFixed(2))} s` : ""],
      ["Resolution", width && height ? `${width} × ${height}` : ""],
      ["Asked for", askedFor(said, file)],
      ["Size", file ? show.size(file.bytes) : ""],
      ["Codecs", file ? codecsOf(file) : ""],
      ["Made", said.created ? show.minute(item.date) : ""],
      [item.state === "held" ? "Archived" : "Since", said.since ? show.minute(said.since) : ""],
      ["Last checked", item.state !== "held" && said.checked ? show.minute(said.checked) : ""],
      ["Source", (said.hosts || []).join(", ")],
      ["Track ID", said.track, said.track],
      ["Path", path, path && absolute(path)],
      ["SHA-256", file ? file.sha256 : "", file && file.sha256],
      ["Verified", file && file.verified ? show.minute(file.verified) : ""],
    ];
  }

  /** Return a button that copies a text. */
  copying(label, text, className = "copy", what = "") {
    const button = element("button", className, label);
    button.type = "button";
    if (what) button.setAttribute("aria-label", `Copy ${what}`);
    button.addEventListener("click", async () => {
      const done = await copied(text(), this.dialog);
      button.textContent = done ? "Copied" : "Not copied";
      document.getElementById("said").textContent = done ? "Copied" : "It could not be copied";
      setTimeout(() => {
        button.textContent = label;
        document.getElementById("said").textContent = "";
      }, 1600);
    });
    return button;
  }
}

function askedFor(said, file) {
  const sized = said.width && said.height;
  const other = sized && !(file && file.width === said.width && file.height === said.height);
  const parts = [other ? `${said.width} × ${said.height}` : "", said.duration && file
    && Math.abs((file.duration || 0) - said.duration) > 0.5 ? `${said.duration} s` : ""];
  return parts.filter(Boolean).join(", ");
}

function codecsOf({ video, audio, rate }) {
  const frames = rate ? `${Number(rate.toFixed(2))} frames/s` : "";
  return [video, audio, frames].filter(Boolean).join(", ");
}

/** Return where a file is on this machine, or its path in the archive. */
function absolute(path) {
  if (location.protocol !== "file:") return path;
  return decodeURIComponent(new URL(urlOf(path), location.href).pathname);
}

/** Copy a text, also where the page is from a plain HTTP host. */
async function copied(text, within) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", "unseen");
    area.value = text;
    within.append(area);
    const focused = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (focused) focused.focus();
    return done;
  }
}
