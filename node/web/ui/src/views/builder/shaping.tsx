import type { Draggable, Droppable } from "@dnd-kit/dom";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Dragging, type Spoken } from "@/components/dragging";
import { useFilter } from "@/components/url-state";
import { usePoolNodes } from "@/live/pool-nodes";
import { added, type Offer, type ZoneName, zoneOf } from "@/views/builder/edits";
import { NO_FAULTS } from "@/views/builder/faults";
import { saidOf, type Verdict, verdict, ZONE_TITLES } from "@/views/builder/fits";
import { How } from "@/views/builder/how";
import { Palette } from "@/views/builder/palette";
import { poolNodes } from "@/views/builder/pool-nodes";
import * as store from "@/views/builder/store";
import { SummaryPanel } from "@/views/builder/summary-panel";
import { Toolbar } from "@/views/builder/toolbar";
import { useAddress } from "@/views/builder/use-address";
import { useChecked } from "@/views/builder/use-pool";
import { Zones } from "@/views/builder/zones";

const nameOf = (source: Draggable) => String(source.data.name);

function answer(source: Draggable, target: Droppable | null): string {
  if (target === null) return "over no zone";
  const says = target.data.says as (offer: Offer) => Verdict;
  const zone = target.data.zone as ZoneName;
  return `over ${ZONE_TITLES[zone]}. ${saidOf(says(source.data.offer as Offer), zone)}`;
}

const SPOKEN: Spoken = {
  instructions:
    "To put this into a zone, press space, then the arrow keys for the zones; space drops it, escape leaves it. Or press the button next to it.",
  picked: (source) => `${nameOf(source)} is picked up.`,
  over: (source, target) => `${nameOf(source)} is ${answer(source, target)}.`,
  dropped: (source, target) => `${nameOf(source)} is dropped ${answer(source, target)}.`,
  cancelled: (source) => `${nameOf(source)} stays where it was.`,
};

/** The builder itself: what the pool has, the zones, and what that comes to. */
export function Shaping() {
  const history = store.useHistory();
  const { draft, kept } = history.present;
  useAddress(kept.id);
  const pool = usePoolNodes().nodes;
  const nodes = useMemo(() => poolNodes(pool), [pool]);
  const checked = useChecked(draft, nodes);
  const faults = checked?.faults ?? NO_FAULTS;
  const [root, onRoot] = useFilter("workspace");
  const [profile, onProfile] = useFilter("profile");
  const target = { root, profile, onRoot, onProfile };
  const [refused, setRefused] = useState<{ zone: ZoneName; words: string } | null>(null);
  const [said, setSaid] = useState("");
  useEffect(() => {
    addEventListener("keydown", stepped);
    return () => removeEventListener("keydown", stepped);
  }, []);

  const add = (offer: Offer, zone: ZoneName) => {
    const found = verdict(offer, zone, draft, nodes);
    setRefused(found.takes ? null : { zone, words: found.words });
    if (!found.takes) return;
    store.edit(added(draft, offer, nodes));
    setSaid(`Added to ${ZONE_TITLES[zone]}`);
  };

  // The same for as long as the view is there, so that pieces of which nothing is new stay.
  const latest = useRef(add);
  latest.current = add;
  const onAdd = useCallback((offer: Offer) => latest.current(offer, zoneOf(offer)), []);

  return (
    <Dragging
      spoken={SPOKEN}
      places
      onDragStart={() => setRefused(null)}
      onDragEnd={({ canceled, operation: { source, target } }) => {
        if (canceled || !source || !target) return;
        add(source.data.offer as Offer, target.data.zone as ZoneName);
      }}
    >
      <Toolbar history={history} target={target} />
      <div className="builder">
        <Palette draft={draft} nodes={nodes} onAdd={onAdd} />
        <div className="stack builder-middle">
          <Zones
            draft={draft}
            nodes={nodes}
            faults={faults}
            refused={refused}
            onEdit={store.edit}
          />
          <How draft={draft} onEdit={store.edit} />
        </div>
        <SummaryPanel draft={draft} nodes={nodes} checked={checked} target={target} />
      </div>
      <output className="unseen" aria-live="polite">
        {said}
      </output>
    </Dragging>
  );
}

/** Ctrl+Z and Ctrl+Shift+Z, but where somebody types: there they are of the text. */
function stepped(event: KeyboardEvent): void {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  const at = event.target;
  if (at instanceof HTMLTextAreaElement) return;
  if (at instanceof HTMLInputElement && !["range", "checkbox"].includes(at.type)) return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) store.redo();
  else store.undo();
}
