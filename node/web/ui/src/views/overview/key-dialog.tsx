import { useState } from "react";
import type { Schema } from "@/api/client";
import { NewKeyDialog } from "@/views/access/new-key";
import { SecretDialog } from "@/views/access/secret";

/** Makes a key, then shows it once. */
export default function KeyDialog({ onClose }: { onClose: () => void }) {
  const [made, setMade] = useState<Schema["NewKey"] | null>(null);
  if (made !== null) return <SecretDialog made={made} onClose={onClose} />;
  return <NewKeyDialog onClose={onClose} onMade={setMade} />;
}
