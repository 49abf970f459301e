// An answer's people as the page speaks of them, what the sliders leave of them, and the shapes they are drawn by.

const FAINT = 0.4; // opacity of edges to keypoints that may be another's
const REACH = 0.12; // of a person's size: candidates so near to their keypoint are theirs

export function colour(index) {
  return `hsl(${((index * 0.618034) % 1) * 360} 95% 60%)`; // the golden ratio never comes near an earlier hue soon
}

// The service names a pixel by its index, drawing counts from its corner: hence 0.5.
export function readPeople(image, skeleton) {
  return image.people.map((person, index) => ({
    index,
    label: `Person ${index + 1}`,
    colour: colour(index),
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
      rivalClaim: person.rival_owned?.[k],
      candidates: (person.candidates?.[k] ?? []).map(([x, y, height, relation]) => ({
        x: x + 0.5,
        y: y + 0.5,
        height,
        relation,
      })),
    })),
  }));
}

// Who among other people has a person's box, by half of the two together; null for nobody.
export function counterpart(people, person) {
  return (person && people.find((other) => overlap(other.box, person.box) > 0.5)) ?? null;
}

function overlap([left, top, width, height], [otherLeft, otherTop, otherWidth, otherHeight]) {
  const across = Math.min(left + width, otherLeft + otherWidth) - Math.max(left, otherLeft);
  const down = Math.min(top + height, otherTop + otherHeight) - Math.max(top, otherTop);
  const shared = Math.max(across, 0) * Math.max(down, 0);
  return shared / (width * height + otherWidth * otherHeight - shared);
}

export function isShown(person, from) {
  return person.score >= from.people && person.keypoints.some((each) => each.score >= from.keypoints);
}

// The middle of what is shown of a person, where relations lead to.
export function middle(person, from) {
  const shown = person.keypoints.filter((each) => each.score >= from.keypoints);
  const mean = (axis) => shown.reduce((sum, each) => sum + each[axis], 0) / Math.max(shown.length, 1);
  return { x: mean("x"), y: mean("y") };
}

// What competed for a keypoint: each candidate, whose it is (null for nobody), and whether it was the one taken.
export function competitors(people, person, index) {
  const chosen = person.keypoints[index];
  const apart = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);
  const { candidates } = chosen;
  const nearest = Math.min(...candidates.map((each) => apart(each, chosen)));
  return candidates.map((candidate) => {
    const taken = apart(candidate, chosen) === nearest && nearest < REACH * person.size;
    const near = people
      .map((other) => ({ other, share: apart(candidate, other.keypoints[index]) / (REACH * other.size) }))
      .filter(({ share }) => share < 1)
      .sort((one, two) => one.share - two.share);
    return { ...candidate, taken, owner: taken ? person : (near[0]?.other ?? null) };
  });
}

// The lines and dots of one person: the surer a keypoint, the more opaque; one that may be another's is a ring.
export function shapes(person, edges, from, size) {
  const shown = person.keypoints.map((each) => each.score >= from.keypoints);
  const own = person.keypoints.map((each) => each.owned === undefined || each.owned >= from.owned);
  const width = Math.max(1, Math.min(extent(person, shown) / 60, Math.max(size.width, size.height) / 150));
  const opacity = (score) => Math.max(0, Math.min(1, 0.45 + score));
  const lines = edges
    .filter(([a, b]) => shown[a] && shown[b])
    .map(([a, b]) => {
      const [one, two] = [person.keypoints[a], person.keypoints[b]];
      const faint = own[a] && own[b] ? 1 : FAINT;
      return {
        x1: one.x, y1: one.y, x2: two.x, y2: two.y, width, opacity: faint * opacity(Math.min(one.score, two.score)),
      };
    });
  const dots = person.keypoints.flatMap((each, index) =>
    shown[index] ? [{ index, x: each.x, y: each.y, radius: 0.9 * width, full: own[index], opacity: opacity(each.score) }] : []);
  return { lines, dots, width };
}

function extent(person, shown) {
  const kept = person.keypoints.filter((_, index) => shown[index]);
  const range = (axis) => Math.max(...kept.map((each) => each[axis])) - Math.min(...kept.map((each) => each[axis]));
  return kept.length ? Math.max(range("x"), range("y")) : 0;
}
