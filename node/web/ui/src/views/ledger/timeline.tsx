import { CircleDashed, Stamp } from "lucide-react";
import { Link } from "wouter";
import { Age } from "@/components/age";
import { Badge } from "@/components/badge";
import { useFilter } from "@/components/url-state";

import { Who } from "@/components/who";

import { entryWords } from "@/pool/entry-words";
import { useEntryNames } from "@/pool/use-entry-names";

import { actorName, byDay, withNames } from "@/views/ledger/entries";
import { kindOf, toneOfType } from "@/views/ledger/entry-kind";
import type { Entry } from "@/views/ledger/use-entries";

/** Entries along a line, day by day. */
export function Timeline({
  entries,
  names,
}: {
  entries: readonly Entry[];
  names: ReadonlyMap<string, string>;
}) {
  const called = useEntryNames(entries);
  return byDay(entries).map(({ day, entries: ofDay }) => (
    <section key={day} className="ledger-day" aria-label={day}>
      <h2 className="small soft">{day}</h2>
      <ol className="timeline">
        {ofDay.map((entry) => (
          <EntryItem key={entry.id} entry={entry} words={entryWords(entry, called)} names={names} />
        ))}
      </ol>
    </section>
  ));
}

function EntryItem({
  entry,
  words: text,
  names,
}: {
  entry: Entry;
  words: string;
  names: ReadonlyMap<string, string>;
}) {
  const [, setType] = useFilter("type");
  const { icon: Icon, words } = kindOf(entry.type);
  const by = actorName(entry.actor, names);
  const origin = names.get(entry.node_id) ?? entry.node_id;
  return (
    <li className="timeline-entry">
      <span className={`timeline-icon ${toneOfType(entry.type)}`} title={words}>
        <Icon aria-hidden size={16} />
        <span className="unseen">{words}</span>
      </span>
      <div className="timeline-body">
        <div className="row between">
          <Link href={`/ui/ledger/${entry.id}`} className="timeline-text">
            {text}
          </Link>
          <span className="row small">
            <SealBadge sealed={entry.sealed} />
            <Age at={entry.time} />
          </span>
        </div>
        <div className="row small soft">
          <button
            type="button"
            className="timeline-type mono"
            title={`Only entries of the type ${entry.type}`}
            onClick={() => setType(entry.type)}
          >
            {entry.type}
          </button>
          <span>
            by <Who actor={by} />
          </span>
          <span>
            recorded by {origin}, no. {entry.sequence}
          </span>
          {entry.reason && <span>reason: {withNames(entry.reason, names)}</span>}
        </div>
      </div>
    </li>
  );
}

/** Whether a majority has an entry on record, in words and a picture. */
export function SealBadge({ sealed }: { sealed: number | null }) {
  if (sealed === null) {
    return (
      <Badge tone="warn">
        <CircleDashed aria-hidden />
        not sealed yet
      </Badge>
    );
  }
  return (
    <Badge tone="good">
      <Stamp aria-hidden />
      sealed {sealed}
    </Badge>
  );
}
