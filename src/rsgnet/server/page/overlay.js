// The people drawn over the image in SVG: one may be highlighted, with the candidates of a selected keypoint.

import { isShown, meanPosition, personShapes, readCandidates } from "./people.js";

const SVG = "http://www.w3.org/2000/svg";
const TORSO = ["left shoulder", "right shoulder", "right hip", "left hip"];

let overlays = 0;

export class Overlay {
  // `actions` has highlight(person), select(person, keypoint) and deselect().
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
    this.ids = { mask: `mask-${overlays}`, blur: `blur-${overlays}` }; // must differ from the other overlay's
    overlays += 1;
    this.blur = svg("feGaussianBlur", { stdDeviation: 4 });
    this.silhouette = svg("g", { stroke: "black", fill: "black", "stroke-linecap": "round", filter: `url(#${this.ids.blur})` });
    this.dim = svg("g", { class: "dim" });
    this.layers = Object.fromEntries(
      ["areas", "people", "truth", "relations", "handles"].map((name) => [name, svg("g", { class: name })]),
    );
    element.addEventListener("pointerleave", () => actions.highlight(null));
    element.addEventListener("click", (event) => event.target === element && actions.deselect());
  }

  // Draws everything, after a new image or new thresholds.
  draw(view) {
    const { size, people, thresholds } = view;
    const whole = { x: 0, y: 0, width: size.width, height: size.height };
    this.element.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    this.dim.replaceChildren(svg("rect", { ...whole, mask: `url(#${this.ids.mask})` }));
    const mask = svg("mask", { id: this.ids.mask, maskUnits: "userSpaceOnUse", ...whole },
      svg("rect", { ...whole, fill: "white" }), this.silhouette);
    const blur = svg("filter", { id: this.ids.blur, filterUnits: "userSpaceOnUse", ...whole }, this.blur);
    this.element.replaceChildren(svg("defs", {}, mask, blur), this.dim, ...Object.values(this.layers));
    this.layers.people.replaceChildren(
      ...people.filter((person) => isShown(person, thresholds)).map((person) => this.#drawPerson(person, view)),
    );
    this.layers.areas.replaceChildren(...this.#drawAreas(people.filter((person) => isShown(person, thresholds))));
    this.layers.truth.replaceChildren(...(view.truth ? drawTruth(view) : []));
    this.update(view);
  }

  // Redraws what depends on the highlighted person and the selected keypoint.
  update(view) {
    const { person, keypoint } = view.selected;
    const highlighted = view.highlighted ?? person;
    this.element.classList.toggle("highlighting", highlighted !== null);
    for (const element of this.layers.people.children) {
      element.classList.toggle("highlighted", Number(element.dataset.person) === highlighted?.index);
      element.setAttribute("aria-pressed", Number(element.dataset.person) === person?.index);
    }
    this.silhouette.replaceChildren(...(highlighted ? this.#drawSilhouette(highlighted, view) : []));
    this.layers.handles.replaceChildren(...(highlighted ? this.#drawHandles(highlighted, view) : []));
    const hasRelations = keypoint !== null && person === highlighted;
    this.layers.relations.replaceChildren(
      ...(hasRelations ? drawRelations(view, person, keypoint, this.#imagePixelsPerScreenPixel(view)) : []),
    );
  }

  #drawPerson(person, view) {
    const { lines, dots, width } = personShapes(person, view.edges, view.thresholds, view.size);
    const group = svg("g", {
      class: "person", role: "button", tabindex: 0, "data-person": person.index, color: person.colour,
      "aria-label": `${person.label}, score ${person.score.toFixed(2)}, ${dots.length} keypoints`,
    });
    group.append(
      ...lines.map(({ x1, y1, x2, y2 }) => svg("line", { x1, y1, x2, y2, class: "hit-area", "stroke-width": 6 * width })),
      ...lines.map(({ x1, y1, x2, y2, opacity }) =>
        svg("line", { x1, y1, x2, y2, "stroke-width": width, "stroke-opacity": opacity })),
      ...dots.map(({ x, y, radius, filled, opacity }) =>
        svg("circle", { cx: x, cy: y, r: radius, class: filled ? "dot" : "ring", "stroke-width": width / 3, opacity })),
    );
    group.addEventListener("pointerover", () => this.actions.highlight(person));
    group.addEventListener("focus", () => this.actions.highlight(person));
    group.addEventListener("blur", () => this.actions.highlight(null));
    group.addEventListener("click", () => this.actions.select(person, null));
    return group;
  }

  // Everyone's box, so that a person is chosen anywhere on them; of overlapping boxes the smallest lies on top.
  #drawAreas(people) {
    return people.toSorted((one, other) => other.size - one.size).map((person) => {
      const [x, y, width, height] = person.box;
      const area = svg("rect", { x, y, width, height, "data-area": person.index });
      area.addEventListener("pointerover", () => this.actions.highlight(person));
      area.addEventListener("click", () => this.actions.select(person, null));
      return area;
    });
  }

  #imagePixelsPerScreenPixel(view) {
    return view.size.width / Math.max(this.element.clientWidth, 1);
  }

  // Transparent dots over the highlighted person's keypoints, large enough for a finger.
  #drawHandles(person, view) {
    const smallest = 9 * this.#imagePixelsPerScreenPixel(view);
    return personShapes(person, view.edges, view.thresholds, view.size).dots.map(({ index, x, y, radius }) => {
      const handle = svg("circle", { cx: x, cy: y, r: Math.max(2 * radius, smallest), "data-keypoint": index });
      handle.append(svg("title", {}, document.createTextNode(person.keypoints[index].name)));
      handle.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus where the keys act
      handle.addEventListener("click", () => this.actions.select(person, index));
      return handle;
    });
  }

  // The area of the person, which stays bright when the rest of the image is dimmed.
  #drawSilhouette(person, view) {
    const thickness = 0.2 * person.size;
    this.blur.setAttribute("stdDeviation", 0.03 * person.size);
    const { lines, dots } = personShapes(person, view.edges, view.thresholds, view.size);
    const torso = TORSO.map((name) => person.keypoints.find((keypoint) => keypoint.name === name));
    const hasTorso = torso.every((keypoint) => keypoint && keypoint.score >= view.thresholds.keypoints);
    return [
      ...lines.map(({ x1, y1, x2, y2 }) => svg("line", { x1, y1, x2, y2, "stroke-width": thickness })),
      ...dots.map(({ x, y }) => svg("circle", { cx: x, cy: y, r: thickness / 2 })),
      ...(hasTorso ? [svg("polygon", { points: torso.map(({ x, y }) => `${x},${y}`).join(" ") })] : []),
    ];
  }
}

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A line from each candidate to the person, as thick as the candidate's relation to the person's other keypoints.
function drawRelations(view, person, keypoint, pixel) {
  const unit = 2 * pixel;
  const end = meanPosition(person, view.thresholds);
  const hasRoom = person.size > 140 * pixel; // numbers, which the panel shows too, would cover each other
  return readCandidates(view.people, person, keypoint).flatMap(({ x, y, relation, selected, owner }) => {
    const colour = { color: owner?.colour ?? "white" };
    const side = x > 0.85 * view.size.width ? { x: x - 4 * unit, "text-anchor": "end" } : { x: x + 4 * unit };
    const label = { ...side, y: y - 2 * unit, "font-size": 7 * unit, "stroke-width": 1.6 * unit };
    return [
      svg("line", { ...colour, x1: x, y1: y, x2: end.x, y2: end.y, "stroke-width": unit * (0.3 + 3 * relation),
        "stroke-dasharray": `${unit} ${4 * unit}` }), // dotted, so that nobody takes it for a limb
      svg("circle", { ...colour, class: selected ? "selected" : "", cx: x, cy: y, r: 2.6 * unit, "stroke-width": unit }),
      ...(hasRoom ? [svg("text", label, document.createTextNode(relation.toFixed(2)))] : []),
    ];
  });
}

// The annotated edges of a drawn crowd, dotted where a keypoint is hidden.
function drawTruth(view) {
  const width = Math.max(view.size.width, view.size.height) / 400;
  const edges = view.truth.categories[0].skeleton.map(([a, b]) => [a - 1, b - 1]); // COCO counts keypoints from 1
  return view.truth.annotations.flatMap(({ keypoints }) => {
    const [x, y] = [0, 1].map((axis) => (index) => keypoints[3 * index + axis] + 0.5);
    const visibility = (index) => keypoints[3 * index + 2];
    return edges.filter(([a, b]) => visibility(a) > 0 && visibility(b) > 0).map(([a, b]) => svg("line", {
      x1: x(a), y1: y(a), x2: x(b), y2: y(b), "stroke-width": width,
      "stroke-dasharray": visibility(a) === 2 && visibility(b) === 2 ? "none" : `${width} ${3 * width}`,
    }));
  });
}
