"""What only one of two versions of the server has a word for is no difference between them; all else is."""

import pytest

from adapters.verify.schema_diff import differing
from adapters.verify.schema_snapshot import Definitions, SchemaSnapshot


def side(definitions: Definitions, server: str, calls: dict[str, str] | None = None) -> SchemaSnapshot:
    return SchemaSnapshot("env", definitions, {}, {}, server, calls=calls or {})


def differences(old: Definitions, new: Definitions, versions: tuple[str, str] = ("15.1", "18.2")) -> list[str]:
    return [one.told().problem for one in differing(side(old, versions[0]), side(new, versions[1]))]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"NOT NULL a": "NOT NULL a"}),
        ({}, {"NOT NULL a: inherited": "1"}),
        ({}, {"NOT NULL a: name": "t_a_not_null"}),
        ({}, {"grant of MAINTAIN to sb_owner": "given"}),
        ({"target": "-1"}, {}),
        ({"partition bound": "x"}, {"partition bound": "x", "column id: identity": "a"}),
    ],
)
def test_what_only_one_version_says(old: dict[str, str], new: dict[str, str]) -> None:
    """Every move to another version would be refused for nothing; within one version each of these is a difference."""
    assert differences({"t": old}, {"t": new}) == []
    assert len(differences({"t": old}, {"t": new}, ("18.1", "18.1"))) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"definition": "SELECT t.a FROM t"}, {"definition": "SELECT t.b FROM t"}),
        ({"body": "select t.a"}, {"body": "select a"}),
        ({": comment": "a.b"}, {": comment": "b"}),
        ({"NOT NULL a: validated": "no"}, {}),
        ({"NOT NULL a NO INHERIT": "NOT NULL a NO INHERIT"}, {}),
        ({"grant of SELECT to sb_app": "given"}, {}),
        ({"column id: identity": "a"}, {}),
    ],
)
def test_what_means_something_else(old: dict[str, str], new: dict[str, str]) -> None:
    """Calls definitions different that mean something else."""
    assert len(differences({"t": old}, {"t": new})) == 1


def test_what_is_called_counts_beside_what_is_said() -> None:
    """Two functions of one name are one text, and two meanings."""
    said: Definitions = {"view v": {"definition": "SELECT f('x')"}}
    sides = [side(said, "18.1", {'rule "_RETURN" on v': called}) for called in ("f(text)", "f(varchar)")]
    assert [one.told().problem for one in differing(*sides)] == [
        "calls: f(text) in the old environment, f(varchar) in the new environment"
    ]
    assert list(differing(sides[0], sides[0])) == []
