import { createContext, type ReactNode, useContext, useEffect, useState } from "react";
import { seen } from "@/format/seen";

const SubjectContext = createContext<(subject: string | null) => void>(() => {});

/** Keeps the title of the browser's tab: what is looked at, in which view. */
export function Titled({ view, children }: { view: string | null; children: ReactNode }) {
  const [subject, setSubject] = useState<string | null>(null);
  useEffect(() => {
    const words = [subject, view, "BuildNet"].filter((each) => each !== null);
    document.title = words.map(seen).join(" · ");
  }, [subject, view]);
  return <SubjectContext value={setSubject}>{children}</SubjectContext>;
}

/** Name in the tab's title what a view is of, so that several tabs are told apart; null: not known. */
export function useSubject(subject: string | null): void {
  const set = useContext(SubjectContext);
  useEffect(() => {
    set(subject);
    return () => set(null);
  }, [set, subject]);
}
