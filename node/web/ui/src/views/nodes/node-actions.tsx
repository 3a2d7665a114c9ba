import { CirclePause, CirclePlay, SlidersHorizontal } from "lucide-react";
import { useState } from "react";
import { api } from "@/api/client";
import { useMay } from "@/api/session";
import { ActionButton } from "@/components/action-button";
import { Command } from "@/components/command";
import { ConfirmByName, FormDialog } from "@/components/dialog";
import { useToasts } from "@/components/toasts";
import { plural } from "@/format/format";
import { quoted } from "@/format/shell";
import type { PoolNode } from "@/live/pool-nodes";
import { isThere } from "@/pool/totals";
import { EditTerms } from "@/views/nodes/edit-terms";

type Open = "edit" | "drain" | "promote" | "remove" | "revoke" | null;

/** What can be done with a node as it is now, as far as who is logged in may do it. */
export function NodeActions({ node }: { node: PoolNode }) {
  const answers = isThere(node);
  const mayModify = useMay("modify-resources") && answers;
  const mayManage = useMay("manage-nodes");
  const [open, setOpen] = useState<Open>(null);
  const close = () => setOpen(null);
  const named = { params: { path: { name: node.id } } };
  const resume = () => api.POST("/api/servers/{name}/resume", named);
  return (
    <>
      {mayModify &&
        (node.draining ? (
          <ActionButton
            className="button primary"
            act={resume}
            done={`${node.name} takes work again`}
            command={`buildnet server resume ${quoted(node.name)}`}
          >
            <CirclePlay aria-hidden size={16} /> Resume
          </ActionButton>
        ) : (
          <button type="button" className="button" onClick={() => setOpen("drain")}>
            <CirclePause aria-hidden size={16} /> Drain
          </button>
        ))}
      {mayModify && (
        <button type="button" className="button" onClick={() => setOpen("edit")}>
          <SlidersHorizontal aria-hidden size={16} /> Limits and tags
        </button>
      )}
      {mayManage && answers && !node.draining && !node.coordinator && node.role === "worker" && (
        <button type="button" className="button" onClick={() => setOpen("promote")}>
          Make it coordinate
        </button>
      )}
      {mayManage && !node.this_node && (
        <button type="button" className="button danger" onClick={() => setOpen("remove")}>
          Remove
        </button>
      )}
      {mayManage && (
        <button type="button" className="button danger" onClick={() => setOpen("revoke")}>
          Revoke
        </button>
      )}
      {open === "edit" && <EditTerms node={node} onClose={close} />}
      {open === "drain" && <Drain node={node} onClose={close} />}
      {open === "promote" && <Promote node={node} onClose={close} />}
      {open === "remove" && <Remove node={node} onClose={close} />}
      {open === "revoke" && <Revoke node={node} onClose={close} />}
    </>
  );
}

/** Why something of that is not offered, and how it can be done instead. */
export function NotOffered({ node }: { node: PoolNode }) {
  const mayModify = useMay("modify-resources");
  const mayManage = useMay("manage-nodes");
  if (mayModify && !isThere(node)) {
    return (
      <div className="notice warn node-notice">
        <span>
          It is {node.status}: it can be drained or changed from here once it answers, and until
          then on its own host, if it runs there.
        </span>
        <Command line="buildnet node drain" />
      </div>
    );
  }
  if (!mayManage || !node.this_node) return null;
  return (
    <details className="node-notice small soft">
      <summary>This is the node that you look at: it can't remove itself</summary>
      <p>Another node can, or it leaves the cluster, asked on its own host:</p>
      <Command line="buildnet node leave" />
    </details>
  );
}

function Drain({ node, onClose }: { node: PoolNode; onClose: () => void }) {
  const toasts = useToasts();
  const drain = async () => {
    const { data } = await api.POST("/api/servers/{name}/drain", {
      params: { path: { name: node.id } },
    });
    const left = (data?.running ?? 0) + (data?.builds ?? 0);
    toasts.done(
      `${node.name} takes no new work${left > 0 ? `; ${plural(left, "thing")} in flight ${left === 1 ? "runs to its end" : "run to their ends"}` : ""}`,
    );
  };
  return (
    <FormDialog
      title={`Drain ${node.name}`}
      verb="Drain"
      command={`buildnet server drain ${quoted(node.name)}`}
      act={drain}
      onClose={onClose}
    >
      <p>
        It takes no new work, neither commands of others nor builds, until somebody resumes it. What
        is in flight there runs to its end.
      </p>
    </FormDialog>
  );
}

function Promote({ node, onClose }: { node: PoolNode; onClose: () => void }) {
  const toasts = useToasts();
  const [keep, setKeep] = useState(true);
  const promote = async () => {
    // It is answered once the node holds the office, with a majority behind it.
    await api.POST("/api/node/promote", { body: { node: node.id, keep } });
    toasts.done(
      keep
        ? `${node.name} coordinates now, and stays first`
        : `${node.name} coordinates now; one that goes before it has the office again in half a minute`,
    );
  };
  return (
    <FormDialog
      title={`Let ${node.name} coordinate`}
      verb="Make it coordinate"
      command={`buildnet node promote ${keep ? "--keep " : ""}${quoted(node.name)}`}
      act={promote}
      onClose={onClose}
    >
      <div className="stack tight">
        <p>
          Who coordinates now hands over at once: the queue and the placing of builds go to{" "}
          {node.name}. What runs goes on.
        </p>
        <label className="row">
          <input
            type="checkbox"
            checked={keep}
            onChange={(event) => setKeep(event.target.checked)}
          />
          For good: with a priority above all others
        </label>
        {!keep && (
          <p className="soft small">
            A node with a higher priority, or one that was admitted earlier with the same, has the
            office again once it was there for half a minute.
          </p>
        )}
      </div>
    </FormDialog>
  );
}

function Remove({ node, onClose }: { node: PoolNode; onClose: () => void }) {
  const toasts = useToasts();
  // Whether anything is in flight there, only the node itself can tell.
  const answers = isThere(node);
  const [wanted, setForce] = useState(false);
  const force = wanted || !answers;
  const remove = async () => {
    await api.DELETE("/api/servers/{name}", {
      params: { path: { name: node.id }, query: { force } },
    });
    toasts.done(`${node.name} is removed`);
  };
  return (
    <ConfirmByName
      title={`Remove ${node.name}`}
      name={node.name}
      verb="Remove"
      command={`buildnet server remove ${quoted(node.name)}${force ? " --force" : ""}`}
      act={remove}
      onClose={onClose}
    >
      <div className="stack tight">
        <p>
          Its membership ends; it may be invited again.{" "}
          {answers
            ? "Unless it is forced, it has to be drained, with nothing in flight."
            : `It is ${node.status}, and can't say what is in flight: it is removed at once.`}
        </p>
        <label className="row">
          <input
            type="checkbox"
            checked={force}
            disabled={!answers}
            onChange={(event) => setForce(event.target.checked)}
          />
          At once: what runs there runs elsewhere
        </label>
      </div>
    </ConfirmByName>
  );
}

function Revoke({ node, onClose }: { node: PoolNode; onClose: () => void }) {
  const toasts = useToasts();
  const [reason, setReason] = useState("");
  const revoke = async () => {
    const { data } = await api.POST("/api/node/revoke", { body: { node: node.id, reason } });
    toasts.done(
      data?.final
        ? `The key of ${node.name} is revoked`
        : `The key of ${node.name} is revoked as far as this node reaches; final once a majority is back`,
    );
  };
  return (
    <ConfirmByName
      title={`Revoke the key of ${node.name}`}
      name={node.name}
      verb="Revoke"
      command={`buildnet node revoke ${quoted(node.name)}${reason ? ` --reason ${quoted(reason)}` : ""}`}
      act={revoke}
      onClose={onClose}
    >
      <div className="stack tight">
        <p>
          For a key that is lost or stolen: nothing of it is accepted ever again, and its links are
          cut at once. This can't be undone; the host can come back only with a new key.
        </p>
        <label className="field">
          <span>Why; every member can read it</span>
          <input
            className="input"
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
        </label>
      </div>
    </ConfirmByName>
  );
}
