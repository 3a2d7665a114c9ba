import { useMemo } from "react";
import { PackageGraph } from "@/components/package-graph/package-graph";
import { Empty } from "@/components/states";
import { PackagePanel } from "@/views/builds/package-panel";
import { packagesOf } from "@/views/builds/tasks";
import type { ShownBuild } from "@/views/builds/use-build";

/** The packages of a build, in the colours of how they stand. */
export default function GraphTab({ build }: { build: ShownBuild }) {
  const packages = useMemo(() => packagesOf(build.tasks, build.paths), [build.tasks, build.paths]);
  if (packages.length === 0) {
    return (
      <Empty title={build.running ? "It is not known yet what it builds" : "It built nothing"} />
    );
  }
  return (
    <PackageGraph
      packages={packages}
      name={`build-${build.id}`}
      panel={(id, close) => <PackagePanel build={build} name={id} onClose={close} />}
    />
  );
}
