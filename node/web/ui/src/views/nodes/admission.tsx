import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, query, type Schema } from "@/api/client";
import { ActionButton } from "@/components/action-button";
import { Age } from "@/components/age";
import { NotAnswered } from "@/components/kept";
import { dateTime, plural, shortId } from "@/format/format";
import { useRefetchOnPool } from "@/live/use-refetch";

const REQUESTS = "/api/node/requests";
const INVITATIONS = "/api/node/invitations";

/** Who asks to be admitted, and which invitations are open; nothing where there are none. */
export function Admission() {
  const requests = query.useQuery("get", REQUESTS);
  const invitations = query.useQuery("get", INVITATIONS);
  useRefetchOnPool(["get", REQUESTS], "admission");
  useRefetchOnPool(["get", INVITATIONS], "admission");
  const open = invitations.data?.invitations ?? [];
  const asking = requests.data?.requests ?? [];
  return (
    <>
      <NotAnswered asked={requests} command="buildnet node requests" />
      <NotAnswered asked={invitations} command="buildnet node invite --list" />
      {asking.map((request) => (
        <Request key={request.id} request={request} />
      ))}
      {open.length > 0 && (
        <details className="card open-invitations">
          <summary>{plural(open.length, "open invitation")}</summary>
          <ul className="stack tight">
            {open.map((invitation) => (
              <Invitation key={invitation.id} invitation={invitation} />
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

/** Compare what both screens show before anybody comes in. */
function Request({ request }: { request: Schema["JoinRequest"] }) {
  const [rights, setRights] = useState<Schema["Rights"]>("builder");
  const client = useQueryClient();
  const again = () => client.invalidateQueries({ queryKey: ["get", REQUESTS] });
  const path = { params: { path: { request_id: request.id } } };
  const approve = async () => {
    await api.POST("/api/node/requests/{request_id}/approve", { ...path, body: { rights } });
    await again();
  };
  const reject = async () => {
    await api.POST("/api/node/requests/{request_id}/reject", path);
    await again();
  };
  return (
    <section className="notice warn request" aria-label={`${request.name} asks to be admitted`}>
      <div className="row between">
        <strong>
          {request.name} asks to be admitted as {request.role}
        </strong>
        <Age at={request.asked_at} />
      </div>
      <dl className="facts">
        <dt>Code</dt>
        <dd className="mono">{request.code}</dd>
        <dt>Node id</dt>
        <dd className="mono">{request.node_id}</dd>
        <dt>From</dt>
        <dd>
          {request.from}, asked {request.asked_node}
        </dd>
        <dt>Waits until</dt>
        <dd>{dateTime(request.expires_at)}</dd>
      </dl>
      <p className="small">
        Compare the code and the id with what the other screen shows. If one differs, reject.
      </p>
      <div className="row">
        <label className="row">
          Rights
          <select
            className="input"
            style={{ width: "auto" }}
            value={rights}
            onChange={(event) => setRights(event.target.value as Schema["Rights"])}
          >
            <option>builder</option>
            <option>observer</option>
            <option>admin</option>
          </select>
        </label>
        <ActionButton
          className="button primary"
          act={approve}
          done={`${request.name} is admitted`}
          command={`buildnet node approve ${request.id} --rights ${rights}`}
        >
          Approve
        </ActionButton>
        <ActionButton
          className="button danger"
          act={reject}
          done={`${request.name} is turned down`}
          command={`buildnet node reject ${request.id}`}
        >
          Reject
        </ActionButton>
      </div>
    </section>
  );
}

function Invitation({ invitation }: { invitation: Schema["OpenInvitation"] }) {
  const client = useQueryClient();
  const withdraw = async () => {
    const path = { invitation_id: invitation.id };
    await api.DELETE("/api/node/invitations/{invitation_id}", { params: { path } });
    await client.invalidateQueries({ queryKey: ["get", INVITATIONS] });
  };
  return (
    <li className="row between">
      <span>
        <code>{shortId(invitation.id)}</code> {plural(invitation.uses_left, "node")} may join as{" "}
        {invitation.role} with the rights {invitation.rights}, until{" "}
        {dateTime(invitation.expires_at)}
      </span>
      <ActionButton
        act={withdraw}
        done="Nobody else joins with it"
        command={`buildnet node invite --withdraw ${invitation.id}`}
      >
        Withdraw
      </ActionButton>
    </li>
  );
}
