"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const root = document.documentElement, dialog = $("cell");

  // Theme: the reader's choice, else the system's.
  const store = {
    get() { try { return localStorage.getItem("culvert-theme"); } catch (e) { return null; } },
    set(v) { try { localStorage.setItem("culvert-theme", v); } catch (e) { /* file:// may refuse */ } },
  };
  const setTheme = (name) => {
    root.dataset.theme = name;
    $("theme").textContent = name === "dark" ? "Light" : "Dark";
    $("theme").setAttribute("aria-label", "Switch to the " + (name === "dark" ? "light" : "dark") + " theme");
  };
  const hash = decodeURIComponent(location.hash.slice(1));
  const dark = hash.includes("theme=dark") || (store.get() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  setTheme(dark ? "dark" : "light");
  $("theme").onclick = () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    setTheme(next);
    store.set(next);
  };

  // Small DOM maker; text only ever goes in as text.
  const el = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((c) => c !== null && c !== undefined));
    return node;
  };

  async function unpack(text) {
    if (typeof DecompressionStream === "undefined") throw new Error("this browser cannot unpack logs (DecompressionStream is missing)");
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  const ms = (v) => v === null || v === undefined ? "–" : v >= 10000 ? (v / 1000).toFixed(2) + " s" : v.toFixed(1) + " ms";
  const fact = (value, label) => el("div", {}, el("b", {}, value), label);
  let shownCell = null, opener = null;

  function command(text) {
    const button = el("button", { class: "copy", type: "button" }, "Copy");
    button.onclick = async () => {
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
      catch (e) {
        const range = document.createRange();
        range.selectNodeContents(code);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        button.textContent = "Selected";
      }
    };
    const code = el("code", { tabindex: "0" }, text);
    return el("div", { class: "cmd" }, code, button);
  }

  function bars(title, tally, total) {
    const names = Object.keys(tally);
    if (!names.length) return null;
    return el("div", {}, el("h3", {}, title), el("div", { class: "bars" }, ...names.map((name) => {
      const bar = el("i", {});
      bar.style.width = (100 * tally[name] / total) + "%";
      return el("div", {}, el("span", {}, name), bar, el("span", {}, String(tally[name])));
    })));
  }

  async function open(key, runId) {
    if (!data.cells[key]) return;
    const body = $("cell-body");
    const section = key.split(":")[0];
    let cell;
    try { cell = await unpack(data.cells[key]); }
    catch (error) { body.replaceChildren(el("p", {}, "Cannot show this cell: " + error.message)); dialog.showModal(); return; }
    shownCell = key;
    $("cell-title").textContent = cell.voice + ": " + (Object.entries(cell.at).map(([k, v]) => k + " " + v).join(", ") || "the only cell");
    const facts = el("div", { class: "facts" });
    if (cell.decided) facts.append(fact(cell.successes + " of " + cell.decided, "runs direct"),
      fact((100 * cell.interval[0]).toFixed(0) + "–" + (100 * cell.interval[1]).toFixed(0) + " %", "95 % interval"));
    if (cell.n > cell.decided) facts.append(fact(String(cell.n - cell.decided), "runs without an answer"));
    if (cell.time && cell.time.n) facts.append(fact(ms(cell.time.median), "median time"), fact(ms(cell.time.p10) + " – " + ms(cell.time.p90), "10th to 90th percentile"));
    for (const [name, s] of Object.entries(cell.measures)) facts.append(fact(String(+s.median.toFixed(1)), name + ", median"));
    const view = el("div", {});
    const cmd = el("div", {});
    const tabs = el("div", { class: "tabs", role: "tablist", "aria-label": "Runs shown in full" });
    const choose = async (id) => {
      const row = cell.rows.find((r) => r[0] === id) || cell.rows[0];
      cmd.replaceChildren(command(cell.command.replace(/--seed \S+$/, "--seed " + row[1])));
      for (const tab of tabs.children) tab.setAttribute("aria-selected", String(tab.dataset.run === id));
      await showRun(view, section, id, row);
    };
    const outcome = (r) => r[2] !== "until" && r[2] !== "budget" ? r[2] : r[3] === true ? "direct " + ms(r[4]) : r[3] === false ? (r[5] || "not direct") : r[2];
    for (const id of cell.shown) {
      const row = cell.rows.find((r) => r[0] === id);
      tabs.append(el("button", { class: "tab", type: "button", role: "tab", "data-run": id, "aria-selected": "false", onclick: () => choose(id) },
        row ? "seed " + row[1] + ": " + outcome(row) : id));
    }
    body.replaceChildren(...[facts, bars("Reasons", cell.reasons, cell.decided), bars("Without an answer", cell.without, cell.n),
      el("h3", {}, "Run it again"), cmd, tabs, view, runTable(cell, choose, outcome)].filter(Boolean));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    history.replaceState(null, "", "#cell=" + key + (runId ? "&run=" + encodeURIComponent(runId) : ""));
    await choose(runId && cell.rows.some((r) => r[0] === runId) ? runId : cell.shown[0]);
  }

  async function showRun(view, section, id, row) {
    const blob = $("blob-" + section + "/" + id);
    if (!blob) {
      view.replaceChildren(el("p", {}, row && row[2] === "missing" ? "This run left no log." :
        "The log of this run is not in the page, to keep it small: it is logs/" + id + ".jsonl in the output folder, and the command above makes it again."));
      return;
    }
    let run;
    try { run = await unpack(blob.textContent); }
    catch (error) { view.replaceChildren(el("p", {}, "Cannot unpack the log: " + error.message)); return; }
    const box = el("div", { class: "ladder-box", tabindex: "0", "aria-label": "Ladder diagram" });
    // The drawing was made and escaped by the report; it holds no script.
    box.append(document.importNode(new DOMParser().parseFromString(run.ladder, "image/svg+xml").documentElement, true));
    const log = el("pre", { class: "log", tabindex: "0", "aria-label": "Event log" }, run.log);
    const lines = run.log.split("\n");
    const filter = el("input", { class: "filter", type: "search", placeholder: "Show only lines with …", "aria-label": "Filter the log" });
    filter.oninput = () => { log.textContent = filter.value ? lines.filter((l) => l.includes(filter.value)).join("\n") : run.log; };
    const detail = row && row[6] ? el("p", {}, row[6]) : null;
    view.replaceChildren(...[detail, el("h3", {}, "Ladder"), box, el("h3", {}, "Event log"), filter, log].filter(Boolean));
  }

  function runTable(cell, choose, outcome) {
    const bound = cell.rows.some((r) => r[7] !== null);
    const head = ["seed", "ended", "outcome", ...(bound ? ["bound"] : []), "detail"];
    const table = el("table", { class: "list runs" }, el("thead", {}, el("tr", {}, ...head.map((h) => el("th", {}, h)))),
      el("tbody", {}, ...cell.rows.map((r) => el("tr", {},
        el("td", {}, el("button", { type: "button", onclick: () => { choose(r[0]); dialog.scrollTo({ top: 0 }); } }, String(r[1]))),
        el("td", {}, r[2]), el("td", {}, outcome(r)), bound ? el("td", {}, ms(r[7])) : null, el("td", {}, r[6])))));
    return el("div", {}, el("h3", {}, "All runs of this cell"), el("div", { class: "scroll tall" }, table),
      cell.hidden ? el("p", {}, cell.hidden + " more runs are in results.csv.") : null);
  }

  document.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-cell]");
    const point = event.target.closest("[data-open]");
    if (cell) { opener = cell; open(cell.dataset.cell); }
    else if (point) open(data.where[point.dataset.open], point.dataset.open.split("/").slice(1).join("/"));
    else if (event.target === dialog) dialog.close();
  });
  $("close").onclick = () => dialog.close();
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    if (opener) opener.focus();
    shownCell = null;
  });

  // Arrow keys walk over a heat map.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const td = step && event.target.closest && event.target.closest(".heat td");
    if (!td) return;
    const row = td.parentElement.parentElement.rows[td.parentElement.sectionRowIndex + step[0]];
    const next = row && row.cells[td.cellIndex + step[1]];
    const button = next && next.querySelector("button");
    if (button) { button.focus(); event.preventDefault(); }
  });

  const linked = /cell=([^&]+)(?:&run=([^&]+))?/.exec(hash);
  if (linked) open(linked[1], linked[2]);
})();
