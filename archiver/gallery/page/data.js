"use strict";
/* The data: what the scripts of the archive hand over, and how it is written for people. */

const gallery = (() => {
  const PLACE = ".archiver/browse/";
  const waiting = new Map();

  /** Take what a data script hands over: JSON, under the script's name. */
  function take(name, text) {
    const resolve = waiting.get(name);
    waiting.delete(name);
    if (resolve) resolve(JSON.parse(text));
  }

  /** Load a data script. A page that is opened from disk can load scripts, and cannot fetch. */
  function load(name, version) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const failed = () => reject(new Error(`${PLACE}${name}.js cannot be read`));
      waiting.set(name, resolve);
      script.src = `${PLACE}${name}.js?${version}`;
      script.addEventListener("error", failed);
      script.addEventListener("load", () => {
        script.remove();
        if (waiting.delete(name)) failed();
      });
      document.head.append(script);
    });
  }

  /** Return a row of a chunk as an item of the grid. */
  function item(row, chunk) {
    const [name, state, date, prompt, model, width, height, duration, bytes, files, poster, reason] =
      row;
    const slash = name.lastIndexOf("/");
    const id = name.slice(slash + 1);
    const family = name.slice(0, slash);
    return {
      name, id, family, state, chunk,
      date: date || 0,
      prompt: prompt || "",
      model: model || "",
      width: width || 0,
      height: height || 0,
      duration: duration || 0,
      bytes: bytes || 0,
      paths: (files || []).map((suffix) => `data/${name}${suffix}`),
      poster: poster ? `${PLACE}posters/${poster}.webp` : "",
      framed: poster !== "",
      reason: reason || "",
      text: `${prompt || ""}\n${name}\n${model || ""}`.toLowerCase(),
    };
  }

  /** Return the details of a generation, by name. */
  function details(row) {
    const [since, checked, hosts, said, files] = row;
    const [negative, seed, width, height, duration, track, created] = said;
    return {
      since, checked, hosts, negative, seed, width, height, duration, track, created,
      files: files.map(
        ([bytes, sha256, verified, seconds, w, h, rate, video, audio]) =>
          ({ bytes, sha256, verified, duration: seconds, width: w, height: h, rate, video, audio })),
    };
  }

  return { take, load, item, details };
})();

const show = (() => {
  const locale = undefined; // the reader's own
  const day = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
  const minute = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const month = new Intl.DateTimeFormat(locale, { month: "long", year: "numeric" });
  const shortMonth = new Intl.DateTimeFormat(locale, { month: "short", year: "numeric" });
  const number = new Intl.NumberFormat(locale);

  /** Return bytes for people: 999 bytes, 1.5 MB. */
  function size(bytes) {
    if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
    const units = ["kB", "MB", "GB", "TB"];
    let value = bytes / 1000;
    let unit = 0;
    while (value >= 999.95 && unit < units.length - 1) {
      value /= 1000;
      unit += 1;
    }
    return `${value.toFixed(1)} ${units[unit]}`;
  }

  /** Return a duration as players show it: 0:05, 12:30, 1:02:03. */
  function clock(seconds) {
    const whole = Math.round(seconds);
    const two = (part) => String(part).padStart(2, "0");
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }

  /** Return a count with its noun: 1 video, 2,000 videos. */
  const counted = (count, noun) => `${number.format(count)} ${noun}${count === 1 ? "" : "s"}`;
  const at = (format) => (seconds) => format.format(new Date(seconds * 1000));

  return {
    size, clock, counted,
    number: (value) => number.format(value),
    day: at(day),
    minute: at(minute),
    month: at(month),
    shortMonth: at(shortMonth),
  };
})();

/** Make an element; whatever is in `text` stays text. */
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Return the beginning of a text, not cut within a character. */
function beginning(text, length) {
  if (text.length <= length) return text;
  return `${text.slice(0, length).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

/** Return a path as a URL relative to the page. */
const urlOf = (path) => path.split("/").map(encodeURIComponent).join("/");
