from trainables.endings import ending_of
from trainables.secrets import NAMES, strike_out


def test_values_of_secrets_are_struck_out_of_traces(monkeypatch):
    for name, value in (("SHORT", "abc"), ("KEY", "s3cret"), ("LONGER", "s3cret-and-more"), ("OTHER", "other")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(NAMES, "SHORT,KEY,LONGER,MISSING")
    assert strike_out("s3cret s3cret-and-more abc other") == "<KEY> <LONGER> abc other"
    assert ending_of(ValueError("refused: s3cret"), "mine").error.endswith("ValueError: refused: <KEY>\n")


def test_without_secrets_nothing_changes(monkeypatch):
    monkeypatch.delenv(NAMES, raising=False)
    assert strike_out("any text") == "any text"
