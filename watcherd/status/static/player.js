// A job's player: the cues as a list that follows, and seeks with a click or the keyboard.

const media = document.querySelector(".player video, .player audio");
const list = document.querySelector(".cues");
const caption = document.querySelector(".caption");
const following = document.getElementById("following");
const problem = document.getElementById("unplayable");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let cues = [];
let buttons = [];
let current = -1;

function shown(seconds) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function textOf(cue) {
  const line = document.createElement("bdi");
  line.append(cue.getCueAsHTML().textContent);
  return line;
}

function rowOf(cue, index) {
  const row = document.createElement("li");
  const button = document.createElement("button");
  const at = document.createElement("span");
  at.textContent = shown(cue.startTime);
  button.type = "button";
  button.className = "cue";
  button.dataset.index = index;
  button.tabIndex = index ? -1 : 0; // one stop for the tab key; the arrows go from cue to cue
  button.append(at, textOf(cue));
  row.append(button);
  return row;
}

function fill(track) {
  cues = [...track.cues];
  if (!cues.length) return;
  const rows = cues.map(rowOf);
  buttons = rows.map((row) => row.firstChild);
  list.replaceChildren(...rows);
  list.closest(".words").hidden = false;
  if (caption) caption.hidden = false;
  mark();
}

// The last cue that has begun; -1 before the first.
function begun(at) {
  let low = 0;
  let high = cues.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cues[middle].startTime <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function mark() {
  const index = begun(media.currentTime + 0.001);
  const isOn = index >= 0 && media.currentTime < cues[index].endTime;
  if (caption) caption.replaceChildren(...(isOn ? [textOf(cues[index])] : []));
  if (index === current) return;
  buttons[current]?.removeAttribute("aria-current");
  current = index;
  if (index < 0) return;
  buttons[index].setAttribute("aria-current", "true");
  if (!list.contains(document.activeElement)) stop(index);
  if (following.checked && !list.matches(":focus-within")) show(buttons[index]);
}

function show(button) {
  const middle = button.offsetTop - (list.clientHeight - button.offsetHeight) / 2;
  list.scrollTo({ top: middle, behavior: calm.matches ? "auto" : "smooth" });
}

function stop(index) {
  for (const button of list.querySelectorAll('[tabindex="0"]')) button.tabIndex = -1;
  buttons[index].tabIndex = 0;
}

function seek(event) {
  const button = event.target.closest(".cue");
  if (!button) return;
  const index = Number(button.dataset.index);
  stop(index);
  media.currentTime = cues[index].startTime;
  media.play().catch(() => {}); // it may be unplayable, and says so itself
}

function walk(event) {
  const here = event.target.closest(".cue");
  if (!here || event.ctrlKey || event.altKey || event.metaKey) return;
  const at = Number(here.dataset.index);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined || !buttons[to]) return;
  event.preventDefault();
  stop(to);
  buttons[to].focus();
}

function begin() {
  const element = media.querySelector("track");
  media.addEventListener("error", () => (problem.hidden = false));
  if (media.error) problem.hidden = false;
  if (!element) return;
  const track = element.track;
  if (track.mode === "disabled") track.mode = media.nodeName === "VIDEO" ? "showing" : "hidden";
  if (element.readyState === HTMLTrackElement.LOADED) fill(track);
  else element.addEventListener("load", () => fill(track));
  media.addEventListener("timeupdate", mark);
  media.addEventListener("seeked", mark);
  list.addEventListener("click", seek);
  list.addEventListener("keydown", walk);
}

if (media) begin();
