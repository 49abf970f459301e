// The people of a response, prepared for the page: their colours, keypoints and candidates, and the shapes to draw.

const FAINT_OPACITY = 0.4; // of edges to keypoints that may belong to somebody else
const CANDIDATE_RADIUS = 0.12; // of a person's size: a candidate this near to a keypoint belongs to its owner

// The colours of overlays (rsgnet.draw.person_colour): every second ten is pale.
const COLOURS = ["#ffb000", "#4cc9ff", "#ff7ab8", "#8ce04a", "#b9a2ff", "#ff8a5c", "#2fe0c0", "#f6e64a", "#e48cf5", "#6fa8ff"];

function personColour(index) {
  const colour = COLOURS[index % COLOURS.length];
  if (Math.floor(index / COLOURS.length) % 2 === 0) return colour;
  const channels = colour.match(/[0-9a-f]{2}/g).map((text) => (255 + parseInt(text, 16)) >> 1);
  return `rgb(${channels.join(" ")})`;
}

// Returns the people of an image's response. The service gives pixel indices and SVG counts from a pixel's corner:
// hence 0.5.
export function readPeople(image, skeleton) {
  return image.people.map((person, index) => ({
    index,
    label: `Person ${index + 1}`,
    colour: personColour(index),
    score: person.score,
    box: person.bbox,
    size: Math.sqrt(person.bbox[2] * person.bbox[3]),
    keypoints: skeleton.keypoints.map((name, k) => ({
      name: name.replaceAll("_", " "),
      x: person.keypoints[3 * k] + 0.5,
      y: person.keypoints[3 * k + 1] + 0.5,
      score: person.keypoints[3 * k + 2],
      present: person.present?.[k],
      visible: person.visible?.[k],
      owned: person.owned?.[k],
      rival: person.rival?.[k] ?? -1,
      rivalOwned: person.rival_owned?.[k],
      candidates: (person.candidates?.[k] ?? []).map(([x, y, height, relation]) => ({
        x: x + 0.5,
        y: y + 0.5,
        height,
        relation,
      })),
    })),
  }));
}

// Returns who among `people` is the given person of another network: their boxes have an IoU over 0.5. null for nobody.
export function findCounterpart(people, person) {
  return (person && people.find((other) => boxIou(other.box, person.box) > 0.5)) ?? null;
}

function boxIou([left, top, width, height], [otherLeft, otherTop, otherWidth, otherHeight]) {
  const overlapWidth = Math.min(left + width, otherLeft + otherWidth) - Math.max(left, otherLeft);
  const overlapHeight = Math.min(top + height, otherTop + otherHeight) - Math.max(top, otherTop);
  const intersection = Math.max(overlapWidth, 0) * Math.max(overlapHeight, 0);
  return intersection / (width * height + otherWidth * otherHeight - intersection);
}

export function isShown(person, thresholds) {
  return person.score >= thresholds.people && person.keypoints.some(({ score }) => score >= thresholds.keypoints);
}

export function plural(count, singular, plural) {
  return `${count} ${count === 1 ? singular : plural}`;
}

// Returns the mean position of a person's shown keypoints, where the lines of relations end.
export function meanPosition(person, thresholds) {
  const shown = person.keypoints.filter(({ score }) => score >= thresholds.keypoints);
  const mean = (axis) => shown.reduce((sum, keypoint) => sum + keypoint[axis], 0) / Math.max(shown.length, 1);
  return { x: mean("x"), y: mean("y") };
}

// Returns the candidates of a keypoint, each with its owner (null for nobody) and whether the network selected it.
export function readCandidates(people, person, index) {
  const keypoint = person.keypoints[index];
  const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);
  const nearest = Math.min(...keypoint.candidates.map((candidate) => distance(candidate, keypoint)));
  return keypoint.candidates.map((candidate) => {
    const selected = distance(candidate, keypoint) === nearest && nearest < CANDIDATE_RADIUS * person.size;
    const owners = people
      .map((other) => ({
        other,
        distance: distance(candidate, other.keypoints[index]) / (CANDIDATE_RADIUS * other.size),
      }))
      .filter((owner) => owner.distance < 1)
      .sort((one, other) => one.distance - other.distance);
    return { ...candidate, selected, owner: selected ? person : (owners[0]?.other ?? null) };
  });
}

// Returns the lines and dots of one person. The higher a keypoint's score, the more opaque; a keypoint that may belong
// to somebody else is not `filled`.
export function personShapes(person, edges, thresholds, size) {
  const shown = person.keypoints.map(({ score }) => score >= thresholds.keypoints);
  const owned = person.keypoints.map((keypoint) => keypoint.owned === undefined || keypoint.owned >= thresholds.owned);
  const width = Math.max(1.5, Math.min(extent(person, shown) / 50, Math.max(size.width, size.height) / 200));
  const opacity = (score) => Math.max(0, Math.min(1, 0.45 + score));
  const lines = edges
    .filter(([a, b]) => shown[a] && shown[b])
    .map(([a, b]) => {
      const [one, other] = [person.keypoints[a], person.keypoints[b]];
      const factor = owned[a] && owned[b] ? 1 : FAINT_OPACITY;
      return {
        x1: one.x, y1: one.y, x2: other.x, y2: other.y, width,
        opacity: factor * opacity(Math.min(one.score, other.score)),
      };
    });
  const dots = person.keypoints.flatMap(({ x, y, score }, index) =>
    shown[index] ? [{ index, x, y, radius: 0.9 * width, filled: owned[index], opacity: opacity(score) }] : []);
  return { lines, dots, width };
}

function extent(person, shown) {
  const keypoints = person.keypoints.filter((_, index) => shown[index]);
  const range = (axis) =>
    Math.max(...keypoints.map((keypoint) => keypoint[axis])) - Math.min(...keypoints.map((keypoint) => keypoint[axis]));
  return keypoints.length ? Math.max(range("x"), range("y")) : 0;
}
