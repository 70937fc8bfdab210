// Every few seconds the middle of the page is exchanged for a newer one. Numbers say how fast they grow.
"use strict";
(() => {
  const EVERY = 3000;
  const lost = document.getElementById("lost");
  const numbers = () => {
    const found = new Map();
    for (const it of document.querySelectorAll("data[data-of]")) found.set(it.dataset.of, Number(it.value));
    return found;
  };
  const tellRates = (before, seconds) => {
    for (const it of document.querySelectorAll("data[data-of]")) {
      const more = Number(it.value) - (before.get(it.dataset.of) ?? Number(it.value));
      if (more <= 0) continue;
      const rate = document.createElement("span");
      rate.className = "rate";
      rate.textContent = `+${(more / seconds).toFixed(more / seconds < 10 ? 1 : 0)}/s`;
      it.after(rate);
    }
  };
  let at = performance.now();
  const renew = async () => {
    const main = document.getElementById("main");
    const typing = main.contains(document.activeElement) && /INPUT|SELECT/.test(document.activeElement.tagName);
    if (document.hidden || typing || !document.getSelection().isCollapsed) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const newer = page.getElementById("main");
      if (!newer) throw new Error("no page");
      const before = numbers();
      const now = performance.now();
      main.replaceWith(document.adoptNode(newer));
      tellRates(before, (now - at) / 1000);
      at = now;
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
  };
  setInterval(renew, EVERY);
})();
