"""What is read from the table of steps agrees with it."""

from activities.registry import ActivityRegistry
from domain.steps import STEPS, ActivityName, PolicyName, work_of
from tests.tools.transfer_picture import PICTURE, picture
from workflows.policies import BY_NAME


def test_the_picture_in_the_docs_is_of_this_table() -> None:
    """Draws the picture anew: `python -m tests.tools.transfer_picture` writes it."""
    assert PICTURE.read_text() == picture()


def test_every_policy_that_a_row_names_exists() -> None:
    """Finds the numbers of each policy."""
    assert set(BY_NAME) == set(PolicyName)


def test_every_activity_is_registered_under_the_name_of_its_method() -> None:
    """Finds each name of the contract once among the methods of the capabilities, and each row by its method's name."""
    methods = {
        name
        for field in ActivityRegistry.__dataclass_fields__.values()
        for capability in [_class_of(field.type)]
        for name in vars(capability)
        if not name.startswith("_")
    }
    assert set(ActivityName) <= methods
    for step in STEPS:
        for work in step.work_and_compensation:
            assert work_of(work.activity.value) is work


def _class_of(annotation: object) -> type:
    return next(one for one in (annotation, *getattr(annotation, "__args__", ())) if isinstance(one, type))
