import { useState } from "react";
import { useMay } from "@/api/session";
import { Choice, FilterBar, SearchBox } from "@/components/filters";
import { ProblemView } from "@/components/problem-view";
import { Empty, Loading } from "@/components/states";
import { inOrder } from "@/components/table";
import { useFilter, useFilterInPlace } from "@/components/url-state";
import { ViewHead } from "@/layout/frame";
import { usePoolNodes } from "@/live/pool-nodes";
import { Admission } from "@/views/nodes/admission";
import InviteDialog from "@/views/nodes/invite-dialog";
import { NodeCard } from "@/views/nodes/node-card";
import { choices, fitting, ORDERS } from "@/views/nodes/node-list";
import { NodeTable } from "@/views/nodes/node-table";
import "@/views/nodes/nodes.css";

/** More than so many are shown as a table, unless somebody wants cards. */
const CARDS_UP_TO = 24;
/** How many cards are shown at first, and how many more each time. */
const PART = 48;
const STATUSES = ["", "online", "busy", "suspect", "offline", "drained"] as const;

/** All nodes of the pool: what each has, how busy it is, and how it is reached. */
export default function Nodes() {
  const { nodes, error, isPending, refetch } = usePoolNodes();
  const mayManage = useMay("manage-nodes");
  const [text, setText] = useFilterInPlace("text");
  const [status, setStatus] = useFilter("status");
  const [role, setRole] = useFilter("role");
  const [tag, setTag] = useFilter("tag");
  const [tool, setTool] = useFilter("tool");
  const [order, setOrder] = useFilter("sort");
  const [shape, setShape] = useFilter("as");
  const [parts, setParts] = useState(1);
  const [isInviting, setInviting] = useState(false);
  if (error && nodes.length === 0) {
    return <ProblemView problem={error} command="buildnet pool nodes" onRetry={() => refetch()} />;
  }
  const offered = choices(nodes);
  const found = fitting(nodes, { text, status, role, tag, tool });
  const sorted = inOrder(found, ORDERS, order || "name");
  const asTable = shape === "" ? nodes.length > CARDS_UP_TO : shape === "table";
  const shown = parts * PART;
  return (
    <>
      <ViewHead title="Nodes">
        <Choice
          label="Shown as"
          value={asTable ? "table" : "cards"}
          options={["cards", "table"]}
          onChange={setShape}
        />
        {mayManage && (
          <button type="button" className="button primary" onClick={() => setInviting(true)}>
            Invite a node
          </button>
        )}
      </ViewHead>
      {isInviting && <InviteDialog onClose={() => setInviting(false)} />}
      {mayManage && <Admission />}
      <div className="node-filters">
        <FilterBar shown={found.length} total={nodes.length} noun="node">
          <SearchBox label="Name, tag, CPU…" value={text} onChange={setText} />
          <Choice label="Status" value={status} options={STATUSES} onChange={setStatus} />
          <Choice
            label="Role"
            value={role}
            options={["", "worker", "observer"]}
            onChange={setRole}
          />
          {offered.tags.length > 0 && (
            <Choice label="Tag" value={tag} options={["", ...offered.tags]} onChange={setTag} />
          )}
          <Choice label="Has" value={tool} options={["", ...offered.tools]} onChange={setTool} />
          <Choice
            label="Sort"
            value={order}
            options={[
              ["", "by name"],
              ...ORDERS.slice(1).flatMap(({ name, words }) => [
                [name, `by ${words}`] as const,
                [`-${name}`, `by ${words}, down`] as const,
              ]),
            ]}
            onChange={setOrder}
          />
        </FilterBar>
      </div>
      {isPending && nodes.length === 0 && <Loading what="the nodes" lines={6} />}
      {nodes.length > 0 && found.length === 0 && (
        <Empty title="No node fits these filters">
          <span className="soft">There are {nodes.length} nodes in all.</span>
        </Empty>
      )}
      {asTable ? (
        found.length > 0 && <NodeTable nodes={sorted} />
      ) : (
        <ul className="grid nodes">
          {sorted.slice(0, shown).map((node) => (
            <NodeCard key={node.id} node={node} />
          ))}
        </ul>
      )}
      {!asTable && sorted.length > shown && (
        <button type="button" className="button" onClick={() => setParts(parts + 1)}>
          Show more: {sorted.length - shown} are left
        </button>
      )}
    </>
  );
}
