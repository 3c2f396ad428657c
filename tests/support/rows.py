"""Rows of a view as values, and whether two results are the same: any row order, DOUBLE within a
relative or absolute 1e-9, everything else exactly. Timestamps are epoch milliseconds."""

import datetime
import re

TOLERANCE = 1e-9
_TIMESTAMP = re.compile(r"(-?\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?Z")


def parse_csv(text):
    """Fields as (quoted, text), a list of rows. NULL is an empty unquoted field."""
    rows, row, at = [], [], 0
    while at < len(text):
        if text[at] == '"':
            piece = []
            at += 1
            while True:
                end = text.index('"', at)
                piece.append(text[at:end])
                at = end + 1
                if at < len(text) and text[at] == '"':
                    piece.append('"')
                    at += 1
                else:
                    break
            row.append((True, "".join(piece)))
        else:
            end = at
            while end < len(text) and text[end] not in ",\n":
                end += 1
            row.append((False, text[at:end]))
            at = end
        if at < len(text) and text[at] == ",":
            at += 1
            if at == len(text):
                row.append((False, ""))
        else:
            at += 1
            rows.append(row)
            row = []
    if row:
        rows.append(row)
    return rows


def epoch_ms(text):
    year, month, day, hour, minute, second, fraction = _TIMESTAMP.fullmatch(text).groups()
    days = datetime.date(int(year), int(month), int(day)).toordinal() - datetime.date(1970, 1, 1).toordinal()
    micros = int(((fraction or ".0")[1:] + "000000")[:6])
    return ((days * 24 + int(hour)) * 60 + int(minute)) * 60_000 + int(second) * 1000 + micros // 1000


def value(field, kind):
    quoted, text = field
    if not quoted and text == "":
        return None
    if kind == "VARCHAR":
        return text
    if kind == "DOUBLE":
        return float(text)
    if kind == "BOOLEAN":
        return {"true": True, "false": False}[text]
    return epoch_ms(text) if _TIMESTAMP.fullmatch(text) else int(text)


def load(text, columns):
    """Rows of a CSV with a header, in the order of `columns` ({"name", "type"})."""
    table = parse_csv(text)
    if not table:
        raise ValueError("no header")
    names = [name for _, name in table[0]]
    missing = [column["name"] for column in columns if column["name"] not in names]
    if missing:
        raise ValueError(f"columns {missing} are missing; there are {names}")
    order = [(names.index(column["name"]), column["type"]) for column in columns]
    return [tuple(value(row[index], kind) for index, kind in order) for row in table[1:]]


def _close(a, b):
    if a is None or b is None:
        return a is b
    return a == b or abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))


def differences(expected, actual, columns, most=5):
    """Lines that say what differs; empty if the results are the same."""
    exact = [i for i, column in enumerate(columns) if column["type"] != "DOUBLE"]
    real = [i for i, column in enumerate(columns) if column["type"] == "DOUBLE"]

    def key(row):
        return (
            [(row[i] is not None, row[i] if row[i] is not None else 0) for i in exact],
            [(row[i] is not None, row[i] or 0.0) for i in real],
        )

    expected, actual = sorted(expected, key=key), sorted(actual, key=key)
    found = []
    if len(expected) != len(actual):
        found.append(f"expected {len(expected)} rows, got {len(actual)}")
    i = j = 0
    while (i < len(expected) or j < len(actual)) and len(found) < most:
        if i < len(expected) and j < len(actual):
            a, b = expected[i], actual[j]
            if all(a[k] == b[k] for k in exact) and all(_close(a[k], b[k]) for k in real):
                i, j = i + 1, j + 1
                continue
        if j >= len(actual) or (i < len(expected) and key(expected[i]) <= key(actual[j])):
            found.append(f"expected {expected[i]}")
            i += 1
        else:
            found.append(f"unexpected {actual[j]}")
            j += 1
    return found
