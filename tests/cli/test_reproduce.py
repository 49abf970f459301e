"""`rsgnet reproduce --smoke` and `rsgnet ablate --smoke` run to the end; missing data and options are named."""

import json

from rsgnet.reproduce.synthetic_data import write_data_sets

METHODS = ["HRNet", "HRNet + TRP", "RSGNet, this project's", "RSGNet, as printed", "RSGNet, released"]


def test_table_4_end_to_end(rsgnet, tmp_path):
    code, printed, errors = rsgnet("reproduce", "table4", "--smoke", "--out", tmp_path)
    assert code == 0, errors
    assert "Not trained yet" not in "\n".join(errors)
    table = json.loads((tmp_path / "table4.json").read_bytes())
    assert [block["data"] for block in table["blocks"]] == ["crowdpose:test", "coco:val2017"]
    for block in table["blocks"]:
        assert [row["method"] for row in block["rows"]] == METHODS
        assert all(0 <= row["ours"]["AP"] <= 100 for row in block["rows"])
        assert all(row["paper"]["AP"] > 70 for row in block["rows"])
    assert "| HRNet + TRP | HRNet-W32 | 256x192 | 73.1 / " in printed
    assert printed.strip() == (tmp_path / "table4.md").read_text().strip()


def test_missing_data_are_named_with_their_source(rsgnet, tmp_path):
    (tmp_path / "runs" / "hrnet-w32-256x192-crowdpose").mkdir(parents=True)
    code, _, errors = rsgnet(
        "reproduce", "table4", "--data", tmp_path, "--runs", tmp_path / "runs", "--out", tmp_path, "--train"
    )
    assert code == 2
    assert "crowdpose_trainval.json" in "\n".join(errors) and "download" in "\n".join(errors)


def test_without_networks_only_the_papers_figures_are_printed(rsgnet, tmp_path):
    code, printed, errors = rsgnet("reproduce", "table4", "--data", tmp_path, "--runs", tmp_path, "--out", tmp_path)
    assert code == 0, errors
    assert "| RSGNet, as printed | HRNet-W32 | 256x192 | 73.6 / - |" in printed
    assert "Not trained yet: dense-w32-256x192-coco" in "\n".join(errors)


def test_results_of_another_system_are_measured_on_the_data_set(rsgnet, tmp_path):
    labels = synthetic_labels(tmp_path / "data")
    entries = [{"image_id": each["image_id"], "keypoints": each["keypoints"], "score": 1} for each in labels]
    (tmp_path / "opec.json").write_text(json.dumps(entries))
    arguments = ["--data", tmp_path / "data", "--runs", tmp_path, "--out", tmp_path]
    arguments += ["--results", f"opec-net={tmp_path / 'opec.json'}", "--results", f"RTMO={tmp_path / 'opec.json'}"]
    code, printed, errors = rsgnet("reproduce", "table1", *arguments)
    assert code == 0, errors
    assert "| OPEC-Net | ResNet-101 | 320x256 | 70.6 / 100.0 | 86.8 / 100.0 | 75.6 / 100.0 |" in printed
    assert "| RTMO | - | - | - / 100.0 | - / 100.0 |" in printed
    assert f"| RTMO | {tmp_path / 'opec.json'} | not stated | " in printed
    code, _, errors = rsgnet("reproduce", "table1", *arguments[:-1], "RSGNet=none.json")
    assert code == 2 and "none.json does not exist" in "\n".join(errors)


def synthetic_labels(folder):
    write_data_sets(folder)
    return json.loads((folder / "crowdpose/json/crowdpose_test.json").read_bytes())["annotations"]


def test_one_file_of_boxes_for_two_data_sets_is_an_error(rsgnet, tmp_path):
    code, _, errors = rsgnet("reproduce", "table4", "--data", tmp_path, "--out", tmp_path, "--boxes", "boxes.json")
    assert code == 2
    assert "--boxes crowdpose:test=FILE" in " ".join(errors)


def test_neither_data_nor_smoke_is_an_error(rsgnet, tmp_path):
    code, _, errors = rsgnet("reproduce", "table4", "--out", tmp_path)
    assert code == 2
    assert "--data DIR" in "\n".join(errors)


def is_start_of_run(line):
    return line.startswith("training ") or ": poses on " in line


def test_ablate_end_to_end(rsgnet, tmp_path):
    code, printed, errors = rsgnet("ablate", "--smoke", "--variants", "plain,trp,dense", "--out", tmp_path)
    assert code == 0, errors
    assert sum(map(is_start_of_run, errors)) == 6 + 6 * 4
    assert "trp: 1.0" in "\n".join(errors) and "M multiply-adds, 0 of" in "\n".join(errors)
    text = (tmp_path / "ablation.md").read_text()
    assert printed.strip() == text.strip()
    assert "## validation: 2 images" in text and "## simulated crowds: 6 images" in text
    table = json.loads((tmp_path / "ablation.json").read_bytes())
    assert [variant["seeds"] for variant in table["variants"]] == [[0, 1]] * 3
    crowds = table["benchmarks"][1]
    assert crowds["less_plain"].keys() == {"trp", "dense"}
    assert {"AP", "AP_easy", "AP_medium", "AP_hard"} <= crowds["less_plain"]["dense"].keys()
    assert len(crowds["means"]["plain"]["AP"]["seeds"]) == 2
    code, printed_again, errors = rsgnet(
        "ablate", "--smoke", "--collect", "--variants", "plain,trp,dense", "--out", tmp_path
    )
    assert code == 0, errors
    assert not any(map(is_start_of_run, errors))
    assert printed_again == printed


def test_ablate_names_missing_options_and_files(rsgnet, tmp_path):
    code, _, errors = rsgnet("ablate", "--out", tmp_path)
    assert code == 2
    assert "needs --data, and --validate or --crowds" in "\n".join(errors)
    code, _, errors = rsgnet("ablate", "--out", tmp_path, "--collect", "--validate", tmp_path / "none.json")
    assert code == 2
    assert "none.json does not exist" in "\n".join(errors)
