import { useEffect, useRef } from "react";
import { useToasts } from "@/components/toasts";
import { useFilterInPlace } from "@/components/url-state";
import { quoted } from "@/format/shell";
import { kept } from "@/views/builder/calls";
import * as store from "@/views/builder/store";

/**
 * Keep which configuration is open (`open`: its id; empty: none that is kept) and the parameter
 * `config` of the address the same: a link opens it, and what is opened otherwise is named there.
 */
export function useAddress(open: string): void {
  const [wanted, name] = useFilterInPlace("config");
  const shown = useRef(open);
  const toasts = useToasts();
  useEffect(() => {
    const isAnother = shown.current !== open;
    shown.current = open;
    if (wanted === open) return;
    if (wanted === "" || isAnother) {
      name(open);
      return;
    }
    let isOver = false;
    kept(wanted).then(
      ({ draft, version }) => !isOver && store.load(draft, version),
      (thrown: unknown) => {
        if (isOver) return;
        toasts.failed(thrown, `buildnet config show ${quoted(wanted)}`);
        name(open);
      },
    );
    return () => {
      isOver = true;
    };
  }, [wanted, open, name, toasts]);
}
