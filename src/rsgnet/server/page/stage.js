// The people over the image: drawn in SVG, lifted out of the crowd, with what competed for a chosen keypoint.

import { competitors, isShown, middle, shapes } from "./people.js";

const SVG = "http://www.w3.org/2000/svg";
const TORSO = ["left shoulder", "right shoulder", "right hip", "left hip"];

let stages = 0;

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export class Stage {
  // `told` has lift(person), choose(person, keypoint) and leave().
  constructor(overlay, told) {
    this.overlay = overlay;
    this.told = told;
    this.names = { hole: `hole-${stages}`, soft: `soft-${stages}` }; // ids are the whole page's
    stages += 1;
    this.soft = svg("feGaussianBlur", { stdDeviation: 4 });
    this.hole = svg("g", { stroke: "black", fill: "black", "stroke-linecap": "round", filter: `url(#${this.names.soft})` });
    this.dim = svg("g", { class: "dim" });
    this.layers = Object.fromEntries(
      ["people", "truth", "relations", "handles"].map((name) => [name, svg("g", { class: name })]),
    );
    overlay.addEventListener("pointerleave", () => told.lift(null));
    overlay.addEventListener("click", (event) => event.target === overlay && told.leave());
  }

  // Everything anew: another image, or other thresholds.
  draw(view) {
    const { size, people, from } = view;
    const whole = { x: 0, y: 0, width: size.width, height: size.height };
    this.overlay.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    this.dim.replaceChildren(svg("rect", { ...whole, mask: `url(#${this.names.hole})` }));
    const mask = svg("mask", { id: this.names.hole, maskUnits: "userSpaceOnUse", ...whole },
      svg("rect", { ...whole, fill: "white" }), this.hole);
    const blur = svg("filter", { id: this.names.soft, filterUnits: "userSpaceOnUse", ...whole }, this.soft);
    this.overlay.replaceChildren(svg("defs", {}, mask, blur), this.dim, ...Object.values(this.layers));
    this.layers.people.replaceChildren(
      ...people.filter((person) => isShown(person, from)).map((person) => this.#person(person, view)),
    );
    this.layers.truth.replaceChildren(...(view.truth ? truthShapes(view) : []));
    this.update(view);
  }

  // What is lifted and chosen.
  update(view) {
    const lifted = view.lifted ?? view.chosen.person;
    this.overlay.classList.toggle("lifting", lifted !== null);
    for (const element of this.layers.people.children) {
      element.classList.toggle("lifted", Number(element.dataset.person) === lifted?.index);
      element.setAttribute("aria-pressed", Number(element.dataset.person) === view.chosen.person?.index);
    }
    this.hole.replaceChildren(...(lifted ? this.#silhouette(lifted, view) : []));
    this.layers.handles.replaceChildren(...(lifted ? this.#handles(lifted, view) : []));
    const { person, keypoint } = view.chosen;
    const asked = keypoint !== null && person === lifted;
    this.layers.relations.replaceChildren(...(asked ? relationShapes(view, person, keypoint, this.#screenPixel(view)) : []));
  }

  #person(person, view) {
    const { lines, dots, width } = shapes(person, view.edges, view.from, view.size);
    const group = svg("g", {
      class: "person", role: "button", tabindex: 0, "data-person": person.index, color: person.colour,
      "aria-label": `${person.label}, score ${person.score.toFixed(2)}, ${dots.length} keypoints`,
    });
    group.append(
      ...lines.map(({ width: _, opacity: __, ...ends }) => svg("line", { ...ends, class: "reach", "stroke-width": 6 * width })),
      ...lines.map(({ width: thick, opacity, ...ends }) =>
        svg("line", { ...ends, "stroke-width": thick, "stroke-opacity": opacity })),
      ...dots.map(({ x, y, radius, full, opacity }) =>
        svg("circle", { cx: x, cy: y, r: radius, class: full ? "dot" : "ring", "stroke-width": width / 3, opacity })),
    );
    group.addEventListener("pointerover", () => this.told.lift(person));
    group.addEventListener("focus", () => this.told.lift(person));
    group.addEventListener("blur", () => this.told.lift(null));
    group.addEventListener("click", () => this.told.choose(person, null));
    return group;
  }

  // How many pixels of the image one of the screen covers.
  #screenPixel(view) {
    return view.size.width / Math.max(this.overlay.clientWidth, 1);
  }

  // Dots of the lifted person that are large enough for a finger, over everybody else's.
  #handles(person, view) {
    return shapes(person, view.edges, view.from, view.size).dots.map(({ index, x, y, radius }) => {
      const handle = svg("circle", { cx: x, cy: y, r: Math.max(2 * radius, 9 * this.#screenPixel(view)), "data-keypoint": index });
      handle.append(svg("title", {}, document.createTextNode(person.keypoints[index].name)));
      handle.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays where the keys act
      handle.addEventListener("click", () => this.told.choose(person, index));
      return handle;
    });
  }

  // About where the person is, so that they stay bright when all else is dimmed.
  #silhouette(person, view) {
    const thick = 0.2 * person.size;
    this.soft.setAttribute("stdDeviation", 0.03 * person.size);
    const { lines, dots } = shapes(person, view.edges, view.from, view.size);
    const torso = TORSO.map((name) => person.keypoints.find((each) => each.name === name));
    const filled = torso.every((each) => each && each.score >= view.from.keypoints);
    return [
      ...lines.map(({ x1, y1, x2, y2 }) => svg("line", { x1, y1, x2, y2, "stroke-width": thick })),
      ...dots.map(({ x, y }) => svg("circle", { cx: x, cy: y, r: thick / 2 })),
      ...(filled ? [svg("polygon", { points: torso.map(({ x, y }) => `${x},${y}`).join(" ") })] : []),
    ];
  }
}

function relationShapes(view, person, keypoint, pixel) {
  const unit = 2 * pixel;
  const at = middle(person, view.from);
  const roomy = person.size > 140 * pixel; // else the numbers, which the panel has too, would cover each other
  return competitors(view.people, person, keypoint).flatMap(({ x, y, relation, taken, owner }) => {
    const own = { color: owner?.colour ?? "white" };
    const beside = x > 0.85 * view.size.width ? { x: x - 4 * unit, "text-anchor": "end" } : { x: x + 4 * unit };
    const number = { ...beside, y: y - 2 * unit, "font-size": 7 * unit, "stroke-width": 1.6 * unit };
    return [
      svg("line", { ...own, x1: x, y1: y, x2: at.x, y2: at.y, "stroke-width": unit * (0.3 + 3 * relation) }),
      svg("circle", { ...own, class: taken ? "taken" : "", cx: x, cy: y, r: 2.6 * unit, "stroke-width": unit }),
      ...(roomy ? [svg("text", number, document.createTextNode(relation.toFixed(2)))] : []),
    ];
  });
}

function truthShapes(view) {
  const width = Math.max(view.size.width, view.size.height) / 400;
  const edges = view.truth.categories[0].skeleton;
  return view.truth.annotations.flatMap(({ keypoints }) => {
    const place = (index) => ({ x: keypoints[3 * index] + 0.5, y: keypoints[3 * index + 1] + 0.5 });
    const there = (index) => keypoints[3 * index + 2] > 0;
    const lines = edges.map(([a, b]) => [a - 1, b - 1]).filter(([a, b]) => there(a) && there(b));
    return lines.map(([a, b]) => svg("line", {
      x1: place(a).x, y1: place(a).y, x2: place(b).x, y2: place(b).y, "stroke-width": width,
      "stroke-dasharray": keypoints[3 * a + 2] === 2 && keypoints[3 * b + 2] === 2 ? "none" : `${width} ${3 * width}`,
    }));
  });
}
