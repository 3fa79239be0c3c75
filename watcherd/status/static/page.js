// The status page's script: local times, live updates, forms without a new page. All of it works without, too.

const spoken = document.getElementById("spoken"); // read out by screen readers, politely
const SPEAK_EVERY = 15000; // milliseconds between two sentences about changing counts

// Times: the server writes UTC, the reader has a zone of their own.

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

function localise(root) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    element.textContent = (at.toDateString() === today ? clock : day).format(at);
    element.title = exact.format(at);
  }
}

// Live updates: what the server draws anew is laid over what is there, so that focus and scrolling stay.

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined;
}

function isAlike(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
}

function lay(fresh, old) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  layChildren(fresh, old);
}

function layChildren(fresh, old) {
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const key = keyOf(node);
    let match = at && isAlike(at, node) ? at : null;
    for (let other = at; key && !match && other; other = other.nextSibling) {
      if (isAlike(other, node)) match = other;
    }
    if (!match) {
      old.insertBefore(node, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    lay(node, match);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function redraw(element, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  localise(template.content);
  const held = element.contains(document.activeElement);
  layChildren(template.content, element);
  if (held && !element.contains(document.activeElement)) element.focus(); // what had it is gone
}

let spokenAt = -SPEAK_EVERY;
let toSay = "";
let sayer = 0;

function say(text) {
  if (sayer || text !== spoken.textContent) toSay = text;
  if (sayer || text === spoken.textContent) return;
  sayer = setTimeout(() => {
    sayer = 0;
    spokenAt = performance.now();
    spoken.textContent = toSay;
  }, Math.max(0, spokenAt + SPEAK_EVERY - performance.now()));
}

async function load(url, options) {
  const answer = await fetch(url, { ...options, headers: { Accept: "text/html" } });
  return [answer, new DOMParser().parseFromString(await answer.text(), "text/html")];
}

function follow(live) {
  const job = document.body.dataset.job;
  let seen = document.body.dataset.mark || null; // none: it may be over since the page was made
  let drawing = false;
  let over = false;
  let source;

  function listen() {
    source = new EventSource("/api/v1/events");
    source.addEventListener("open", () => {
      live.hidden = false;
      live.classList.remove("lost");
      live.textContent = "live";
    });
    source.addEventListener("error", lost);
    source.addEventListener("page", (event) => draw(JSON.parse(event.data)));
  }

  function lost() {
    live.classList.add("lost");
    live.textContent = source.readyState === EventSource.CLOSED ? "not live: load the page anew" : "connection lost";
  }

  function draw({ sections, marks, summary }) {
    const mark = marks[job] ?? "";
    if (job) {
      if (mark !== seen && !drawing) drawJob(mark);
      return;
    }
    for (const [id, html] of Object.entries(sections)) redraw(document.getElementById(id), html);
    say(summary);
  }

  async function drawJob(mark) {
    drawing = true;
    try {
      const [answer, fresh] = await load(location.href);
      if (!answer.ok) return;
      seen = mark;
      redraw(document.querySelector("main"), fresh.querySelector("main").innerHTML);
      say(document.querySelector("h1").textContent + ": " + document.querySelector(".title .state").textContent);
      play();
      over = !fresh.body.dataset.job;
    } finally {
      drawing = false;
    }
    if (!over) return;
    source.close();
    live.hidden = true;
  }

  listen();
  document.addEventListener("visibilitychange", () => {
    source.close(); // a browser has few connections to one site for all its tabs
    if (!document.hidden && !over) listen();
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

// Forms: sent without leaving the page; what the server says of it is shown and read out.

async function send(event) {
  const form = event.target;
  if (form.method !== "post" || form.dataset.plain !== undefined) return;
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true"); // disabled, it would lose the focus
  const place = document.getElementById("message");
  try {
    const [, fresh] = await load(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const said = fresh.getElementById("message");
    if (!said) location.reload(); // another page, such as the login
    else redraw(place, said.innerHTML);
  } catch {
    redraw(place, '<div class="note bad"><p>watcherd does not answer. Try again in a moment.</p></div>');
  } finally {
    button.removeAttribute("aria-disabled");
  }
  place.scrollIntoView({ block: "nearest" });
}

function play() {
  if (document.querySelector(".player")) import(document.body.dataset.player);
}

localise(document);
play();
document.addEventListener("submit", send);
const live = document.getElementById("live");
if (live) follow(live);
if (location.search.includes("did=")) {
  const here = new URL(location.href); // said once, not again with each reload
  for (const name of ["did", "what", "count"]) here.searchParams.delete(name);
  history.replaceState(null, "", here);
}
