"""The findings of doctor: a line for each, and what to do below it."""

from iddm_cli.display.machine.doctor_table import print_findings


def row(status: str, text: str, advice: str = "") -> dict:
    return {"status": status, "check": "memory", "text": text, "advice": advice}


def test_findings_are_listed_with_their_advice(capsys):
    print_findings(
        [row("ok", "fine"), row("warning", "little\x1b", "Get more."), row("failed", "x")]
    )
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines == [
        ["ok", "memory", "fine"],
        ["warning", "memory", "little\\x1b"],
        ["Get", "more."],
        ["failed", "memory", "x"],
    ]
    assert "1 failed, 1 warnings" in err
    print_findings([row("ok", "fine")])
    assert "all is well" in capsys.readouterr().err
