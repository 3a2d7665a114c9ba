import { type Customizable, Plugin, type Plugins, type Sensors } from "@dnd-kit/abstract";
import {
  Accessibility,
  type DragDropManager,
  type DragEndEvent,
  type Draggable,
  type DragOverEvent,
  type DragStartEvent,
  type Droppable,
  Feedback,
  KeyboardSensor,
  PointerSensor,
  StyleInjector,
} from "@dnd-kit/dom";
import { DragDropProvider } from "@dnd-kit/react";
import type { ComponentProps } from "react";

/**
 * dnd-kit writes its rules into a <style> element, which the page's content security policy refuses.
 * The policy lets scripts adopt style sheets: so they come in that way. It has to stand ahead of the
 * plugins that bring rules.
 */
class AdoptedStyles extends Plugin<DragDropManager> {
  constructor(manager: DragDropManager) {
    super(manager);
    const injector = manager.registry.plugins.get(StyleInjector);
    if (injector === undefined) return;
    injector.register = (rules) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(rules);
      document.adoptedStyleSheets.push(sheet);
      return () => {
        const left = document.adoptedStyleSheets.filter((each) => each !== sheet);
        document.adoptedStyleSheets = left;
      };
    };
  }
}

/** The arrow keys go from one place that would take the piece to the next, in the page's order. */
class PlaceKeyboard extends KeyboardSensor {
  protected override handleMove(direction: "up" | "down" | "left" | "right", event: KeyboardEvent) {
    const { source, target } = this.manager.dragOperation;
    if (!source) return;
    const places = [...this.manager.registry.droppables]
      .filter((place) => !place.disabled && place.accepts(source) && place.element)
      .sort((a, b) => follows(a.element, b.element));
    const at = places.findIndex((place) => place.id === target?.id);
    const step = direction === "down" || direction === "right" ? 1 : -1;
    const next = at < 0 ? places.at(step > 0 ? 0 : -1) : places[at + step];
    event.preventDefault();
    if (!next?.element) return;
    next.element.scrollIntoView({ block: "nearest" });
    const box = next.element.getBoundingClientRect();
    // Not its middle: a piece that is larger than the place is still nearest to this one.
    this.manager.actions.move({
      event,
      to: { x: box.left + Math.min(box.width / 2, 80), y: box.top + Math.min(box.height / 2, 24) },
    });
  }
}

function follows(a: Element | undefined, b: Element | undefined): number {
  if (a === undefined || b === undefined) return 0;
  return a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
}

/** What screen readers hear. */
export interface Spoken {
  /** How to drag by keyboard, told with each piece that can be. */
  instructions: string;
  picked: (source: Draggable) => string;
  over: (source: Draggable, target: Droppable | null) => string;
  /** `target` null: it was dropped nowhere. */
  dropped: (source: Draggable, target: Droppable | null) => string;
  cancelled: (source: Draggable) => string;
}

type Handlers = Omit<ComponentProps<typeof DragDropProvider>, "plugins" | "sensors" | "manager">;

/** What lets the pieces in it be dragged by mouse, touch and keyboard. `places`: the arrow keys go
 * from place to place; without it that is up to the pieces, as those of lists that are sorted do. */
export function Dragging({
  spoken,
  places = false,
  ...handlers
}: Handlers & { spoken: Spoken; places?: boolean }) {
  return (
    <DragDropProvider
      {...handlers}
      plugins={pluginsOf(spoken, places)}
      sensors={sensorsOf(places)}
    />
  );
}

const PLUGINS = new WeakMap<Spoken, Customizable<Plugins<DragDropManager>>>();

/** The same for the same words: another list would have dnd-kit begin anew. */
function pluginsOf(spoken: Spoken, places: boolean): Customizable<Plugins<DragDropManager>> {
  let found = PLUGINS.get(spoken);
  if (found === undefined) {
    found = (defaults) => [
      AdoptedStyles,
      ...defaults.filter((each) => each !== Accessibility && each !== Feedback),
      // What is taken from a palette stays there, and does not fly back once it was dropped.
      places ? Feedback.configure({ feedback: "clone", dropAnimation: null }) : Feedback,
      Accessibility.configure({
        screenReaderInstructions: { draggable: spoken.instructions },
        announcements: {
          dragstart: ({ operation: { source } }: DragStartEvent) => source && spoken.picked(source),
          dragover: ({ operation: { source, target } }: DragOverEvent) =>
            source && spoken.over(source, target),
          dragend: ({ operation: { source, target }, canceled }: DragEndEvent) =>
            source && (canceled ? spoken.cancelled(source) : spoken.dropped(source, target)),
        },
      }),
    ];
    PLUGINS.set(spoken, found);
  }
  return found;
}

const SORTING: Sensors<DragDropManager> = [PointerSensor, KeyboardSensor];
const PLACING: Sensors<DragDropManager> = [PointerSensor, PlaceKeyboard];

function sensorsOf(places: boolean): Sensors<DragDropManager> {
  return places ? PLACING : SORTING;
}
