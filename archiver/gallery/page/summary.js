"use strict";
/* The summary: what there is, over time and by family, and how the last runs ended. */

const summary = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const MEANINGS = {
    0: "all well",
    1: "a bug",
    2: "wrong command line or configuration",
    3: "some could not be archived",
    4: "fixity: a file is missing or changed",
    69: "the API could not be reached",
    74: "storage failed",
    75: "another run held the archive",
    77: "the key was rejected",
    130: "interrupted",
    143: "terminated",
  };

  function draw(section, index, items) {
    const held = items.filter((item) => item.state === "held");
    const months = byMonth(held);
    const parts = [
      title(index),
      figures(index),
      months.length ? charts(months) : null,
      held.length ? families(held) : null,
      runs(index.runs),
    ];
    section.replaceChildren(...parts.filter(Boolean));
  }

  function title(index) {
    const box = element("div", "summary-head");
    const heading = element("h2", "", "Summary");
    heading.id = "summary-title";
    heading.tabIndex = -1;
    box.append(heading, element("p", "muted", `As of ${show.minute(index.written)}`));
    return box;
  }

  function figures(index) {
    const { states, fixity, disk } = index;
    const open = ["pending", "failed", "lost"].filter((state) => states[state]);
    const checked = fixity && fixity.checked;
    const facts = [
      ["Held", show.number(states.held), show.size(index.bytes)],
      ["Not held", show.number(open.reduce((sum, state) => sum + states[state], 0)),
        open.map((state) => `${show.number(states[state])} ${state}`).join(", ") || "nothing is missing"],
      ["Last fixity check", fixity ? show.day(fixity.ended || fixity.began) : "None yet",
        fixity ? `${show.counted(checked, "file")} read, ${fixity.status === 0 ? "all match" : MEANINGS[fixity.status] || `exit status ${fixity.status}`}`
          : "archiver verify reads every file"],
    ];
    if (disk) facts.push(["Free space", show.size(disk.free), `of ${show.size(disk.size)}`]);
    const list = element("dl", "figures");
    for (const [label, value, more] of facts) {
      const figure = element("div", "figure");
      figure.append(element("dt", "", label), element("dd", "figure-value", value),
        element("dd", "muted", more));
      list.append(figure);
    }
    return list;
  }

  // --- Charts

  /** Return the months from the first to the last, with what each has. */
  function byMonth(items) {
    const found = new Map();
    for (const item of items) {
      const month = found.get(item.month) || { key: item.month, count: 0, bytes: 0 };
      month.count += 1;
      month.bytes += item.bytes;
      found.set(item.month, month);
    }
    const keys = [...found.keys()].filter(Boolean).sort();
    if (!keys.length) return [];
    const months = [];
    let [year, month] = keys[0].split("-").map(Number);
    const last = keys[keys.length - 1];
    for (let key = ""; key < last && months.length < 600; month += 1) {
      if (month > 12) [year, month] = [year + 1, 1];
      key = `${year}-${String(month).padStart(2, "0")}`;
      const time = Date.UTC(year, month - 1, 15) / 1000;
      months.push({ time, count: 0, bytes: 0, ...found.get(key), key });
    }
    let bytes = 0;
    for (const each of months) {
      bytes += each.bytes;
      each.total = bytes;
    }
    return months;
  }

  function charts(months) {
    const box = element("div", "charts");
    const last = months[months.length - 1];
    box.append(
      chart("Videos by month", months, {
        value: (month) => month.count,
        text: show.number,
        sum: `${show.counted(months.reduce((sum, month) => sum + month.count, 0), "video")}`,
        bars: true,
      }),
      chart("Bytes over time", months, {
        value: (month) => month.total,
        text: show.size,
        sum: show.size(last.total),
        bars: false,
      }));
    return box;
  }

  function chart(name, months, how) {
    const figure = element("figure", "chart");
    const caption = element("figcaption");
    caption.append(element("span", "chart-name", name), element("span", "muted", how.sum));
    const peak = element("p", "peak", how.text(Math.max(...months.map(how.value))));
    peak.setAttribute("aria-hidden", "true");
    figure.append(caption, peak, drawing(name, months, how), axis(months),
      table(name, months, how));
    return figure;
  }

  function drawing(name, months, how) {
    const [width, height] = [600, 160];
    const most = Math.max(...months.map(how.value), 1);
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none",
      role: "img", "aria-label": `${name}: ${how.sum}; at most ${how.text(most)}` });
    for (const part of [0, 0.5, 1]) {
      const y = 1 + part * (height - 2);
      svg.append(shape("line", { class: "rule", x1: 0, x2: width, y1: y, y2: y }));
    }
    const step = width / months.length;
    const topOf = (month) => height - 1 - (how.value(month) / most) * (height - 8);
    if (how.bars) {
      months.forEach((month, index) => {
        const y = topOf(month);
        const gap = Math.min(step * 0.25, 6);
        const bar = shape("rect", { class: "bar", x: index * step + gap / 2, y,
          width: step - gap, height: height - 1 - y });
        bar.append(tip(month, how));
        svg.append(bar);
      });
    } else {
      const points = months.map((month, index) =>
        `${months.length === 1 ? width : (index / (months.length - 1)) * width},${topOf(month)}`);
      const start = months.length === 1 ? `0,${topOf(months[0])}` : points[0];
      svg.append(
        shape("polygon", { class: "area", points: `0,${height} ${start} ${points.join(" ")} ${width},${height}` }),
        shape("polyline", { class: "line", points: `${start} ${points.join(" ")}` }));
      months.forEach((month, index) => {
        const strip = shape("rect", { class: "strip", x: index * step, y: 0, width: step, height });
        strip.append(tip(month, how));
        svg.append(strip);
      });
    }
    return svg;
  }

  function tip(month, how) {
    const made = document.createElementNS(SVG, "title");
    made.textContent = `${show.month(month.time)}: ${how.text(how.value(month))}`;
    return made;
  }

  function axis(months) {
    const line = element("div", "axis");
    line.setAttribute("aria-hidden", "true");
    const ends = months.length > 1 ? [months[0], months[months.length - 1]] : [months[0]];
    line.append(...ends.map((month) => element("span", "", show.shortMonth(month.time))));
    return line;
  }

  /** Return the figures of a chart for those who cannot see it. */
  function table(name, months, how) {
    const made = element("table", "unseen");
    made.append(element("caption", "", name));
    for (const month of months.slice(-120)) {
      const row = element("tr");
      const heading = element("th", "", show.month(month.time));
      heading.scope = "row";
      row.append(heading, element("td", "", how.text(how.value(month))));
      made.append(row);
    }
    return made;
  }

  function shape(tag, attributes) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  // --- Tables

  function families(items) {
    const found = new Map();
    for (const { family, bytes } of items) {
      const [count, sum] = found.get(family) || [0, 0];
      found.set(family, [count + 1, sum + bytes]);
    }
    const rows = [...found].sort((a, b) => b[1][0] - a[1][0]);
    const most = rows[0][1][0];
    const body = rows.map(([family, [count, bytes]]) => {
      const row = element("tr");
      const heading = element("th", "", family);
      heading.scope = "row";
      const share = element("td", "share");
      share.setAttribute("aria-hidden", "true");
      const svg = shape("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none" });
      svg.append(shape("rect", { class: "bar", width: Math.max((100 * count) / most, 0.5), height: 8 }));
      share.append(svg);
      row.append(heading, share, element("td", "number", show.number(count)),
        element("td", "number", show.size(bytes)));
      return row;
    });
    return section("By family", ["Family", "", "Videos", "Size"], body);
  }

  function runs(list) {
    if (!list.length) return null;
    const body = list.map((run) => {
      const row = element("tr");
      const state = run.ended === null ? "open" : run.status === 0 ? "well" : "bad";
      const status = element("td", `status ${state}`,
        run.ended === null ? "no end" : `${run.status}`);
      const what = run.ended === null ? "in progress, or it was killed" : run.summary;
      const meaning = MEANINGS[run.status];
      if (meaning) status.title = meaning;
      const when = element("th", "when", show.minute(run.began));
      when.scope = "row";
      row.append(when, element("td", "", run.command), status, element("td", "muted", what));
      return row;
    });
    return section("Last runs", ["Began", "Command", "Exit status", "Result"], body);
  }

  function section(name, headings, rows) {
    const box = element("section", "table-box");
    const scroll = element("div", "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", name);
    const made = element("table");
    const head = element("tr");
    for (const heading of headings) {
      const cell = element(heading ? "th" : "td", "", heading);
      if (heading) cell.scope = "col";
      if (["Videos", "Size"].includes(heading)) cell.className = "number";
      head.append(cell);
    }
    const thead = element("thead");
    thead.append(head);
    const tbody = element("tbody");
    tbody.append(...rows);
    made.append(thead, tbody);
    scroll.append(made);
    box.append(element("h3", "", name), scroll);
    return box;
  }

  return { draw };
})();
