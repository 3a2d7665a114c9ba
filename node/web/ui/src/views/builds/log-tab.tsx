import BuildLog from "@/views/builds/log";
import type { ShownBuild } from "@/views/builds/use-build";

/** What the tasks of a build printed. */
export default function LogTab({ build }: { build: ShownBuild }) {
  return <BuildLog id={build.id} running={build.running} tasks={build.tasks} />;
}
