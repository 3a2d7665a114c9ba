import { useState } from "react";
import { useLocation } from "wouter";
import { api, query } from "@/api/client";
import { useSession } from "@/api/session";
import { FormDialog } from "@/components/dialog";
import { Field } from "@/components/field";

/** Begins a build of a workspace of this node's host, and goes to where it is watched. */
export default function BuildDialog({ onClose }: { onClose: () => void }) {
  const [root, setRoot] = useState("");
  const [task, setTask] = useState("build");
  const [packages, setPackages] = useState("");
  const [, go] = useLocation();
  const node = useSession().data?.node.name;
  const known = query.useQuery("get", "/api/workspaces").data?.workspaces ?? [];
  const names = packages.split(/[\s,]+/).filter(Boolean);
  const build = async () => {
    const { data } = await api.POST("/api/build", { body: { root, task, packages: names } });
    if (typeof data === "object") go(`/ui/builds/${data.build_id}`);
  };
  const verb = task === "build" ? ["build"] : ["build", "--task", task];
  return (
    <FormDialog
      title="Build"
      verb="Build"
      ready={root !== ""}
      command={[`cd ${root || "DIRECTORY"} && buildnet`, ...verb, ...names].join(" ")}
      act={build}
      onClose={onClose}
    >
      <Field label="Directory of the workspace" hint={`On the host of ${node ?? "this node"}.`}>
        <input
          className="input mono"
          required
          placeholder="/home/ann/shop"
          list="workspaces"
          value={root}
          onChange={(event) => setRoot(event.target.value.trim())}
        />
      </Field>
      <datalist id="workspaces">
        {known.map((workspace) => (
          <option key={workspace.root} value={workspace.root} />
        ))}
      </datalist>
      <Field label="Packages" hint="By name, separated by spaces; none: all of them.">
        <input
          className="input"
          value={packages}
          onChange={(event) => setPackages(event.target.value)}
        />
      </Field>
      <Field label="Task">
        <input
          className="input"
          required
          value={task}
          onChange={(event) => setTask(event.target.value.trim())}
        />
      </Field>
    </FormDialog>
  );
}
