import { Tabs, useTab } from "@/components/tabs";
import { ViewHead } from "@/layout/frame";
import { KeptList } from "@/views/builder/kept-list";
import { Shaping } from "@/views/builder/shaping";
import "@/views/builder/builder.css";

const TABS = [
  ["shape", "Shape"],
  ["kept", "Kept"],
] as const;

/** What builds use of the pool: shaped by dragging, and kept under a name. */
export default function Builder() {
  const tab = useTab(TABS);
  return (
    <>
      <ViewHead title="Builder" />
      <Tabs label="Builder" tabs={TABS} current={tab} />
      {tab === "kept" ? <KeptList /> : <Shaping />}
    </>
  );
}
