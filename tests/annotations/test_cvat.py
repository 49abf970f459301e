import numpy as np
import pytest

from rsgnet.annotations.readers import read_annotations
from rsgnet.errors import AnnotationError
from rsgnet.skeletons import COCO17

LABELS = "".join(
    f"<label><name>{name}</name><type>points</type><parent>{parent}</parent></label>"
    for parent, names in (("person", COCO17.keypoints), ("horse", ("nose", "tail")))
    for name in names
)
POINTS = '<points label="nose" outside="0" occluded="0" points="10.0,20.5"/>' \
    '<points label="left_ankle" outside="0" occluded="1" points="30.0,60.0"/>' \
    '<points label="left_eye" outside="1" occluded="0" points="1.0,1.0"/>'  # fmt: skip
PERSON = f'<skeleton label="person" source="manual" z_order="0">{POINTS}</skeleton>'


def make_xml(body=PERSON, labels=LABELS, head="", name="a/b.jpg"):
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    image = f'<image id="4" name="{name}" width="64" height="80">{body}</image>'
    return f'<?xml version="1.0" encoding="utf-8"?>{head}<annotations><version>1.1</version>{meta}{image}</annotations>'


def read(tmp_path, text):
    path = tmp_path / "annotations.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_annotations(path)


def test_skeletons_become_people(tmp_path):
    found = read(
        tmp_path, make_xml(PERSON + '<skeleton label="horse"/><box label="person" xtl="0" ytl="0" xbr="9" ybr="9"/>')
    )
    (image,) = found.images
    (person,) = image.people
    assert found.skeleton is COCO17 and (image.id, image.file_name, image.size_wh) == (4, "a/b.jpg", (64, 80))
    expected = np.zeros((17, 3))
    expected[0], expected[15] = (10, 20.5, 2), (30, 60, 1)
    np.testing.assert_array_equal(person.keypoints, expected)
    np.testing.assert_array_equal(person.box_xywh, [10, 20.5, 20, 39.5])


def test_the_box_in_the_same_group_is_the_persons_box(tmp_path):
    box = '<box label="person" group_id="3" xtl="1" ytl="2" xbr="40" ybr="70"/>'
    person = read(tmp_path, make_xml(box + PERSON.replace("<skeleton ", '<skeleton group_id="3" '))).images[0].people[0]
    np.testing.assert_array_equal(person.box_xywh, [1, 2, 39, 68])


def test_points_with_numbers_for_names_or_without_a_definition(tmp_path):
    numbered = "".join(f"<label><name>{n}</name><parent>person</parent></label>" for n in range(1, 18))
    points = '<skeleton label="person"><points label="2" points="3,4"/><points label="1" points="5,6"/></skeleton>'
    found = read(tmp_path, make_xml(points, numbered))
    assert found.skeleton is COCO17
    assert found.images[0].people[0].keypoints[:2].tolist() == [[5, 6, 2], [3, 4, 2]]
    assert read(tmp_path, make_xml(points.replace('"2"', '"top"'), "")).skeleton.keypoints == ("top", "1")


ENTITY_BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (make_xml(head=ENTITY_BOMB), "declares a document type"),
        (make_xml(head='<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "declares a document type"),
        (make_xml(head=ENTITY_BOMB).replace("utf-8", "utf-16").encode("utf-16"), "is not UTF-8"),
        (make_xml()[:-20], "not valid XML"),
        ("<html/>", "expected <annotations>, got <html>"),
        ("<annotations><track/></annotations>", "export it as `CVAT for images 1.1`"),
        (make_xml(labels=""), None),
        (make_xml("", ""), "expected one skeleton label, or one called person; there are none"),
        (make_xml(PERSON.replace("10.0,20.5", "10.0")), r"image 4 \(a/b.jpg\), skeleton 0: ValueError"),
        (make_xml(PERSON.replace("10.0,20.5", "nan,1")), "must be finite"),
        (make_xml(PERSON.replace('"nose"', '"snout"')), "point 'snout' is none of nose"),
        (make_xml('<skeleton label="person"/>'), "neither a labelled point nor a box"),
        (make_xml(name="../b.jpg"), "image 4: file name '../b.jpg' leads out"),
    ],
)
def test_the_message_names_the_file_and_the_entry(tmp_path, text, message):
    if message is None:
        assert len(read(tmp_path, text).skeleton) == 3
        return
    with pytest.raises(AnnotationError, match=message) as caught:
        read(tmp_path, text)
    assert "annotations.xml: " in str(caught.value)
