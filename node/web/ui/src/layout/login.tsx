import { useEffect, useState } from "react";
import { useLocation } from "wouter";
import { api } from "@/api/client";
import { Problem } from "@/api/problem";
import { useForgetting } from "@/api/session";
import { Command } from "@/components/command";
import { ProblemView } from "@/components/problem-view";
import { backTo } from "@/layout/login-path";
import { Mark } from "@/layout/mark";

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const KEY = "v4.public.";

/**
 * Logging in with a link's code or a key. The code stands behind the #, which no browser sends
 * anywhere; it leaves the address bar at once. It is used up only when somebody clicks: programs
 * that look at links ahead of people don't.
 */
export function Login() {
  const [code, setCode] = useState(codeOfLink);
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [, go] = useLocation();
  const forget = useForgetting();
  useEffect(() => {
    const take = () => {
      if (codeOfLink() === "") return;
      setCode(codeOfLink());
      setProblem(null);
      history.replaceState(null, "", location.pathname + location.search);
    };
    take();
    addEventListener("hashchange", take); // a link that is opened where this page is already
    return () => removeEventListener("hashchange", take);
  }, []);
  // A node that does not answer has not used the code up.
  const isSpent = problem !== null && Problem.from(problem).status !== 0;
  const withLink = code !== "" && !isSpent;

  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await open(withLink ? code : text.trim());
      forget();
      go(backTo(location.search), { replace: true });
    } catch (thrown) {
      setProblem(thrown);
      setBusy(false);
    }
  };

  return (
    <main className="login">
      <div className="brand">
        <Mark />
        BuildNet
      </div>
      <form className="card stack" onSubmit={submit}>
        <h1>Log in to {location.host}</h1>
        {location.protocol === "http:" && !LOOPBACK.includes(location.hostname) && (
          <div className="notice warn">
            This page came without TLS: who is on the way can read what you send.
          </div>
        )}
        {!withLink && (
          <>
            <p>On the node's own host this prints a link, good once and for ten minutes:</p>
            <Command line="buildnet login" />
            <label className="field">
              <span>The code of a link, or a key</span>
              <input
                className="input mono"
                type="password"
                autoComplete="off"
                required
                value={text}
                onChange={(event) => setText(event.target.value)}
              />
            </label>
          </>
        )}
        {problem !== null && <ProblemView problem={problem} command="buildnet login" />}
        <button type="submit" className="button primary" disabled={busy}>
          {busy ? "Logging in…" : "Log in"}
        </button>
      </form>
    </main>
  );
}

function codeOfLink(): string {
  return location.hash.slice(1);
}

async function open(secret: string): Promise<void> {
  if (secret.startsWith(KEY)) {
    await api.POST("/api/session", { headers: { authorization: `Bearer ${secret}` } });
  } else {
    await api.POST("/api/login", { body: { code: secret } });
  }
}
