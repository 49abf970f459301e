import pytest

from rsgnet.annotations.catalog import DATA_SETS, DataSetFiles, find_data_set, resolve_labels_and_images
from rsgnet.errors import RSGNetError

LAYOUT = {
    "crowdpose:trainval": ("json/crowdpose_trainval.json", "images"),
    "crowdpose:test": ("json/crowdpose_test.json", "images"),
    "coco:train2017": ("annotations/person_keypoints_train2017.json", "train2017"),
    "coco:val2017": ("annotations/person_keypoints_val2017.json", "val2017"),
    "coco:test-dev2017": ("annotations/image_info_test-dev2017.json", "test2017"),
    "ochuman:val": ("ochuman_coco_format_val_range_0.00_1.00.json", "images"),
    "ochuman:test": ("ochuman_coco_format_test_range_0.00_1.00.json", "images"),
}


def create_files(root, name):
    labels, images = LAYOUT[name]
    (root / labels).parent.mkdir(parents=True, exist_ok=True)
    (root / labels).write_text("{}")
    (root / images).mkdir(exist_ok=True)
    return DataSetFiles(root / labels, root / images)


@pytest.mark.parametrize("folder_case", ["no folder", "lower", "upper"])
@pytest.mark.parametrize("name", LAYOUT)
def test_files_are_found_in_the_published_layout(tmp_path, name, folder_case):
    title = name.partition(":")[0]
    root = tmp_path / {"no folder": "", "lower": title, "upper": title.upper()}[folder_case]
    files = create_files(root, name)
    assert find_data_set(tmp_path, name) == files
    assert resolve_labels_and_images(f"{tmp_path}:{name}") == files


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("crowdpose:test", "https://github.com/jeffffffli/CrowdPose"),
        ("coco:val2017", "https://cocodataset.org/#download"),
        ("ochuman:val", "https://github.com/liruilong940607/OCHumanApi"),
    ],
)
def test_the_message_names_missing_files_and_their_download_page(tmp_path, name, page):
    with pytest.raises(RSGNetError) as caught:
        find_data_set(tmp_path, name)
    labels, images = LAYOUT[name]
    assert all(word in str(caught.value) for word in (page, str(tmp_path / labels), f"{images}/", "missing"))
    create_files(tmp_path, name).images.rmdir()
    with pytest.raises(RSGNetError, match=f"{name}: {tmp_path / images} missing"):
        find_data_set(tmp_path, name)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(RSGNetError, match="no data set is named 'coco:val'; there are crowdpose:train"):
        find_data_set(tmp_path, "coco:val")
    assert set(LAYOUT) <= set(DATA_SETS)


def test_labels_with_and_without_a_folder(tmp_path):
    labels = tmp_path / "a.json"
    labels.write_text("{}")
    assert resolve_labels_and_images(str(labels)) == DataSetFiles(labels, tmp_path / "images")
    assert resolve_labels_and_images(str(labels), tmp_path / "b") == DataSetFiles(labels, tmp_path / "b")
    assert resolve_labels_and_images(f"{labels}:{tmp_path}", tmp_path / "b") == DataSetFiles(labels, tmp_path)
    with pytest.raises(RSGNetError, match=r"none\.json does not exist"):
        resolve_labels_and_images("none.json")
    with pytest.raises(RSGNetError, match="is a folder: name its label file, or a published data set in it as"):
        resolve_labels_and_images(str(tmp_path))
