"""Tests of the rule against decisions by text: decisions by a state or a format are allowed."""

import pytest

from tests.tools.house_rules.decisions import decisions_by_text
from tests.unit.tools.house_rules.conftest import Tree


@pytest.mark.parametrize(
    "expression",
    [
        'row.reason.startswith("Ray ")',
        'row.reason.lower().startswith(("Ray ", TROUBLE))',
        "PHRASE in row.reason",
        '"x" in failure["message"]',
        '"x" not in failure.get("message", "")',
        '"node died" in str(error)',
        '"node died" in self.error.args[0]',
        'any(word in reason for word in ("a", "b"))',
        'last_message == "lost"',
        "row.reason != WAITING",
        'row.reason in ("lost", "gone")',
        "row.reason in PHRASES",
        're.search("died (.*)", said)',
        "_DIED.search(str(error))",
        "_DIED.search((told or '') + '.')",
        '"no job" in response.text',
        '"died" in ray_text.lower()',
        "reason == HTTPStatus.NOT_FOUND.phrase",
        'row.reason[:4] == "Ray "',
        'str(error).find("died") >= 0',
    ],
)
def test_a_decision_by_text_is_found(tree: Tree, expression: str) -> None:
    parameters = "row, failure, self, error, last_message, reason, said, told, response, ray_text"
    code = f"def decide({parameters}):\n    return {expression}\n"
    findings = list(decisions_by_text(tree({"service/control/it.py": code}), {}))
    assert {(finding.path, finding.line) for finding in findings} == {("service/control/it.py", 2)}
    assert all("decides by text (service.control.it.decide)" in finding.what for finding in findings)
    assert all(finding.cure.startswith("store or raise a kind") for finding in findings)


@pytest.mark.parametrize(
    "code",
    [
        """
        def decide(work):
            try:
                work()
            except OSError as trouble_at_work:
                return "disk" in str(trouble_at_work)
        """,
        """
        def decide(failure):
            words = failure["message"]
            return "disk" in words
        """,
        """
        def decide(e: OSError | None):
            return "disk" in str(e)
        """,
        """
        def decide(row):
            match row.reason:
                case "lost":
                    return 1
        """,
        """
        class It:
            def decide(self):
                if (text := self.row.reason) and text.endswith("!"):
                    return 1
        """,
    ],
)
def test_a_sentence_is_found_under_another_local_name(tree: Tree, code: str) -> None:
    assert len(list(decisions_by_text(tree({"service/it.py": code}), {}))) == 1


@pytest.mark.parametrize(
    "expression",
    [
        "row.state is State.LOST",
        "row.state in (State.LOST, State.GONE)",
        "row.reason != other.reason",
        'row.reason == ""',
        "f'{row.reason}!'",
        'path.startswith("/")',
        'text.startswith("#")',
        're.fullmatch("[a-z]+", name)',
        'error.errno == "x"',
        'item["type"] in ("a", "b")',
        "isinstance(error, OSError)",
    ],
)
def test_decisions_by_states_and_formats_are_allowed(tree: Tree, expression: str) -> None:
    code = f"def decide(row, other, path, text, name, error, item):\n    return {expression}\n"
    assert not list(decisions_by_text(tree({"service/it.py": code}), {}))


def test_tests_may_compare_sentences(tree: Tree) -> None:
    assert not list(decisions_by_text(tree({"tests/test_it.py": 'assert "x" in row.reason\n'}), {}))


def test_a_listed_function_is_allowed_and_an_unused_line_of_the_list_is_reported(tree: Tree) -> None:
    listed = "tests/tools/house_rules/decisions.py"
    code = 'class It:\n    def lost(self, said):\n        return "died" in said\n'
    files = tree({"service/it.py": code, listed: '# allowed:\n"service.it.gone"\n'})
    reason = "Ray says it in words alone"
    assert not list(decisions_by_text(files, {"service.it.It.lost": reason}))
    (finding,) = decisions_by_text(files, {"service.it.It.lost": reason, "service.it.gone": reason})
    assert str(finding) == f"{listed}:2: service.it.gone no longer decides by text; take it off the list"
