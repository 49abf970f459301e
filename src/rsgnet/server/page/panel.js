// What is known of the chosen person and keypoint, in words and bars.

import { competitors, isShown } from "./people.js";

const CLAIMS = [
  ["present", "Is there at all"],
  ["visible", "Can be seen"],
  ["owned", "Is this person's"],
];

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function swatch(colour, label = "") {
  const made = element("span", { className: "swatch", title: label, role: "img", ariaLabel: label, ariaHidden: String(!label) });
  made.style.background = colour;
  return made;
}

function bar(share, colour) {
  const filled = element("span");
  filled.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
  filled.style.background = colour;
  return element("span", { className: "bar" }, filled);
}

// `told` has choose(person, keypoint) and leave().
export function drawPanel(panel, view, told) {
  const focused = document.activeElement?.dataset?.focus;
  panel.replaceChildren(...(view.chosen.person ? about(view, told) : hints(view)));
  if (focused) panel.querySelector(`[data-focus="${focused}"]`)?.focus();
}

function hints(view) {
  if (!view.size) return [];
  const shown = view.people.filter((person) => isShown(person, view.from)).length;
  const contested = view.people.flatMap((person) => person.keypoints).filter((each) => each.rival >= 0).length;
  return [
    element("h2", {}, shown === 1 ? "1 person" : `${shown} people`),
    element("p", {}, "Point at somebody, or tab to them, to lift them out of the crowd. Click to see each keypoint, and ",
      "what competed for it."),
    element("p", {}, contested === 1 ? "1 keypoint is claimed by somebody else, too." :
      `${contested || "No"} keypoints are claimed by somebody else, too.`),
    element("p", {}, "Rings are keypoints that are not likely enough to be the person's own."),
    ...(view.truth ? [element("p", {}, `White lines are the truth, dotted where hidden. Crowd index ${
      view.truth.images[0].crowdIndex.toFixed(2)}, ${view.truth.annotations.length} people.`)] : []),
  ];
}

function about(view, told) {
  const { person } = view.chosen;
  const shown = view.people.filter((each) => isShown(each, view.from));
  const at = shown.indexOf(person);
  const step = (by, label, text) => element("button", {
    type: "button", ariaLabel: label, disabled: !shown[at + by], onclick: () => told.choose(shown[at + by], null),
  }, text);
  const [back, on] = [step(-1, "Previous person", "‹"), step(1, "Next person", "›")];
  [back.dataset.focus, on.dataset.focus] = ["back", "on"];
  return [
    element("div", { className: "heading" },
      element("h2", {}, swatch(person.colour), `${person.label} of ${view.people.length}`), back, on,
      element("button", { type: "button", ariaLabel: "Close", onclick: told.leave }, "×")),
    element("p", { className: "quiet" }, `Score ${person.score.toFixed(2)}`),
    element("ol", { className: "keypoints" }, ...person.keypoints.map((_, index) => row(view, person, index, told))),
  ];
}

function row(view, person, index, told) {
  const keypoint = person.keypoints[index];
  const open = view.chosen.keypoint === index;
  const rival = view.people[keypoint.rival];
  const button = element("button", {
    type: "button", ariaExpanded: String(open), onclick: () => told.choose(person, open ? null : index),
    className: keypoint.score < view.from.keypoints ? "unsure" : "",
  },
  element("span", {}, keypoint.name, ...(rival ? [" ", swatch(rival.colour, `claimed by ${rival.label}, too`)] : [])),
  bar(keypoint.owned ?? keypoint.score, person.colour));
  button.dataset.focus = `keypoint-${index}`;
  return element("li", {}, button, ...(open ? [details(view, person, index, rival)] : []));
}

function details(view, person, index, rival) {
  const keypoint = person.keypoints[index];
  const claims = CLAIMS.filter(([name]) => keypoint[name] !== undefined).flatMap(([name, words]) => [
    element("dt", {}, words),
    element("dd", { className: name }, bar(keypoint[name], person.colour), keypoint[name].toFixed(2)),
  ]);
  return element("div", { className: "details" },
    claims.length ? element("dl", {}, ...claims) : element("p", {}, "These weights tell no probabilities."),
    ...(rival ? [element("p", { className: "rival" }, swatch(rival.colour),
      `${rival.label} claims this place, too (${keypoint.rivalClaim.toFixed(2)}).`)] : []),
    candidateTable(competitors(view.people, person, index), person));
}

function candidateTable(candidates, person) {
  if (!candidates.length) return element("p", { className: "quiet" }, "No candidates are known.");
  const whose = ({ owner, taken }) => (taken ? "the one taken" : owner === person ? "theirs" : (owner?.label ?? "nobody's"));
  const rows = candidates.map((each) => element("tr", {},
    element("td", {}, swatch(each.owner?.colour ?? "white"), whose(each)),
    element("td", {}, each.height.toFixed(2)),
    element("td", {}, each.relation.toFixed(2))));
  return element("table", {},
    element("caption", {}, "What competed, and how much it is related to this person's other keypoints"),
    element("thead", {}, element("tr", {}, ...["Candidate", "Height", "Relation"].map((name) => element("th", {}, name)))),
    element("tbody", {}, ...rows));
}
