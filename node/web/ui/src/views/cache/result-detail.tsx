import { useState } from "react";
import { api, query, type Schema } from "@/api/client";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { CopyButton } from "@/components/command";
import { ConfirmByName, Dialog } from "@/components/dialog";
import { NotAnswered } from "@/components/kept";
import { Loading } from "@/components/states";
import { bytes, duration, plural, shortId } from "@/format/format";
import { useNodes } from "@/live/use-live";
import { ResultHolders } from "@/views/cache/result-holders";

/** One stored result: who made it, what it needs, and removing it. */
export function ResultDetail({
  action,
  mayDelete,
  onClose,
  onDeleted,
}: {
  action: string;
  mayDelete: boolean;
  onClose: () => void;
  onDeleted: () => void;
}) {
  const [deleting, setDeleting] = useState(false);
  const path = { prefix: action };
  const found = query.useQuery("get", "/api/cache/show/{prefix}", { params: { path } });
  const result = found.data?.kind === "action" ? found.data : undefined;
  if (deleting && result) {
    return (
      <ConfirmByName
        title="Delete a result"
        name={shortId(action)}
        verb="Delete"
        command={`buildnet cache delete ${shortId(action)}`}
        act={async () => {
          await api.DELETE("/api/cache/actions/{prefix}", { params: { path } });
          onDeleted();
        }}
        onClose={onClose}
      >
        The result of {result.label} goes, and the blobs that no other one needs. The next build
        that wants it runs its command again.
      </ConfirmByName>
    );
  }
  return (
    <Dialog title={result?.label ?? "A stored result"} onClose={onClose}>
      <NotAnswered asked={found} command={`buildnet cache show ${shortId(action)}`} />
      {found.isPending && <Loading what="the result" />}
      {result && <Facts result={result} />}
      {result && <ResultHolders action={result.hash} />}
      <div className="row dialog-ends">
        {mayDelete && result && (
          <button type="button" className="button danger" onClick={() => setDeleting(true)}>
            Delete…
          </button>
        )}
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function Facts({ result }: { result: Schema["ShownResult"] }) {
  const maker = useNodes().find((node) => node.id === result.node)?.name ?? result.node;
  const size = result.blobs.reduce((sum, blob) => sum + blob.size_bytes, 0);
  return (
    <>
      <dl className="facts">
        <dt>Action</dt>
        <dd className="row">
          <code title={result.hash}>{shortId(result.hash)}</code>
          <CopyButton text={result.hash} label="Copy the whole digest" />
        </dd>
        <dt>Ran on</dt>
        <dd>
          {maker}, in {duration(result.duration_ms)}, <Age at={result.created_at * 1000} />
        </dd>
        <dt>Isolation</dt>
        <dd>
          <Badge>{result.isolation}</Badge>{" "}
          <span className="soft small">
            {result.isolation === "strict" ? "shared with the pool" : "stays on this node"}
          </span>
        </dd>
        <dt>Found</dt>
        <dd>
          {plural(result.hits, "time")}, last used <Age at={result.used_at * 1000} />
        </dd>
        <dt>Needs</dt>
        <dd>
          {plural(result.blobs.length, "blob")}, {bytes(size)}
          {result.missing.length > 0 && <Badge tone="bad">{result.missing.length} missing</Badge>}
        </dd>
      </dl>
      <details>
        <summary>Blobs</summary>
        <ul className="mono small" style={{ maxHeight: "14rem", overflow: "auto" }}>
          {result.blobs.map((blob) => (
            <li key={blob.hash} title={blob.hash}>
              {shortId(blob.hash)} {bytes(blob.size_bytes)}
            </li>
          ))}
        </ul>
      </details>
    </>
  );
}
