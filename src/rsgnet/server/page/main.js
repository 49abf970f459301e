// The page: opens an image, asks the service for its people, and shows them.

import { takePhoto } from "./camera.js";
import { Comparison } from "./comparison.js";
import { Overlay } from "./overlay.js";
import { drawPanel } from "./panel.js";
import { findCounterpart, plural, readPeople } from "./people.js";
import { saveImage, saveJson } from "./save.js";
import { drawCrowd, fetchAbout, findPoses } from "./service.js";

const $ = (id) => document.getElementById(id);
const EXAMPLE_SEED = 3;
const THRESHOLDS = ["people", "keypoints", "owned"]; // the ids of their sliders

// What the page shows. `results` are the people as the service returned them, `people` as the page draws them.
const view = {
  name: "", size: null, edges: [], results: [], people: [], truth: null, highlighted: null,
  selected: { person: null, keypoint: null },
  thresholds: Object.fromEntries(THRESHOLDS.map((name) => [name, $(name).valueAsNumber])),
};
let currentImage = null; // { blob, name }, and the annotations of a drawn crowd as `truth`
let currentTask = new AbortController();
let limits = null;

const actions = {
  highlight(person) {
    highlight(person);
    comparison.highlightCounterpart(person);
  },
  select(person, keypoint) {
    view.selected = { person, keypoint };
    view.highlighted = null;
    overlay.update(view);
    drawPanel($("panel"), view, actions);
  },
  deselect() {
    actions.select(null, null);
  },
};
const overlay = new Overlay($("overlay"), actions);
const comparison = new Comparison($("comparison"), (person) => highlight(findCounterpart(view.people, person)));

function highlight(person) {
  view.highlighted = person;
  overlay.update(view);
}

function redraw() {
  view.truth = $("truth").checked ? (currentImage?.truth ?? null) : null;
  if (view.size) overlay.draw(view);
  comparison.draw(view);
  drawPanel($("panel"), view, actions);
}

function showStatus(status, error = "") {
  $("status").textContent = status;
  $("error").textContent = error;
  $("error").hidden = !error;
}

// Runs a task that may fail, and cancels the one before it; only the last task shows its result.
async function runTask(status, task) {
  currentTask.abort();
  const { signal } = (currentTask = new AbortController());
  showStatus(status);
  document.body.classList.add("busy");
  try {
    await task(signal);
  } catch (error) {
    if (signal.aborted) return;
    clearImage(); // what is shown would be taken for the answer
    showStatus("", error.message);
  } finally {
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

function openImage(image) {
  if (image !== currentImage) clearImage();
  return runTask("Looking for people…", async (signal) => {
    if (limits && image.blob.size > limits.request_bytes) {
      throw new Error(`${image.name} is larger than this service takes (${Math.round(limits.request_bytes / 1e6)} MB).`);
    }
    await findPeople(image, signal);
  });
}

function openDrawnCrowd(seed) {
  clearImage();
  return runTask("Drawing a crowd…", async (signal) => {
    const crowd = await drawCrowd($("crowding").value, seed, signal);
    showStatus("Looking for people…");
    await findPeople(crowd, signal);
  });
}

function openFile(files) {
  if (files.length) openImage({ blob: files[0], name: files[0].name });
}

async function findPeople(image, signal) {
  const started = performance.now();
  const boxes = image.truth && $("boxes").checked ? image.truth.annotations.map(({ bbox }) => bbox) : null;
  const networks = [$("weights").value, ...otherNetworks().slice(0, $("compare").checked ? 1 : 0)];
  const responses = await Promise.all(networks.map((weights) => findPoses({ ...image, boxes }, weights, signal)));
  const [[first], [second]] = [responses[0].images, responses[1]?.images ?? []];
  currentImage = image;
  showPeople(first, responses[0].skeleton);
  $("first").textContent = `${networks[0]}: ${plural(first.people.length, "person", "people")}`;
  if (second) comparison.show(networks[1], second, responses[1].skeleton, $("photo").src, view.people);
  else comparison.hide();
  redraw();
  const where = boxes ? "in the true boxes " : "";
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  showStatus(`${plural(first.people.length, "person", "people")} found ${where}in ${seconds} s.`);
}

function otherNetworks() {
  return [...$("weights").options].map(({ value }) => value).filter((value) => value !== $("weights").value);
}

// Takes the image and everything about it off the page.
function clearImage() {
  currentImage = null;
  Object.assign(view, {
    name: "", size: null, edges: [], results: [], people: [], truth: null, highlighted: null,
    selected: { person: null, keypoint: null },
  });
  $("frame").classList.add("empty");
  $("frame").style.removeProperty("--aspect");
  $("panel").replaceChildren();
  $("first").textContent = "";
  comparison.hide();
  for (const id of ["save-json", "save-image"]) $(id).disabled = true;
}

function showPeople(image, skeleton) {
  URL.revokeObjectURL($("photo").src);
  $("photo").src = URL.createObjectURL(currentImage.blob);
  $("photo").alt = currentImage.name;
  $("frame").classList.remove("empty");
  $("frame").style.setProperty("--aspect", image.width / image.height);
  Object.assign(view, {
    name: currentImage.name, size: { width: image.width, height: image.height }, edges: skeleton.edges,
    results: image.people, people: readPeople(image, skeleton), highlighted: null,
    selected: { person: null, keypoint: null },
  });
  for (const id of ["save-json", "save-image"]) $(id).disabled = false;
}

function listenToControls() {
  $("file").addEventListener("change", () => {
    openFile($("file").files);
    $("file").value = "";
  });
  $("camera").addEventListener("click", async () => {
    try {
      const photo = await takePhoto();
      if (photo) openImage(photo);
    } catch (error) {
      showStatus("", error.message);
    }
  });
  $("draw").addEventListener("click", () => openDrawnCrowd(Math.floor(Math.random() * 2 ** 31)));
  $("example").addEventListener("click", () => openDrawnCrowd(EXAMPLE_SEED));
  $("truth").addEventListener("change", redraw);
  for (const id of ["boxes", "weights", "compare"]) {
    $(id).addEventListener("change", () => currentImage && openImage(currentImage));
  }
  $("save-json").addEventListener("click", () => saveJson(view));
  $("save-image").addEventListener("click", () => saveImage(view, $("photo")));
  for (const range of document.querySelectorAll("input[type=range]")) {
    const output = document.querySelector(`output[for=${range.id}]`);
    const showValue = () => (output.textContent = range.value);
    range.addEventListener("input", showValue);
    showValue();
  }
  for (const name of THRESHOLDS) {
    $(name).addEventListener("input", () => {
      view.thresholds[name] = $(name).valueAsNumber;
      redraw();
    });
  }
}

function listenToDropsAndKeys() {
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $("frame").classList.toggle("over", kind === "dragover");
      if (kind === "drop") openFile(event.dataTransfer.files);
    });
  }
  document.addEventListener("paste", (event) => openFile(event.clipboardData.files));
  document.addEventListener("keydown", (event) => event.key === "Escape" && actions.deselect());
  $("overlay").addEventListener("keydown", selectByKey);
}

// Enter and Space select the focused person; the arrow keys step through its keypoints.
function selectByKey(event) {
  const person = view.people[event.target.dataset?.person];
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!person || !(step || event.key === "Enter" || event.key === " ")) return;
  event.preventDefault();
  const count = person.keypoints.length;
  const current = view.selected.person === person ? view.selected.keypoint : null;
  const next = current === null ? (step > 0 ? 0 : count - 1) : (current + step + count) % count;
  actions.select(person, step ? next : null);
}

listenToControls();
listenToDropsAndKeys();
runTask("", async () => {
  const about = await fetchAbout();
  ({ limits } = about);
  $("weights").replaceChildren(...about.weights.map((name) => new Option(name)));
  $("networks").hidden = about.weights.length < 2;
});
