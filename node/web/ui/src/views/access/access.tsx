import { Tabs, useTab } from "@/components/tabs";
import { ViewHead } from "@/layout/frame";
import { Keys } from "@/views/access/keys";
import { People } from "@/views/access/people";
import { Sessions } from "@/views/access/sessions";

const TABS = [
  ["sessions", "Sessions"],
  ["keys", "Keys"],
  ["people", "People and rights"],
] as const;

/** Who is there, who may come in with a key, and who may do what. */
export default function Access() {
  const tab = useTab(TABS);
  return (
    <>
      <ViewHead title="Access" />
      <Tabs label="Parts of access" tabs={TABS} current={tab} />
      {tab === "sessions" && <Sessions />}
      {tab === "keys" && <Keys />}
      {tab === "people" && <People />}
    </>
  );
}
