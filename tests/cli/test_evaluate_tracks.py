import json

import pytest

pytest.importorskip("av")
pytest.importorskip("scipy")


def test_clips_of_known_people(rsgnet, pose_network, tmp_path):
    """Boxes of the truth, so that all is found; who is who is then up to the tracker."""
    walks = tmp_path / "walks"
    assert rsgnet("crowds", walks, "--scenes", 1, "--frames", 6, "--walkers", 3, "--size", "160x120")[0] == 0
    truth = json.loads((walks / "crowds.json").read_text())
    for image in truth["images"]:
        image["file_name"] = f"000001.mp4#{image['frame_id']}"
    (tmp_path / "boxes.json").write_text(json.dumps(truth))
    found = ["--out", tmp_path / "out", "--detector", f"boxes:{tmp_path / 'boxes.json'}", "--weights", pose_network()]
    assert rsgnet("predict", walks / "clips", "--no-overlay", *found)[0] == 0
    code, printed, errors = rsgnet(
        "evaluate-tracks", "--annotations", walks / "crowds.json", "--results", tmp_path / "out" / "poses.jsonl"
    )
    assert (code, errors) == (0, [])
    figures = dict(line.strip("│ ").split("│") for line in printed.splitlines() if line.startswith("│"))
    figures = {name.strip(): float(value) for name, value in figures.items()}
    assert figures["people"] == len(truth["annotations"]) >= 6
    assert figures["IDF1"] > 0.8 and figures["false"] <= 2


def test_bad_input_is_one_line(rsgnet, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    code, _, errors = rsgnet("evaluate-tracks", "--annotations", tmp_path / "a.json", "--results", "b.jsonl")
    assert code == 2 and len(errors) == 1 and "a.json: no clips with tracks" in errors[0]
