// Search, and the switch of language at the same place. Everything else works without this script.
"use strict";
(() => {
  const language = document.querySelector("a.language");
  if (language) language.addEventListener("click", () => keepPlace(language));

  // Twins share the ids of their cells. The place is the one that was linked to, if it can still be
  // seen, or else the last cell that has reached the top.
  function keepPlace(link) {
    const top = (element) => element.getBoundingClientRect().top;
    const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const passed = [...document.querySelectorAll("main .cell")].filter((cell) => top(cell) < 120);
    if (linked && top(linked) > 0 && top(linked) < window.innerHeight) link.hash = linked.id;
    else link.hash = window.scrollY > 200 && passed.length ? passed[passed.length - 1].id : "";
  }

  const form = document.querySelector("form.search");
  if (!form) return;
  const input = form.querySelector("input");
  const panel = form.querySelector(".results");
  const status = panel.querySelector("p");
  const list = panel.querySelector("ol");
  const words = JSON.parse(form.dataset.words);
  const N_SHOWN = 25;
  const WORD = /[\p{Script=Latin}\p{N}]/u; // what a word that is found by its beginning is made of
  const HANGUL = /\p{Script=Hangul}/u;
  let sections = null;
  let loading = false;
  form.hidden = false;

  input.addEventListener("focus", load);
  input.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const first = list.querySelector("a");
    if (first) first.click();
  });
  form.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Hangul is being typed
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      input.focus();
      panel.hidden = true;
    } else if (step && !panel.hidden) {
      const stops = [input, ...list.querySelectorAll("a")];
      const next = stops[stops.indexOf(document.activeElement) + step];
      if (next) next.focus();
      event.preventDefault();
    }
  });
  form.addEventListener("focusin", () => { panel.hidden = !input.value.trim(); });
  list.addEventListener("click", () => { panel.hidden = true; });
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target)) panel.hidden = true;
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
    input.select();
  });

  // As a script, since a page opened from a folder may not fetch the file beside it.
  function load() {
    if (sections || loading) return;
    loading = true;
    const script = document.createElement("script");
    script.src = form.dataset.folder + "search-index.js";
    script.onload = () => {
      sections = window.courseSections.map(prepare);
      show();
    };
    script.onerror = () => {
      loading = false;
      status.textContent = words.failed;
      panel.hidden = false;
    };
    document.head.append(script);
  }

  function prepare([address, lesson, heading, prose, code]) {
    const texts = { lesson, heading, prose, code };
    return { address, ...texts, folded: Object.fromEntries(
      Object.entries(texts).map(([name, text]) => [name, fold(text)])) };
  }

  // Small letters, each as long as the one it stands for: positions hold in both texts.
  function fold(text) {
    return text.normalize("NFC").replace(/\p{Lu}/gu, (letter) => {
      const small = letter.toLowerCase();
      return small.length === letter.length ? small : letter;
    });
  }

  // Where a term stands: words of Latin letters by their beginning, all else anywhere.
  function positions(text, term) {
    const found = [];
    for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + term.length)) {
      if (!at || !WORD.test(term[0]) || !WORD.test(text[at - 1])) found.push(at);
    }
    return found;
  }

  // A term that stands nowhere loses its ending: a particle, or a plural's s.
  function known(term) {
    const [most, least] = HANGUL.test(term) ? [3, 2] : [2, 4];
    for (let cut = 0; cut <= most; cut++) {
      const shorter = term.slice(0, term.length - cut);
      if (cut && shorter.length < least) break;
      if (sections.some((section) => score(section, shorter))) return shorter;
    }
    return term;
  }

  function score({ folded }, term) {
    const n = (name) => positions(folded[name], term).length;
    const own = 8 * Math.min(n("heading"), 1) + Math.min(n("prose"), 4) + Math.min(n("code"), 1) / 2;
    return own && own + 4 * Math.min(n("lesson"), 1);
  }

  function search(query) {
    const terms = [...new Set(fold(query).split(/\s+/).filter(Boolean))].map(known);
    const phrase = terms.join(" ");
    const found = [];
    for (const section of sections) {
      const scores = terms.map((term) => score(section, term));
      if (!terms.length || !scores.every(Boolean)) continue;
      const bonus = terms.length > 1 && section.folded.prose.includes(phrase) ? 4 : 0;
      found.push({ section, score: scores.reduce((a, b) => a + b) + bonus });
    }
    found.sort((a, b) => b.score - a.score); // equals stay in the order of the course
    return { terms, found: found.map((one) => one.section) };
  }

  function show() {
    const query = input.value.trim();
    panel.hidden = !query;
    if (!query || !sections) return;
    const { terms, found } = search(query);
    status.textContent = found.length ? words.found.replace("{}", found.length) : words.nothing;
    list.replaceChildren(...found.slice(0, N_SHOWN).map((section) => item(section, terms)));
    panel.scrollTop = 0;
  }

  function item(section, terms) {
    const link = document.createElement("a");
    link.href = form.dataset.folder + section.address;
    const add = (name, ...content) => {
      const span = document.createElement("span");
      span.className = name;
      span.append(...content);
      link.append(span);
    };
    if (section.heading !== section.lesson) add("lesson", section.lesson);
    add("heading", ...marked(section.heading, terms));
    add("snippet", ...snippet(section, terms));
    const entry = document.createElement("li");
    entry.append(link);
    return entry;
  }

  function snippet(section, terms) {
    for (const name of ["prose", "code"]) {
      const whole = section.folded[name].indexOf(terms.join(" "));
      const at = whole >= 0 ? whole : Math.min(...terms.flatMap((term) => positions(section.folded[name], term)));
      if (at < Infinity) return excerpt(section[name], at, terms);
    }
    return excerpt(section.prose, 0, terms);
  }

  function excerpt(text, at, terms) {
    const space = at > 50 ? text.indexOf(" ", at - 50) : -1;
    const start = at > 50 ? (space >= 0 && space < at ? space + 1 : at) : 0;
    const last = text.lastIndexOf(" ", start + 160);
    const end = text.length <= start + 160 ? text.length : last > at ? last : start + 160;
    return [start ? "… " : "", ...marked(text.slice(start, end), terms), end < text.length ? " …" : ""];
  }

  // Text nodes and marks: what was typed, and what lessons quote, never becomes HTML.
  function marked(text, terms) {
    const folded = fold(text);
    const spans = terms
      .flatMap((term) => positions(folded, term).map((at) => [at, at + term.length]))
      .sort((a, b) => a[0] - b[0]);
    const nodes = [];
    let done = 0;
    for (const [from, to] of spans) {
      if (from < done) continue;
      const mark = document.createElement("mark");
      mark.textContent = text.slice(from, to);
      nodes.push(text.slice(done, from), mark);
      done = to;
    }
    return [...nodes, text.slice(done)];
  }
})();
