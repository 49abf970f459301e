"""The licence of code, weights, start and training data is said alike in the README and on every model card."""

import pytest
from tests.docs.pages import ROOT

from rsgnet.inference.weights import SHIPPED

CARDS = sorted(SHIPPED.glob("*/README.md"))
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").partition("## Licence")[2].split())


def weights_sentences():
    """Returns what the README says of the weights; every card repeats it."""
    first = README.index("The weights are licensed under Apache-2.0.")
    return README[first : README.index("that they do not.", first) + len("that they do not.")]


def test_the_readme_names_the_licences():
    assert README.startswith("The code is licensed under Apache-2.0 ([LICENSE](LICENSE))")
    assert "annotations are licensed under CC BY 4.0" in weights_sentences()
    assert "Apache License" in (ROOT / "LICENSE").read_text() and len(CARDS) >= 3


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.parent.name)
def test_every_card_says_the_same_and_what_the_weights_started_from(card):
    (row,) = (line for line in card.read_text(encoding="utf-8").splitlines() if line.startswith("| licence |"))
    assert weights_sentences() in row
    assert "They started from" in row and "(Apache-2.0)" in row.partition("They started from")[2]
