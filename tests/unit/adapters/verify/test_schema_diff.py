"""What two servers of different versions say in other words is the same, and what they mean otherwise is not."""

import pytest

from adapters.verify.schema_diff import schema_differences
from adapters.verify.schema_snapshot import Definitions, SchemaSnapshot


def side(definitions: Definitions, server: str) -> SchemaSnapshot:
    return SchemaSnapshot("env", definitions, {}, {}, server)


def differences(old: Definitions, new: Definitions, versions: tuple[str, str] = ("15.1", "18.2")) -> list[str]:
    return [one.problem for one in schema_differences(side(old, versions[0]), side(new, versions[1]))]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"definition": " SELECT t.a\n   FROM t;"}, {"definition": " SELECT a\n FROM t;"}),
        ({}, {"NOT NULL a": "NOT NULL a"}),
        ({}, {"NOT NULL a: inherited": "1"}),
        ({}, {"grant of MAINTAIN to sb_owner": "given"}),
        ({"target": "-1"}, {}),
        ({"partition bound": "x"}, {"partition bound": "x", "column id: identity": "a"}),
    ],
)
def test_the_same_in_other_words(old: dict[str, str], new: dict[str, str]) -> None:
    """Every move to another version would be refused for nothing; within one version each of these is a difference."""
    assert differences({"t": old}, {"t": new}) == []
    assert len(differences({"t": old}, {"t": new}, ("18.1", "18.1"))) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"definition": "SELECT t.a FROM t"}, {"definition": "SELECT t.b FROM t"}),
        ({"definition": "SELECT 'x.a y'"}, {"definition": "SELECT 'a  y'"}),
        ({"body": "select t.a"}, {"body": "select a"}),
        ({": comment": "a.b"}, {": comment": "b"}),
        ({"NOT NULL a: validated": "no"}, {}),
        ({"NOT NULL a NO INHERIT": "NOT NULL a NO INHERIT"}, {}),
        ({"grant of SELECT to sb_app": "given"}, {}),
        ({"column id: identity": "a"}, {}),
    ],
)
def test_what_means_something_else(old: dict[str, str], new: dict[str, str]) -> None:
    """A definition that arrived otherwise would be certified as equal because the servers differ anyway."""
    assert len(differences({"t": old}, {"t": new})) == 1
