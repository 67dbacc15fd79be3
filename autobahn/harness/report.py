"""What a run leaves to read: `index.json` in the layout of the suite, `index.html`, and findings on the terminal."""

import html
import json
import os
import re
import textwrap

from .verdict import TOOL_FAULT

WIDTH = 110

CATEGORIES = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8 handling",
    "7": "Close handling",
    "9": "Limits and performance",
    "10": "Auto-fragmentation",
    "12": "Compression: different payloads",
    "13": "Compression: different parameters",
}

STYLE = """\
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { padding: .2em .6em; text-align: left; vertical-align: top }
tr { border-bottom: 1px solid #ddd } h2 { margin-top: 2em }
.ok { background: #dfd } .informational { background: #def } .non-strict { background: #fe9 }
.failed { background: #fbb } .tool-fault { background: #ddd }"""


def write_index_json(path, judgement, agent):
    """Writes all outcomes as the suite would have, had it run all cases in one process."""
    lines = {finding.case: _index_line(finding.got) for finding in judgement.findings if finding.got is not None}
    path.write_text(json.dumps({agent: lines}, indent=3) + "\n", "utf-8")


def write_index_html(path, judgement, agent, facts):
    """Writes one page: the summary, the facts of the run, what failed, and all cases with links to their own pages."""
    heading = f"Autobahn test suite: a {html.escape(agent)} under test"
    told = "".join(f"<li>{html.escape(fact)}</li>" for fact in facts)
    parts = [f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{heading}</title><style>{STYLE}</style>"]
    parts.append(f"<h1>{heading}</h1><p><b>{html.escape(judgement.summary())}</b></p><ul>{told}</ul>")
    if judgement.failures:
        parts.append("<h2>Not as expected</h2>" + _table(path.parent, judgement.failures))
    for number, name in CATEGORIES.items():
        findings = [finding for finding in judgement.findings if finding.case.split(".")[0] == number]
        if findings:
            parts.append(f"<h2>{number} {html.escape(name)}</h2>" + _table(path.parent, findings))
    path.write_text("\n".join([*parts, "</html>"]) + "\n", "utf-8")


def findings_text(judgement, reasons):
    """What a person must know besides the summary: each case that failed, and each fault of the tool."""
    blocks = [_failure_text(finding) for finding in judgement.failures if finding.got is not None]
    missing = [finding.case for finding in judgement.failures if finding.got is None]
    for reason, cases in _by_reason(missing, reasons).items():
        blocks.append(_list_text(f"FAILED, without a verdict ({reason})", cases))
    faults = [finding.case for finding in judgement.of(TOOL_FAULT)]
    if faults:
        blocks.append(_list_text("tool fault (known, neither passed nor failed)", faults))
    return "\n".join(blocks)


def readable(path):
    """A path as short as it can be told from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _by_reason(cases, reasons):
    groups = {}
    for case in cases:
        groups.setdefault(reasons.get(case, "the run was cut short"), []).append(case)
    return groups


def _list_text(title, cases):
    return textwrap.fill(f"{len(cases)} {title}: {', '.join(cases)}", WIDTH, subsequent_indent="    ")


def _failure_text(finding):
    got = finding.got
    expected = finding.expected or "no such case"
    lines = [f"{finding.status} {finding.case}: {_plain(got.description)}"]
    lines.append(f"expected {expected}; got {got}" + (f": {got.result}" if got.result else ""))
    lines.append(readable(got.page))
    return "\n    ".join(textwrap.shorten(line, 3 * WIDTH, placeholder=" …") for line in lines)


def _index_line(outcome):
    return {
        "behavior": outcome.behavior,
        "behaviorClose": outcome.behavior_close,
        "duration": outcome.milliseconds,
        "remoteCloseCode": outcome.close_code,
        "reportfile": f"cases/{outcome.case}.json",
    }


def _table(directory, findings):
    head = "<tr><th>case<th>verdict<th>expected<th>got<th>code<th>time<th>description"
    return f"<table>{head}" + "".join(_row(directory, finding) for finding in findings) + "</table>"


def _row(directory, finding):
    got = finding.got
    if got is None:
        cells = ["nothing", "", "", ""]
        case = html.escape(finding.case)
    else:
        time = "" if got.milliseconds is None else f"{got.milliseconds} ms"
        cells = [str(got), "" if got.close_code is None else str(got.close_code), time, _plain(got.description)]
        link = html.escape(os.path.relpath(got.page, directory))
        case = f'<a href="{link}">{html.escape(finding.case)}</a>'
    expected = "no such case" if finding.expected is None else str(finding.expected)
    kind = finding.status.lower().replace(" ", "-")
    told = "".join(f"<td>{html.escape(cell)}" for cell in [expected, *cells])
    return f'<tr class="{kind}"><td>{case}<td>{html.escape(finding.status)}{told}\n'


def _plain(description):
    """The descriptions of the suite hold HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", description)).split())
