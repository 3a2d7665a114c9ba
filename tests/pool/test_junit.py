"""JUnit XML of several tools, and of nobody who means well."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool import junit
from buildnet.pool.junit import MAX_DEPTH, MAX_MESSAGE, Case, JUnitError, read_junit, times_by_file
from buildnet.pool.tested import MOST_SLOWEST, MOST_TOLD, TaskTests

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="1" tests="3">
<testcase classname="tests.test_cart.TestCart" name="test_adds" time="0.250" />
<testcase classname="tests.test_cart" name="test_removes" time="1,000.5">
<failure message="AssertionError: assert 1 == 2">def test_removes():</failure></testcase>
<testcase classname="tests.test_tax" name="test_rate" time="nan"><skipped message="m"/></testcase>
</testsuite></testsuites>"""

JEST = b"""<testsuites name="jest tests" tests="2"><testsuite name="cart" tests="2">
<testcase classname="cart" name="cart adds" file="/build/core/src/cart.test.js" time="0.01"/>
<testcase classname="cart" name="cart removes" file="/build/core/src/cart.test.js" time="0.02">
<failure>Error: expected 1
 at x</failure><failure>another</failure></testcase></testsuite></testsuites>"""

MAVEN = b"""<testsuite name="com.shop.CartTest" time="1">
<testcase name="adds" classname="com.shop.CartTest" time="0.5">
<flakyFailure message="m">x</flakyFailure></testcase>
<testcase name="breaks" classname="com.shop.CartTest"><error message="NPE"/></testcase>
</testsuite>"""


def test_what_pytest_writes() -> None:
    adds, removes, rate = read_junit(PYTEST)
    assert adds == Case(
        "tests.test_cart.TestCart › test_adds", "passed", 250.0, group="tests.test_cart.TestCart"
    )
    assert (removes.status, removes.message) == ("failed", "AssertionError: assert 1 == 2")
    assert removes.time_ms == 1_000_500
    assert (rate.status, rate.time_ms) == ("skipped", 0.0)


def test_what_jest_and_maven_write() -> None:
    _, removes = read_junit(JEST)
    assert removes.message == "Error: expected 1\n at x"
    assert removes.file == "/build/core/src/cart.test.js"
    adds, breaks = read_junit(MAVEN)
    assert (adds.status, adds.is_flaky) == ("passed", True)
    assert (breaks.status, breaks.message) == ("failed", "NPE")


def test_times_by_file() -> None:
    files = ["core/tests/test_cart.py", "core/tests/test_tax.py", "core/src/cart.test.js"]
    cases = [*read_junit(PYTEST), *read_junit(JEST)]
    found = times_by_file(cases, files, "core")
    assert found == {
        "core/tests/test_cart.py": 250.0 + 1_000_500,
        "core/tests/test_tax.py": 0.0,
        "core/src/cart.test.js": pytest.approx(30.0),
    }
    java = times_by_file(read_junit(MAVEN), ["src/com/shop/CartTest.java"], "src")
    assert java == {"src/com/shop/CartTest.java": 500.0}
    assert times_by_file(cases, ["elsewhere/x.js"], "") == {}


BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>
<testsuite><testcase name="&b;"/></testsuite>"""
OUTSIDE = b"""<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<testsuite><testcase name="x"/>&a;</testsuite>"""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no XML"),
        (b"<testsuite>", "no XML"),
        (b"\x00\xff", "no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><testsuite/>', "no XML"),
        (b"<html/>", "no JUnit XML"),
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        (b"<testsuite><testcase name='&x;'/></testsuite>", "no XML"),
        (b"<testsuite>" * (MAX_DEPTH + 1), "deeper"),
    ],
)
def test_what_is_not_read(data: bytes, message: str) -> None:
    with pytest.raises(JUnitError, match=message):
        read_junit(data)


def test_reports_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "MAX_CASES", 10)
    with pytest.raises(JUnitError, match="more than 10 tests"):
        read_junit(b"<testsuite>" + b"<testcase/>" * 11 + b"</testsuite>")
    monkeypatch.setattr(junit, "MAX_BYTES", 10)
    with pytest.raises(JUnitError, match="is not read"):
        read_junit(PYTEST)


def test_texts_are_cut_and_plain() -> None:
    long = "x" * 100_000
    text = f"<testsuite><testcase name='a\u202eb{long}'><failure>\u202e{long}</failure></testcase>"
    (case,) = read_junit(f"{text}</testsuite>".encode())
    assert case.name.startswith("a b")
    assert len(case.name) == junit.MAX_NAME
    assert len(case.message) == MAX_MESSAGE
    # Where it stands is looked for part by part.
    (case,) = read_junit(
        f"<testsuite><testcase classname='{'a/.' * 100_000}'/></testsuite>".encode()
    )
    assert len(case.group) == junit.MAX_NAME


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_of_any_origin(data: bytes) -> None:
    for whole in (data, b"<testsuite>" + data + b"</testsuite>"):
        try:
            read_junit(whole)
        except JUnitError:
            continue


def test_what_is_told_of_tests() -> None:
    cases = [Case(f"t{number}", "failed", float(number), "why") for number in range(60)]
    cases += [Case("ok", "passed", 0.0, is_flaky=True), Case("later", "skipped", 0.0)]
    told = TaskTests.of(cases, {"f": 1.0})
    assert (told.total, told.passed, told.failed, told.skipped) == (62, 1, 60, 1)
    assert len(told.failures) == MOST_TOLD
    assert [name for name, _ in told.slowest] == [f"t{59 - n}" for n in range(MOST_SLOWEST)]
    assert told.flaky == ("ok",)
    both = TaskTests.together([told, TaskTests.of(cases[:1], {}).with_flaky(["ok", "t0"])])
    assert both is not None
    assert (both.total, both.failed, both.flaky) == (63, 61, ("ok", "t0"))
    assert TaskTests.together([]) is None
    assert told.as_dict()["failures"][0] == {"name": "t0", "file": None, "message": "why"}
