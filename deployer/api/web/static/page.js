// In: a page that the Deployer drew. Out: ages that grow, buttons that copy, text for those who
// listen, and a warning when the Deployer is gone. Without this file the page still reads.
"use strict";

const ages = () => {
  for (const time of document.querySelectorAll("time[data-age][datetime]")) {
    const moment = new Date(time.dateTime);
    const seconds = Math.max(0, (Date.now() - moment) / 1000);
    const [size, unit] =
      seconds >= 86400 ? [86400, "d"] : seconds >= 3600 ? [3600, "h"]
      : seconds >= 60 ? [60, "min"] : [1, "s"];
    const text = `${Math.floor(seconds / size)} ${unit} ago`;
    if (time.textContent !== text) time.textContent = text;
    time.title = moment.toLocaleString();
  }
};

// What each row says, so that only what changed is read out.
let said = new Map();
const listen = () => {
  const now = new Map();
  for (const row of document.querySelectorAll("[data-says]")) now.set(row.id, row.dataset.says);
  const news = [...now].filter(([id, text]) => said.size && said.get(id) !== text);
  if (news.length) {
    document.getElementById("said").textContent = news.slice(0, 3).map(([, text]) => text).join(" ");
  }
  said = now;
};

const copy = async (button) => {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  } catch {
    // No clipboard on this page (it is neither loopback nor https): select it for Ctrl-C.
    getSelection().selectAllChildren(button.parentElement.querySelector("code"));
    button.textContent = "Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
};

let heard = new Date();
const lost = (gone) => {
  const banner = document.getElementById("lost");
  if (gone && banner.hidden) document.getElementById("lost-since").dateTime = heard.toISOString();
  banner.hidden = !gone;
  document.body.classList.toggle("lost", gone);
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button);
});
// A page that nobody looks at asks nothing.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.elt.id === "live") event.preventDefault();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt.id !== "live" && event.detail.target?.id !== "live") return;
  if (event.detail.xhr.status === 0 && !event.detail.failed) return; // superseded by a search
  lost(!(event.detail.xhr.status >= 200 && event.detail.xhr.status < 300));
  if (event.detail.successful) heard = new Date();
});
document.addEventListener("htmx:load", () => { ages(); listen(); });
document.addEventListener("DOMContentLoaded", () => { ages(); listen(); });
setInterval(ages, 1000);
