import { useMay } from "@/api/session";
import { Tabs, useTab } from "@/components/tabs";
import { ViewHead } from "@/layout/frame";
import { Keys } from "@/views/access/keys";
import { People } from "@/views/access/people";
import { Sessions } from "@/views/access/sessions";

const SESSIONS = ["sessions", "Sessions"] as const;
const KEYS = ["keys", "Keys"] as const;
const PEOPLE = ["people", "People and rights"] as const;

/** Who is there, who may come in with a key, and who may do what. */
export default function Access() {
  const tabs = useMay("manage-access") ? [SESSIONS, KEYS, PEOPLE] : [SESSIONS, PEOPLE];
  const tab = useTab(tabs);
  return (
    <>
      <ViewHead title="Access" />
      <Tabs label="Parts of access" tabs={tabs} current={tab} />
      {tab === "sessions" && <Sessions />}
      {tab === "keys" && <Keys />}
      {tab === "people" && <People />}
    </>
  );
}
