// The page: where an image comes from, what the service finds in it, and what of it is looked at.

import { Beside } from "./beside.js";
import { takePhoto } from "./camera.js";
import { drawPanel } from "./panel.js";
import { counterpart, readPeople } from "./people.js";
import { saveJson, saveImage } from "./save.js";
import { about, drawCrowd, findPoses } from "./service.js";
import { Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const SLIDERS = ["people", "keypoints", "owned"];

// What is looked at. `results` is the answer as it came, `people` what the page makes of it.
const view = {
  name: "", size: null, edges: [], results: [], people: [], truth: null, lifted: null,
  chosen: { person: null, keypoint: null },
  from: Object.fromEntries(SLIDERS.map((name) => [name, $(name).valueAsNumber])),
};
let image = null; // what was sent last: its blob, name, and of a drawn crowd the truth and boxes
let sending = new AbortController();
let limits = null;

const told = {
  lift(person) {
    lift(person);
    beside.lift(person);
  },
  choose(person, keypoint) {
    view.chosen = { person, keypoint };
    view.lifted = null;
    showChosen();
  },
  leave() {
    told.choose(null, null);
  },
};
const stage = new Stage($("overlay"), told);
const beside = new Beside($("beside"), (person) => lift(counterpart(view.people, person)));

function lift(person) {
  view.lifted = person;
  stage.update(view);
}

function showChosen() {
  stage.update(view);
  drawPanel($("panel"), view, told);
}

function showAll() {
  view.truth = $("truth").checked ? (image?.truth ?? null) : null;
  if (view.size) stage.draw(view);
  beside.draw(view);
  drawPanel($("panel"), view, told);
}

function say(status, fault = "") {
  $("status").textContent = status;
  $("fault").textContent = fault;
  $("fault").hidden = !fault;
}

// Runs what may fail or be overtaken; only the last of them is shown.
async function attempt(status, work) {
  sending.abort();
  const { signal } = (sending = new AbortController());
  say(status);
  document.body.classList.add("busy");
  try {
    await work(signal);
  } catch (error) {
    if (!signal.aborted) say("", error.message);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

function open(given) {
  return attempt("Looking for people…", async (signal) => {
    if (limits && given.blob.size > limits.request_bytes) {
      throw new Error(`${given.name} is larger than this service takes (${Math.round(limits.request_bytes / 1e6)} MB).`);
    }
    await send(given, signal);
  });
}

async function send(given, signal) {
  const started = performance.now();
  const boxes = given.truth && $("boxes").checked ? given.truth.annotations.map(({ bbox }) => bbox) : null;
  const asked = [$("weights").value, ...otherNetworks().slice(0, $("both").checked ? 1 : 0)];
  const answers = await Promise.all(asked.map((weights) => findPoses({ ...given, boxes }, weights, signal)));
  const [found] = answers[0].images;
  image = given;
  show(found, answers[0].skeleton);
  $("first").textContent = `${asked[0]}: ${found.people.length} people`;
  if (asked.length > 1) beside.show(asked[1], answers[1].images[0], answers[1].skeleton, $("photo").src, view.people);
  else beside.hide();
  showAll();
  const count = found.people.length === 1 ? "1 person" : `${found.people.length} people`;
  const where = boxes ? "in the true boxes " : "";
  say(`${count} found ${where}in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
}

function show(found, skeleton) {
  URL.revokeObjectURL($("photo").src);
  $("photo").src = URL.createObjectURL(image.blob);
  $("photo").alt = image.name;
  $("stage").classList.remove("empty");
  $("stage").style.setProperty("--aspect", found.width / found.height);
  Object.assign(view, {
    name: image.name, size: { width: found.width, height: found.height }, edges: skeleton.edges,
    results: found.people, people: readPeople(found, skeleton), lifted: null,
    chosen: { person: null, keypoint: null },
  });
  for (const id of ["save-json", "save-image"]) $(id).disabled = false;
}

function otherNetworks() {
  return [...$("weights").options].map(({ value }) => value).filter((value) => value !== $("weights").value);
}

function drawAnother() {
  return attempt("Drawing a crowd…", async (signal) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const drawn = await drawCrowd($("crowding").value, seed, signal);
    say("Looking for people…");
    await send(drawn, signal);
  });
}

function openFiles(files) {
  if (files.length) open({ blob: files[0], name: files[0].name });
}

function listen() {
  $("file").addEventListener("change", () => {
    openFiles($("file").files);
    $("file").value = "";
  });
  $("camera").addEventListener("click", async () => {
    try {
      const photo = await takePhoto();
      if (photo) open(photo);
    } catch (error) {
      say("", error.message);
    }
  });
  $("draw").addEventListener("click", drawAnother);
  $("truth").addEventListener("change", showAll);
  for (const id of ["boxes", "weights", "both"]) $(id).addEventListener("change", () => image && open(image));
  $("save-json").addEventListener("click", () => saveJson(view));
  $("save-image").addEventListener("click", () => saveImage(view, $("photo")));
  for (const range of document.querySelectorAll("input[type=range]")) {
    const output = document.querySelector(`output[for=${range.id}]`);
    const tell = () => (output.textContent = range.value);
    range.addEventListener("input", tell);
    tell();
  }
  for (const name of SLIDERS) {
    $(name).addEventListener("input", () => {
      view.from[name] = $(name).valueAsNumber;
      showAll();
    });
  }
}

function listenToDropsAndKeys() {
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $("stage").classList.toggle("over", kind === "dragover");
      if (kind === "drop") openFiles(event.dataTransfer.files);
    });
  }
  document.addEventListener("paste", (event) => openFiles(event.clipboardData.files));
  document.addEventListener("keydown", (event) => event.key === "Escape" && told.leave());
  $("overlay").addEventListener("keydown", (event) => {
    const person = view.people[event.target.dataset?.person];
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!person || !(step || event.key === "Enter" || event.key === " ")) return;
    event.preventDefault();
    const count = person.keypoints.length;
    const last = view.chosen.person === person ? view.chosen.keypoint : null;
    const next = last === null ? (step > 0 ? 0 : count - 1) : (last + step + count) % count;
    told.choose(person, step ? next : null);
  });
}

listen();
listenToDropsAndKeys();
attempt("", async () => {
  const service = await about();
  ({ limits } = service);
  $("weights").replaceChildren(...service.weights.map((name) => new Option(name)));
  $("networks").hidden = service.weights.length < 2;
});
