import { Download, StickyNote } from "lucide-react";
import { useDeferredValue, useMemo, useState } from "react";
import { useSearchParams } from "wouter";
import { useMay } from "@/api/session";
import { NotAnswered } from "@/components/kept";
import { MoreButton } from "@/components/pages";
import { Empty, Loading } from "@/components/states";
import { Tabs, useTab } from "@/components/tabs";
import { dateTime, plural } from "@/format/format";
import { ViewHead } from "@/layout/frame";
import { ExportDialog } from "@/views/ledger/export-dialog";
import { commandOptions, readFilter } from "@/views/ledger/filter";
import { LedgerFilters } from "@/views/ledger/ledger-filters";
import { useNodeNames } from "@/views/ledger/names";
import { NoteDialog } from "@/views/ledger/note-dialog";
import { StateAt } from "@/views/ledger/state-at";
import { Timeline } from "@/views/ledger/timeline";
import { useEntries } from "@/views/ledger/use-entries";
import { Verification } from "@/views/ledger/verification";
import "@/views/ledger/ledger.css";

const TABS = [
  ["timeline", "Timeline"],
  ["state", "State at a time"],
  ["verification", "Verification and seals"],
] as const;

/** The ledger: what happened, what stood at a time, and whether it can be trusted. */
export default function Ledger() {
  const tab = useTab(TABS);
  const [opened, setOpened] = useState<"note" | "export" | null>(null);
  const mayWrite = useMay("write-note");
  const close = () => setOpened(null);
  return (
    <>
      <ViewHead title="Ledger">
        <button type="button" className="button" onClick={() => setOpened("export")}>
          <Download aria-hidden size={16} />
          Export…
        </button>
        {mayWrite && (
          <button type="button" className="button" onClick={() => setOpened("note")}>
            <StickyNote aria-hidden size={16} />
            Write a note…
          </button>
        )}
      </ViewHead>
      <Tabs label="Parts of the ledger" tabs={TABS} current={tab} />
      {tab === "timeline" && <LiveTimeline />}
      {tab === "state" && <StateAt />}
      {tab === "verification" && <Verification />}
      {opened === "note" && <NoteDialog onClose={close} />}
      {opened === "export" && <ExportDialog onClose={close} />}
    </>
  );
}

function LiveTimeline() {
  const [parameters] = useSearchParams();
  // Who types sees the letters at once, and the list when they rest.
  const address = useDeferredValue(parameters.toString());
  const filter = useMemo(() => readFilter(new URLSearchParams(address)), [address]);
  const names = useNodeNames();
  const { entries, list, waiting, show, lookedTo, pruned } = useEntries(filter);
  return (
    <>
      <LedgerFilters shown={entries?.length ?? null} hasMore={list.hasMore} names={names} />
      {waiting > 0 && (
        <div className="row ledger-new">
          <button type="button" className="button primary" onClick={show}>
            {plural(waiting, "new entry", "new entries")}: show them
          </button>
        </div>
      )}
      <NotAnswered asked={list.asked} command={`buildnet ledger list${commandOptions(filter)}`} />
      {entries === undefined ? (
        list.asked.error === null && <Loading what="the ledger" lines={8} />
      ) : entries.length === 0 ? (
        <Empty title={lookedTo === null ? "No entry fits" : "No entry fits so far"}>
          {lookedTo !== null && <p>Looked through everything since {dateTime(lookedTo)}.</p>}
        </Empty>
      ) : (
        <Timeline entries={entries} names={names} />
      )}
      <MoreButton list={list} />
      {pruned && (
        <p className="soft small">
          What was sealed up to {dateTime(pruned.until)} (seal {pruned.height}) was pruned on this
          node: most entries of then are in no list.
        </p>
      )}
    </>
  );
}
