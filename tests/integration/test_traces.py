"""A build whose commands run on several nodes is one trace in a collector that all of them tell."""

from __future__ import annotations

import json
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from testbed.building import many_commands, where
from testbed.collector import collector
from testbed.nodes import Cluster

_SLOTS, _PACKAGES = 2, 4


def test_what_several_nodes_do_for_one_build_is_one_trace(tmp_path: Path) -> None:
    with collector() as (endpoint, taken):
        cluster = Cluster(tmp_path / "nodes", 2, bare=True)
        for node in cluster.members:
            node.home.directory.mkdir(parents=True)
            told = {"telemetry": {"endpoint": endpoint}, "workers": {"max": _SLOTS}}
            node.home.config.write_text(json.dumps(told))
        with cluster:
            root = many_commands(tmp_path / "w", "a", "sleep 0.3; cp in.txt out.txt", _PACKAGES)
            report = cluster.members[0].command.build(root)
            ran = where(report)
            assert len(ran) == 2, report
            for node in cluster.members:
                node.stop()  # what waits is sent before it has ended
    spans: dict[str, list[Span]] = {}
    for request in taken:
        for each in request.resource_spans:
            said = {one.key: one.value.string_value for one in each.resource.attributes}
            found = spans.setdefault(said["service.instance.id"], [])
            found += [span for scope in each.scope_spans for span in scope.spans]
    driver, *others = (node.identity for node in cluster.members)
    assert spans.keys() == {driver, *others}
    assert len({span.trace_id for each in spans.values() for span in each}) == 1
    (build,) = (span for span in spans[driver] if not span.parent_span_id)
    tasks = {span.span_id: span for span in spans[driver] if span is not build}
    assert len(tasks) == _PACKAGES
    assert {span.parent_span_id for span in tasks.values()} == {build.span_id}
    for other in others:
        assert len(spans[other]) == ran[other]
        for span in spans[other]:
            task = tasks[span.parent_span_id]  # of the node that drove it, said by another
            assert span.name == f"run {task.name}"
            at = {one.key: one.value.string_value for one in task.attributes}
            assert at["buildnet.node"] in {node.name for node in cluster.members}
            # It tidies up after it has given the result, so it may end later than the build.
            assert task.start_time_unix_nano <= span.start_time_unix_nano
            assert span.start_time_unix_nano < task.end_time_unix_nano
