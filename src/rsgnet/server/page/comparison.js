// A second network's people in the same image, beside those of the first: the paper's Figure 3, for any image.

import { Overlay } from "./overlay.js";
import { findCounterpart, plural, readPeople } from "./people.js";

export class Comparison {
  // `figure` holds a caption, a photo and an overlay. `onHighlight` is called with the person under the pointer, or null.
  constructor(figure, onHighlight) {
    this.figure = figure;
    this.caption = figure.querySelector("figcaption");
    this.frame = figure.querySelector(".frame");
    this.photo = figure.querySelector("img");
    this.view = null;
    const highlight = (person) => {
      this.#highlight(person);
      onHighlight(person);
    };
    const actions = { highlight, select: highlight, deselect: () => highlight(null) };
    this.overlay = new Overlay(figure.querySelector("svg"), actions);
  }

  // `firstPeople` are the people that the first network found: a person that both found has one colour.
  show(weights, image, skeleton, photo, firstPeople) {
    this.caption.textContent = `${weights}: ${plural(image.people.length, "person", "people")}`;
    this.photo.src = photo;
    this.frame.style.setProperty("--aspect", image.width / image.height);
    const people = readPeople(image, skeleton);
    for (const person of people) person.colour = findCounterpart(firstPeople, person)?.colour ?? person.colour;
    this.view = {
      size: { width: image.width, height: image.height }, edges: skeleton.edges,
      people, highlighted: null, selected: { person: null, keypoint: null },
    };
    this.figure.hidden = false;
  }

  // Highlights the counterpart of a person that the first network found.
  highlightCounterpart(person) {
    if (this.view) this.#highlight(findCounterpart(this.view.people, person));
  }

  #highlight(person) {
    this.view.highlighted = person;
    this.overlay.update(this.view);
  }

  draw({ thresholds, truth }) {
    if (this.view) this.overlay.draw(Object.assign(this.view, { thresholds, truth }));
  }

  hide() {
    this.view = null;
    this.figure.hidden = true;
  }
}
