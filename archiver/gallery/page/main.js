"use strict";
/* The page: loads the data, and leads from the address to what is shown. */

(() => {
  const at = (id) => document.getElementById(id);
  const CHOICES = ["family", "month", "duration", "orientation"];
  const grid = new Grid(at("grid"));
  const details = new Map(); // by chunk, what its script hands over
  let index = null; // what the archive says of itself
  let items = []; // everything that is loaded
  let byName = new Map();
  let loaded = false;
  let walked = false; // whether the reader came to a video from this page
  const filters = { query: "", state: "", family: "", month: "", duration: "", orientation: "" };
  const viewer = new Viewer(grid, { details: detailsOf, changed: moveTo, closed: leave });

  // --- Loading

  async function begin() {
    try {
      index = await gallery.load("index", Date.now());
    } catch (error) {
      fail(error);
      return;
    }
    filters.state = index.states.held ? "held" : "";
    drawStates();
    await loadChunks();
  }

  /** Load the chunks, the newest first, a few at a time; show what there is meanwhile. */
  async function loadChunks() {
    const queue = [...index.chunks];
    const failures = [];
    const next = async () => {
      const chunk = queue.shift();
      try {
        take(chunk, await gallery.load(`data-${chunk.name}`, chunk.data));
      } catch (error) {
        failures.push(error);
      }
    };
    if (queue.length) await next();
    refresh();
    await painted();
    let shown = performance.now();
    const work = async () => {
      while (queue.length) {
        await next();
        if (performance.now() - shown > 500) {
          refresh();
          await painted();
          shown = performance.now();
        }
      }
    };
    await Promise.all([work(), work(), work()]);
    loaded = true;
    if (failures.length) fail(failures[0]);
    fillChoices();
    refresh();
    route();
    document.documentElement.dataset.loaded = "true";
  }

  /** Wait until the browser has drawn what there is; a page that nobody looks at draws nothing. */
  function painted() {
    return new Promise((resolve) => {
      requestAnimationFrame(() => setTimeout(resolve, 0));
      setTimeout(resolve, 200);
    });
  }

  function take(chunk, rows) {
    for (const row of rows) {
      const item = gallery.item(row, chunk);
      const known = byName.get(item.name);
      if (known && known.state === "held") continue; // it was archived while this was written
      item.month = item.date ? find.monthOf(item) : "";
      byName.set(item.name, item);
    }
    items = [...byName.values()];
  }

  async function detailsOf(item) {
    const { name, details: version } = item.chunk;
    if (!details.has(name)) details.set(name, gallery.load(`details-${name}`, version));
    try {
      const found = (await details.get(name))[item.name];
      return found ? gallery.details(found) : null;
    } catch {
      return null;
    }
  }

  function fail(error) {
    note(`${error.message}: write the page again with “archiver browse”.`);
  }

  // --- What is shown

  function refresh() {
    const order = at("order").value;
    const found = find.ordered(find.matching(items, filters), order);
    grid.set(found);
    const total = filters.state ? index.states[filters.state]
      : index.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
    const narrowed = filters.query || CHOICES.some((name) => filters[name]);
    const noun = filters.state === "held" ? "video" : "generation";
    at("count").textContent = !loaded
      ? `Loading… ${show.number(items.length)} so far`
      : narrowed ? `${show.number(found.length)} of ${show.counted(total, noun)}`
      : show.counted(found.length, noun);
    at("reset").hidden = !narrowed;
    nothing(loaded && !found.length, narrowed);
    remark();
    if (!at("summary").hidden) summary.draw(at("summary"), index, items);
  }

  function nothing(is, narrowed) {
    at("nothing").hidden = !is;
    at("grid").hidden = is;
    if (!is) return;
    at("nothing-title").textContent = narrowed ? "Nothing matches" : "Nothing here yet";
    at("nothing-hint").textContent = narrowed
      ? "Try fewer words, or clear the filters."
      : "The next backup will fill it; “archiver browse” then brings this page up to date.";
  }

  function remark() {
    const { missing, available } = index.posters;
    if (!missing) return;
    note(available
      ? `${show.counted(missing, "poster")} still to be made: run “archiver browse” again.`
      : "The browser shows first frames here. For posters, which load sooner: "
        + "pip install 'archiver[browse]', then “archiver browse”.");
  }

  function note(text) {
    at("note").textContent = text;
    at("note").hidden = false;
  }

  function drawStates() {
    const total = index.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
    const states = Object.keys(STATES).filter((state) => index.states[state] || state === "held");
    const tabs = [...states.map((state) => [state, STATES[state], index.states[state]])];
    if (states.length > 1) tabs.unshift(["", "All", total]);
    at("states").replaceChildren(...tabs.map(([state, label, count]) => {
      const button = element("button", `tab ${state}`);
      button.type = "button";
      button.append(element("span", "", label), " ", element("span", "tab-count", show.number(count)));
      button.setAttribute("aria-pressed", String(filters.state === state));
      button.addEventListener("click", () => {
        filters.state = state;
        for (const each of at("states").children) {
          each.setAttribute("aria-pressed", String(each === button));
        }
        backToTop();
        refresh();
      });
      return button;
    }));
  }

  function fillChoices() {
    const families = [...new Set(items.map((item) => item.family))].sort();
    const months = [...new Set(items.map((item) => item.month).filter(Boolean))].sort().reverse();
    fill("family", families.map((family) => [family, family]));
    fill("month", months.map((month) => [month, nameOf(month)]));
  }

  function fill(id, choices) {
    const chosen = at(id).value;
    const first = at(id).firstElementChild;
    at(id).replaceChildren(first, ...choices.map(([value, text]) => new Option(text, value)));
    at(id).value = chosen;
  }

  function nameOf(month) {
    const [year, number] = month.split("-").map(Number);
    return show.month(new Date(year, number - 1, 15).getTime() / 1000);
  }

  function backToTop() {
    grid.active = 0;
    scrollTo({ top: 0, behavior: "instant" });
  }

  // --- The address

  /** Show what the address names: a video, the summary, or the grid. */
  function route() {
    const hash = address();
    const [name, output] = hash.split(".");
    const isVideo = name.includes("/");
    at("summary").hidden = hash !== "summary";
    at("videos").hidden = hash === "summary";
    at("filters").hidden = hash === "summary";
    if (hash === "summary") at("to-summary").setAttribute("aria-current", "page");
    else at("to-summary").removeAttribute("aria-current");
    if (!isVideo) viewer.close();
    if (hash === "summary" && index) {
      summary.draw(at("summary"), index, items);
      backToTop();
      at("summary-title").focus({ preventScroll: true });
    } else if (isVideo && byName.has(name)) {
      viewer.show(byName.get(name), Number(output || 1) - 1);
    } else if (isVideo && loaded) {
      note(`${beginning(name, 160)} is not in this archive, or came after this page was written.`);
    }
    grid.resized();
    grid.later();
  }

  function address() {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return "";
    }
  }

  /** Name another video in the address, without a step in the reader's history. */
  function moveTo(item, output = 0) {
    history.replaceState(null, "", `#${item.name}${output ? `.${output + 1}` : ""}`);
  }

  /** Show the grid, as a step in the reader's history. */
  function goHome() {
    if (location.hash) history.pushState(null, "", location.pathname + location.search);
    route();
  }

  /** Leave the viewer: back to where the reader came from, if that was here. */
  function leave() {
    if (walked) {
      walked = false;
      history.back();
    } else {
      history.replaceState(null, "", location.pathname + location.search);
      route();
    }
  }

  // --- What the reader does

  let typing = 0;
  at("query").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      filters.query = at("query").value;
      if (!at("summary").hidden) goHome();
      backToTop();
      refresh();
    }, 60);
  });
  at("query").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && grid.items.length) {
      event.preventDefault();
      grid.focus(0);
    }
  });
  for (const id of CHOICES) {
    at(id).addEventListener("change", () => {
      filters[id] = at(id).value;
      at(id).classList.toggle("chosen", Boolean(filters[id]));
      backToTop();
      refresh();
    });
  }
  at("order").addEventListener("change", () => {
    backToTop();
    refresh();
  });
  at("reset").addEventListener("click", () => {
    for (const id of CHOICES) {
      filters[id] = at(id).value = "";
      at(id).classList.remove("chosen");
    }
    filters.query = at("query").value = "";
    refresh();
    at("query").focus();
  });
  at("grid").addEventListener("click", (event) => {
    const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey; // another tab or window
    if (event.target.closest("a") && !elsewhere) walked = true;
  });
  for (const id of ["home", "skip"]) {
    at(id).addEventListener("click", (event) => {
      event.preventDefault();
      goHome();
      if (id === "skip") grid.focus(grid.active);
      else backToTop();
    });
  }
  document.addEventListener("keydown", (event) => {
    const typingNow = event.target.closest?.("input, select, textarea");
    if (event.key === "/" && !typingNow && !viewer.open) {
      event.preventDefault();
      at("query").focus();
    }
  });
  addEventListener("hashchange", route);
  begin();
})();
