"""What became of each task of a build."""

from __future__ import annotations

from pydantic import Field

from buildnet.node.api.answers.answer import Answer
from buildnet.node.report import Retry
from buildnet.pool.attempts import Attempt
from buildnet.pool.explain import Change
from buildnet.pool.variable_names import Mention


class ToldError(Answer):
    """An error as it is kept."""

    code: str | None
    message: str | None
    cause: str | None
    hint: str | None


class NearestResult(Answer):
    """The cached result that is most like what would be built."""

    action: str
    reasons: list[str]
    changes: list[Change]


class VerifiedRun(Answer):
    """One run of a command that ran several times."""

    node: str
    node_name: str | None
    exit_code: int
    outputs: str | None
    result: str | None


class Verified(Answer):
    """What several runs of one command made; ``agrees`` null: there is nothing to compare."""

    agrees: bool | None
    problem: str | None
    runs: list[VerifiedRun]
    differing: list[str]
    differing_count: int


class TimelinePart(Answer):
    """One part of a task, from the timeline's beginning on."""

    name: str
    at_ms: float
    took_ms: float


class Timeline(Answer):
    """When the parts of one task were; ``began_ns``: unix time."""

    began_ns: int
    parts: list[TimelinePart]


class PlannedPlace(Answer):
    """Where and when a command would run, and why there."""

    node: str | None
    node_name: str | None
    begins_ms: float | None
    ends_ms: float | None
    why: str | None


class TracedInputs(Answer):
    """What a traced command read; see ``InputFindings``."""

    undeclared: list[str]
    unread: list[str]
    host: list[str]
    variables: list[Mention]
    unset: list[Mention]
    proposal: dict[str, list[str]]
    unseen: int
    left_out: int


class FailedTest(Answer):
    """A test that failed."""

    name: str
    file: str | None
    message: str


class SlowTest(Answer):
    """A test that took long."""

    name: str
    time_ms: float


class TestCounts(Answer):
    """How many tests there were."""

    total: int
    failed: int
    skipped: int


class TestResults(TestCounts):
    """What the tests of a task came to; ``flaky``: failed, and then did not; ``problem``: why it
    is not known."""

    passed: int
    time_ms: float
    failures: list[FailedTest]
    slowest: list[SlowTest]
    flaky: list[str]
    problem: str | None


class Shard(Answer):
    """One shard of a task; ``shard``: such as 1/4, ``files``: of tests, so many."""

    shard: str
    files: int
    status: str
    tier: str | None
    node: str
    node_name: str | None
    duration_ms: float
    action: str | None
    exit_code: int | None
    log: str | None
    tests: TestCounts | None
    error: ToldError | None
    retries: list[Retry]
    timeline: Timeline | None
    executed_ms: float | None


class PackageReport(Answer):
    """What became of one task of a build; records of earlier versions have less."""

    name: str
    task: str
    status: str
    tier: str | None
    isolation: str | None
    node: str
    node_name: str | None
    duration_ms: float
    action: str | None
    exit_code: int | None
    log: str | None
    output: str | None
    plan: str | None
    reasons: list[str]
    changes: list[Change]
    nearest: NearestResult | None
    hints: list[str]
    error: ToldError | None
    attempts: list[Attempt]
    verification: Verified | None
    timeline: Timeline | None = None
    place: PlannedPlace | None = None
    executed_ms: float | None = None
    depends_on: list[str] = Field(default_factory=list)
    network: bool = False
    all_files: bool = False
    traced: TracedInputs | None = None
    tests: TestResults | None = None
    shards: list[Shard] = Field(default_factory=list)
    retries: list[Retry] = Field(default_factory=list)
