"""What a definition is written as, so that the server parses it to the same tree."""

import pytest

from adapters.schema.deparse import reparsable

_LIST = "ARRAY['a'::character varying, 'it''s'::character varying, NULL::character varying]"


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (
            f"CHECK (((s)::text = ANY (({_LIST})::text[])))",
            f"CHECK (((s)::text = ANY (({_LIST}::character varying[])::text[])))",
        ),
        (f"WHERE s::text <> ALL ({_LIST}::text[])", f"WHERE s::text <> ALL ({_LIST}::character varying[]::text[])"),
        (
            r"CHECK (s = ANY ((ARRAY[E'\\n'::character varying])::text[]))",
            r"CHECK (s = ANY ((ARRAY[E'\\n'::character varying]::character varying[])::text[]))",
        ),
    ],
)
def test_the_cast_of_a_whole_array_stays_a_cast_of_the_whole(written: str, wanted: str) -> None:
    """Casts the array to what it is first."""
    assert reparsable(written) == wanted


@pytest.mark.parametrize(
    "definition",
    [
        "CHECK ((x = ANY (ARRAY['a'::text, 'b'::text])))",
        "CHECK ((x = ANY (ARRAY[('a'::character varying)::text])))",
        "DEFAULT ARRAY[]::text[]",
        "DEFAULT ARRAY['a'::character varying]",
        "COMMENT ON TABLE t IS '(ARRAY[''a''::character varying])::text[]'",
        "COMMENT ON TABLE t IS '(ARRAY[NULL::character varying])::text[]'",
        """COMMENT ON COLUMN t."(ARRAY['a'::character varying])::text[]" IS 'x'""",
        "CREATE FUNCTION f() RETURNS text[]\nAS $$ select (ARRAY['a'::character varying])::text[] $$",
    ],
)
def test_everything_else_stays_as_it_was_written(definition: str) -> None:
    """Changes nothing in literals, names, bodies and arrays of other types."""
    assert reparsable(definition) == definition
