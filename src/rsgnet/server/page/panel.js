// The panel: an overview of the image, or the selected person's keypoints with their probabilities and candidates.

import { isShown, plural, readCandidates } from "./people.js";

const PROBABILITIES = [
  ["present", "Is in the image"],
  ["visible", "Is visible"],
  ["owned", "Is this person's"],
];

// `actions` has select(person, keypoint) and deselect().
export function drawPanel(panel, view, actions) {
  const focused = document.activeElement?.dataset?.focus;
  panel.replaceChildren(...(view.selected.person ? personDetails(view, actions) : imageOverview(view)));
  if (focused) panel.querySelector(`[data-focus="${focused}"]`)?.focus();
}

function imageOverview(view) {
  if (!view.size) return [];
  const shown = view.people.filter((person) => isShown(person, view.thresholds)).length;
  const disputed = view.people.flatMap((person) => person.keypoints).filter(({ rival }) => rival >= 0).length;
  return [
    element("h2", {}, plural(shown, "person", "people")),
    element("p", {}, "Point at somebody, or tab to them, to highlight them. Click to see each keypoint and its candidates."),
    ...(disputed ? [element("p", {}, `${plural(disputed, "keypoint", "keypoints")} may belong to somebody else.`)] : []),
    element("p", {}, "Rings are keypoints that are not likely enough to be the person's own."),
    ...(view.truth ? [element("p", {}, `White lines are the annotations, dotted where hidden. Crowd index ${
      view.truth.images[0].crowdIndex.toFixed(2)}, ${view.truth.annotations.length} people.`)] : []),
  ];
}

function personDetails(view, actions) {
  const { person } = view.selected;
  const shown = view.people.filter((each) => isShown(each, view.thresholds));
  const position = shown.indexOf(person);
  const stepButton = (step, label, text, focus) => {
    const button = element("button", {
      type: "button", ariaLabel: label, disabled: !shown[position + step],
      onclick: () => actions.select(shown[position + step], null),
    }, text);
    button.dataset.focus = focus;
    return button;
  };
  return [
    element("div", { className: "heading" },
      element("h2", {}, colourDot(person.colour), `${person.label} of ${view.people.length}`),
      stepButton(-1, "Previous person", "‹", "previous"), stepButton(1, "Next person", "›", "next"),
      element("button", { type: "button", ariaLabel: "Close", onclick: actions.deselect }, "×")),
    element("p", { className: "muted" }, `Score ${person.score.toFixed(2)}`),
    element("ol", { className: "keypoints" },
      ...person.keypoints.map((_, index) => keypointRow(view, person, index, actions))),
  ];
}

function keypointRow(view, person, index, actions) {
  const keypoint = person.keypoints[index];
  const open = view.selected.keypoint === index;
  const rival = view.people[keypoint.rival];
  const button = element("button", {
    type: "button", ariaExpanded: String(open), onclick: () => actions.select(person, open ? null : index),
    className: keypoint.score < view.thresholds.keypoints ? "below-threshold" : "",
  },
  element("span", {}, keypoint.name, ...(rival ? [" ", colourDot(rival.colour, `may belong to ${rival.label}`)] : [])),
  bar(keypoint.owned ?? keypoint.score, person.colour));
  button.dataset.focus = `keypoint-${index}`;
  return element("li", {}, button, ...(open ? [keypointDetails(view, person, index, rival)] : []));
}

function keypointDetails(view, person, index, rival) {
  const keypoint = person.keypoints[index];
  const probabilities = PROBABILITIES.filter(([name]) => keypoint[name] !== undefined).flatMap(([name, label]) => [
    element("dt", {}, label),
    element("dd", { className: name }, bar(keypoint[name], person.colour), keypoint[name].toFixed(2)),
  ]);
  return element("div", { className: "details" },
    probabilities.length ? element("dl", {}, ...probabilities) : element("p", {}, "These weights give no probabilities."),
    ...(rival ? [element("p", { className: "rival" }, colourDot(rival.colour),
      `May belong to ${rival.label} (${keypoint.rivalOwned.toFixed(2)}).`)] : []),
    candidateTable(readCandidates(view.people, person, index), person));
}

function candidateTable(candidates, person) {
  if (!candidates.length) return element("p", { className: "muted" }, "No candidates are known.");
  const ownerLabel = ({ owner, selected }) =>
    (selected ? "selected" : owner === person ? "this person" : (owner?.label ?? "nobody"));
  const rows = candidates.map((candidate) => element("tr", {},
    element("td", {}, colourDot(candidate.owner?.colour ?? "white"), ownerLabel(candidate)),
    element("td", {}, candidate.height.toFixed(2)),
    element("td", {}, candidate.relation.toFixed(2))));
  return element("table", {},
    element("caption", {}, "Candidates, and their relation to this person's other keypoints"),
    element("thead", {}, element("tr", {}, ...["Candidate", "Height", "Relation"].map((name) => element("th", {}, name)))),
    element("tbody", {}, ...rows));
}

function element(name, properties = {}, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
}

function colourDot(colour, label = "") {
  const properties = { className: "colour-dot", title: label, role: "img", ariaLabel: label, ariaHidden: String(!label) };
  const dot = element("span", properties);
  dot.style.background = colour;
  return dot;
}

function bar(share, colour) {
  const filled = element("span");
  filled.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
  filled.style.background = colour;
  return element("span", { className: "bar" }, filled);
}
