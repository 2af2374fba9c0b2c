"use strict";
/* Finding: which items are shown, and in which order. It touches no page. */

const find = (() => {
  const ORDERS = {
    newest: (a, b) => b.date - a.date,
    oldest: (a, b) => a.date - b.date,
    largest: (a, b) => b.bytes - a.bytes,
    smallest: (a, b) => a.bytes - b.bytes,
    longest: (a, b) => b.duration - a.duration,
    shortest: (a, b) => a.duration - b.duration,
  };

  /** Return the month of an item as a key that sorts: 2026-03, by the reader's clock. */
  function monthOf(item) {
    const date = new Date(item.date * 1000);
    return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}`;
  }

  /** Return what shape a video has, or "" if that is not known. */
  function orientationOf({ width, height }) {
    if (!width || !height) return "";
    if (Math.abs(width - height) <= 0.04 * Math.max(width, height)) return "square";
    return width > height ? "landscape" : "portrait";
  }

  /** Return the tests that an item must pass. */
  function tests(filters) {
    const found = filters.query.toLowerCase().split(/\s+/).filter(Boolean)
      .map((term) => (item) => item.text.includes(term));
    if (filters.state) found.unshift((item) => item.state === filters.state);
    if (filters.family) found.unshift((item) => item.family === filters.family);
    if (filters.month) found.unshift((item) => item.month === filters.month);
    if (filters.orientation) {
      found.unshift((item) => orientationOf(item) === filters.orientation);
    }
    if (filters.duration) {
      const [from, to] = filters.duration.split("-").map(Number);
      found.unshift((item) => item.duration >= from && item.duration > 0
        && (!to || item.duration < to));
    }
    return found;
  }

  /** Return those of the items that pass the filters, in their order. */
  function matching(items, filters) {
    const all = tests(filters);
    return all.length ? items.filter((item) => all.every((test) => test(item))) : items;
  }

  /** Return the items in an order; of what is equal in it, the newest comes first. */
  function ordered(items, order) {
    return [...items].sort((a, b) => ORDERS[order](a, b) || b.date - a.date);
  }

  return { matching, ordered, monthOf };
})();
