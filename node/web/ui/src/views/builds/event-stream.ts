import { Problem } from "@/api/problem";
import type { BuildEvent } from "@/views/builds/live-build";

/** Output comes with the others, and is the log's alone. */
const LEFT_OUT = '{"type": "task_output"';

/** Read the events of a build, from its first on, until it is over or `signal` ends that. */
export async function readEvents(
  buildId: string,
  signal: AbortSignal,
  take: (events: BuildEvent[]) => void,
): Promise<void> {
  const answer = await fetch(`/api/build/${encodeURIComponent(buildId)}/events`, {
    signal,
    credentials: "same-origin",
  });
  if (!answer.ok || answer.body === null) throw await Problem.of(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    const events = lines
      .filter((line) => line !== "" && !line.startsWith(LEFT_OUT))
      .map((line) => JSON.parse(line) as BuildEvent);
    if (events.length > 0) take(events);
  }
}
