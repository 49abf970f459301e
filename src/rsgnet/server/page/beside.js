// What a second network finds in the same image, beside what the first does: the paper's Figure 3, for any image.

import { counterpart, readPeople } from "./people.js";
import { Stage } from "./stage.js";

export class Beside {
  // `figure` holds a caption, a photo and an overlay; `pointed` is told who is pointed at in it, or null.
  constructor(figure, pointed) {
    this.figure = figure;
    this.caption = figure.querySelector("figcaption");
    this.frame = figure.querySelector(".stage");
    this.photo = figure.querySelector("img");
    this.view = null;
    const lift = (person) => {
      this.#lift(person);
      pointed(person);
    };
    this.stage = new Stage(figure.querySelector("svg"), { lift, choose: lift, leave: () => lift(null) });
  }

  // `others` are whom the first network found: whoever both found has one colour.
  show(weights, found, skeleton, photo, others) {
    this.caption.textContent = `${weights}: ${found.people.length} people`;
    this.photo.src = photo;
    this.frame.style.setProperty("--aspect", found.width / found.height);
    const people = readPeople(found, skeleton);
    for (const person of people) person.colour = counterpart(others, person)?.colour ?? person.colour;
    this.view = {
      size: { width: found.width, height: found.height }, edges: skeleton.edges,
      people, lifted: null, chosen: { person: null, keypoint: null },
    };
    this.figure.hidden = false;
  }

  // Lifts whom this network found where the other found `person`, if anybody.
  lift(person) {
    if (this.view) this.#lift(counterpart(this.view.people, person));
  }

  #lift(person) {
    this.view.lifted = person;
    this.stage.update(this.view);
  }

  draw({ from, truth }) {
    if (this.view) this.stage.draw(Object.assign(this.view, { from, truth }));
  }

  hide() {
    this.view = null;
    this.figure.hidden = true;
  }
}
